//! Packets of every kind, all around the same TCP segment.

use crate::capture::packet::LinkType;
use etherparse::{Ipv6Header, PacketBuilder};

pub(super) const PAYLOAD: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f";

pub(super) fn ipv4() -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(40_000, 5555, 1000, 1024)
        .ack(2000)
        .write(&mut bytes, PAYLOAD)
        .expect("a Vec takes all");
    bytes
}

pub(super) fn ipv6() -> Vec<u8> {
    let (source, destination) = ([0xfd; 16], [0xfe; 16]);
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(source, destination, 64)
        .tcp(40_000, 5555, 1000, 1024)
        .ack(2000)
        .write(&mut bytes, PAYLOAD)
        .expect("a Vec takes all");
    bytes
}

/// IPv6 with `extensions`, the first of them of type `first`, before the TCP header.
pub(super) fn ipv6_with(first: u8, extensions: &[u8]) -> Vec<u8> {
    let plain = ipv6();
    let mut bytes = [&plain[..Ipv6Header::LEN], extensions, &plain[Ipv6Header::LEN..]].concat();
    bytes[6] = first;
    let length = (bytes.len() - Ipv6Header::LEN) as u16;
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    bytes
}

pub(super) fn ethernet(types: &[u16], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    for (index, ether_type) in types.iter().enumerate() {
        if index > 0 {
            bytes.extend([0, 7]);
        }
        bytes.extend(ether_type.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

pub(super) fn with_header(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [header, payload].concat()
}

pub(super) fn cooked(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let header = [&[0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0][..], &ether_type.to_be_bytes()];
    with_header(&header.concat(), payload)
}

pub(super) fn cooked2(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    with_header(&[&ether_type.to_be_bytes()[..], &[0; 18]].concat(), payload)
}

/// A packet of each kind that is decoded, all holding the same TCP segment.
pub(super) fn samples() -> Vec<(LinkType, Vec<u8>)> {
    let (v4, v6) = (ipv4(), ipv6());
    let mut samples = vec![
        (LinkType::ETHERNET, ethernet(&[0x0800], &v4)),
        (LinkType::ETHERNET, ethernet(&[0x86dd], &v6)),
        (LinkType::ETHERNET, ethernet(&[0x8100, 0x0800], &v4)),
        (LinkType::ETHERNET, ethernet(&[0x88a8, 0x8100, 0x86dd], &v6)),
        (LinkType::ETHERNET, ethernet(&[0x9100, 0x8100, 0x8100, 0x8100, 0x0800], &v4)),
        (LinkType::LINUX_SLL, cooked(0x0800, &v4)),
        (LinkType::LINUX_SLL, cooked(0x86dd, &v6)),
        (LinkType::LINUX_SLL2, cooked2(0x0800, &v4)),
        (LinkType::LINUX_SLL2, cooked2(0x86dd, &v6)),
        (LinkType::IPV4, v4.clone()),
        (LinkType::IPV6, v6.clone()),
    ];
    for raw in [LinkType::RAW, LinkType::RAW_BSD, LinkType::RAW_OPENBSD] {
        samples.extend([(raw, v4.clone()), (raw, v6.clone())]);
    }
    for (family, ip) in [(2_u32, &v4), (24, &v6), (28, &v6), (30, &v6), (10, &v6)] {
        for link in [LinkType::NULL, LinkType::LOOP] {
            samples.push((link, with_header(&family.to_be_bytes(), ip)));
            samples.push((link, with_header(&family.to_le_bytes(), ip)));
        }
    }
    samples.extend(tunnels(&v4, 0x0800, 4).map(|packet| (LinkType::RAW, packet)));
    samples.extend(tunnels(&v6, 0x86dd, 41).map(|packet| (LinkType::RAW, packet)));
    samples.extend([
        (LinkType::RAW, in_ipv6(4, &v4)),
        (LinkType::RAW, in_ipv6(41, &v6)),
        (LinkType::RAW, in_ipv6(47, &with_header(&[0, 0, 0x08, 0], &v4))),
        (LinkType::RAW, in_ipv4(47, &with_header(&[0, 0, 0x88, 0x47], &labels(1, &v4)))),
    ]);
    for (ip, ether_type, protocol) in [(&v4, 0x0800, 0x21), (&v6, 0x86dd, 0x57)] {
        for (count, unicast) in [(1, 0x8847), (2, 0x8848), (5, 0x8847)] {
            samples.push((LinkType::ETHERNET, ethernet(&[unicast], &labels(count, ip))));
        }
        for bridge in [0, 0xf8] {
            let llc = snap(bridge, ether_type, ip);
            samples.push((LinkType::ETHERNET, ethernet(&[llc.len() as u16], &llc)));
            samples.push((LinkType::ETHERNET, ethernet(&[0x8100, llc.len() as u16], &llc)));
            samples.push((LinkType::LINUX_SLL, cooked(4, &llc)));
        }
        let tagged = with_header(&[0, 7], &with_header(&ether_type.to_be_bytes(), ip));
        samples.push((LinkType::ETHERNET, {
            let llc = snap(0, 0x8100, &tagged);
            ethernet(&[llc.len() as u16], &llc)
        }));
        let ppp = with_header(&[0, protocol], ip);
        let short = with_header(&[protocol], ip);
        for link in [LinkType::PPP, LinkType::PPP_HDLC] {
            samples.push((link, ppp.clone()));
            samples.push((link, short.clone()));
            samples.push((link, with_header(&[0xff, 3], &ppp)));
            samples.push((link, with_header(&[0xff, 3], &short)));
            samples.push((link, with_header(&[0xff, 3, 2, 0x81], &labels(2, ip))));
        }
        for link in [LinkType::PPP_HDLC, LinkType::CISCO_HDLC] {
            for address in [0x0f, 0x8f] {
                samples.push((link, with_header(&with_header(&[address, 0], &ether_type.to_be_bytes()), ip)));
            }
        }
        let session = with_header(&[0x11, 0, 0, 1], &with_header(&(ppp.len() as u16).to_be_bytes(), &ppp));
        samples.push((LinkType::ETHERNET, ethernet(&[0x8864], &session)));
        samples.push((LinkType::ETHERNET, ethernet(&[0x8100, 0x8864], &session)));
        samples.push((LinkType::PPP_ETHER, session));
    }
    samples
}

/// A stack of so many MPLS labels.
pub(super) fn labels(count: usize, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [0x12, 0x34, 0x5e, 64].repeat(count);
    bytes[4 * count - 2] |= 1;
    with_header(&bytes, payload)
}

pub(super) fn snap(organisation: u8, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    with_header(&[&[0xaa, 0xaa, 3, 0, 0, organisation][..], &ether_type.to_be_bytes()].concat(), payload)
}

pub(super) fn in_ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ipv6()[..Ipv6Header::LEN].to_vec();
    bytes[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    bytes[6] = next;
    bytes[8] = 0x20;
    with_header(&bytes, payload)
}

pub(super) fn in_ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ipv4()[..20].to_vec();
    bytes[2..4].copy_from_slice(&(payload.len() as u16 + 20).to_be_bytes());
    bytes[9] = protocol;
    bytes[12] = 172;
    with_header(&bytes, payload)
}

pub(super) fn in_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16 + 8;
    let fields = [1000, port, length, 0];
    let header: Vec<u8> = fields.iter().flat_map(|field: &u16| field.to_be_bytes()).collect();
    in_ipv4(17, &with_header(&header, payload))
}

/// Tunnels over IPv4 around `inner`, the last of them over IPv6 too.
pub(super) fn tunnels(inner: &[u8], ether_type: u16, protocol: u8) -> impl Iterator<Item = Vec<u8>> {
    let frame = ethernet(&[ether_type], inner);
    let [high, low] = ether_type.to_be_bytes();
    let gre = |flags: u8, optional: usize| with_header(&[flags, 0, high, low], &vec![7; optional]);
    let key = [0x20, 0, 0x65, 0x58, 0, 0, 0, 1];
    let geneve = [2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let vxlan = with_header(&[8, 0, 0, 0, 0, 0, 1, 0], &frame);
    [
        in_ipv4(protocol, inner),
        in_ipv4(4, &in_ipv4(protocol, inner)),
        in_ipv4(47, &with_header(&gre(0, 0), inner)),
        in_ipv4(47, &with_header(&gre(0x80, 4), inner)),
        in_ipv4(47, &with_header(&gre(0x20, 4), inner)),
        in_ipv4(47, &with_header(&gre(0x10, 4), inner)),
        in_ipv4(47, &with_header(&gre(0x30, 8), inner)),
        in_ipv4(47, &with_header(&gre(0xb0, 12), inner)),
        in_ipv4(47, &with_header(&key, &frame)),
        in_udp(4789, &vxlan),
        in_udp(8472, &vxlan),
        in_udp(4789, &with_header(&[0x88, 0, 0, 9, 0, 0, 1, 0], &frame)),
        in_udp(4789, &with_header(&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet(&[0x8100, ether_type], inner))),
        in_udp(6081, &with_header(&geneve, &frame)),
        in_udp(6081, &with_header(&[0, 0, 0x65, 0x58, 0, 0, 1, 0], &frame)),
        in_udp(6081, &with_header(&[0, 0, high, low, 0, 0, 1, 0], inner)),
        in_ipv6(17, &in_udp(4789, &vxlan)[20..]),
    ]
    .into_iter()
}
