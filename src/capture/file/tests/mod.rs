//! Small files built byte by byte: here the builders and readers, below the tests.

mod compressed;
mod damage;
mod formats;

use super::*;
use std::io::Cursor;

/// Writes fields in one byte order.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

const LITTLE: Order = Order { big: false };
const BIG: Order = Order { big: true };

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(self, value: u64) -> [u8; 8] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|&value| self.u32(value)).collect()
    }

    fn pcap(self, magic: u32, link: u32) -> Vec<u8> {
        let version = [self.u16(2), self.u16(4)].concat();
        [self.words(&[magic]), version, self.words(&[0, 0, 262_144, link])].concat()
    }

    fn record(self, seconds: u32, fraction: u32, bytes: &[u8], wire_length: u32) -> Vec<u8> {
        let header = [seconds, fraction, bytes.len() as u32, wire_length];
        [&self.words(&header), bytes].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0xee);
        let length = self.u32(body.len() as u32 + 12);
        [&self.u32(kind), &length, &body[..], &length].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        let body = [self.words(&[0x1a2b_3c4d]), version, self.u64(u64::MAX).to_vec()].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let fixed = [self.u16(link), [0; 2]].concat();
        self.block(1, &[fixed, self.words(&[snaplen]), self.options(options)].concat())
    }

    fn options(self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in options {
            bytes.extend([self.u16(*code), self.u16(value.len() as u16)].concat());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        if !bytes.is_empty() {
            bytes.extend([0; 4]);
        }
        bytes
    }

    /// An enhanced packet block with an option, as dumpcap writes them.
    fn packet(self, interface: u32, ticks: u64, bytes: &[u8], wire_length: u32) -> Vec<u8> {
        let (high, low) = ((ticks >> 32) as u32, ticks as u32);
        let mut body = self.words(&[interface, high, low, bytes.len() as u32, wire_length]);
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(4), 0xee);
        body.extend(self.options(&[(2, &self.u32(1))]));
        self.block(6, &body)
    }

    fn statistics(self, interface: u32, dropped: u64) -> Vec<u8> {
        let options = self.options(&[(5, &self.u64(dropped))]);
        self.block(5, &[self.words(&[interface, 0, 0]), options].concat())
    }
}

/// Number, time, link type, bytes, length on the wire.
type Seen = (u64, i64, u32, Vec<u8>, u32);

fn open(bytes: &[u8]) -> Result<FileSource, CaptureError> {
    FileSource::from_reader("test", Box::new(Cursor::new(bytes.to_vec())), None)
}

fn drain(mut source: FileSource) -> (Vec<Seen>, InputStats) {
    let mut seen = Vec::new();
    while let Next::Packet(packet) = source.next_packet().expect("memory does not fail") {
        let Packet { id, at, link, bytes, wire_length } = packet;
        seen.push((id.number(), at.0, link.0, bytes.to_vec(), wire_length));
    }
    assert!(matches!(source.next_packet(), Ok(Next::End)));
    let stats = source.stats().inputs.remove(0);
    assert_eq!(stats.packets, seen.len() as u64);
    (seen, stats)
}

fn read(bytes: &[u8]) -> (Vec<Seen>, InputStats) {
    drain(open(bytes).expect("a capture"))
}

fn pcap_parts(order: Order, magic: u32) -> Vec<Vec<u8>> {
    vec![
        order.pcap(magic, 1),
        order.record(1, 5, b"abc", 3),
        order.record(0xffff_fff0, 7, b"", 0),
        order.record(2, 0, b"defgh", 1500),
    ]
}

/// Two interfaces with different link types and clocks, a block that nobody knows, drops.
fn pcapng_parts(order: Order) -> Vec<Vec<u8>> {
    vec![
        order.section(),
        order.interface(1, 96, &[(2, b"eth0")]),
        order.interface(113, 0, &[(9, &[9]), (14, &order.u64(100))]),
        order.packet(0, 1_000_005, b"abc", 3),
        order.block(0x8000_0001, b"vendor"),
        order.packet(1, 5, b"defgh", 1500),
        order.statistics(0, 3),
    ]
}

fn pcap_sample(order: Order, magic: u32) -> Vec<u8> {
    pcap_parts(order, magic).concat()
}

fn pcapng_sample(order: Order) -> Vec<u8> {
    pcapng_parts(order).concat()
}
