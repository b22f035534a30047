//! IP datagrams in fragments, whole again: the same frames, messages and paths. Every fragment keeps the position of the
//! packet that it came from, so that even positions and times must be equal.

use super::as_raw_ip;
use crate::fixture;
use crate::packets::{OwnedPacket, analyze};

/// A raw IPv4 packet without options, in fragments of at most `step` bytes.
fn fragments(packet: &OwnedPacket, identification: u16, step: usize) -> Vec<OwnedPacket> {
    let is_cut = packet.bytes.len() < packet.wire_length as usize;
    if is_cut || packet.segment().is_none() {
        return vec![packet.clone()];
    }
    let (header, payload) = packet.bytes.split_at(20);
    let starts = (0..payload.len()).step_by(step);
    let piece = |start: usize| {
        let end = payload.len().min(start + step);
        let more = u16::from(end < payload.len()) << 13;
        let mut bytes = [header, &payload[start..end]].concat();
        let length = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..6].copy_from_slice(&identification.to_be_bytes());
        bytes[6..8].copy_from_slice(&(more | (start / 8) as u16).to_be_bytes());
        OwnedPacket { bytes, wire_length: u32::from(length), ..packet.clone() }
    };
    starts.map(piece).collect()
}

/// Fragments all packets of all fixtures, arranges those of each packet, and compares.
fn assert_fragments_do_not_matter(how: &str, step: usize, mut arrange: impl FnMut(&mut Vec<OwnedPacket>)) {
    for fixture in fixture::all() {
        let packets = as_raw_ip(&fixture.packets());
        let pieces: Vec<_> = packets
            .iter()
            .enumerate()
            .flat_map(|(number, packet)| {
                let mut pieces = fragments(packet, number as u16, step);
                arrange(&mut pieces);
                pieces
            })
            .collect();
        assert!(pieces.len() > packets.len(), "{}: nothing was fragmented", fixture.name);
        let (whole, found) = (analyze(&packets), analyze(&pieces));
        whole.assert_same(&found, &format!("{} {how}", fixture.name));
        assert_eq!(whole.health.skipped, found.health.skipped, "{} {how}: all are used", fixture.name);
        assert_eq!(found.health.fragments.given_up, 0, "{} {how}: all are whole", fixture.name);
    }
}

#[test]
fn fragments_in_order() {
    for step in [8, 24] {
        assert_fragments_do_not_matter("in order", step, |_| {});
    }
}

#[test]
fn fragments_in_any_order() {
    let mut random = fastrand::Rng::with_seed(1);
    assert_fragments_do_not_matter("shuffled", 64, |pieces| random.shuffle(pieces));
}

#[test]
fn fragments_twice() {
    assert_fragments_do_not_matter("twice", 64, |pieces| {
        // The copy of the last would begin another datagram.
        let last = pieces.pop();
        *pieces = pieces.iter().flat_map(|piece| [piece.clone(), piece.clone()]).collect();
        pieces.extend(last);
    });
}

/// A datagram without all its fragments is as if it had not been captured.
#[test]
fn a_lost_fragment_is_a_lost_packet() {
    for fixture in fixture::all() {
        let packets = as_raw_ip(&fixture.packets());
        let lost = |number: usize| number % 23 == 7 && packets[number].segment().is_some_and(|s| s.payload.len() > 16);
        let kept: Vec<_> = (0..packets.len()).filter(|&number| !lost(number)).map(|at| packets[at].clone()).collect();
        let mut given_up = 0;
        let mut pieces = Vec::new();
        for (number, packet) in packets.iter().enumerate() {
            let mut fragments = fragments(packet, number as u16, 24);
            if lost(number) && fragments.len() > 1 {
                fragments.remove(number % fragments.len());
                given_up += fragments.len() as u64;
            }
            pieces.extend(fragments);
        }
        let found = analyze(&pieces);
        assert_eq!(found.health.fragments.given_up_packets, given_up, "{}", fixture.name);
        if !fixture.is_lossy() {
            analyze(&kept).assert_same(&found, &fixture.name);
        }
    }
}
