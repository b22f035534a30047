//! The link layer: from the first byte of a packet to the IP header (<https://www.tcpdump.org/linktypes.html>).

use super::fragment::Found;
use super::segment::Skip;
use super::span::Span;
use super::{ip, tunnel};
use crate::capture::packet::LinkType;
use etherparse::EtherType;

/// Address families of BSD loopback headers: `AF_INET`, then `AF_INET6` as `NetBSD` and `OpenBSD`, `FreeBSD`, Darwin and
/// Linux have it.
const FAMILIES: [u32; 5] = [2, 24, 28, 30, 10];

/// `PPPoE` session (RFC 2516 section 4).
const PPPOE_SESSION: EtherType = EtherType(0x8864);

/// MPLS label stacks (RFC 3032 section 5): unicast, and what was multicast once (RFC 5332).
const MPLS: EtherType = EtherType(0x8847);
const MPLS_MULTICAST: EtherType = EtherType(0x8848);

/// Below this, the field of the Ethertype holds a length (IEEE 802.3), or in a Linux "cooked" capture the mark of a
/// frame without Ethertype; either way LLC follows.
const LOWEST_ETHER_TYPE: u16 = 0x0600;

/// The segment in a packet of a link type.
pub(super) fn segment(link: LinkType, packet: Span<'_>) -> Found<'_> {
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
                Err(Skip::NotIp.into())
            }
        }
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => {
            ip::segment(packet, 0)
        }
        LinkType::PPP | LinkType::PPP_HDLC | LinkType::CISCO_HDLC => hdlc(packet),
        LinkType::PPP_ETHER => tunnel::pppoe(packet, 0),
        _ => Err(Skip::LinkType.into()),
    }
}

/// Ethernet II. `depth` tunnels are around it.
pub(super) fn ethernet(frame: Span<'_>, depth: u8) -> Found<'_> {
    network(frame.u16(12)?, frame.after(14)?, depth)
}

/// What follows an Ethertype, VLAN tags however many there are.
pub(super) fn network(ether_type: u16, mut payload: Span<'_>, depth: u8) -> Found<'_> {
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
            MPLS | MPLS_MULTICAST => return mpls(payload, depth),
            EtherType(..LOWEST_ETHER_TYPE) => {
                ether_type = snap(payload)?;
                payload = payload.after(8)?;
            }
            _ => return Err(Skip::NotIp.into()),
        }
    }
}

/// LLC (IEEE 802.2) with SNAP: both service access points, unnumbered information, organisation; then an Ethertype. An
/// Ethertype below [`LOWEST_ETHER_TYPE`] would be another length.
fn snap(frame: Span<'_>) -> Result<EtherType, Skip> {
    /// The organisation whose protocols are Ethertypes, and that for bridges (RFC 1042, IEEE 802.1H).
    const ORGANISATIONS: [[u8; 3]; 2] = [[0, 0, 0], [0, 0, 0xf8]];

    let [destination, source, control, a, b, c] = frame.field(0)?;
    if [destination, source, control] != [0xaa, 0xaa, 3] || !ORGANISATIONS.contains(&[a, b, c]) {
        return Err(Skip::NotIp);
    }
    match frame.u16(6)? {
        ..LOWEST_ETHER_TYPE => Err(Skip::NotIp),
        ether_type => Ok(EtherType(ether_type)),
    }
}

/// A stack of MPLS labels (RFC 3032 section 2.1), then IP by its version: the labels do not say what they carry.
pub(super) fn mpls(mut stack: Span<'_>, depth: u8) -> Found<'_> {
    loop {
        // Label (20 bits), traffic class (3), bottom of stack (1), time to live (8).
        let [_, _, bottom, _] = stack.field(0)?;
        stack = stack.after(4)?;
        if bottom & 1 != 0 {
            return ip::segment(stack, depth);
        }
    }
}

/// PPP, in HDLC-like framing (RFC 1662) or without, and Cisco's HDLC (RFC 1547 section 4.3.1), which its address tells.
fn hdlc(frame: Span<'_>) -> Found<'_> {
    match frame.field(0)? {
        [0xff, 0x03] => tunnel::ppp(frame.after(2)?, 0),
        [0x0f | 0x8f, 0] => network(frame.u16(2)?, frame.after(4)?, 0),
        _ => tunnel::ppp(frame, 0),
    }
}
