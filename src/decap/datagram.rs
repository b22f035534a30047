//! What IP carries besides TCP, as far as `ZeroMQ` uses it: UDP (RFC 768), and PGM (RFC 3208) in IP or in UDP.

use super::segment::Segment;
use super::span::Span;
use crate::base::endpoint::Endpoint;
use std::net::IpAddr;

/// The transport protocol that a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram that is no tunnel.
    Udp(Datagram<'a>),
    /// A PGM packet that is directly in IP. Its ports are in `payload` ([`super::pgm`]), and 0 in the endpoints.
    Pgm(Datagram<'a>),
}

/// A datagram, its payload borrowed from the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Sender.
    pub source: Endpoint,
    /// Receiver; its address is often one of a multicast group.
    pub destination: Endpoint,
    /// Captured payload: without link-layer padding, at most what the snapshot length left.
    pub payload: &'a [u8],
    /// Payload bytes that were sent after `payload` and are not in the capture (snapshot length).
    pub cut: u32,
}

impl<'a> Datagram<'a> {
    /// Between these addresses and ports, each source first.
    pub(super) fn new(addresses: [IpAddr; 2], ports: [u16; 2], payload: Span<'a>) -> Self {
        Self {
            source: Endpoint::new(addresses[0], ports[0]),
            destination: Endpoint::new(addresses[1], ports[1]),
            payload: payload.bytes(),
            cut: u32::try_from(payload.cut()).unwrap_or(u32::MAX),
        }
    }
}
