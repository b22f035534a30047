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
    samples.extend(tunnels(&v4).map(|packet| (LinkType::RAW, packet)));
    samples.push((LinkType::ETHERNET, {
        let length = (v4.len() as u16 + 2).to_be_bytes();
        let header = [&[0x11, 0, 0, 1][..], &length, &[0, 0x21]].concat();
        ethernet(&[0x8864], &with_header(&header, &v4))
    }));
    samples
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

pub(super) fn tunnels(inner: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let frame = ethernet(&[0x0800], inner);
    let key = [0x20, 0, 0x65, 0x58, 0, 0, 0, 1];
    let all = [0xb0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    let geneve = [2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    [
        in_ipv4(4, inner),
        in_ipv4(4, &in_ipv4(4, inner)),
        in_ipv4(47, &with_header(&[0, 0, 0x08, 0], inner)),
        in_ipv4(47, &with_header(&key, &frame)),
        in_ipv4(47, &with_header(&all, inner)),
        in_udp(4789, &with_header(&[8, 0, 0, 0, 0, 0, 1, 0], &frame)),
        in_udp(6081, &with_header(&geneve, &frame)),
    ]
    .into_iter()
}
