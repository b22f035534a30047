//! The messages under correlation: small records, in causal order as far as the capture shows it.

use super::clock::Clock;
use super::closed::content;
use crate::base::chunk::{PacketId, Position};
use crate::base::direction::Direction;
use crate::base::time::Timestamp;
use crate::zmtp::event::Message;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The longest identity (RFC 28: 1 to 255 octets).
const LONGEST_IDENTITY: u64 = 255;

/// First octets of the parts of a message that are kept to compare it with others, shared out evenly.
const COMPARED_OCTETS: usize = 640;

/// Stands between the octets of two parts, so that none runs on into the next.
const SEPARATOR: u8 = 0;

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
    /// Stream offset of its first octet.
    pub offset: u64,
    /// Where its last octet was found.
    pub position: Position,
    /// When the receiver could have all of it.
    pub available: Timestamp,
    /// The packet with which that was so.
    available_packet: PacketId,
    /// Messages before it in this direction of its connection may be missing.
    pub after_gap: bool,
    /// It is a CURVE MESSAGE that stays closed, or several: of its parts only the lengths are known.
    pub is_closed: bool,
    /// Its parts, in the window's list.
    parts: Range<u32>,
    /// The first octets of its parts, in the window's list.
    head: Range<u32>,
}

impl Record {
    /// By time, then packet: one number is compared faster than two. Those of one packet are of one direction, and come in order.
    fn order(&self) -> u128 {
        let time = self.available.0.cast_unsigned() ^ (1 << 63);
        u128::from(time) << 64 | u128::from(self.available_packet.as_one())
    }
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
    /// How many of its first octets are kept.
    kept: u8,
    /// Only its length is known, and the hashes are made of that.
    pub is_closed: bool,
}

impl PartRecord {
    /// One of which nothing is known but the length, and the hash of what follows it.
    fn closed(length: u64, after: u64) -> Self {
        let hash = mix(length, 0);
        Self { length, hash, suffix: mix(mix(after, hash), length), kept: 0, is_closed: true }
    }

    /// Whether this part can be an identity, and its octets are known.
    pub fn can_be_identity(&self) -> bool {
        self.has_length_of_identity() && !self.is_closed
    }

    /// Whether this part can be an identity by its length.
    pub(super) fn has_length_of_identity(&self) -> bool {
        (1..=LONGEST_IDENTITY).contains(&self.length)
    }
}

/// What becomes of a record when the parts of closed messages are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, with the parts that go into it.
    Stays,
    /// It is a part of the message of which the record at this index is the last part.
    GoesInto(usize),
    /// It is no message.
    Goes,
}

/// A message's index in the sorted window: smaller is earlier.
pub type Rank = u32;

/// The records of a window.
#[derive(Debug, Default)]
pub struct Window {
    records: Vec<Record>,
    parts: Vec<PartRecord>,
    /// Where the octets of the parts that can be identities are, by their hash. Peers choose identities, so it must not be
    /// known which meet in a table.
    identities: HashMap<u64, Range<u32>, RandomState>,
    octets: Vec<u8>,
    heads: Vec<u8>,
    is_out_of_order: bool,
    has_closed: bool,
    clock: Clock,
}

