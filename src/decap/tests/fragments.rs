//! Datagrams in fragments.

use super::*;
use crate::base::limits::Limits;
use crate::base::time::Duration;
use crate::decap::fragments::{FragmentStats, Fragments, Reassembled};

/// The identification in all IPv4 fragments here.
const IDENTIFICATION: u16 = 0x1234;

/// The part `start..end` of the payload of a datagram, which is IPv4 without options.
fn v4_part(datagram: &[u8], start: usize, end: usize) -> Vec<u8> {
    let payload = &datagram[20..];
    let mut part = [&datagram[..20], &payload[start..end]].concat();
    let more = u16::from(end < payload.len()) << 13;
    let length = part.len() as u16;
    part[2..4].copy_from_slice(&length.to_be_bytes());
    part[4..6].copy_from_slice(&IDENTIFICATION.to_be_bytes());
    part[6..8].copy_from_slice(&(more | (start / 8) as u16).to_be_bytes());
    part
}

/// The same of an IPv6 packet without extension headers, whose payload is of type `next`.
fn v6_part(packet: &[u8], next: u8, start: usize, end: usize) -> Vec<u8> {
    let payload = &packet[40..];
    let field = start as u16 | u16::from(end < payload.len());
    let header = [&[next, 0][..], &field.to_be_bytes(), &[0, 0, 0, 9]].concat();
    let mut part = [&packet[..40], &header, &payload[start..end]].concat();
    let length = part.len() as u16 - 40;
    part[4..6].copy_from_slice(&length.to_be_bytes());
    part[6] = 44;
    part
}

/// A datagram in parts of `step` bytes.
fn v4_parts(datagram: &[u8], step: usize) -> Vec<Vec<u8>> {
    let length = datagram.len() - 20;
    (0..length).step_by(step).map(|start| v4_part(datagram, start, length.min(start + step))).collect()
}

fn v6_parts(packet: &[u8], step: usize) -> Vec<Vec<u8>> {
    let length = packet.len() - 40;
    (0..length).step_by(step).map(|start| v6_part(packet, 6, start, length.min(start + step))).collect()
}

fn packet_at(bytes: &[u8], seconds: i64) -> Packet<'_> {
    let at = Timestamp::from_parts(seconds, 0);
    let id = PacketId::new(0, 1);
    Packet { id, at, link: LinkType::RAW, bytes, wire_length: bytes.len() as u32 }
}

fn packet(bytes: &[u8]) -> Packet<'_> {
    packet_at(bytes, 0)
}

/// Gives all but the last of `parts`, which must lead to nothing yet; then the last.
fn give<'a>(fragments: &'a mut Fragments, parts: &'a [Vec<u8>]) -> Reassembled<'a> {
    let (last, before) = parts.split_last().expect("there are some");
    for part in before {
        assert_eq!(segment(&packet(part)), Err(Skip::Fragment));
        assert_eq!(fragments.packet(&packet(part)), Reassembled::Waiting);
    }
    fragments.packet(&packet(last))
}

fn new() -> Fragments {
    Fragments::new(&Limits::default())
}

#[test]
fn fragments_in_any_order_are_the_whole() {
    let (v4, v6) = (ipv4(), ipv6());
    for step in [8, 16, 24] {
        for (whole, parts) in [(&v4, v4_parts(&v4, step)), (&v6, v6_parts(&v6, step))] {
            let expected = Reassembled::Segment(whole_segment(LinkType::RAW, whole).expect("TCP"));
            let mut reversed = parts.clone();
            reversed.reverse();
            let mut rotated = parts.clone();
            rotated.rotate_left(1);
            for parts in [parts, reversed, rotated] {
                let mut fragments = new();
                for _ in 0..2 {
                    assert_eq!(give(&mut fragments, &parts), expected, "{step}");
                }
                assert_eq!(fragments.finish(), FragmentStats { reassembled: 2, ..FragmentStats::default() });
            }
        }
    }
}

#[test]
fn what_is_not_fragmented_is_as_without_fragments() {
    let (bytes, udp) = (ipv4(), in_udp(53, PAYLOAD));
    let mut fragments = new();
    assert_eq!(fragments.packet(&packet(&bytes)), Reassembled::Segment(segment(&packet(&bytes)).expect("TCP")));
    let udp_found = fragments.packet(&packet(&udp));
    assert!(
        matches!(udp_found, Reassembled::Datagram(Carried::Udp(found), 1) if found.payload == PAYLOAD),
        "{udp_found:?}"
    );
}

#[test]
fn a_datagram_that_is_no_segment_skips_all_its_packets() {
    let parts = v4_parts(&in_udp(53, PAYLOAD), 8);
    assert!(matches!(give(&mut new(), &parts), Reassembled::Datagram(Carried::Udp(_), 3)));
}

