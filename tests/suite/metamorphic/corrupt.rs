//! Damage: bits that flipped on the way or on the disk. Nothing panics, and no more is found than there are bytes.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze_with};
use crate::recording::Recorder;
use crate::recording::Recording;
use std::io::Cursor;
use zmtpscope::analyze::engine::Analyzer;
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::packet::{Next, PacketSource};

const SMALL: usize = 40_000;

/// Flips 1 to 16 bits.
fn damage(bytes: &mut [u8], random: &mut fastrand::Rng) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..random.u32(1..=16) {
        let at = random.usize(0..bytes.len());
        bytes[at] ^= 1 << random.u8(0..8);
    }
}

/// What is found lies in what was there.
fn assert_bounded(found: &Recording, octets: usize, what: &str) {
    let seen: u64 = found.frames().map(|frame| frame.length - frame.missing).sum();
    assert!(seen <= octets as u64, "{what}: frames of {seen} bytes in {octets}");
    let kept: usize = found.frames().map(|frame| frame.head.len()).sum();
    assert!(kept <= octets, "{what}: {kept} bytes kept of {octets}");
}

#[test]
fn bits_flipped_in_the_file() {
    for fixture in fixture::all() {
        let bytes = fixture.bytes();
        if bytes.len() > SMALL {
            continue;
        }
        for seed in 0..60 {
            let mut damaged = bytes.clone();
            damage(&mut damaged, &mut fastrand::Rng::with_seed(seed));
            let what = format!("{} damaged, seed {seed}", fixture.name);
            let reader = Box::new(Cursor::new(damaged));
            let Ok(mut source) = FileSource::from_reader(&fixture.name, reader, None) else { continue };
            let mut analyzer = Analyzer::new(fixture.options(), Recorder::default());
            while let Ok(Next::Packet(packet)) = source.next_packet() {
                analyzer.packet(&packet);
            }
            assert_bounded(&Recording::of(analyzer), bytes.len(), &what);
        }
    }
}

#[test]
fn bits_flipped_in_every_packet() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let octets: usize = packets.iter().map(|packet| packet.bytes.len()).sum();
        for seed in 0..if octets > SMALL { 3 } else { 30 } {
            let mut random = fastrand::Rng::with_seed(seed);
            // Only behind the TCP header, so that the damage reaches what lies above; or anywhere.
            let from = if seed % 2 == 0 { 66 } else { 0 };
            let mut damaged = packets.clone();
            for packet in &mut damaged {
                let from = from.min(packet.bytes.len());
                if random.u8(0..10) == 0 {
                    damage(&mut packet.bytes[from..], &mut random);
                }
            }
            assert_bounded(
                &analyze_with(fixture.options(), &damaged),
                octets,
                &format!("{} damaged, seed {seed}", fixture.name),
            );
        }
    }
}

#[test]
fn packets_in_any_order() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let octets: usize = packets.iter().map(|packet| packet.bytes.len()).sum();
        for seed in 0..5 {
            let mut order: Vec<&OwnedPacket> = packets.iter().collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut order);
            assert_bounded(
                &analyze_with(fixture.options(), order),
                octets,
                &format!("{} in disorder, seed {seed}", fixture.name),
            );
        }
    }
}
