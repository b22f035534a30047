//! Packets that stay while their source is read on, so that one thread can read and another one work.
//!
//! A batch of a file takes over the buffer that the packets were read into; one of other sources has copies of them. Its
//! memory is used again for the next.

use super::packet::{LinkType, Packet};
use crate::base::chunk::PacketId;
use crate::base::time::{Duration, Timestamp};
use std::ops::Range;

/// Octets of a batch: enough that handing it over costs nothing beside the work on it, little enough for the second-level
/// cache.
pub(super) const OCTETS: usize = 512 << 10;

/// Packets of a batch of copies.
const PACKETS: usize = 8192;

/// Between the first and the last packet of a batch of copies, so that live none is late.
const SPAN: Duration = Duration(50_000_000);

/// Some packets of one source, in its order.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) octets: Vec<u8>,
    pub(super) packets: Vec<Entry>,
}

/// A packet without its octets.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: PacketId,
    pub(super) at: Timestamp,
    pub(super) link: LinkType,
    pub(super) wire_length: u32,
    pub(super) range: Range<usize>,
}

/// What a source has to say when it stops to fill a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The batch is full.
    More,
    /// All that was there is in it; more may take a while (pipes only).
    Drained,
    /// Nothing arrived for a while (live only). The time is the wall clock, for time-outs.
    Idle(Timestamp),
    /// No more packets.
    End,
}

impl Batch {
    /// Its packets.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.packets.iter().map(|entry| Packet {
            id: entry.id,
            at: entry.at,
            link: entry.link,
            bytes: &self.octets[entry.range.clone()],
            wire_length: entry.wire_length,
        })
    }

    /// How many it has.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Octets from its first packet to its last.
    pub fn octets(&self) -> usize {
        self.packets.last().map_or(0, |last| last.range.end - self.packets[0].range.start)
    }

    /// Octets of memory that it takes, whether they are in use or wait for it.
    pub fn memory(&self) -> usize {
        self.octets.capacity() + self.packets.capacity() * size_of::<Entry>()
    }

    /// Forgets them; the memory stays for the next.
    pub fn clear(&mut self) {
        self.packets.clear();
    }

    /// Adds a copy of a packet.
    pub(super) fn push(&mut self, packet: &Packet<'_>) {
        if self.packets.is_empty() {
            self.octets.clear();
        }
        let start = self.octets.len();
        self.octets.extend_from_slice(packet.bytes);
        let Packet { id, at, link, wire_length, .. } = *packet;
        self.packets.push(Entry { id, at, link, wire_length, range: start..self.octets.len() });
    }

    /// Whether it has enough copies, `most` being how many packets are wanted.
    pub(super) fn is_full(&self, most: u64) -> bool {
        let [first, .., last] = &self.packets[..] else { return self.packets.len() as u64 >= most };
        let count = self.packets.len();
        count as u64 >= most || count >= PACKETS || self.octets.len() >= OCTETS || last.at - first.at > SPAN
    }
}
