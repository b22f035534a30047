//! Captures written by hand, so that what is read was not written by the code that reads it.

use crate::packets::OwnedPacket;
use std::io::Write;

/// Big-endian pcap with nanoseconds; all packets have the link type of the first.
pub fn pcap_ns_big_endian(packets: &[OwnedPacket]) -> Vec<u8> {
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
pub fn pcapng_ns(packets: &[OwnedPacket]) -> Vec<u8> {
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

/// A pcapng block.
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

/// One gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes all")
}

/// One zstd frame.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}
