//! The data packets of one PGM source in the order of their sequence numbers (RFC 3208 section 3.6): repairs take the place of
//! what was lost, what never comes is handed on as a loss.
//!
//! A loss is declared on evidence: the source cannot repair it any more (its trailing edge is beyond), nobody asked for it
//! for some time, a limit was reached, or no more packets come.
//!
//! Invariant: numbers that are handed on, losses included, go up without a hole.

use crate::base::chunk::Position;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::decap::pgm::Data;
use std::collections::BTreeMap;

/// What comes out, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered<'a> {
    /// The TSDU of a packet.
    Unit(Unit<'a>),
    /// So many packets, from this number on, are not in the capture.
    Lost {
        /// Number of the first.
        number: u64,
        /// How many.
        packets: u64,
        /// The packet that proved it.
        position: Position,
    },
}

/// A TSDU in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// Its packet's number: 32 bits on the wire, and here what they were before they wrapped.
    pub number: u64,
    /// Where it was found.
    pub position: Position,
    /// A later fragment of a unit.
    pub continues: bool,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// Bytes of it that were not captured.
    pub cut: u32,
}

/// What happened to the packets of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceStats {
    /// Handed on.
    pub units: u64,
    /// Of these, repairs: the original is not in the capture, or came later.
    pub repaired: u64,
    /// Packets whose number had been handed on: repairs for others, mostly.
    pub repeated: u64,
    /// Packets that never came.
    pub lost: u64,
}

/// A TSDU that waits.
#[derive(Debug)]
struct Waiting {
    position: Position,
    continues: bool,
    is_repair: bool,
    bytes: Box<[u8]>,
    cut: u32,
}

/// The packets of one source.
#[derive(Debug, Default)]
pub struct Sequence {
    /// Number of the next to hand on; `None` before the first.
    next: Option<u64>,
    waiting: BTreeMap<u64, Waiting>,
    /// Bytes of those, each with [`OVERHEAD`].
    bytes: usize,
    /// Since when the next one is awaited; a NAK or NCF begins anew.
    since: Timestamp,
    stats: SequenceStats,
}

/// Numbers begin here, so that one a little before the first can be told from one far ahead.
const ORIGIN: u64 = 1 << 32;

/// Packets ahead of the next are no further than this: a number beyond is not of this source. `OpenPGM`'s windows hold as
/// many as are sent in some seconds.
const FURTHEST: u64 = 1 << 24;

/// Bytes of memory that a packet which waits takes beyond its own.
const OVERHEAD: usize = 64;

impl Sequence {
    /// What happened so far.
    pub fn stats(&self) -> SequenceStats {
        self.stats
    }

    /// The number, as on the wire, of the next packet to hand on; `None` if any may come first.
    pub fn awaited(&self) -> Option<u32> {
        self.next.map(|next| next as u32)
    }

    /// Bytes of memory of what waits, nearly.
    pub fn held(&self) -> usize {
        self.bytes
    }

    /// Whether the next packet to hand on is missing.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The source says that its window ends with `lead`, and that it cannot repair what is before `trail`.
    pub fn window(&mut self, position: Position, trail: u32, lead: u32, on: &mut impl FnMut(Ordered<'_>)) {
        match self.next {
            None => self.next = Some(ORIGIN + u64::from(lead) + 1),
            Some(next) => {
                let trail = extended(next, trail);
                if trail > next && trail - next <= FURTHEST {
                    self.give_up_before(trail, position, on);
                }
            }
        }
    }

    /// A receiver asked for a packet, or the source heard it: the repair may be on its way.
    pub fn asked(&mut self, position: Position) {
        self.since = self.since.max(position.at);
    }

    /// A data packet that is no parity.
    pub fn data(&mut self, position: Position, data: &Data<'_>, limits: &Limits, on: &mut impl FnMut(Ordered<'_>)) {
        let next = *self.next.get_or_insert(ORIGIN + u64::from(data.sequence));
        let number = extended(next, data.sequence);
        if number < next {
            self.stats.repeated += 1;
            return;
        }
        if number - next > FURTHEST {
            self.give_up(position, on);
            self.hand_on_loss(number, position, on);
        }
        let Data { continues, is_repair, tsdu: bytes, cut, .. } = *data;
        if self.next == Some(number) {
            self.hand_on(Unit { number, position, continues, bytes, cut }, is_repair, on);
            self.drain(position, on);
        } else if self.waiting.contains_key(&number) {
            self.stats.repeated += 1;
        } else {
            if self.waiting.is_empty() {
                self.since = position.at;
            }
            self.bytes += OVERHEAD + bytes.len();
            self.waiting.insert(number, Waiting { position, continues, is_repair, bytes: bytes.into(), cut });
        }
        let trail = extended(next, data.trail);
        if trail > next && trail <= number {
            self.give_up_before(trail, position, on);
        }
        while self.bytes > limits.repair_bytes || self.waiting.len() > limits.repair_packets {
            self.skip_to_waiting(position, on);
        }
        self.tick(position, limits, on);
    }