#[test]
fn tunnels_and_extension_headers_are_looked_into_once_whole() {
    let expected = ipv4();
    let expected = Reassembled::Segment(whole_segment(LinkType::RAW, &expected).expect("TCP"));
    let vxlan = in_udp(4789, &with_header(&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet(&[0x0800], &ipv4())));
    assert_eq!(give(&mut new(), &v4_parts(&vxlan, 16)), expected);
    let options = ipv6_with(60, &[6, 0, 1, 4, 0, 0, 0, 0]);
    let parts = [v6_part(&options, 60, 0, 16), v6_part(&options, 60, 16, options.len() - 40)];
    assert!(matches!(give(&mut new(), &parts), Reassembled::Segment(segment) if segment.payload == PAYLOAD));
}

/// Fragments of a datagram, each of them in a tunnel that was fragmented itself.
#[test]
fn fragments_of_fragments() {
    let whole = ipv4();
    let outer: Vec<Vec<Vec<u8>>> = v4_parts(&whole, 16).iter().map(|part| v4_parts(&in_ipv4(4, part), 16)).collect();
    let parts = outer.concat();
    let expected = Reassembled::Segment(whole_segment(LinkType::RAW, &whole).expect("TCP"));
    let mut fragments = new();
    assert_eq!(give(&mut fragments, &parts), expected);
    assert_eq!(fragments.finish().reassembled, outer.len() as u64 + 1);
    // The packets of an inner datagram that holds nothing are those of all outer ones.
    let outer: Vec<_> = v4_parts(&in_udp(53, PAYLOAD), 16).iter().flat_map(|p| v4_parts(&in_ipv4(4, p), 16)).collect();
    let packets = outer.len() as u64;
    assert!(matches!(give(&mut new(), &outer), Reassembled::Datagram(Carried::Udp(_), given) if given == packets));
}

#[test]
fn of_bytes_that_come_twice_the_first_stay() {
    let whole = ipv4();
    let length = whole.len() - 20;
    let mut other = whole.clone();
    other[20..].fill(0xee);
    let parts = [(&whole, 0, 16), (&other, 8, 24), (&other, 0, 16), (&whole, 16, length)];
    let parts = parts.map(|(datagram, start, end)| v4_part(datagram, start, end));
    // Of 16..24 the second fragment was first; of the rest, those of `whole` were.
    let mut fragments = new();
    let Reassembled::Segment(segment) = give(&mut fragments, &parts) else { panic!("whole") };
    assert_eq!((segment.payload, segment.cut), (&[&[0xee; 4], &PAYLOAD[4..]].concat()[..], 0));
    assert_eq!(fragments.finish().overlapping, 3);
}

#[test]
fn a_copy_of_a_fragment_changes_nothing() {
    let whole = ipv4();
    let mut parts = v4_parts(&whole, 8);
    parts.insert(1, parts[0].clone());
    parts.insert(0, parts[2].clone());
    let expected = Reassembled::Segment(whole_segment(LinkType::RAW, &whole).expect("TCP"));
    let mut fragments = new();
    assert_eq!(give(&mut fragments, &parts), expected);
    assert_eq!(fragments.finish().overlapping, 2);
}

/// Where the snapshot length cut fragments, the segment is cut too.
#[test]
fn cut_fragments_make_a_cut_segment() {
    let whole = ipv4();
    let length = whole.len() - 20;
    let parts = [v4_part(&whole, 0, 24), v4_part(&whole, 24, length)];
    for (cuts, there) in [([0, 0], 10), ([0, 3], 7), ([2, 0], 2), ([4, 6], 0)] {
        let mut fragments = new();
        let cut =
            |index: usize| Packet { bytes: &parts[index][..parts[index].len() - cuts[index]], ..packet(&parts[index]) };
        assert_eq!(fragments.packet(&cut(0)), Reassembled::Waiting);
        let Reassembled::Segment(segment) = fragments.packet(&cut(1)) else { panic!("whole") };
        assert_eq!((segment.payload, segment.cut as usize), (&PAYLOAD[..there], PAYLOAD.len() - there));
    }
}

#[test]
fn fragments_that_cannot_be_are_malformed() {
    let whole = ipv4();
    let mut beyond = v4_part(&whole, 0, 24);
    beyond[6..8].copy_from_slice(&0x3fff_u16.to_be_bytes());
    let mut empty = v4_part(&whole, 8, 8);
    empty[3] = 20;
    for part in [v4_part(&whole, 0, 12), beyond, empty] {
        assert_eq!(new().packet(&packet(&part)), Reassembled::Skipped(Skip::Malformed, 1));
    }
}

