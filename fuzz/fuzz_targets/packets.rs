//! TCP packets with valid headers and hostile content through the whole program. Checked as by the target `capture`.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use zmtpscope::analyze::engine::Options;
use zmtpscope::base::chunk::PacketId;
use zmtpscope::base::time::Timestamp;
use zmtpscope::capture::packet::{LinkType, Packet};
use zmtpscope_fuzz::views::{show, small_limits};

#[derive(Arbitrary, Debug)]
struct Sent {
    /// One of four connections.
    connection: u8,
    to_server: bool,
    flags: u8,
    /// How far from the place where the stream goes on, if not at it.
    displaced: Option<i16>,
    /// How much more (or less) is acknowledged than was sent.
    acknowledged: i8,
    cut: u8,
    milliseconds: u8,
    content: Content,
}

#[derive(Arbitrary, Debug)]
enum Content {
    Nothing,
    Greeting(u8),
    Ready { socket_type: u8, identity: Vec<u8> },
    Message(Vec<Vec<u8>>),
    Command { name: u8, data: Vec<u8> },
    Octets(Vec<u8>),
}

const NAMES: [&[u8]; 12] = [
    b"READY",
    b"ERROR",
    b"HELLO",
    b"WELCOME",
    b"INITIATE",
    b"MESSAGE",
    b"SUBSCRIBE",
    b"CANCEL",
    b"JOIN",
    b"LEAVE",
    b"PING",
    b"PONG",
];
const TYPES: [&[u8]; 12] =
    [b"PAIR", b"PUB", b"SUB", b"REQ", b"REP", b"DEALER", b"ROUTER", b"PULL", b"PUSH", b"XPUB", b"RADIO", b"DISH"];
const MECHANISMS: [&[u8]; 5] = [b"NULL", b"PLAIN", b"CURVE", b"GSSAPI", b"X"];

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => [&[flags | 2][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    octets.extend(body);
    octets
}

fn command(name: &[u8], data: &[u8]) -> Vec<u8> {
    frame(4, &[&[name.len() as u8][..], name, data].concat())
}

impl Content {
    fn octets(&self) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Greeting(choice) => {
                let mut octets = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, choice >> 7];
                octets.extend(MECHANISMS[usize::from(choice % 5)]);
                octets.resize(64, 0);
                octets
            }
            Self::Ready { socket_type, identity } => {
                let name = TYPES[usize::from(socket_type % 12)];
                let mut data = b"\x0bSocket-Type\0\0\0".to_vec();
                data.push(name.len() as u8);
                data.extend(name);
                data.extend(b"\x08Identity");
                data.extend((identity.len() as u32).to_be_bytes());
                data.extend(identity);
                command(b"READY", &data)
            }
            Self::Message(parts) => {
                let last = parts.len().saturating_sub(1);
                parts.iter().enumerate().flat_map(|(at, part)| frame(u8::from(at < last), part)).collect()
            }
            Self::Command { name, data } => command(NAMES[usize::from(name % 12)], data),
            Self::Octets(octets) => octets.clone(),
        }
    }
}

fn packet(sent: &Sent, next: &mut [[u32; 2]; 4]) -> Vec<u8> {
    let connection = usize::from(sent.connection % 4);
    let (this, other) = (usize::from(sent.to_server), usize::from(!sent.to_server));
    let payload = sent.content.octets();
    let sequence = next[connection][this].wrapping_add_signed(sent.displaced.unwrap_or_default().into());
    if sent.displaced.is_none() {
        let counted = payload.len() as u32 + u32::from(sent.cut) + u32::from(sent.flags & 2 != 0);
        next[connection][this] = sequence.wrapping_add(counted);
    }
    let ports = [5555, 40_000 + connection as u16];
    let acknowledged = next[connection][other].wrapping_add_signed(sent.acknowledged.into());
    let mut bytes = vec![0x45, 0];
    bytes.extend(u16::try_from(40 + payload.len() + usize::from(sent.cut)).unwrap_or(0).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 1]);
    bytes.extend(ports[this].to_be_bytes());
    bytes.extend(ports[other].to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledged.to_be_bytes());
    bytes.extend([0x50, sent.flags & 0x17, 0xFF, 0xFF, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

fuzz_target!(|input: (u8, Vec<Sent>)| {
    let (choice, sent) = input;
    let limits = if choice & 128 == 0 { small_limits() } else { Default::default() };
    show(Options { limits, ..Options::default() }, choice, |analyzer| {
        let mut next = [[1000, u32::MAX - 50]; 4];
        let mut now = 0;
        for (number, sent) in (1..).zip(&sent) {
            now += i64::from(sent.milliseconds) * 1_000_000;
            let bytes = packet(sent, &mut next);
            analyzer.packet(&Packet {
                id: PacketId::new(0, number),
                at: Timestamp(now),
                link: LinkType::RAW,
                bytes: &bytes,
                wire_length: bytes.len() as u32 + u32::from(sent.cut),
            });
        }
    });
});
