mod fragments;
mod packets;

use super::segment::TcpFlags;
use super::*;
use crate::base::chunk::PacketId;
use crate::base::endpoint::Endpoint;
use crate::base::time::Timestamp;
use crate::capture::packet::LinkType;
use etherparse::{PacketBuilder, ip_number};
use packets::{PAYLOAD, ethernet, in_ipv4, in_udp, ipv4, ipv6, ipv6_with, labels, samples, snap, with_header};

const ALL_LINKS: [LinkType; 15] = [
    LinkType::PPP,
    LinkType::PPP_HDLC,
    LinkType::PPP_ETHER,
    LinkType::CISCO_HDLC,
    LinkType::NULL,
    LinkType::ETHERNET,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::RAW,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
    LinkType(239),
];

fn cut_segment(link: LinkType, bytes: &[u8], wire_length: usize) -> Result<Segment<'_>, Skip> {
    segment(&Packet { id: PacketId::new(0, 1), at: Timestamp(0), link, bytes, wire_length: wire_length as u32 })
}

fn whole_segment(link: LinkType, bytes: &[u8]) -> Result<Segment<'_>, Skip> {
    cut_segment(link, bytes, bytes.len())
}

#[test]
fn every_link_type_and_tunnel_yields_the_same_segment() {
    for (link, bytes) in samples() {
        let segment = whole_segment(link, &bytes).unwrap_or_else(|skip| panic!("{link:?}: {skip}"));
        if segment.source.ip.is_ipv4() {
            assert_eq!(segment.source, Endpoint::new([10, 0, 0, 1], 40_000));
            assert_eq!(segment.destination, Endpoint::new([10, 0, 0, 2], 5555));
        } else {
            assert_eq!(segment.source, Endpoint::new([0xfd; 16], 40_000));
            assert_eq!(segment.destination, Endpoint::new([0xfe; 16], 5555));
        }
        assert_eq!(segment.sequence, 1000);
        assert_eq!(segment.acknowledgement, Some(2000));
        assert_eq!(segment.flags, TcpFlags { ack: true, ..TcpFlags::default() });
        assert_eq!((segment.payload, segment.cut), (PAYLOAD, 0));
    }
}

#[test]
fn flags_and_a_missing_acknowledgement() {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1, 2, u32::MAX, 0)
        .syn()
        .fin()
        .rst()
        .write(&mut bytes, &[])
        .expect("a Vec takes all");
    let segment = whole_segment(LinkType::RAW, &bytes).expect("TCP");
    let flags = TcpFlags { syn: true, fin: true, rst: true, ack: false };
    assert_eq!((segment.flags, segment.acknowledgement), (flags, None));
    assert_eq!((segment.sequence, segment.payload), (u32::MAX, &[][..]));
}

/// A snapshot length yields what is there and how much is not; before the end of the TCP header, a reason.
#[test]
fn the_snapshot_length_may_cut_anywhere() {
    for (link, bytes) in samples() {
        for length in 0..=bytes.len() {
            let cut = bytes.len() - length;
            match cut_segment(link, &bytes[..length], bytes.len()) {
                Ok(segment) => {
                    let there = PAYLOAD.len() - cut;
                    assert_eq!(segment.payload, &PAYLOAD[..there]);
                    assert_eq!(segment.cut as usize, cut);
                }
                Err(skip) => {
                    assert!(cut > PAYLOAD.len());
                    assert_eq!(skip, Skip::Cut, "{link:?} {length}");
                }
            }
            // The same without a word of the bytes that are gone.
            let _ = whole_segment(link, &bytes[..length]);
        }
    }
}

#[test]
fn padding_is_not_payload() {
    for (ether_type, ip) in [(0x0800, ipv4()), (0x86dd, ipv6())] {
        let mut bytes = ethernet(&[ether_type], &ip);
        bytes.extend([0xee; 30]);
        let segment = whole_segment(LinkType::ETHERNET, &bytes).expect("TCP");
        assert_eq!((segment.payload, segment.cut), (PAYLOAD, 0));
        let without = bytes.len() - 32;
        let segment = cut_segment(LinkType::ETHERNET, &bytes[..without], bytes.len());
        assert_eq!(segment.expect("TCP").cut, 2);
    }
}

/// Captured before segmentation offload, the length field is 0 and the packet is as long as it is.
#[test]
fn a_length_of_zero_means_the_whole_packet() {
    let (mut v4, mut v6) = (ipv4(), ipv6());
    v4[2..4].fill(0);
    v6[4..6].fill(0);
    for ip in [v4, v6] {
        let segment = whole_segment(LinkType::RAW, &ip).expect("TCP");
        assert_eq!((segment.payload, segment.cut), (PAYLOAD, 0));
        let segment = cut_segment(LinkType::RAW, &ip[..ip.len() - 3], ip.len()).expect("TCP");
        assert_eq!((segment.payload, segment.cut), (&PAYLOAD[..7], 3));
    }
}

