//! What a file format or the number of files has to do with what is found: nothing.

use crate::fixture;
use crate::formats::{gzip, pcap_ns_big_endian, pcapng_ns, zstd};
use crate::packets::{OwnedPacket, analyze, read};
use std::io::Cursor;
use zmtpscope::base::chunk::{PacketId, Position};
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::merge::MergedSource;

fn open(bytes: Vec<u8>) -> FileSource {
    FileSource::from_reader("replayed", Box::new(Cursor::new(bytes)), None).expect("a capture")
}

#[test]
fn written_again_in_other_formats() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        assert_eq!(read(open(pcapng_ns(&packets))), packets, "{} as pcapng", fixture.name);
        if packets.iter().all(|packet| packet.link == packets[0].link) {
            assert_eq!(read(open(pcap_ns_big_endian(&packets))), packets, "{} as pcap", fixture.name);
        }
    }
}

#[test]
fn compressed() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let file = pcapng_ns(&packets);
        assert_eq!(read(open(gzip(&file))), packets, "{} with gzip", fixture.name);
        assert_eq!(read(open(zstd(&file))), packets, "{} with zstd", fixture.name);
    }
}

#[test]
fn dealt_to_two_files_and_merged() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let deal = |which: usize| packets.iter().skip(which).step_by(2).cloned().collect::<Vec<_>>();
        let files = [0, 1].map(|which| open(pcapng_ns(&deal(which))));
        let merged = read(MergedSource::new(files.into()).expect("two files"));
        assert_eq!(merged.len(), packets.len(), "{}", fixture.name);
        // Packet n of file k was packet 2 (n - 1) + k + 1.
        let back = |position: Position| match position.packet {
            packet if packet.number() > 0 => {
                let number = 2 * (packet.number() - 1) + u64::from(packet.file()) + 1;
                Position { packet: PacketId::new(0, number), ..position }
            }
            _ => position,
        };
        let found = analyze(&merged).with_positions(back).without_last_packets();
        analyze(&packets).without_last_packets().assert_same(&found, &format!("{} merged", fixture.name));
    }
}

#[test]
fn dealt_to_one_file_a_connection_and_merged() {
    // As two hosts would capture it: each file holds other connections.
    for name in ["proxy-assigned", "proxy-announced", "chain2", "pubsub"] {
        let packets = fixture::named(name).packets();
        let port = |packet: &OwnedPacket| packet.segment().map_or(0, |s| s.source.port.min(s.destination.port));
        let lowest = packets.iter().map(port).min().expect("packets");
        let (front, back): (Vec<_>, Vec<_>) = packets.iter().cloned().partition(|packet| port(packet) == lowest);
        let number = |file: &[OwnedPacket], id: PacketId| file[id.number() as usize - 1].position;
        let files = vec![open(pcapng_ns(&front)), open(pcapng_ns(&back))];
        let merged = read(MergedSource::new(files).expect("two files"));
        let original = |position: Position| match position.packet {
            id if id.number() == 0 => position,
            id => {
                let packet = number(if id.file() == 0 { &front } else { &back }, id).packet;
                Position { packet, ..position }
            }
        };
        let found = analyze(&merged).with_positions(original).without_last_packets();
        analyze(&packets).without_last_packets().assert_same(&found, &format!("{name} merged"));
    }
}
