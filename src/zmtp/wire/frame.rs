//! The frame header of ZMTP 2.0 and 3.x (RFC 37, section "Framing").
//!
//! ```text
//!  short            long
//! +-------+-----+  +-------+--------------------+
//! | flags | len |  | flags | length             |   flags: bit 0 MORE, bit 1 LONG, bit 2 COMMAND, 3–7 reserved
//! | 1     | 1   |  | 1     | 8, big-endian      |
//! +-------+-----+  +-------+--------------------+
//! ```

use nom::IResult;
use nom::number::streaming::{be_u64, u8};

/// The largest length that RFC 37 allows: 2^63 − 1.
pub const LARGEST_BODY: u64 = i64::MAX as u64;

/// The flags octet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameFlags(pub u8);

impl FrameFlags {
    const MORE: u8 = 0x01;
    const LONG: u8 = 0x02;
    const COMMAND: u8 = 0x04;

    /// With these bits.
    pub fn of(more: bool, long: bool, command: bool) -> Self {
        let bit = |set: bool, bit| if set { bit } else { 0 };
        Self(bit(more, Self::MORE) | bit(long, Self::LONG) | bit(command, Self::COMMAND))
    }

    /// The same without COMMAND: before ZMTP 3.0 there were none.
    #[must_use]
    pub fn without_command(self) -> Self {
        Self(self.0 & !Self::COMMAND)
    }

    /// More frames of the same message follow.
    pub fn more(self) -> bool {
        self.0 & Self::MORE != 0
    }

    /// The length has 8 octets.
    pub fn long(self) -> bool {
        self.0 & Self::LONG != 0
    }

    /// The frame is a command, not a part of a message.
    pub fn command(self) -> bool {
        self.0 & Self::COMMAND != 0
    }

    /// The bits that must be zero. libzmq ignores them.
    pub fn reserved(self) -> u8 {
        self.0 & !(Self::MORE | Self::LONG | Self::COMMAND)
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The first octet.
    pub flags: FrameFlags,
    /// Octets of the body that follows; not yet checked against [`LARGEST_BODY`].
    pub length: u64,
}

impl FrameHeader {
    /// A frame that is a message of its own, without content.
    pub fn is_empty_message(self) -> bool {
        self.flags == FrameFlags::default() && self.length == 0
    }
}

/// Parses a frame header.
#[inline]
pub fn frame_header(input: &[u8]) -> IResult<&[u8], FrameHeader> {
    let (input, flags) = u8(input)?;
    let flags = FrameFlags(flags);
    let (input, length) = if flags.long() {
        be_u64(input)?
    } else {
        let (input, length) = u8(input)?;
        (input, u64::from(length))
    };
    Ok((input, FrameHeader { flags, length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_headers() {
        let (rest, short) = frame_header(&[0x01, 5, b'x']).expect("valid");
        assert_eq!((rest, short.length, short.flags.more()), (&b"x"[..], 5, true));
        let (rest, long) = frame_header(&[0x06, 0, 0, 0, 0, 0, 0, 1, 0]).expect("valid");
        assert!(rest.is_empty() && long.flags.command() && long.flags.long() && !long.flags.more());
        assert_eq!(long.length, 256);
    }

    #[test]
    fn a_header_cut_anywhere_asks_for_more() {
        for end in 0..9 {
            assert!(frame_header(&[2, 0, 0, 0, 0, 0, 0, 0, 1][..end]).is_err_and(|e| e.is_incomplete()));
        }
        assert!(frame_header(&[0]).is_err_and(|e| e.is_incomplete()));
    }

    #[test]
    fn reserved_bits_are_told() {
        assert_eq!(FrameFlags(0xF8 | 0x01).reserved(), 0xF8);
        assert_eq!(FrameFlags(0x07).reserved(), 0);
    }
}
