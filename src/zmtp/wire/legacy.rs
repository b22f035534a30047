//! The frame header of ZMTP 1.0 (RFC 13), and of nothing since.
//!
//! ```text
//!  short            long
//! +-----+-------+  +----+--------------------+-------+
//! | len | flags |  | FF | length             | flags |   the length counts the flags octet too: an empty body has 1
//! | 1   | 1     |  | 1  | 8, big-endian      | 1     |   flags: bit 0 MORE; 0MQ 2.1 leaves bits 1–6 set
//! +-----+-------+  +----+--------------------+-------+
//! ```
//!
//! There is no greeting: the first frame is the peer's identity. The signature with which newer versions begin is a long
//! header to a 1.0 peer, and its body the identity.

use super::frame::{FrameFlags, FrameHeader};
use nom::combinator::verify;
use nom::number::streaming::{be_u64, u8};
use nom::{IResult, Parser};

/// First octet of the long form.
const LONG_FORM: u8 = 0xFF;

/// Parses a frame header; `length` of the result is that of the body alone. A length of 0 is an error.
pub fn frame_header(input: &[u8]) -> IResult<&[u8], FrameHeader> {
    let (input, first) = verify(u8, |&length| length != 0).parse(input)?;
    let long = first == LONG_FORM;
    let (input, length) =
        if long { verify(be_u64, |&length| length != 0).parse(input)? } else { (input, u64::from(first)) };
    let (input, flags) = u8(input)?;
    Ok((input, FrameHeader { flags: FrameFlags::of(flags & 1 != 0, long, false), length: length - 1 }))
}

/// Whether an octet can be the flags of a frame: 0, 1, or as 0MQ 2.1 sent them.
pub fn is_plausible_flags(flags: u8) -> bool {
    matches!(flags, 0x00 | 0x01 | 0x7E | 0x7F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_the_flags() {
        let (rest, header) = frame_header(&[1, 0, 9]).expect("valid");
        assert_eq!((rest, header.length, header.flags.more()), (&[9][..], 0, false));
        let (_, header) = frame_header(&[6, 0x7F]).expect("valid");
        assert_eq!((header.length, header.flags.more(), header.flags.reserved()), (5, true, 0));
    }

    #[test]
    fn a_newer_peer_s_signature_is_a_long_header() {
        let (rest, header) = frame_header(b"\xff\0\0\0\0\0\0\0\x06\x7fident").expect("valid");
        assert_eq!((rest, header.length, header.flags.long()), (&b"ident"[..], 5, true));
        for end in 0..10 {
            assert!(frame_header(&b"\xff\0\0\0\0\0\0\0\x06\x7f"[..end]).is_err_and(|e| e.is_incomplete()), "{end}");
        }
    }

    #[test]
    fn a_length_of_zero_is_no_frame() {
        assert!(frame_header(&[0, 0]).is_err_and(|e| !e.is_incomplete()));
        assert!(frame_header(&[0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err_and(|e| !e.is_incomplete()));
    }
}
