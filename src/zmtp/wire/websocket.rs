//! The frame header of WebSocket (RFC 6455, section 5.2), and the flag octet that ZWS puts before a frame's body (RFC 45).
//!
//! ```text
//! +-----+-----+--------+------+-------+------------------+----------+------------------+
//! | FIN | RSV | opcode | MASK | len   | extended length  | mask     | payload, masked  |   len 126: 2 octets follow,
//! | 1 b | 3 b | 4 b    | 1 b  | 7 b   | 0, 2 or 8 octets | 0 or 4   |                  |   127: 8; big-endian
//! +-----+-----+--------+------+-------+------------------+----------+------------------+
//! ```
//!
//! What the client sends is masked, what the server sends is not. A binary message of ZWS is a flag octet (0 last part,
//! 1 more parts follow, 2 command), then the body of the ZMTP frame.

use super::frame::FrameFlags;
use nom::combinator::cond;
use nom::number::streaming::{be_u16, be_u64, u8};
use nom::{IResult, Parser};

/// Octets of the longest header.
pub const LONGEST_HEADER: usize = 14;

/// Octets of the longest payload of a control frame.
pub const LONGEST_CONTROL: u64 = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// More of the message that the frame before it began.
    pub const CONTINUATION: Self = Self(0x0);
    /// A message of text, which ZWS 2.0 does not have.
    pub const TEXT: Self = Self(0x1);
    /// A message: one frame of ZMTP.
    pub const BINARY: Self = Self(0x2);
    /// The connection is to end.
    pub const CLOSE: Self = Self(0x8);
    /// To be answered by PONG. No PING of ZMTP, though libzmq sends it for its heartbeats.
    pub const PING: Self = Self(0x9);
    /// The answer to PING.
    pub const PONG: Self = Self(0xA);

    /// Not part of a message; may stand between the fragments of one.
    pub fn is_control(self) -> bool {
        self.0 & 0x8 != 0
    }

    /// In capitals; `None` for those that no RFC has.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::CONTINUATION => "CONTINUATION",
            Self::TEXT => "TEXT",
            Self::BINARY => "BINARY",
            Self::CLOSE => "CLOSE",
            Self::PING => "PING",
            Self::PONG => "PONG",
            _ => return None,
        })
    }
}

/// The four octets that payload is masked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(pub [u8; 4]);

