//! Packet → TCP segment, with `etherparse`. Pure: no state, no I/O, no allocation.
//!
//! Invariants: no bytes make it panic. Lengths come from the IP header, so that link-layer padding never becomes
//! payload; what the header promises and the snapshot length took away is `cut`, never silently shorter. Every packet
//! is a segment or has a [`Skip`].

mod ip;
mod link;
pub mod segment;
mod span;
#[cfg(test)]
mod tests;
mod tunnel;

use crate::capture::packet::Packet;
use segment::{Segment, Skip};
use span::Span;

/// The TCP segment in a packet.
///
/// Inside a tunnel (GRE, VXLAN, Geneve, IP in IP, `PPPoE`) it is the inner segment, with the inner addresses.
///
/// # Errors
/// Why there is none.
pub fn segment<'a>(packet: &Packet<'a>) -> Result<Segment<'a>, Skip> {
    let wire = packet.bytes.len().max(packet.wire_length as usize);
    link::segment(packet.link, Span::new(packet.bytes, wire))
}
