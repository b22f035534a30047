//! A captured packet and the trait of everything that yields packets.

use super::batch::{Batch, Filled};
use super::error::CaptureError;
use crate::base::chunk::{PacketId, Position};
use crate::base::time::Timestamp;

/// A link-layer header type, as in <https://www.tcpdump.org/linktypes.html>. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: address family in the byte order of the machine that captured.
    pub const NULL: Self = Self(0);
    /// Ethernet II or IEEE 802.3.
    pub const ETHERNET: Self = Self(1);
    /// PPP, in HDLC-like framing or without.
    pub const PPP: Self = Self(9);
    /// `DLT_RAW` as some systems write it into files.
    pub const RAW_BSD: Self = Self(12);
    /// `DLT_RAW` as OpenBSD writes it into files.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing, or Cisco's HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// `PPPoE` sessions, from the header behind that of Ethernet on.
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IPv4 or IPv6, told by the version nibble.
    pub const RAW: Self = Self(101);
    /// Cisco's HDLC.
    pub const CISCO_HDLC: Self = Self(104);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// From the number that libpcap gives for an interface (`DLT_…`). Those differ from the numbers in files for a few
    /// types only, raw IP among them.
    pub fn from_dlt(dlt: i32) -> Self {
        match dlt {
            12 if cfg!(target_os = "openbsd") => Self::LOOP,
            12 | 14 => Self::RAW,
            other => Self(other as u32),
        }
    }

    /// The number by which libpcap knows this type on this system.
    pub fn to_dlt(self) -> i32 {
        match self {
            Self::RAW | Self::RAW_BSD | Self::RAW_OPENBSD if cfg!(target_os = "openbsd") => 14,
            Self::RAW | Self::RAW_BSD | Self::RAW_OPENBSD => 12,
            Self::LOOP if cfg!(target_os = "openbsd") => 12,
            Self(other) => other as i32,
        }
    }
}

/// One captured packet, borrowed from its source until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// File and number.
    pub id: PacketId,
    /// Capture time, any clock offset of its file already applied.
    pub at: Timestamp,
    /// How `bytes` begins.
    pub link: LinkType,
    /// What was captured, at most the snapshot length.
    pub bytes: &'a [u8],
    /// Length on the wire; larger than `bytes` where the snapshot length cut the packet.
    pub wire_length: u32,
}

impl Packet<'_> {
    /// Where this packet stands.
    pub fn position(&self) -> Position {
        Position { packet: self.id, at: self.at }
    }
}

/// What a source has to say when asked for a packet.
#[derive(Debug)]
pub enum Next<'a> {
    /// The next packet.
    Packet(Packet<'a>),
    /// Nothing arrived for a while (live only). The time is the wall clock, for time-outs.
    Idle(Timestamp),
    /// No more packets.
    End,
}

/// Where packets come from: a file, several files merged, an interface. Any thread may read.
pub trait PacketSource: Send {
    /// The next packet, in the order of the source.
    ///
    /// # Errors
    /// When nothing more can be read at all. A truncated tail is not an error: it ends the source with a warning in
    /// [`InputStats::warnings`].
    fn next_packet(&mut self) -> Result<Next<'_>, CaptureError>;

    /// Fills an empty batch with the next packets, at most `most` of them. It has the packets before an error.
    ///
    /// # Errors
    /// As [`Self::next_packet`].
    fn fill(&mut self, batch: &mut Batch, most: u64) -> Result<Filled, CaptureError> {
        while !batch.is_full(most) {
            match self.next_packet()? {
                Next::Packet(packet) => batch.push(&packet),
                Next::Idle(now) => return Ok(Filled::Idle(now)),
                Next::End => return Ok(Filled::End),
            }
        }
        Ok(Filled::More)
    }

    /// Whether its packets may come more slowly than they can be dissected: then it is worth a thread of its own.
    fn is_slow(&self) -> bool {
        false
    }

    /// What is known about the source so far.
    fn stats(&self) -> SourceStats;
}

/// What a source knows about itself, for reports and progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// One entry a file or interface.
    pub inputs: Vec<InputStats>,
    /// Bytes read from the files so far and in all, where known: progress.
    pub read_bytes: u64,
    /// Size of the files together, `None` for standard input and interfaces.
    pub total_bytes: Option<u64>,
}

/// One file or interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputStats {
    /// The path or interface name as given.
    pub name: String,
    /// `pcap`, `pcap (ns)`, `pcapng`, `live`.
    pub format: &'static str,
    /// Packets seen, before any filter.
    pub packets: u64,
    /// Packets that the filter left out.
    pub filtered: u64,
    /// Packets that the kernel or the capturing program dropped for want of buffer, where known.
    pub dropped: Option<u64>,
    /// What is wrong with the input, in words.
    pub warnings: Vec<String>,
}
