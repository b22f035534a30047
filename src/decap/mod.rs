//! Packet → TCP segment, UDP datagram or PGM packet, with `etherparse`. Pure: no I/O, no clock; without fragments, no state and no allocation.
//!
//! Invariants: no bytes make it panic. Lengths come from the IP header, so that link-layer padding never becomes
//! payload; what the header promises and the snapshot length took away is `cut`, never silently shorter. Every packet
//! is one of these or has a [`Skip`].

pub mod datagram;
mod fragment;
pub mod fragments;
mod ip;
mod link;
pub mod pgm;
pub mod segment;
mod span;
#[cfg(test)]
mod tests;
mod tunnel;

use crate::capture::packet::Packet;
use datagram::Carried;
use fragment::{Found, Stop};
use segment::{Segment, Skip};
use span::Span;

/// The TCP segment in a packet; see [`carried`].
///
/// # Errors
/// Why there is none.
pub fn segment<'a>(packet: &Packet<'a>) -> Result<Segment<'a>, Skip> {
    match carried(packet)? {
        Carried::Tcp(segment) => Ok(segment),
        Carried::Udp(_) | Carried::Pgm(_) => Err(Skip::NotTcp),
    }
}

/// What the IP datagram in a packet carries.
///
/// Inside a tunnel (GRE, VXLAN, Geneve, IP in IP, `PPPoE`, MPLS) it is the inner datagram, with the inner addresses.
///
/// # Errors
/// Why there is none. With [`Skip::Fragment`], [`fragments::Fragments`] may know the rest of the datagram.
pub fn carried<'a>(packet: &Packet<'a>) -> Result<Carried<'a>, Skip> {
    find(packet).map_err(|stop| match stop {
        Stop::Skip(skip) => skip,
        Stop::Fragment(_) => Skip::Fragment,
    })
}

fn find<'a>(packet: &Packet<'a>) -> Found<'a> {
    let wire = packet.bytes.len().max(packet.wire_length as usize);
    link::segment(packet.link, Span::new(packet.bytes, wire))
}
