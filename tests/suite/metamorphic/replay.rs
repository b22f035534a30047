//! What a file format or the number of files has to do with what is found: nothing.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze, read};
use std::io::Cursor;
use zmtpscope::base::chunk::{PacketId, Position};
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::merge::MergedSource;

/// Big-endian pcap with nanoseconds; all packets have the link type of the first.
fn pcap_ns_big_endian(packets: &[OwnedPacket]) -> Vec<u8> {
    let mut file = vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4];
    file.extend([0; 8]);
    file.extend(0x0004_0000_u32.to_be_bytes());
    file.extend(packets[0].link.0.to_be_bytes());
    for packet in packets {
        let time = packet.position.at.0;
        file.extend(((time / 1_000_000_000) as u32).to_be_bytes());
        file.extend(((time % 1_000_000_000) as u32).to_be_bytes());
        file.extend((packet.bytes.len() as u32).to_be_bytes());
        file.extend(packet.wire_length.to_be_bytes());
        file.extend(&packet.bytes);
    }
    file
}

/// Little-endian pcapng with an interface in nanoseconds for each link type.
fn pcapng_ns(packets: &[OwnedPacket]) -> Vec<u8> {
    let mut links: Vec<u32> = packets.iter().map(|packet| packet.link.0).collect();
    links.sort_unstable();
    links.dedup();
    let mut file = block(0x0A0D_0D0A, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    for link in &links {
        let mut body = vec![*link as u8, (*link >> 8) as u8, 0, 0, 0, 0, 0, 0];
        body.extend([9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]); // if_tsresol 10^-9, end of options
        file.extend(block(1, &body));
    }
    for packet in packets {
        let interface = links.iter().position(|link| *link == packet.link.0).expect("it was listed");
        let time = packet.position.at.0 as u64;
        let mut body = Vec::new();
        let lengths = [packet.bytes.len() as u32, packet.wire_length];
        for word in [interface as u32, (time >> 32) as u32, time as u32].into_iter().chain(lengths) {
            body.extend(word.to_le_bytes());
        }
        body.extend(&packet.bytes);
        file.extend(block(6, &body));
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let total = (padded as u32 + 12).to_le_bytes();
    let mut block = kind.to_le_bytes().to_vec();
    block.extend(total);
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(total);
    block
}

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
fn dealt_to_two_files_and_merged() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let deal = |which: usize| packets.iter().skip(which).step_by(2).cloned().collect::<Vec<_>>();
        let files = [0, 1].map(|which| open(pcapng_ns(&deal(which))));
        let merged = read(MergedSource::new(files.into()).expect("two files"));
        assert_eq!(merged.len(), packets.len(), "{}", fixture.name);
        // Packet n of file k was packet 2 (n - 1) + k + 1.
        let back = |position: Position| match position.packet {
            PacketId { file, number } if number > 0 => {
                let number = 2 * (number - 1) + u64::from(file) + 1;
                Position { packet: PacketId { file: 0, number }, ..position }
            }
            PacketId { .. } => position,
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
        let number = |file: &[OwnedPacket], id: PacketId| file[id.number as usize - 1].position;
        let files = vec![open(pcapng_ns(&front)), open(pcapng_ns(&back))];
        let merged = read(MergedSource::new(files).expect("two files"));
        let original = |position: Position| match position.packet {
            PacketId { number: 0, .. } => position,
            id => {
                let packet = number(if id.file == 0 { &front } else { &back }, id).packet;
                Position { packet, ..position }
            }
        };
        let found = analyze(&merged).with_positions(original).without_last_packets();
        analyze(&packets).without_last_packets().assert_same(&found, &format!("{name} merged"));
    }
}
