//! The link layer: from the first byte of a packet to the IP header (<https://www.tcpdump.org/linktypes.html>).

use super::segment::{Segment, Skip};
use super::span::Span;
use super::{ip, tunnel};
use crate::capture::packet::LinkType;
use etherparse::EtherType;

/// Address families of BSD loopback headers: `AF_INET`, then `AF_INET6` as `NetBSD` and `OpenBSD`, `FreeBSD`, Darwin and
/// Linux have it.
const FAMILIES: [u32; 5] = [2, 24, 28, 30, 10];

/// `PPPoE` session (RFC 2516 section 4).
const PPPOE_SESSION: EtherType = EtherType(0x8864);

/// The segment in a packet of a link type.
pub(super) fn segment(link: LinkType, packet: Span<'_>) -> Result<Segment<'_>, Skip> {
    match link {
        LinkType::ETHERNET => ethernet(packet, 0),
        LinkType::LINUX_SLL => network(packet.u16(14)?, packet.after(16)?, 0),
        LinkType::LINUX_SLL2 => network(packet.u16(0)?, packet.after(20)?, 0),
        LinkType::NULL | LinkType::LOOP => {
            // In the byte order of a machine that need not be the one that wrote the file: either is taken.
            let family = packet.field(0)?;
            let families = [u32::from_be_bytes(family), u32::from_le_bytes(family)];
            if FAMILIES.iter().any(|known| families.contains(known)) {
                ip::segment(packet.after(4)?, 0)
            } else {
                Err(Skip::NotIp)
            }
        }
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => {
            ip::segment(packet, 0)
        }
        _ => Err(Skip::LinkType),
    }
}

/// Ethernet II. `depth` tunnels are around it.
pub(super) fn ethernet(frame: Span<'_>, depth: u8) -> Result<Segment<'_>, Skip> {
    network(frame.u16(12)?, frame.after(14)?, depth)
}

/// What follows an Ethertype, VLAN tags however many there are.
pub(super) fn network(ether_type: u16, mut payload: Span<'_>, depth: u8) -> Result<Segment<'_>, Skip> {
    let mut ether_type = EtherType(ether_type);
    loop {
        match ether_type {
            EtherType::IPV4 => return ip::v4(payload, depth),
            EtherType::IPV6 => return ip::v6(payload, depth),
            EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING | EtherType::VLAN_DOUBLE_TAGGED_FRAME => {
                ether_type = EtherType(payload.u16(2)?);
                payload = payload.after(4)?;
            }
            PPPOE_SESSION => return tunnel::pppoe(payload, depth),
            _ => return Err(Skip::NotIp),
        }
    }
}
