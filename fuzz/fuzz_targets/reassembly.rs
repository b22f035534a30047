//! Segments, acknowledgements and losses in any order against a slow model.
//!
//! Invariants: chunks are contiguous; a byte that is handed on is the first copy that came while its place was open; a gap
//! covers only bytes of which no copy came; at the end nothing that came is left behind.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use zmtpscope::base::chunk::{Chunk, Data, PacketId, Position};
use zmtpscope::base::time::Timestamp;
use zmtpscope::flow::patience::Patience;
use zmtpscope::flow::reassembly::{Payload, Reassembler};
use zmtpscope_fuzz::views::small_limits;

#[derive(Arbitrary, Debug)]
enum Operation {
    /// A segment so far from the next byte, and what differs from its first copy.
    Segment {
        ahead: i8,
        length: u8,
        cut: u8,
        fin: bool,
        altered: u8,
    },
    /// A segment far away: far inside the window, or outside any.
    Far {
        ahead: i32,
        length: u8,
    },
    Acknowledge {
        ahead: i16,
    },
    Wait {
        milliseconds: u8,
    },
}

/// What came first for each offset: a byte, or that it was cut off.
#[derive(Default)]
struct Model {
    first: BTreeMap<u64, Option<u8>>,
    next: u64,
}

impl Model {
    fn take(&mut self, chunk: &Chunk<'_>) {
        assert_eq!(chunk.offset, self.next, "chunks are contiguous");
        assert!(chunk.data.length() > 0);
        match chunk.data {
            Data::Bytes(bytes) => {
                for (offset, &byte) in (self.next..).zip(bytes) {
                    assert_eq!(self.first.remove(&offset), Some(Some(byte)), "at {offset}");
                }
            }
            Data::Gap(length) => {
                let later = self.first.split_off(&(self.next + length));
                let passed = std::mem::replace(&mut self.first, later);
                assert!(passed.values().all(Option::is_none), "bytes in a gap: {passed:?}");
            }
        }
        self.next += chunk.data.length();
    }

    fn came(&mut self, offset: i64, bytes: &[u8], cut: u8) {
        let cut = (0..cut).map(|_| None);
        for (at, byte) in (offset..).zip(bytes.iter().map(|&byte| Some(byte)).chain(cut)) {
            if let Ok(at) = u64::try_from(at)
                && at >= self.next
            {
                self.first.entry(at).or_insert(byte);
            }
        }
    }
}

fuzz_target!(|input: (u32, Vec<Operation>)| {
    let (isn, operations) = input;
    let limits = small_limits();
    let mut patience = Patience::new(&limits);
    let (mut model, mut reassembler, mut now) = (Model::default(), Reassembler::default(), 0);
    reassembler.start(isn);
    let base = isn.wrapping_add(1);
    let position = |number, now| Position { packet: PacketId::new(0, number), at: Timestamp(now) };
    for (number, operation) in (1..).zip(&operations) {
        let at = position(number, now);
        let next = model.next as i64;
        let (ahead, length, cut, fin, altered) = match *operation {
            Operation::Segment { ahead, length, cut, fin, altered } => (ahead.into(), length, cut, fin, altered),
            Operation::Far { ahead, length } => (ahead, length, 0, false, 0),
            Operation::Acknowledge { ahead } => {
                let sequence = base.wrapping_add((next + i64::from(ahead)) as u32);
                reassembler.acknowledgement(at, sequence, &mut patience, &mut |chunk| model.take(&chunk));
                continue;
            }
            Operation::Wait { milliseconds } => {
                now += i64::from(milliseconds) * 1_000_000;
                continue;
            }
        };
        let offset = next + i64::from(ahead);
        let bytes: Vec<u8> =
            (offset..).take(length.into()).map(|offset| (offset as u8).wrapping_mul(7) ^ altered).collect();
        // Before the first byte nothing is looked at, although its end may reach into the stream.
        let in_window = i64::from(ahead).abs() <= 1 << 30 && offset >= 0;
        if in_window {
            model.came(offset, &bytes, cut);
        }
        let payload = Payload { sequence: base.wrapping_add(offset as u32), bytes: &bytes, cut: cut.into(), fin };
        reassembler.segment(at, payload, &limits, &mut patience, &mut |chunk| model.take(&chunk));
    }
    reassembler.finish(position(u64::MAX, now), &mut |chunk| model.take(&chunk));
    assert!(model.first.values().all(Option::is_none), "left behind: {:?}", model.first);
    let stats = reassembler.stats();
    assert_eq!(stats.bytes + stats.lost_bytes, model.next);
});