#[test]
fn datagrams_of_others_are_kept_apart() {
    let parts = v4_parts(&ipv4(), 16);
    let changes: [fn(&mut Vec<u8>); 4] =
        [|part| part[5] ^= 1, |part| part[9] = 17, |part| part[15] ^= 1, |part| part[19] ^= 1];
    let mut fragments = new();
    for change in changes {
        let mut other = parts[0].clone();
        change(&mut other);
        assert_eq!(fragments.packet(&packet(&other)), Reassembled::Waiting);
    }
    assert!(matches!(give(&mut fragments, &parts), Reassembled::Segment(segment) if segment.payload == PAYLOAD));
    let stats = fragments.finish();
    assert_eq!((stats.reassembled, stats.given_up, stats.given_up_packets), (1, 4, 4));
}

#[test]
fn time_datagrams_and_bytes_have_bounds() {
    let parts = v4_parts(&ipv4(), 16);
    let numbered = |number: u8| {
        let mut part = parts[0].clone();
        part[4] = number;
        part
    };
    let limits = Limits { fragment_time: Duration::from_secs(30), ..Limits::default() };
    let mut fragments = Fragments::new(&limits);
    assert_eq!(fragments.packet(&packet_at(&parts[0], 100)), Reassembled::Waiting);
    assert_eq!(fragments.packet(&packet_at(&numbered(0), 131)), Reassembled::Waiting);
    assert_eq!(fragments.stats(), FragmentStats { given_up: 1, given_up_packets: 1, ..FragmentStats::default() });
    assert_eq!(fragments.packet(&packet_at(&parts[1], 131)), Reassembled::Waiting);
    for limits in
        [Limits { fragment_datagrams: 10, ..Limits::default() }, Limits { fragment_bytes: 450, ..Limits::default() }]
    {
        let mut fragments = Fragments::new(&limits);
        for number in 0..100 {
            assert_eq!(fragments.packet(&packet(&numbered(number))), Reassembled::Waiting);
        }
        let given_up = fragments.stats().given_up;
        assert!((85..100).contains(&given_up), "{given_up}");
        assert_eq!(fragments.finish().given_up_packets, 100);
    }
}

/// Random fragments of one datagram, against a model that notes who wrote each byte first.
#[test]
fn overlapping_fragments_as_a_slow_model_has_them() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for round in 0..400 {
        let whole = ipv4();
        let length = whole.len() - 20 + 8 * random.below(20);
        let mut fragments = new();
        let mut model: Vec<Option<u8>> = vec![None; length];
        loop {
            let start = 8 * random.below(length.div_ceil(8));
            let end = (start + 8 * (1 + random.below(4))).min(length);
            if end - start == length {
                continue;
            }
            // The TCP header stays right, all else is noise.
            let mut bytes = whole.clone();
            bytes.resize(20 + length, 0);
            bytes[40..].fill_with(|| random.next() as u8);
            let part = v4_part(&bytes, start, end);
            for at in start..end {
                model[at].get_or_insert(bytes[20 + at]);
            }
            let found = fragments.packet(&packet(&part));
            if model.iter().any(Option::is_none) {
                assert_eq!(found, Reassembled::Waiting);
                continue;
            }
            let expected: Vec<u8> = model.iter().skip(20).copied().map(|byte| byte.expect("all are there")).collect();
            let Reassembled::Segment(segment) = found else { panic!("{round}: {found:?}") };
            assert_eq!(segment.payload, expected);
            break;
        }
        assert_eq!(fragments.finish().given_up, 0);
    }
}

/// Every packet is counted: as used, as skipped or as given up.
#[test]
fn no_fragments_make_it_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut parts = [v4_parts(&ipv4(), 8), v6_parts(&ipv6(), 8), v4_parts(&in_ipv4(4, &ipv4()), 16)].concat();
    parts.extend(v4_parts(&ipv4(), 16).iter().flat_map(|part| v4_parts(&in_ipv4(4, part), 8)).collect::<Vec<_>>());
    let limits = Limits { fragment_datagrams: 100, fragment_bytes: 8000, ..Limits::default() };
    let mut fragments = Fragments::new(&limits);
    let (mut given, mut skipped, mut segments) = (0, 0, 0);
    for _ in 0..50_000 {
        let mut bytes = parts[random.below(parts.len())].clone();
        for _ in 0..random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        let wire_length = (bytes.len() + random.below(3)) as u32;
        bytes.truncate(bytes.len() - random.below(3));
        let at = Timestamp::from_parts((random.next() % 1000) as i64, 0);
        let packet = Packet { at, wire_length, ..packet(&bytes) };
        if segment(&packet) != Err(Skip::Fragment) {
            continue;
        }
        given += 1;
        match fragments.packet(&packet) {
            Reassembled::Waiting => {}
            Reassembled::Segment(_) => segments += 1,
            Reassembled::Datagram(_, packets) | Reassembled::Skipped(_, packets) => skipped += packets,
        }
    }
    let stats = fragments.finish();
    assert!(segments > 50 && stats.given_up > 100, "{segments} {stats:?}");
    assert!(skipped + stats.given_up_packets + segments <= given);
}