impl Mask {
    /// Appends `masked` in clear to `clear`; `at` octets of the payload came before it.
    pub fn remove(self, at: u64, masked: &[u8], clear: &mut Vec<u8>) {
        let mut mask = self.0;
        mask.rotate_left((at % 4) as usize);
        let (whole, rest) = masked.as_chunks::<4>();
        clear.reserve(masked.len());
        clear.extend(whole.iter().flat_map(|four| std::array::from_fn::<u8, 4, _>(|i| four[i] ^ mask[i])));
        clear.extend(rest.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
    }

    /// The first octet of a payload in clear.
    pub fn first(self, octet: u8) -> u8 {
        octet ^ self.0[0]
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WsHeader {
    /// The last fragment of a message, or all of it.
    pub is_final: bool,
    /// The three reserved bits, of which an extension may set the first (4).
    pub reserved: u8,
    /// What it is.
    pub opcode: Opcode,
    /// Of frames that the client sends.
    pub mask: Option<Mask>,
    /// Octets of the payload; not yet checked against [`super::frame::LARGEST_BODY`].
    pub length: u64,
    /// The length has the shortest of its three forms, as it must.
    pub is_shortest: bool,
}

/// Parses a frame header.
pub fn frame_header(input: &[u8]) -> IResult<&[u8], WsHeader> {
    let (input, (first, second)) = (u8, u8).parse(input)?;
    let (input, (length, is_shortest)) = match second & 0x7F {
        126 => be_u16.map(|length| (u64::from(length), length > 125)).parse(input)?,
        127 => be_u64.map(|length| (length, length > 0xFFFF)).parse(input)?,
        short => (input, (u64::from(short), true)),
    };
    let (input, mask) = cond(second & 0x80 != 0, (u8, u8, u8, u8)).parse(input)?;
    let header = WsHeader {
        is_final: first & 0x80 != 0,
        reserved: first >> 4 & 0x7,
        opcode: Opcode(first & 0x0F),
        mask: mask.map(|(a, b, c, d)| Mask([a, b, c, d])),
        length,
        is_shortest,
    };
    Ok((input, header))
}

/// The flag octet of ZWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZwsFlags(pub u8);

impl ZwsFlags {
    const MORE: u8 = 0x01;
    const COMMAND: u8 = 0x02;

    /// The same as ZMTP writes them.
    pub fn frame_flags(self) -> FrameFlags {
        FrameFlags::of(self.0 & Self::MORE != 0, false, self.0 & Self::COMMAND != 0)
    }

    /// The bits that RFC 45 does not define. libzmq ignores them.
    pub fn reserved(self) -> u8 {
        self.0 & !(Self::MORE | Self::COMMAND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455, section 5.7.
    #[test]
    fn the_examples_of_the_rfc() {
        let (rest, hello) = frame_header(b"\x81\x05\x48\x65\x6c\x6c\x6f").expect("valid");
        assert_eq!((rest, hello.is_final, hello.opcode, hello.mask), (&b"Hello"[..], true, Opcode::TEXT, None));

        let (rest, hello) = frame_header(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").expect("valid");
        let mut clear = Vec::new();
        hello.mask.expect("masked").remove(0, rest, &mut clear);
        assert_eq!((clear.as_slice(), hello.length), (&b"Hello"[..], 5));

        let (rest, first) = frame_header(b"\x01\x03\x48\x65\x6c").expect("valid");
        assert_eq!((rest, first.is_final, first.opcode), (&b"Hel"[..], false, Opcode::TEXT));
        let (rest, last) = frame_header(b"\x80\x02\x6c\x6f").expect("valid");
        assert_eq!((rest, last.is_final, last.opcode), (&b"lo"[..], true, Opcode::CONTINUATION));

        let (_, ping) = frame_header(b"\x89\x05\x48\x65\x6c\x6c\x6f").expect("valid");
        assert!(ping.opcode == Opcode::PING && ping.opcode.is_control() && !last.opcode.is_control());
        let (payload, answer) = frame_header(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").expect("valid");
        assert_eq!((answer.opcode.name(), payload.len()), (Some("PONG"), 5));

        let (_, medium) = frame_header(b"\x82\x7E\x01\x00").expect("valid");
        assert_eq!((medium.length, medium.is_shortest, medium.opcode), (256, true, Opcode::BINARY));
        let (_, long) = frame_header(b"\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00").expect("valid");
        assert_eq!((long.length, long.is_shortest), (65536, true));
    }

    #[test]
    fn a_header_cut_anywhere_asks_for_more() {
        let longest = b"\x82\xff\0\0\0\0\0\x01\0\0\x01\x02\x03\x04";
        assert_eq!(longest.len(), LONGEST_HEADER);
        for end in 0..LONGEST_HEADER {
            assert!(frame_header(&longest[..end]).is_err_and(|error| error.is_incomplete()), "{end}");
        }
        let (_, parsed) = frame_header(longest).expect("valid");
        assert_eq!(parsed.mask, Some(Mask([1, 2, 3, 4])));
    }

    #[test]
    fn lengths_in_longer_forms_and_reserved_bits_are_told() {
        assert!(!frame_header(b"\x82\x7e\0\x7d").expect("valid").1.is_shortest);
        assert!(!frame_header(b"\x82\x7f\0\0\0\0\0\0\xff\xff").expect("valid").1.is_shortest);
        assert_eq!(frame_header(b"\xc2\x01").expect("valid").1.reserved, 4);
        assert_eq!(Opcode(0xB).name(), None);
    }

    #[test]
    fn a_mask_goes_on_where_the_last_piece_ended() {
        let mask = Mask([0x37, 0xFA, 0x21, 0x3D]);
        let masked: Vec<u8> = b"a longer text".iter().enumerate().map(|(at, octet)| octet ^ mask.0[at % 4]).collect();
        for cut in 0..=masked.len() {
            let mut clear = Vec::new();
            mask.remove(0, &masked[..cut], &mut clear);
            mask.remove(cut as u64, &masked[cut..], &mut clear);
            assert_eq!(clear, b"a longer text", "{cut}");
        }
    }

    /// RFC 45, section "Framing".
    #[test]
    fn flags_become_those_of_zmtp() {
        assert_eq!(ZwsFlags(0).frame_flags(), FrameFlags(0));
        assert_eq!(ZwsFlags(1).frame_flags(), FrameFlags(1));
        assert_eq!(ZwsFlags(2).frame_flags(), FrameFlags(4));
        assert_eq!(ZwsFlags(0xF1).reserved(), 0xF0);
    }
}