#[test]
fn ipv4_options_and_tcp_options() {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(40_000, 5555, 1, 1024)
        .options_raw(&[1; 12])
        .expect("a multiple of four")
        .write(&mut bytes, PAYLOAD)
        .expect("a Vec takes all");
    bytes.splice(20..20, [1; 8]);
    bytes[0] = 0x47;
    bytes[3] += 8;
    assert_eq!(whole_segment(LinkType::RAW, &bytes).expect("TCP").payload, PAYLOAD);
}

#[test]
fn ipv6_extension_headers() {
    let hop_by_hop = ip_number::IPV6_HEADER_HOP_BY_HOP.0;
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let long = |next: u8| [&[next, 1, 1, 12][..], &[0; 12]].concat();
    let atomic = |next: u8| [next, 0, 0, 0, 0, 0, 0, 9];
    let chain = [&options(60)[..], &long(43), &options(44), &atomic(6)].concat();
    for (first, extensions) in
        [(hop_by_hop, options(6).to_vec()), (60, long(6)), (44, atomic(6).to_vec()), (hop_by_hop, chain)]
    {
        let bytes = ipv6_with(first, &extensions);
        let segment = whole_segment(LinkType::RAW, &bytes).expect("TCP");
        assert_eq!((segment.payload, segment.cut), (PAYLOAD, 0));
    }
}

#[test]
fn fragments_are_skipped() {
    for flags in [0x20, 0x01] {
        let mut bytes = ipv4();
        bytes[6] = flags;
        assert_eq!(whole_segment(LinkType::RAW, &bytes), Err(Skip::Fragment));
    }
    for field in [1, 8] {
        let bytes = ipv6_with(44, &[6, 0, 0, field, 0, 0, 0, 9]);
        assert_eq!(whole_segment(LinkType::RAW, &bytes), Err(Skip::Fragment));
    }
    let mut whole = ipv4();
    whole[6] = 0x40;
    assert!(whole_segment(LinkType::RAW, &whole).is_ok());
}

#[test]
fn every_other_packet_has_its_reason() {
    let short = |at: usize, value: u8| {
        let mut bytes = ipv4();
        bytes[at] = value;
        bytes
    };
    for (link, bytes, skip) in [
        (LinkType(239), ipv4(), Skip::LinkType),
        (LinkType::ETHERNET, ethernet(&[0x0806], &[0; 46]), Skip::NotIp),
        (LinkType::NULL, with_header(&[7, 0, 0, 0], &ipv4()), Skip::NotIp),
        (LinkType::ETHERNET, ethernet(&[46], &[0x42; 46]), Skip::NotIp),
        (LinkType::ETHERNET, ethernet(&[46], &snap(0, 46, &[0; 46])), Skip::NotIp),
        (LinkType::ETHERNET, ethernet(&[0x8847], &labels(2, &[0; 60])), Skip::NotIp),
        (LinkType::ETHERNET, ethernet(&[0x8847], &[0; 60]), Skip::Malformed),
        (LinkType::PPP, with_header(&[0xff, 3, 0xc0, 0x21], &ipv4()), Skip::NotIp),
        (LinkType::CISCO_HDLC, with_header(&[0x0f, 0, 0x80, 0x35], &ipv4()), Skip::NotIp),
        (LinkType::RAW, vec![0; 60], Skip::NotIp),
        (LinkType::RAW, short(9, 1), Skip::NotTcp),
        (LinkType::RAW, in_udp(53, PAYLOAD), Skip::NotTcp),
        (LinkType::RAW, in_udp(4789, PAYLOAD), Skip::NotTcp),
        (LinkType::RAW, short(0, 0x44), Skip::Malformed),
        (LinkType::RAW, short(3, 19), Skip::Malformed),
        (LinkType::RAW, short(3, 39), Skip::Malformed),
        (LinkType::RAW, short(32, 0x40), Skip::Malformed),
        (LinkType::RAW, short(32, 0xf0), Skip::Malformed),
        (LinkType::ETHERNET, ethernet(&[0x0800], &ipv6()), Skip::Malformed),
        (LinkType::ETHERNET, vec![0; 13], Skip::Malformed),
    ] {
        assert_eq!(whole_segment(link, &bytes), Err(skip), "{link:?} {bytes:02x?}");
    }
}

#[test]
fn tunnels_in_tunnels_have_an_end() {
    let mut bytes = ipv4();
    for _ in 0..1000 {
        bytes = in_ipv4(4, &bytes);
    }
    assert_eq!(whole_segment(LinkType::RAW, &bytes), Err(Skip::NotTcp));
}

/// xorshift64: random enough to hit the branches, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let samples = samples();
    for _ in 0..20_000 {
        let noise: Vec<u8> = (0..random.below(120)).map(|_| random.next() as u8).collect();
        for link in ALL_LINKS {
            let _ = cut_segment(link, &noise, random.below(200));
        }
        let (link, bytes) = &samples[random.below(samples.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        bytes.truncate(random.below(bytes.len()) + 1);
        let wire = bytes.len() + random.below(100);
        if let Ok(segment) = cut_segment(*link, &bytes, wire) {
            assert!(segment.payload.len() <= bytes.len());
        }
    }
}