impl Window {
    /// Adds a message; `after_gap` if others may be missing before it.
    pub fn push(&mut self, conn: u32, key: u64, message: &Message<'_>, after_gap: bool) {
        let first = self.parts.len() as u32;
        let head = self.heads.len() as u32;
        // Encrypted ones are alike in nothing but the counters of their nonces.
        let mut room = if message.encrypted { 0 } else { COMPARED_OCTETS };
        let mut suffix = 0;
        let last = message.parts.len().saturating_sub(1);
        for (number, part) in message.parts.iter().enumerate().rev() {
            let hash = if part.missing == 0 { part.hash } else { mix(part.length, 0) };
            suffix = mix(mix(suffix, hash), part.length);
            let record = PartRecord { length: part.length, hash, suffix, kept: 0, is_closed: false };
            if number < last && part.missing == 0 && record.can_be_identity() {
                self.identities.entry(hash).or_insert_with(|| append(&mut self.octets, message.head(part)));
            }
            self.parts.push(record);
        }
        let parts = &mut self.parts[first as usize..];
        parts.reverse();
        for (number, (record, part)) in parts.iter_mut().zip(message.parts).enumerate() {
            let share = room / (message.parts.len() - number);
            let octets = if part.missing == 0 { message.head(part) } else { &[] };
            record.kept = octets.len().min(share).min(usize::from(u8::MAX)) as u8;
            room -= usize::from(record.kept);
            self.heads.extend_from_slice(&octets[..usize::from(record.kept)]);
            self.heads.extend((record.kept > 0 && number < last).then_some(SEPARATOR));
        }
        let closed = if message.encrypted { content(message) } else { None };
        if let (Some(length), [part]) = (closed, &mut self.parts[first as usize..]) {
            *part = PartRecord::closed(length, 0);
            self.has_closed = true;
        }
        let record = Record {
            key,
            conn,
            direction: message.direction,
            ordinal: message.ordinal,
            offset: message.offset,
            position: message.end,
            available: message.available.at,
            available_packet: message.available.packet,
            after_gap,
            is_closed: closed.is_some(),
            parts: first..self.parts.len() as u32,
            head: head..self.heads.len() as u32,
        };
        self.is_out_of_order |= self.records.last().is_some_and(|last| last.order() > record.order());
        self.records.push(record);
        let number = self.records.len() - 1;
        if let Some((wrong, at)) = self.clock.pass(number, message.available.at, message.available.packet) {
            self.is_out_of_order = true;
            for number in wrong {
                self.records[number].available = at;
            }
        }
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
        self.clock.forget();
        if std::mem::take(&mut self.is_out_of_order) {
            // Records are large: each is moved once, when it is known where it belongs.
            let mut from = in_capture_order(&self.records);
            for first in 0..from.len() {
                // Round the circle of places of which each gets what is at the next one, but for the last.
                let mut at = first;
                while from[at] as usize != first {
                    let next = std::mem::replace(&mut from[at], at as u32) as usize;
                    self.records.swap(at, next);
                    at = next;
                }
                from[at] = at as u32;
            }
        }
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

    /// About how many octets of its stream a message is: its parts and the headers of their frames (RFC 23).
    pub fn wire_length(&self, rank: Rank) -> u64 {
        self.parts(rank).iter().map(|part| part.length + if part.length > 255 { 9 } else { 2 }).sum()
    }

    /// The first octets of the parts of a record from a certain one on, with a separator between two.
    pub fn head(&self, rank: Rank, from: usize) -> &[u8] {
        let Range { start, end } = self.record(rank).head;
        let with_separator = |part: &PartRecord| u32::from(part.kept) + u32::from(part.kept > 0);
        let before: u32 = self.parts(rank).iter().take(from).map(with_separator).sum();
        &self.heads[(start + before).min(end) as usize..end as usize]
    }

    /// The octets of an identity, by its hash.
    pub fn identity(&self, hash: u64) -> Option<&[u8]> {
        self.identities.get(&hash).map(|octets| &self.octets[octets.start as usize..octets.end as usize])
    }

    /// Whether any message of it is closed.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Puts parts together, each into a later record. What was put together has the place of its last part, and its key,
    /// but begins where the first one does.
    pub(super) fn regroup(&mut self, fates: &[Fate]) {
        let mut waiting: HashMap<usize, Vec<usize>, RandomState> = HashMap::default();
        for (number, fate) in fates.iter().enumerate() {
            match *fate {
                Fate::GoesInto(last) => waiting.entry(last).or_default().push(number),
                Fate::Stays => {
                    let Some(before) = waiting.remove(&number) else { continue };
                    let start = self.parts.len();
                    for &part in before.iter().chain([&number]) {
                        let Range { start, end } = self.records[part].parts;
                        self.parts.extend_from_within(start as usize..end as usize);
                    }
                    let mut suffix = 0;
                    for part in self.parts[start..].iter_mut().rev() {
                        *part = PartRecord::closed(part.length, suffix);
                        suffix = part.suffix;
                    }
                    let first = &self.records[before[0]];
                    let offset = first.offset;
                    let after_gap = before.iter().any(|&part| self.records[part].after_gap);
                    let record = &mut self.records[number];
                    record.parts = start as u32..self.parts.len() as u32;
                    record.offset = offset;
                    record.after_gap |= after_gap;
                }
                Fate::Goes => {}
            }
        }
        let mut fates = fates.iter();
        self.records.retain(|_| fates.next() == Some(&Fate::Stays));
    }

    /// Keeps only the records for which `keep` says so, and what they need. The memory is used again: what grew anew in each
    /// window would leave the heap in pieces.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        self.records.retain(|_| keep.next() == Some(&true));
        move_to_front(&mut self.parts, self.records.iter_mut().map(|record| &mut record.parts).collect());
        move_to_front(&mut self.heads, self.records.iter_mut().map(|record| &mut record.head).collect());
        let mut named: HashSet<u64, RandomState> = HashSet::default();
        named.extend(self.parts.iter().filter(|part| part.can_be_identity()).map(|part| part.hash));
        self.identities.retain(|hash, _| named.contains(hash));
        move_to_front(&mut self.octets, self.identities.values_mut().collect());
        self.has_closed &= self.records.iter().any(|record| record.is_closed);
    }
}

