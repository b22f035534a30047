//! Small captures made by hand: raw IPv4, one ZMTP connection, one frame a packet.

use etherparse::PacketBuilder;
use std::path::PathBuf;

/// Writes a file of this name for one test, and gives its path.
pub(crate) fn file(name: &str, bytes: &[u8]) -> String {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join(format!("cli-{name}.pcap"));
    std::fs::write(&path, bytes).expect("the test directory is writable");
    path.to_str().expect("text").to_owned()
}

const CLIENT: u16 = 50112;
const SERVER: u16 = 5555;

/// A capture under construction.
pub(crate) struct Captured {
    bytes: Vec<u8>,
    packets: u32,
    /// Next sequence number of the client, and of the server.
    next: [u32; 2],
}

impl Captured {
    /// A REQ asks a ROUTER so many times, and is answered: greetings, READY, then two frames a message.
    pub(crate) fn conversation(requests: usize) -> Vec<u8> {
        let mut capture = Self::opened();
        for (side, kind) in [(0, &b"REQ"[..]), (1, b"ROUTER")] {
            capture.send(side, &greeting(b"NULL"));
            let mut ready = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
            ready.push(kind.len() as u8);
            ready.extend(kind);
            capture.send(side, &command(&ready));
        }
        for _ in 0..requests {
            capture.send(0, b"\x01\0\0\x07request");
            capture.send(1, b"\x01\0\0\x05reply");
        }
        capture.bytes
    }

    /// A PLAIN client introduces itself with this command.
    pub(crate) fn plain_hello(body: &[u8]) -> Vec<u8> {
        let mut capture = Self::opened();
        for side in [0, 1] {
            capture.send(side, &greeting(b"PLAIN"));
        }
        capture.send(0, &command(body));
        capture.bytes
    }

    fn opened() -> Self {
        let mut bytes = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0".to_vec();
        bytes.extend(101_u32.to_le_bytes());
        let mut capture = Self { bytes, packets: 0, next: [1000, 2000] };
        let tcp = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        capture.packet(tcp.tcp(CLIENT, SERVER, 999, 65_535).syn(), b"");
        let tcp = PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64);
        capture.packet(tcp.tcp(SERVER, CLIENT, 1999, 65_535).syn().ack(1000), b"");
        capture
    }

    fn send(&mut self, side: usize, payload: &[u8]) {
        let (from, to, source, destination) = if side == 0 { (1, 2, CLIENT, SERVER) } else { (2, 1, SERVER, CLIENT) };
        let ip = PacketBuilder::ipv4([10, 0, 0, from], [10, 0, 0, to], 64);
        let tcp = ip.tcp(source, destination, self.next[side], 65_535).ack(self.next[1 - side]);
        self.next[side] += payload.len() as u32;
        self.packet(tcp, payload);
    }

    fn packet(&mut self, tcp: etherparse::PacketBuilderStep<etherparse::TcpHeader>, payload: &[u8]) {
        let mut packet = Vec::new();
        tcp.write(&mut packet, payload).expect("a Vec takes everything");
        let length = packet.len() as u32;
        for field in [1_782_907_200 + self.packets / 1_000_000, self.packets % 1_000_000, length, length] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(packet);
        self.packets += 10;
    }
}

fn greeting(mechanism: &[u8]) -> Vec<u8> {
    let mut octets = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01".to_vec();
    octets.extend(mechanism);
    octets.resize(64, 0);
    octets
}

fn command(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![4, body.len() as u8];
    frame.extend(body);
    frame
}
