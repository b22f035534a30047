//! What libzmq puts into a PGM data packet (`pgm_sender`): a piece of a stream of ZMTP 1.0 frames, and where in it a message
//! begins.
//!
//! ```text
//! | offset of the first message that begins here, big-endian 2; FFFF: none does | octets of frames |
//! ```

use super::frame::FrameHeader;
use super::legacy;
use nom::IResult;
use nom::number::complete::be_u16;

/// No message begins in the packet.
const NONE: u16 = 0xffff;

/// The content of a data packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tsdu<'a> {
    /// Where in `octets` the first message of the packet begins. Their end, where the next packet begins with one: libzmq
    /// says so when the last message ended with the packet.
    pub message: Option<usize>,
    /// The stream goes on so.
    pub octets: &'a [u8],
}

/// Parses what was captured of a TSDU.
///
/// # Errors
/// It is shorter than the offset.
pub fn tsdu(input: &[u8]) -> IResult<&[u8], Tsdu<'_>> {
    let (octets, offset) = be_u16(input)?;
    let message = (offset != NONE).then_some(usize::from(offset));
    Ok((&[], Tsdu { message, octets }))
}

/// What a TSDU says about whether it is libzmq's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// From where a message begins, frames fill it to its last octet.
    Strong,
    /// Frames fit, and the last goes on in the next packet.
    Weak,
    /// No message begins here.
    None,
    /// It cannot be.
    Against,
}

/// Judges a TSDU that was captured whole.
pub fn evidence(input: &[u8]) -> Evidence {
    let Ok((_, parsed)) = tsdu(input) else { return Evidence::Against };
    let Some(message) = parsed.message else { return Evidence::None };
    let Some(mut rest) = parsed.octets.get(message..) else { return Evidence::Against };
    if rest.is_empty() {
        // A length before what it counts looks the same.
        return Evidence::None;
    }
    while !rest.is_empty() {
        let (body, header): (_, FrameHeader) = match legacy::frame_header(rest) {
            Ok(parsed) => parsed,
            Err(error) if error.is_incomplete() => return Evidence::Weak,
            Err(_) => return Evidence::Against,
        };
        if !legacy::is_plausible_flags(rest[rest.len() - body.len() - 1]) {
            return Evidence::Against;
        }
        match usize::try_from(header.length).ok().and_then(|length| body.get(length..)) {
            Some(next) => rest = next,
            None => return Evidence::Weak,
        }
    }
    Evidence::Strong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_tells_where_a_message_begins() {
        let (_, parsed) = tsdu(b"\0\x02yz\x02\0x").expect("valid");
        assert_eq!((parsed.message, parsed.octets), (Some(2), &b"yz\x02\0x"[..]));
        let (_, parsed) = tsdu(b"\xff\xffyz").expect("valid");
        assert_eq!((parsed.message, parsed.octets), (None, &b"yz"[..]));
        assert!(tsdu(b"\0").is_err());
    }

    #[test]
    fn frames_are_evidence() {
        assert_eq!(evidence(b"\0\0\x08\x01topic.0\x02\0x"), Evidence::Strong);
        assert_eq!(evidence(b"\0\x02yz\x02\0x\xff\0\0"), Evidence::Weak);
        assert_eq!(evidence(b"\xff\xffyz"), Evidence::None);
        assert_eq!(evidence(b"\0\x02yz"), Evidence::None);
        for other in [&b""[..], b"\0", b"\0\x05\x02\0x", b"\0\0\0\0", b"\0\0\x05\x33abcd", b"Hello, world"] {
            assert_eq!(evidence(other), Evidence::Against, "{other:?}");
        }
    }
}
