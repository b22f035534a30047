//! A capture that ends early: no panic, and what was seen until then is the beginning of what the whole holds.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze, analyze_with, read};
use crate::recording::{FrameRecord, Recording};
use std::io::Cursor;
use zmtpscope::analyze::engine::Options;
use zmtpscope::capture::file::FileSource;

/// Above this size a file is not cut at each byte, but at each packet only.
const SMALL: usize = 4096;

/// The frames and messages of each direction in `part` are the first of those in `whole`.
fn assert_beginning(part: &Recording, whole: &Recording, what: &str) {
    for (stream, record) in &part.streams {
        let what = format!("{what}: {} to {}", stream.0, stream.1);
        let all = whole.streams.get(stream).unwrap_or_else(|| panic!("{what}: not in the whole"));
        assert!(record.frames.len() <= all.frames.len() && record.messages.len() <= all.messages.len(), "{what}");
        for (found, expected) in record.frames.iter().zip(&all.frames) {
            // What a frame means may depend on what the other side said, which the part may not hold.
            assert_eq!(plain(found), plain(expected), "{what}");
        }
        for (found, expected) in record.messages.iter().zip(&all.messages) {
            assert_eq!(found, expected, "{what}");
        }
    }
}

fn plain(frame: &FrameRecord) -> FrameRecord {
    FrameRecord { kind: String::new(), ..frame.clone() }
}

#[test]
fn cut_after_each_packet() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let whole = analyze_with(fixture.options(), &packets);
        let mut seen = 0;
        for end in 0..=packets.len() {
            let what = format!("the first {end} packets of {}", fixture.name);
            let part = analyze_with(fixture.options(), &packets[..end]);
            assert_beginning(&part, &whole, &what);
            assert_eq!(part.health.packets, end as u64, "{what}");
            if !fixture.is_lossy() {
                // Where nothing is missing, nothing is taken back.
                let messages = part.messages().count();
                assert!(messages >= seen, "{what}: {messages} messages after {seen}");
                seen = messages;
                assert_eq!(part.health.reassembly.lost_bytes, 0, "{what}");
            }
        }
        assert_eq!(analyze_with(fixture.options(), &packets[..packets.len()]), whole, "{}", fixture.name);
    }
}

#[test]
fn cut_after_each_byte_of_the_file() {
    let mut cut = 0;
    for fixture in fixture::all() {
        let bytes = fixture.bytes();
        if bytes.len() > SMALL {
            continue;
        }
        cut += 1;
        let packets = fixture.packets();
        for end in 0..bytes.len() {
            let reader = Box::new(Cursor::new(bytes[..end].to_vec()));
            let what = format!("the first {end} bytes of {}", fixture.name);
            match FileSource::from_reader(&fixture.name, reader, None) {
                Ok(source) => assert_eq!(read(source), packets[..whole_packets(&bytes[..end])], "{what}"),
                Err(error) => assert!(end < 24, "{what}: {error}"),
            }
        }
    }
    assert!(cut >= 4, "only {cut} small fixtures");
}

/// How many packets of a little-endian pcap lie wholly in `bytes`.
fn whole_packets(bytes: &[u8]) -> usize {
    let mut rest = bytes.get(24..).unwrap_or_default();
    let mut count = 0;
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(next) = rest.get(16 + length..) else { break };
        rest = next;
        count += 1;
    }
    count
}

#[test]
fn cut_before_each_packet() {
    // The capture begins late: what then is called a message was one.
    for fixture in fixture::all() {
        let packets = fixture.packets();
        // Of a lossy one too: less of what is before a loss can be more of what is after it.
        let whole = super::intact(&fixture);
        let ports: Vec<u16> = whole.connections.iter().map(|connection| connection.server.port).collect();
        let step = if packets.len() > 150 { 3 } else { 1 };
        for start in (0..packets.len()).step_by(step) {
            let what = format!("{} from packet {start} on", fixture.name);
            super::assert_nothing_invented(&analyze(&packets[start..]), &whole, &what);
            // The same if the user says that it is ZMTP, although it does not begin as such.
            let told = analyze_with(Options { ports: ports.clone(), ..Options::default() }, &packets[start..]);
            super::assert_nothing_invented(&told, &whole, &what);
        }
    }
}

#[test]
fn packets_cut_by_a_snapshot_length() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let whole = super::intact(&fixture);
        for snapshot in [0, 14, 40, 54, 66, 70, 80, 96, 128, 160, 256, 1000] {
            let cut: Vec<OwnedPacket> = packets
                .iter()
                .map(|packet| {
                    let bytes = packet.bytes[..packet.bytes.len().min(snapshot)].to_vec();
                    OwnedPacket { bytes, ..packet.clone() }
                })
                .collect();
            let part = analyze(&cut);
            let what = format!("{} with a snapshot length of {snapshot}", fixture.name);
            super::assert_nothing_invented(&part, &whole, &what);
            assert_eq!(part.health.packets, packets.len() as u64, "{what}");
        }
    }
}
