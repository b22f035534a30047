//! A piece of one direction of a stream, and where in the capture it was found.

use super::time::Timestamp;

/// A packet of a capture: which file of the command line, and its number in that file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(u64);

impl PacketId {
    /// Numbers beyond are all the same; they take 48 bits, so that this is copied as one number, with each frame.
    const LAST: u64 = (1 << 48) - 1;

    /// `file` is the 0-based index of the capture file or interface; `number` the 1-based one of the packet in it, as Wireshark
    /// counts.
    pub fn new(file: u16, number: u64) -> Self {
        Self(u64::from(file) << 48 | number.min(Self::LAST))
    }

    /// 0-based index of the capture file or interface.
    pub fn file(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// 1-based number of the packet in it.
    pub fn number(self) -> u64 {
        self.0 & Self::LAST
    }

    /// Both as one number, which grows with the file first.
    pub fn as_one(self) -> u64 {
        self.0
    }
}

/// Where something was found: a packet and that packet's capture time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The packet.
    pub packet: PacketId,
    /// When it was captured.
    pub at: Timestamp,
}

/// Consecutive content of one direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The packet that carried it. For a gap: the packet that proved it.
    pub position: Position,
    /// Offset in the stream of the first byte; the byte after the SYN is 0.
    pub offset: u64,
    /// The content.
    pub data: Data<'a>,
}

/// What a chunk holds: bytes, or the knowledge that bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// Bytes as the receiver got them; never empty.
    Bytes(&'a [u8]),
    /// So many bytes were sent and are not in the capture; never 0.
    Gap(u64),
}

impl Data<'_> {
    /// How many bytes of the stream this covers.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Gap(length) => *length,
        }
    }
}