/// The numbers of records, in their order. Most came in order, so only those are sorted that came late.
fn in_capture_order(records: &[Record]) -> Vec<u32> {
    let (mut in_order, mut late) = (Vec::with_capacity(records.len()), Vec::new());
    let mut latest = 0;
    for (number, order) in (0_u32..).zip(records.iter().map(Record::order)) {
        if order < latest {
            late.push((order, number));
        } else {
            latest = order;
            in_order.push(number);
        }
    }
    late.sort_unstable();
    let mut late = late.into_iter().peekable();
    let mut numbers = Vec::with_capacity(records.len());
    for number in in_order {
        let order = records[number as usize].order();
        while let Some((_, earlier)) = late.next_if(|late| *late < (order, number)) {
            numbers.push(earlier);
        }
        numbers.push(number);
    }
    numbers.extend(late.map(|(_, number)| number));
    numbers
}

/// Keeps only the items of these ranges, none of which overlap, and makes the ranges say where they are then.
fn move_to_front<T: Copy>(items: &mut Vec<T>, mut ranges: Vec<&mut Range<u32>>) {
    // What stands in front moves first: so each moves over what is not kept or was moved before.
    ranges.sort_by_key(|range| range.start);
    let mut end = 0;
    for range in ranges {
        items.copy_within(range.start as usize..range.end as usize, end as usize);
        let length = range.end - range.start;
        *range = end..end + length;
        end += length;
    }
    items.truncate(end as usize);
}

/// Keeps some octets with others.
fn append(all: &mut Vec<u8>, octets: &[u8]) -> Range<u32> {
    let first = all.len() as u32;
    all.extend_from_slice(octets);
    first..all.len() as u32
}

/// A hash of two hashes, order mattering.
pub fn mix(a: u64, b: u64) -> u64 {
    // The multiply-and-fold step of wyhash: every bit of both goes into every bit of the result.
    let product = u128::from(a ^ 0x9E37_79B9_7F4A_7C15) * u128::from(b ^ 0xD6E8_FEB8_6659_FD93);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::written::Written;

    #[test]
    fn the_octets_of_a_part_do_not_run_on_into_the_next() {
        let mut window = Window::default();
        let written = Written::new(&[b"", b"17", b"42", b""]);
        window.push(0, 0, &written.message(Direction::ClientToServer, 0, 0, Position::default()), false);
        let head = |from| window.head(0, from);
        assert_eq!(head(0), b"17\x0042\0");
        assert_eq!([head(1), head(2), head(3), head(4)], [&b"17\x0042\0"[..], b"42\0", b"", b""]);
    }

    #[test]
    fn messages_of_one_packet_keep_their_order_however_late_it_is() {
        let mut window = Window::default();
        for (key, packet) in [(0, 1), (1, 5), (2, 5), (3, 2), (4, 2), (5, 5), (6, 0), (7, 6), (8, 2)] {
            let position = Position { packet: PacketId::new(0, packet), at: Timestamp(packet as i64) };
            let written = Written::new(&[b""]);
            window.push(0, key, &written.message(Direction::ClientToServer, key, 0, position), false);
        }
        window.sort();
        let keys: Vec<u64> = window.records().iter().map(|record| record.key).collect();
        assert_eq!(keys, [6, 0, 3, 4, 8, 1, 2, 5, 7]);
    }

    #[test]
    fn what_is_kept_stays_whole_though_it_was_captured_out_of_order() {
        let mut window = Window::default();
        let body = |number: u64| format!("message {number}, {}", "x".repeat(number as usize));
        let identity = |number: u64| format!("client {}", number % 3);
        let times = [3, 0, 7, 1, 2, 9, 4, 8, 6, 5];
        for number in times {
            let (identity, body) = (identity(number), body(number));
            let written = Written::new(&[identity.as_bytes(), b"", body.as_bytes()]);
            let position = Position { packet: PacketId::new(0, number), at: Timestamp(number as i64) };
            window.push(0, number, &written.message(Direction::ClientToServer, number, 0, position), false);
        }
        window.sort();
        for kept in [&(0..10).collect::<Vec<u64>>()[..], &[1, 2, 4, 5, 7, 8], &[2, 8]] {
            let keep: Vec<bool> = window.records().iter().map(|record| kept.contains(&record.key)).collect();
            window.retain(&keep);
            assert_eq!(window.records().iter().map(|record| record.key).collect::<Vec<_>>(), kept);
            for (rank, &number) in (0..).zip(kept) {
                let lengths: Vec<u64> = window.parts(rank).iter().map(|part| part.length).collect();
                assert_eq!(lengths, [8, 0, body(number).len() as u64]);
                assert_eq!(window.head(rank, 1), body(number).as_bytes());
                let octets = window.identity(window.parts(rank)[0].hash);
                assert_eq!(octets, Some(identity(number).as_bytes()));
            }
        }
        assert_eq!((window.parts.len(), window.identities.len()), (6, 1), "nothing else is kept");
    }
}
