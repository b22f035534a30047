//! Networks and multi-queue cards reorder, and TCP sends again: none of it may change what was said.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze};
use std::collections::BTreeMap;
use zmtpscope::base::time::Duration;

/// Packets of one direction that change places are at most this many apart…
const WINDOW: usize = 4;

/// …and this long.
const WINDOW_TIME: Duration = Duration::from_millis(50);

/// The packets that carry data, by connection and direction: their places. A direction that is reset ends there.
fn data_by_stream(packets: &[OwnedPacket]) -> Vec<Vec<usize>> {
    let mut streams: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, packet) in packets.iter().enumerate() {
        let Some(segment) = packet.segment() else { continue };
        if !segment.payload.is_empty() && !segment.flags.syn && !segment.flags.rst {
            streams.entry((segment.source, segment.destination)).or_default().push(place);
        }
    }
    streams.into_values().collect()
}

/// Shuffles what each direction carries within small windows; a packet keeps its position and time.
fn shuffled(packets: &[OwnedPacket], random: &mut fastrand::Rng) -> Vec<OwnedPacket> {
    let mut order: Vec<usize> = (0..packets.len()).collect();
    for places in data_by_stream(packets) {
        let mut rest = &places[..];
        while let Some(&first) = rest.first() {
            let near = |place: &&usize| packets[**place].position.at - packets[first].position.at <= WINDOW_TIME;
            let (window, others) = rest.split_at(rest.iter().take(WINDOW).take_while(near).count());
            let mut moved = window.to_vec();
            random.shuffle(&mut moved);
            for (to, from) in window.iter().zip(moved) {
                order[*to] = from;
            }
            rest = others;
        }
    }
    order.into_iter().map(|place| packets[place].clone()).collect()
}

/// Some packets twice, the second time up to three packets later.
fn with_duplicates(packets: &[OwnedPacket], random: &mut fastrand::Rng) -> Vec<OwnedPacket> {
    let mut keyed: Vec<(usize, OwnedPacket)> = packets.iter().cloned().enumerate().collect();
    let twice = |packet: &OwnedPacket| packet.segment().is_some_and(|s| !s.payload.is_empty() && !s.flags.syn);
    for (place, packet) in packets.iter().enumerate() {
        if twice(packet) && random.u8(0..4) == 0 {
            keyed.push((place + random.usize(1..4), packet.clone()));
        }
    }
    keyed.sort_by_key(|(place, _)| *place);
    keyed.into_iter().map(|(_, packet)| packet).collect()
}

#[test]
fn reordered_segments() {
    let mut moved = 0;
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let whole = analyze(&packets).without_gap_proofs();
        for seed in 0..5 {
            let shuffled = shuffled(&packets, &mut fastrand::Rng::with_seed(seed));
            moved += packets.iter().zip(&shuffled).filter(|(before, after)| before != after).count();
            let found = analyze(&shuffled).without_gap_proofs();
            whole.assert_same(&found, &format!("{} shuffled, seed {seed}", fixture.name));
            let lost = (whole.health.reassembly.lost_bytes, found.health.reassembly.lost_bytes);
            assert_eq!(lost.0, lost.1, "{}: lost bytes", fixture.name);
        }
    }
    assert!(moved > 500, "only {moved} packets changed places");
}

#[test]
fn repeated_segments() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let whole = analyze(&packets).without_gap_proofs();
        for seed in 0..5 {
            let mut random = fastrand::Rng::with_seed(seed);
            let shuffled = shuffled(&packets, &mut random);
            let repeated = with_duplicates(&shuffled, &mut random);
            let found = analyze(&repeated).without_gap_proofs();
            whole.assert_same(&found, &format!("{} shuffled, some twice, seed {seed}", fixture.name));
            assert_eq!(found.health.reassembly.conflicts, 0, "{}: equal copies do not conflict", fixture.name);
            let again = found.health.reassembly.retransmitted + found.health.late_segments;
            assert!(again > 0 || repeated.len() == packets.len(), "{}: the copies were not noticed", fixture.name);
        }
    }
}
