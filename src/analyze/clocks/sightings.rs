//! Packets that several captures hold.
//!
//! A packet is known by its addresses, ports, and TCP sequence and acknowledgement numbers. Of all packets of a file
//! those with the smallest hashes are kept, so that every file keeps the same ones, whenever its capture began.

use super::Difference;
use super::bounds::Bounds;
use crate::base::endpoint::Endpoint;
use crate::base::hash::hash_with_seed;
use crate::base::time::Timestamp;
use crate::capture::error::CaptureError;
use crate::capture::packet::{Next, PacketSource};
use crate::decap;
use crate::decap::segment::Segment;
use rustc_hash::{FxHashMap, FxHasher};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

/// So many packets of a file are read before it is another's turn, the first time; then twice as many, and so on.
const FIRST_ROUND: u64 = 4096;

/// Reading ends when each file has so many packets of each direction in common with others: the shortest of so many delays
/// is about as short as delays get.
const ENOUGH: usize = 1024;

/// The packets of several files.
pub(super) struct Sightings {
    files: Vec<Seen>,
    limit: usize,
}

/// The packets kept of one file, by their hash.
struct Seen {
    packets: FxHashMap<u64, Sighting>,
    /// Packets with a larger hash are not kept.
    largest: u64,
}

/// When a packet was first seen.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    at: Timestamp,
    /// Its connection, whichever way it travelled.
    connection: u64,
    /// From the smaller endpoint to the larger.
    upwards: bool,
}

/// The times from one file's sighting to another's, of one connection, by direction.
#[derive(Debug, Default)]
struct Deltas {
    upwards: Vec<i64>,
    downwards: Vec<i64>,
}

impl Sightings {
    /// For so many files, at most `limit` packets of each.
    pub(super) fn new(files: usize, limit: usize) -> Self {
        let files = (0..files).map(|_| Seen { packets: FxHashMap::default(), largest: u64::MAX }).collect();
        Self { files, limit: limit.max(16) }
    }

    /// Reads the files until enough is known, or to their ends.
    pub(super) fn read(
        &mut self,
        open: &mut dyn FnMut(usize) -> Result<Option<Box<dyn PacketSource>>, CaptureError>,
    ) -> Result<(), CaptureError> {
        let mut sources = (0..self.files.len()).map(open).collect::<Result<Vec<_>, _>>()?;
        let mut round = FIRST_ROUND;
        while sources.iter().any(Option::is_some) && !self.is_enough() {
            for (seen, place) in self.files.iter_mut().zip(&mut sources) {
                if let Some(source) = place
                    && seen.read(&mut **source, round, self.limit)?
                {
                    *place = None;
                }
            }
            round *= 2;
        }
        Ok(())
    }

    /// Whether every file has plenty in common with one before it.
    fn is_enough(&self) -> bool {
        (1..self.files.len()).all(|file| {
            (0..file).any(|earlier| {
                let (mut up, mut down) = (0, 0);
                for deltas in self.deltas(earlier, file).values() {
                    up += deltas.upwards.len();
                    down += deltas.downwards.len();
                }
                up.min(down) >= ENOUGH
            })
        })
    }

    fn deltas(&self, one: usize, other: usize) -> BTreeMap<u64, Deltas> {
        let (one, other) = (&self.files[one].packets, &self.files[other].packets);
        let mut deltas: BTreeMap<u64, Deltas> = BTreeMap::new();
        for (hash, first) in one {
            if let Some(second) = other.get(hash) {
                let of = deltas.entry(first.connection).or_default();
                let list = if first.upwards { &mut of.upwards } else { &mut of.downwards };
                list.push((second.at - first.at).0);
            }
        }
        deltas
    }

    /// How far the clock of file `other` is ahead of that of file `one`; `None` if nothing tells.
    pub(super) fn difference(&self, one: usize, other: usize) -> Option<Difference> {
        let mut bounds = Bounds::default();
        let mut one_way = Vec::new();
        for (_, mut deltas) in self.deltas(one, other) {
            let (Some(up), Some(down)) = (median(&mut deltas.upwards), median(&mut deltas.downwards)) else {
                one_way.extend(deltas.upwards.into_iter().chain(deltas.downwards));
                continue;
            };
            // The direction that takes longer, clocks included, is the one that passes `one` first.
            let (away, back) =
                if up >= down { (deltas.upwards, deltas.downwards) } else { (deltas.downwards, deltas.upwards) };
            bounds.upper.extend(away);
            bounds.lower.extend(back);
        }
        if bounds.len() > 0 {
            return bounds.difference();
        }
        // One direction only: which capture a packet passes first is unknown. Between them is no more than the delay.
        let middle = median(&mut one_way)?;
        let spread = one_way.last()?.saturating_sub(*one_way.first()?).max(1_000);
        Some(Difference { ahead: middle, uncertainty: spread, samples: one_way.len() as u64 })
    }
}

impl Seen {
    /// Reads up to `count` packets; whether there are no more.
    fn read(&mut self, source: &mut dyn PacketSource, count: u64, limit: usize) -> Result<bool, CaptureError> {
        for _ in 0..count {
            match source.next_packet()? {
                Next::Packet(packet) => {
                    if let Ok(segment) = decap::segment(&packet) {
                        self.add(&segment, packet.at, limit);
                    }
                }
                Next::Idle(_) => {}
                Next::End => return Ok(true),
            }
        }
        Ok(false)
    }

    fn add(&mut self, segment: &Segment<'_>, at: Timestamp, limit: usize) {
        let hash = hash(segment);
        if hash > self.largest {
            return;
        }
        let upwards = segment.source < segment.destination;
        let (low, high) =
            if upwards { (segment.source, segment.destination) } else { (segment.destination, segment.source) };
        let sighting = Sighting { at, connection: connection_hash(low, high), upwards };
        // What comes a second time was sent again.
        self.packets.entry(hash).or_insert(sighting);
        while self.packets.len() > limit {
            self.largest /= 2;
            let largest = self.largest;
            self.packets.retain(|&hash, _| hash <= largest);
        }
    }
}

/// What identifies a packet. Where it ends does not count: network cards cut segments and join them, but a first byte stays a
/// first byte more often than not. Of packets without data the acknowledgement tells which it is.
fn hash(segment: &Segment<'_>) -> u64 {
    let data = !segment.payload.is_empty() || segment.cut > 0;
    let acknowledgement = if data { None } else { segment.acknowledgement };
    let mut numbers = [0; 10];
    numbers[..4].copy_from_slice(&segment.sequence.to_be_bytes());
    numbers[4..8].copy_from_slice(&acknowledgement.unwrap_or(0).to_be_bytes());
    numbers[8] = u8::from(data) | u8::from(segment.flags.syn) << 1 | u8::from(segment.flags.fin && !data) << 2;
    numbers[9] = u8::from(segment.flags.rst);
    hash_with_seed(&numbers, connection_hash(segment.source, segment.destination))
}

/// Two endpoints as one number, the order mattering.
pub(super) fn connection_hash(one: Endpoint, other: Endpoint) -> u64 {
    let mut hasher = FxHasher::default();
    (one, other).hash(&mut hasher);
    hasher.finish()
}

fn median(values: &mut [i64]) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