    /// Time passes.
    pub fn tick(&mut self, position: Position, limits: &Limits, on: &mut impl FnMut(Ordered<'_>)) {
        while self.is_waiting() && position.at - self.since > limits.repair_time {
            self.skip_to_waiting(position, on);
        }
    }

    /// No more packets come.
    pub fn give_up(&mut self, position: Position, on: &mut impl FnMut(Ordered<'_>)) {
        while self.is_waiting() {
            self.skip_to_waiting(position, on);
        }
    }

    fn give_up_before(&mut self, number: u64, position: Position, on: &mut impl FnMut(Ordered<'_>)) {
        while self.next.is_some_and(|next| next < number) {
            let first = self.waiting.first_key_value().map_or(number, |(&first, _)| first.min(number));
            self.hand_on_loss(first, position, on);
            self.drain(position, on);
        }
    }

    fn skip_to_waiting(&mut self, position: Position, on: &mut impl FnMut(Ordered<'_>)) {
        if let Some((&first, _)) = self.waiting.first_key_value() {
            self.hand_on_loss(first, position, on);
            self.drain(position, on);
        }
    }

    /// All up to `end` is lost.
    fn hand_on_loss(&mut self, end: u64, position: Position, on: &mut impl FnMut(Ordered<'_>)) {
        let number = self.next.unwrap_or(end);
        let packets = end - number;
        if packets > 0 {
            self.stats.lost += packets;
            self.next = Some(end);
            on(Ordered::Lost { number, packets, position });
        }
    }

    fn drain(&mut self, position: Position, on: &mut impl FnMut(Ordered<'_>)) {
        while let Some(first) = self.waiting.first_entry()
            && self.next == Some(*first.key())
        {
            let (number, Waiting { position, continues, is_repair, bytes, cut }) = first.remove_entry();
            self.bytes -= OVERHEAD + bytes.len();
            self.hand_on(Unit { number, position, continues, bytes: &bytes, cut }, is_repair, on);
        }
        self.since = self.since.max(position.at);
    }

    fn hand_on(&mut self, unit: Unit<'_>, is_repair: bool, on: &mut impl FnMut(Ordered<'_>)) {
        self.next = Some(unit.number + 1);
        self.stats.units += 1;
        self.stats.repaired += u64::from(is_repair);
        on(Ordered::Unit(unit));
    }
}

/// The number nearest to `next` that ends in these 32 bits.
fn extended(next: u64, sequence: u32) -> u64 {
    let ahead = sequence.wrapping_sub(next as u32) as i32;
    next.saturating_add_signed(i64::from(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::chunk::PacketId;

    fn at(ms: i64) -> Position {
        Position { packet: PacketId::new(0, ms as u64), at: Timestamp(ms * 1_000_000) }
    }

    fn data(sequence: u32, trail: u32) -> Data<'static> {
        let tsdu = b"\0\0\x02\0x";
        Data { sequence, trail, is_repair: false, is_parity: false, continues: false, tsdu, cut: 0 }
    }

    /// Numbers as the wire has them; losses as ranges.
    fn give(sequence: &mut Sequence, ms: i64, packet: &Data<'_>) -> Vec<(u32, u64)> {
        let mut found = Vec::new();
        sequence.data(at(ms), packet, &Limits::default(), &mut |ordered| found.push(brief(&ordered)));
        found
    }

    fn brief(ordered: &Ordered<'_>) -> (u32, u64) {
        match *ordered {
            Ordered::Unit(unit) => (unit.number as u32, 0),
            Ordered::Lost { number, packets, .. } => (number as u32, packets),
        }
    }

    #[test]
    fn a_repair_takes_its_place() {
        let mut sequence = Sequence::default();
        assert_eq!(give(&mut sequence, 0, &data(7, 0)), [(7, 0)]);
        assert_eq!(give(&mut sequence, 1, &data(9, 0)), []);
        assert_eq!(give(&mut sequence, 2, &data(10, 0)), []);
        let repair = Data { is_repair: true, ..data(8, 0) };
        assert_eq!(give(&mut sequence, 3, &repair), [(8, 0), (9, 0), (10, 0)]);
        assert_eq!(give(&mut sequence, 4, &repair), [], "once is enough");
        let stats = sequence.stats();
        assert_eq!((stats.units, stats.repaired, stats.repeated, stats.lost), (4, 1, 1, 0));
    }

    #[test]
    fn numbers_wrap() {
        let mut sequence = Sequence::default();
        assert_eq!(give(&mut sequence, 0, &data(u32::MAX, 0)), [(u32::MAX, 0)]);
        assert_eq!(give(&mut sequence, 1, &data(1, 0)), []);
        assert_eq!(give(&mut sequence, 2, &data(0, 0)), [(0, 0), (1, 0)]);
    }

    #[test]
    fn what_cannot_be_repaired_is_lost() {
        let mut sequence = Sequence::default();
        assert_eq!(give(&mut sequence, 0, &data(1, 0)), [(1, 0)]);
        assert_eq!(give(&mut sequence, 1, &data(5, 0)), []);
        assert_eq!(give(&mut sequence, 2, &data(6, 5)), [(2, 3), (5, 0), (6, 0)]);
        assert_eq!(sequence.stats().lost, 3);
    }

    #[test]
    fn patience_ends_unless_somebody_asks() {
        let mut sequence = Sequence::default();
        assert_eq!(give(&mut sequence, 0, &data(1, 0)), [(1, 0)]);
        assert_eq!(give(&mut sequence, 1, &data(3, 0)), []);
        sequence.asked(at(900));
        assert_eq!(give(&mut sequence, 1500, &data(4, 0)), []);
        assert_eq!(give(&mut sequence, 2500, &data(5, 0)), [(2, 1), (3, 0), (4, 0), (5, 0)]);
    }

    #[test]
    fn a_window_says_where_to_begin() {
        let mut sequence = Sequence::default();
        sequence.window(at(0), 0, u32::MAX, &mut |_| panic!("nothing yet"));
        assert_eq!(give(&mut sequence, 1, &data(1, 0)), [], "0 is missing");
        assert_eq!(give(&mut sequence, 2, &data(0, 0)), [(0, 0), (1, 0)]);
    }

    #[test]
    fn limits_hold_and_far_numbers_do_not_wait() {
        let limits = Limits { repair_packets: 4, ..Limits::default() };
        let mut sequence = Sequence::default();
        let mut found = Vec::new();
        for number in [1, 3, 5, 7, 9, 11] {
            sequence.data(at(1), &data(number, 0), &limits, &mut |ordered| found.push(brief(&ordered)));
        }
        assert_eq!(found, [(1, 0), (2, 1), (3, 0)]);
        let far = 1 << 30;
        sequence.data(at(1), &data(far, 0), &limits, &mut |ordered| found.push(brief(&ordered)));
        assert_eq!(found.last(), Some(&(far, 0)));
    }
}
