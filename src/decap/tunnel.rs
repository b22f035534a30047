//! IP in something in IP: IP in IP (RFC 2003, RFC 4213), GRE (RFC 2784, RFC 2890), VXLAN (RFC 7348), Geneve (RFC 8926),
//! PPP (RFC 1661) and `PPPoE` (RFC 2516). Tunnels over UDP are told by their registered ports.

use super::fragment::Found;
use super::segment::Skip;
use super::span::Span;
use super::{ip, link};
use etherparse::{IpNumber, ip_number};

/// So many tunnels may be inside each other.
const MAX_DEPTH: u8 = 4;

/// Ethertype of a whole Ethernet frame ("transparent Ethernet bridging").
const BRIDGED: u16 = 0x6558;

/// IANA's port, and the one that the Linux kernel had before.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
const GENEVE_PORT: u16 = 6081;

/// What IP carries that is neither TCP nor UDP. `depth` tunnels are around it.
pub(super) fn segment(protocol: IpNumber, payload: Span<'_>, depth: u8) -> Found<'_> {
    let inner = depth + 1;
    if inner > MAX_DEPTH {
        return Err(Skip::NotTcp.into());
    }
    match protocol {
        ip_number::IPV4 => ip::v4(payload, inner),
        ip_number::IPV6 => ip::v6(payload, inner),
        ip_number::GRE => gre(payload, inner),
        _ => Err(Skip::NotTcp.into()),
    }
}

fn carried(ether_type: u16, payload: Span<'_>, depth: u8) -> Found<'_> {
    if ether_type == BRIDGED { link::ethernet(payload, depth) } else { link::network(ether_type, payload, depth) }
}

/// ```text
/// |C| |K|S| reserved | version | protocol | [checksum, reserved] | [key] | [sequence number] |
/// ```
fn gre(packet: Span<'_>, depth: u8) -> Found<'_> {
    /// Source routing (RFC 1701) and every version but 0 (1 is PPTP's).
    const UNKNOWN: u16 = 0x4007;
    /// Checksum, key, sequence number: each, if present, takes four bytes.
    const OPTIONAL: u16 = 0xb000;

    let flags = packet.u16(0)?;
    if flags & UNKNOWN != 0 {
        return Err(Skip::NotTcp.into());
    }
    let length = 4 + 4 * (flags & OPTIONAL).count_ones() as usize;
    carried(packet.u16(2)?, packet.after(length)?, depth)
}

/// What is in a UDP datagram to this port, if that is one of a tunnel. `depth` tunnels are around it.
pub(super) fn over_udp(port: u16, payload: Span<'_>, depth: u8) -> Option<Found<'_>> {
    if !VXLAN_PORTS.contains(&port) && port != GENEVE_PORT {
        return None;
    }
    let inner = depth + 1;
    Some(if inner > MAX_DEPTH { Err(Skip::NotTcp.into()) } else { udp(port, payload, inner) })
}

fn udp(port: u16, payload: Span<'_>, depth: u8) -> Found<'_> {
    if VXLAN_PORTS.contains(&port) {
        /// The network identifier is valid.
        const FLAGS: u8 = 0x08;
        /// A group policy stands in what is reserved else.
        const GROUP_POLICY: u8 = 0x80;
        if payload.field::<1>(0)?[0] & !GROUP_POLICY != FLAGS {
            return Err(Skip::NotTcp.into());
        }
        link::ethernet(payload.after(8)?, depth)
    } else {
        // Version (2 bits, 0) and the length of the options in four bytes (6 bits).
        let [first] = payload.field(0)?;
        if first >= 0x40 {
            return Err(Skip::NotTcp.into());
        }
        let length = 8 + 4 * usize::from(first);
        carried(payload.u16(2)?, payload.after(length)?, depth)
    }
}

/// Version and type, code, session, length; then PPP.
pub(super) fn pppoe(frame: Span<'_>, depth: u8) -> Found<'_> {
    let length = 6 + usize::from(frame.u16(4)?);
    ppp(frame.with_length(length).after(6)?, depth)
}

/// The protocol number of PPP (RFC 1661 section 2), of one byte if that is odd; then what it tells.
pub(super) fn ppp(frame: Span<'_>, depth: u8) -> Found<'_> {
    let [first] = frame.field(0)?;
    let (protocol, payload) =
        if first & 1 == 1 { (u16::from(first), frame.after(1)?) } else { (frame.u16(0)?, frame.after(2)?) };
    match protocol {
        0x0021 => ip::v4(payload, depth),
        0x0057 => ip::v6(payload, depth),
        0x0281 | 0x0283 => link::mpls(payload, depth),
        _ => Err(Skip::NotIp.into()),
    }
}
