//! Packets that can be kept, changed, put in another order and analysed again.

use crate::recording::{Recorder, Recording};
use std::net::IpAddr;
use zmtpscope::analyze::engine::{Analyzer, Options};
use zmtpscope::base::chunk::Position;
use zmtpscope::capture::packet::{LinkType, Next, Packet, PacketSource};
use zmtpscope::decap::{self, segment::Segment};

/// A packet with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPacket {
    pub position: Position,
    pub link: LinkType,
    pub bytes: Vec<u8>,
    pub wire_length: u32,
}

impl OwnedPacket {
    /// As a source would yield it.
    pub fn packet(&self) -> Packet<'_> {
        Packet {
            id: self.position.packet,
            at: self.position.at,
            link: self.link,
            bytes: &self.bytes,
            wire_length: self.wire_length,
        }
    }

    /// The TCP segment in it, if there is one.
    pub fn segment(&self) -> Option<Segment<'_>> {
        decap::segment(&self.packet()).ok()
    }

    /// A raw IPv4 packet that holds `segment`.
    pub fn from_segment(segment: &Segment<'_>, position: Position) -> Self {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (segment.source.ip, segment.destination.ip) else {
            panic!("the fixtures are IPv4");
        };
        let wire_length = 40 + segment.payload.len() as u32 + segment.cut;
        let total = u16::try_from(wire_length).expect("a segment fits a packet");
        let mut bytes = vec![0x45, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        bytes.extend(source.octets());
        bytes.extend(destination.octets());
        bytes.extend(segment.source.port.to_be_bytes());
        bytes.extend(segment.destination.port.to_be_bytes());
        bytes.extend(segment.sequence.to_be_bytes());
        bytes.extend(segment.acknowledgement.unwrap_or_default().to_be_bytes());
        let flags = segment.flags;
        let bits = [(flags.fin, 0x01), (flags.syn, 0x02), (flags.rst, 0x04), (flags.ack, 0x10)];
        bytes.push(0x50);
        bytes.push(bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        bytes.extend([0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(segment.payload);
        Self { position, link: LinkType::RAW, bytes, wire_length }
    }
}

/// All packets of a source.
pub fn read(mut source: impl PacketSource) -> Vec<OwnedPacket> {
    let mut packets = Vec::new();
    while let Next::Packet(packet) = source.next_packet().expect("the source can be read") {
        packets.push(OwnedPacket {
            position: packet.position(),
            link: packet.link,
            bytes: packet.bytes.to_vec(),
            wire_length: packet.wire_length,
        });
    }
    packets
}

/// What an analysis of these packets, in this order, finds.
pub fn analyze<'a>(packets: impl IntoIterator<Item = &'a OwnedPacket>) -> Recording {
    analyze_with(Options::default(), packets)
}

/// The same with other options.
pub fn analyze_with<'a>(options: Options, packets: impl IntoIterator<Item = &'a OwnedPacket>) -> Recording {
    let mut analyzer = Analyzer::new(options, Recorder::default());
    for packet in packets {
        analyzer.packet(&packet.packet());
    }
    Recording::of(analyzer)
}
