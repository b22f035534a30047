//! Packet → TCP segment, with `etherparse`. Pure: no I/O, no clock; without fragments, no state and no allocation.
//!
//! Invariants: no bytes make it panic. Lengths come from the IP header, so that link-layer padding never becomes
//! payload; what the header promises and the snapshot length took away is `cut`, never silently shorter. Every packet
//! is a segment or has a [`Skip`].

mod fragment;
pub mod fragments;
mod ip;
mod link;
pub mod segment;
mod span;
#[cfg(test)]
mod tests;
mod tunnel;

use crate::capture::packet::Packet;
use fragment::{Found, Stop};
use segment::{Segment, Skip};
use span::Span;

/// The TCP segment in a packet.
///
/// Inside a tunnel (GRE, VXLAN, Geneve, IP in IP, `PPPoE`, MPLS) it is the inner segment, with the inner addresses.
///
/// # Errors
/// Why there is none. With [`Skip::Fragment`], [`fragments::Fragments`] may know the rest of the datagram.
pub fn segment<'a>(packet: &Packet<'a>) -> Result<Segment<'a>, Skip> {
    find(packet).map_err(|stop| match stop {
        Stop::Skip(skip) => skip,
        Stop::Fragment(_) => Skip::Fragment,
    })
}

fn find<'a>(packet: &Packet<'a>) -> Found<'a> {
    let wire = packet.bytes.len().max(packet.wire_length as usize);
    link::segment(packet.link, Span::new(packet.bytes, wire))
}
