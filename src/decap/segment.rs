//! What decapsulation yields: TCP segments, or the reason why a packet holds none.

use crate::base::endpoint::Endpoint;
use std::fmt;

/// A TCP segment (RFC 9293 section 3.1), its payload borrowed from the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// Sequence number of the first payload byte (of the SYN itself where `flags.syn`).
    pub sequence: u32,
    /// Acknowledgement number, where the ACK flag is set.
    pub acknowledgement: Option<u32>,
    /// Control bits.
    pub flags: TcpFlags,
    /// Captured payload: without link-layer padding, at most what the snapshot length left.
    pub payload: &'a [u8],
    /// Payload bytes that were sent after `payload` and are not in the capture (snapshot length).
    pub cut: u32,
}

/// The control bits that matter to reassembly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // four independent bits of a header
pub struct TcpFlags {
    /// Synchronize sequence numbers.
    pub syn: bool,
    /// No more data from sender.
    pub fin: bool,
    /// Reset the connection.
    pub rst: bool,
    /// The acknowledgement number counts.
    pub ack: bool,
}

/// Why a packet is not used. Every packet is either used or counted under one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// The link type is not one that is decoded.
    LinkType,
    /// Neither IPv4 nor IPv6 inside the link layer: ARP, LLDP, ….
    NotIp,
    /// IP, but neither TCP nor `ZeroMQ` in UDP or PGM: ICMP, DNS, ….
    NotTcp,
    /// A fragment of an IP datagram that did not become whole.
    Fragment,
    /// A header contradicts itself or its length fields.
    Malformed,
    /// The snapshot length cut the packet before the end of the TCP header.
    Cut,
}

impl Skip {
    /// All reasons, in the order in which they are reported.
    pub const ALL: [Self; 6] = [Self::LinkType, Self::NotIp, Self::NotTcp, Self::Fragment, Self::Malformed, Self::Cut];
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkType => "unknown link type",
            Self::NotIp => "not IP",
            Self::NotTcp => "not TCP",
            Self::Fragment => "fragment of an incomplete IP datagram",
            Self::Malformed => "malformed header",
            Self::Cut => "headers cut by the snapshot length",
        })
    }
}
