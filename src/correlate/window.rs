//! The messages under correlation: small records, in causal order as far as the capture shows it.

use crate::base::chunk::{PacketId, Position};
use crate::base::direction::Direction;
use crate::base::time::Timestamp;
use crate::zmtp::event::Message;
use rustc_hash::FxHashMap;
use std::ops::Range;

/// The longest identity (RFC 28: 1 to 255 octets).
const LONGEST_IDENTITY: u64 = 255;

/// One message.
#[derive(Clone, Debug)]
pub struct Record {
    /// The same in every capture that saw it.
    pub key: u64,
    /// Number of its connection.
    pub conn: u32,
    /// Who sent it.
    pub direction: Direction,
    /// Number in its direction of its connection.
    pub ordinal: u64,
    /// Where its last octet was found.
    pub position: Position,
    /// When the receiver could have all of it.
    pub available: Timestamp,
    /// The packet with which that was so.
    available_packet: PacketId,
    /// Its parts, in the window's list.
    parts: Range<u32>,
}

/// One part of a message.
#[derive(Clone, Copy, Debug)]
pub struct PartRecord {
    /// Octets.
    pub length: u64,
    /// Hash of the octets; of the length alone where octets are missing.
    pub hash: u64,
    /// Hash of this part and all after it.
    pub suffix: u64,
}

impl PartRecord {
    /// Whether this part can be an identity.
    pub fn can_be_identity(&self) -> bool {
        (1..=LONGEST_IDENTITY).contains(&self.length)
    }
}

/// A message's index in the sorted window: smaller is earlier.
pub type Rank = u32;

/// The records of a window.
#[derive(Debug, Default)]
pub struct Window {
    records: Vec<Record>,
    parts: Vec<PartRecord>,
    /// Octets of the parts that can be identities, by their hash.
    identities: FxHashMap<u64, Box<[u8]>>,
}

impl Window {
    /// Adds a message.
    pub fn push(&mut self, conn: u32, key: u64, message: &Message<'_>) {
        let first = self.parts.len() as u32;
        let mut suffix = 0;
        let last = message.parts.len().saturating_sub(1);
        for (number, part) in message.parts.iter().enumerate().rev() {
            let hash = if part.missing == 0 { part.hash } else { mix(part.length, 0) };
            suffix = mix(mix(suffix, hash), part.length);
            let record = PartRecord { length: part.length, hash, suffix };
            if number < last && part.missing == 0 && record.can_be_identity() {
                self.identities.entry(hash).or_insert_with(|| message.head(part).into());
            }
            self.parts.push(record);
        }
        self.parts[first as usize..].reverse();
        self.records.push(Record {
            key,
            conn,
            direction: message.direction,
            ordinal: message.ordinal,
            position: message.end,
            available: message.available.at,
            available_packet: message.available.packet,
            parts: first..self.parts.len() as u32,
        });
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Puts the records in the order of their capture: by time, ties by packet. Messages of one direction keep their order.
    pub fn sort(&mut self) {
        self.records.sort_by_key(|r| (r.available, r.available_packet, r.conn, r.direction, r.ordinal));
    }

    /// All records, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// One record.
    pub fn record(&self, rank: Rank) -> &Record {
        &self.records[rank as usize]
    }

    /// The parts of a record.
    pub fn parts(&self, rank: Rank) -> &[PartRecord] {
        let Range { start, end } = self.record(rank).parts;
        &self.parts[start as usize..end as usize]
    }

    /// The octets of an identity, by its hash.
    pub fn identity(&self, hash: u64) -> Option<&[u8]> {
        self.identities.get(&hash).map(Box::as_ref)
    }

    /// Keeps only the records for which `keep` says so, and what they need.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut parts = Vec::new();
        let mut identities = FxHashMap::default();
        let mut number = 0;
        self.records.retain_mut(|record| {
            let kept = keep[number];
            number += 1;
            if kept {
                let first = parts.len() as u32;
                for part in &self.parts[record.parts.start as usize..record.parts.end as usize] {
                    if let Some(octets) = self.identities.remove(&part.hash) {
                        identities.insert(part.hash, octets);
                    }
                    parts.push(*part);
                }
                record.parts = first..parts.len() as u32;
            }
            kept
        });
        self.parts = parts;
        self.identities = identities;
    }
}

/// A hash of two hashes, order mattering.
pub fn mix(a: u64, b: u64) -> u64 {
    // The multiply-and-fold step of wyhash: every bit of both goes into every bit of the result.
    let product = u128::from(a ^ 0x9E37_79B9_7F4A_7C15) * u128::from(b ^ 0xD6E8_FEB8_6659_FD93);
    (product >> 64) as u64 ^ product as u64
}
