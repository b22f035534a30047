//! ZMTP connections made up octet by octet, for what no real peer would say.

use crate::packets::OwnedPacket;
use zmtpscope::base::chunk::{PacketId, Position};
use zmtpscope::base::direction::{Direction, PerDirection};
use zmtpscope::base::endpoint::Endpoint;
use zmtpscope::base::time::Timestamp;
use zmtpscope::decap::segment::{Segment, TcpFlags};

/// Octets of one segment at most.
const SEGMENT: usize = 60_000;

/// One TCP connection and the packets that it made so far, a microsecond apart.
pub struct Conversation {
    pub packets: Vec<OwnedPacket>,
    endpoints: PerDirection<Endpoint>,
    sequence: PerDirection<u32>,
}

impl Conversation {
    /// The three-way handshake between a port and port 5555.
    pub fn open(port: u16) -> Self {
        let endpoint = |port| Endpoint::new([127, 0, 0, 1], port);
        let endpoints = PerDirection { c2s: endpoint(port), s2c: endpoint(5555) };
        let mut conversation =
            Self { packets: Vec::new(), endpoints, sequence: PerDirection { c2s: 1_000, s2c: u32::MAX - 100 } };
        let syn = TcpFlags { syn: true, ..TcpFlags::default() };
        conversation.segment(Direction::ClientToServer, syn, &[]);
        conversation.segment(Direction::ServerToClient, TcpFlags { ack: true, ..syn }, &[]);
        conversation.segment(Direction::ClientToServer, TcpFlags { ack: true, ..TcpFlags::default() }, &[]);
        conversation
    }

    /// The same, then greetings and READYs.
    pub fn connected(port: u16, client: &[(&str, &[u8])], server: &[(&str, &[u8])]) -> Self {
        let mut conversation = Self::open(port);
        for (direction, properties) in [(Direction::ClientToServer, client), (Direction::ServerToClient, server)] {
            conversation.say(direction, &greeting(b"NULL"));
            conversation.say(direction, &command(b"READY", &metadata(properties)));
        }
        conversation
    }

    /// One side sends `octets`, in as many segments as it takes.
    pub fn say(&mut self, direction: Direction, octets: &[u8]) {
        let flags = TcpFlags { ack: true, ..TcpFlags::default() };
        octets.chunks(SEGMENT).for_each(|payload| self.segment(direction, flags, payload));
    }

    /// Both sides close, the client first.
    pub fn close(&mut self) {
        let flags = TcpFlags { ack: true, fin: true, ..TcpFlags::default() };
        self.segment(Direction::ClientToServer, flags, &[]);
        self.segment(Direction::ServerToClient, flags, &[]);
    }

    fn segment(&mut self, direction: Direction, flags: TcpFlags, payload: &[u8]) {
        let number = self.packets.len() as u64 + 1;
        let at = Timestamp(1_700_000_000_000_000_000 + number as i64 * 1_000);
        let position = Position { packet: PacketId::new(0, number), at };
        let segment = Segment {
            source: self.endpoints[direction],
            destination: self.endpoints[direction.reverse()],
            sequence: self.sequence[direction],
            acknowledgement: flags.ack.then_some(self.sequence[direction.reverse()]),
            flags,
            payload,
            cut: 0,
        };
        self.packets.push(OwnedPacket::from_segment(&segment, position));
        let advance = payload.len() as u32 + u32::from(flags.syn) + u32::from(flags.fin);
        self.sequence[direction] = self.sequence[direction].wrapping_add(advance);
    }
}

/// A greeting of version 3.1.
pub fn greeting(mechanism: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    octets.extend(mechanism);
    octets.resize(64, 0);
    octets
}

/// A frame; its length has 8 octets where it must.
pub fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => long_header(flags, body.len() as u64),
    };
    octets.extend(body);
    octets
}

/// The header of a long frame.
pub fn long_header(flags: u8, length: u64) -> Vec<u8> {
    let mut octets = vec![flags | 0x02];
    octets.extend(length.to_be_bytes());
    octets
}

/// A message of these parts.
pub fn message(parts: &[&[u8]]) -> Vec<u8> {
    let last = parts.len() - 1;
    parts.iter().enumerate().flat_map(|(number, part)| frame(u8::from(number < last), part)).collect()
}

/// A command frame.
pub fn command(name: &[u8], data: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::try_from(name.len()).expect("a short name")];
    body.extend(name);
    body.extend(data);
    frame(0x04, &body)
}

/// Properties as in READY.
pub fn metadata(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (name, value) in properties {
        octets.push(u8::try_from(name.len()).expect("a short name"));
        octets.extend(name.bytes());
        octets.extend((value.len() as u32).to_be_bytes());
        octets.extend(*value);
    }
    octets
}
