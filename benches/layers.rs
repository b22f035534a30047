//! What each layer costs alone, per byte and per segment or frame: reassembly in order, shuffled and with losses; sessions of
//! small and of large frames, whole, cut in small pieces, and after losses.
//!
//! `cargo bench --bench layers [FILTER]`. Compare figures of one run only: machines differ, and so do their days.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use zmtpscope::base::chunk::{Chunk, Data, PacketId, Position};
use zmtpscope::base::direction::{Direction, PerDirection};
use zmtpscope::base::limits::Limits;
use zmtpscope::base::time::Timestamp;
use zmtpscope::flow::patience::Patience;
use zmtpscope::flow::reassembly::{Payload, Reassembler};
use zmtpscope::zmtp::anomaly::Anomaly;
use zmtpscope::zmtp::event::{EventSink, Frame, Message};
use zmtpscope::zmtp::peer::Peer;
use zmtpscope::zmtp::probe::Preamble;
use zmtpscope::zmtp::session::Session;

/// Octets of a stream: large enough to leave the caches behind.
const STREAM: usize = 16 << 20;

/// Payload of a segment at the MTU of Ethernet.
const SEGMENT: usize = 1448;

/// One segment in so many is lost, or late.
const DISTURBED: usize = 20;

fn position(number: usize) -> Position {
    let packet = PacketId::new(0, number as u64 + 1);
    Position { packet, at: Timestamp(number as i64 * 10_000) }
}

/// A segment of the stream that is benched: its offset, and whether it is there.
#[derive(Clone, Copy)]
struct Slot {
    offset: usize,
    lost: bool,
}

fn in_order() -> Vec<Slot> {
    (0..STREAM).step_by(SEGMENT).map(|offset| Slot { offset, lost: false }).collect()
}

/// One in [`DISTURBED`] comes after the eight that follow it.
fn reordered() -> Vec<Slot> {
    let mut slots = in_order();
    for at in (0..slots.len() - DISTURBED).step_by(DISTURBED) {
        slots[at..at + 9].rotate_left(1);
    }
    slots
}

/// One in [`DISTURBED`] never comes.
fn lossy() -> Vec<Slot> {
    let mut slots = in_order();
    slots.iter_mut().step_by(DISTURBED).skip(1).for_each(|slot| slot.lost = true);
    slots
}

/// Reassembles; the receiver acknowledges all that was sent, every second segment, as TCP does.
fn reassemble(stream: &[u8], slots: &[Slot], limits: &Limits) -> u64 {
    let mut reassembler = Reassembler::default();
    let mut patience = Patience::new(limits);
    let mut bytes = 0;
    reassembler.start(u32::MAX);
    let mut count = |chunk: Chunk<'_>| bytes += chunk.data.length();
    for (number, slot) in slots.iter().enumerate() {
        let end = (slot.offset + SEGMENT).min(stream.len());
        if !slot.lost {
            let payload = &stream[slot.offset..end];
            let payload = Payload { sequence: slot.offset as u32, bytes: payload, cut: 0, fin: false };
            reassembler.segment(position(number), payload, limits, &mut patience, &mut count);
        }
        if number % 2 == 1 {
            reassembler.acknowledgement(position(number), end as u32, &mut patience, &mut count);
        }
    }
    reassembler.finish(position(slots.len()), &mut count);
    bytes
}

fn reassembly(criterion: &mut Criterion) {
    let stream = vec![0x5A; STREAM];
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("reassembly");
    group.throughput(Throughput::Bytes(STREAM as u64));
    for (name, slots) in [("in order", in_order()), ("5 % reordered", reordered()), ("5 % lost", lossy())] {
        group.bench_function(name, |bencher| bencher.iter(|| reassemble(black_box(&stream), &slots, &limits)));
    }
    group.finish();
}

/// Counts, so that nothing is optimised away and nothing else is measured.
#[derive(Default)]
struct Count {
    frames: u64,
    messages: u64,
}

impl EventSink for Count {
    fn frame(&mut self, _: PerDirection<&Peer>, _: &Frame<'_>) {
        self.frames += 1;
    }
    fn message(&mut self, _: PerDirection<&Peer>, _: &Message<'_>) {
        self.messages += 1;
    }
    fn peer(&mut self, _: Direction, _: &Peer) {}
    fn lost(&mut self, _: Direction) {}
    fn anomaly(&mut self, _: Anomaly) {}
}

/// Greeting, READY, then messages of an identity, a delimiter and a body of `body` octets (RFC 37), and how many.
fn conversation(body: usize) -> (Vec<u8>, u64) {
    let mut stream = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL".to_vec();
    stream.resize(64, 0);
    stream.extend(b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER");
    let mut messages = 0;
    while stream.len() < STREAM {
        stream.extend(b"\x01\x05\0\x6b\x8b\x45\x67\x01\x00");
        if let Ok(length) = u8::try_from(body) {
            stream.extend([0, length]);
        } else {
            stream.push(2);
            stream.extend((body as u64).to_be_bytes());
        }
        stream.resize(stream.len() + body, b'x');
        messages += 1;
    }
    (stream, messages)
}

/// Dissects the stream in pieces of `piece` octets; one in `lost` is a gap.
fn dissect(session: &mut Session, stream: &[u8], piece: usize, lost: Option<usize>, limits: &Limits) -> Count {
    let mut count = Count::default();
    for (number, bytes) in stream.chunks(piece).enumerate() {
        let is_lost = lost.is_some_and(|every| number % every == every - 1);
        let data = if is_lost { Data::Gap(bytes.len() as u64) } else { Data::Bytes(bytes) };
        let chunk = Chunk { position: position(number), offset: (number * piece) as u64, data };
        session.chunk(Direction::ClientToServer, &chunk, limits, &mut count);
    }
    count
}

fn session(criterion: &mut Criterion) {
    let limits = Limits::default();
    let preambles = PerDirection { c2s: Preamble::Greeting, s2c: Preamble::Greeting };
    let mut group = criterion.benchmark_group("session");
    for body in [20, 200, 20_000] {
        let (stream, messages) = conversation(body);
        let intact = dissect(&mut Session::new(preambles, None), &stream, SEGMENT, None, &limits);
        assert_eq!(intact.messages, messages, "every message of the stream is found");
        group.throughput(Throughput::Elements(3 * messages));
        for (name, piece, lost) in
            [("64 KiB pieces", 1 << 16, None), ("segments", SEGMENT, None), ("5 % lost", SEGMENT, Some(DISTURBED))]
        {
            group.bench_function(BenchmarkId::new(name, body), |bencher| {
                bencher.iter_batched_ref(
                    || Session::new(preambles, None),
                    |session| dissect(session, black_box(&stream), piece, lost, &limits),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, reassembly, session);
criterion_main!(benches);
