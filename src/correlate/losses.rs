//! Where messages are missing, and how many.
//!
//! The offsets of the messages around a gap tell how many octets are missing, and the other messages of the direction how
//! long one is. When a missing message was sent is known only as between its neighbours.

use super::scene::Scene;
use super::sockets::Sockets;
use super::window::{Rank, Window};
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use rustc_hash::FxHashMap;
use std::ops::Range;

/// More in one gap are not counted one by one.
const MOST_COUNTED: u64 = 64;

/// Gaps of a window.
#[derive(Debug, Default)]
pub struct Losses {
    /// For a message right after a gap: how many are missing before it, as far as octets tell.
    before: FxHashMap<Rank, u32>,
    /// For each message: how many are missing before it in its direction altogether; none where nothing is missing.
    so_far: Vec<u32>,
    /// For each direction of a connection, the messages around each of its gaps, in order.
    around: FxHashMap<(u32, Direction), Vec<(Rank, Rank)>>,
}

/// The messages of one direction of a connection.
#[derive(Debug, Default)]
struct Lane {
    octets: u64,
    messages: u64,
    /// The latest so far, and how many are missing before it.
    last: Option<Rank>,
    missing: u32,
}

impl Losses {
    /// Looks for the gaps of a sorted window; `conns` are its connections, and `line_of` tells for each message the number of its
    /// own among them.
    pub fn find(window: &Window, sockets: &Sockets, conns: &[u32], line_of: &[u32]) -> Self {
        let mut found = Self::default();
        let has_gaps: Vec<bool> = conns.iter().map(|&conn| sockets.connection(conn).has_gaps()).collect();
        if !has_gaps.contains(&true) {
            return found;
        }
        let mut lanes: Vec<PerDirection<Lane>> = conns.iter().map(|_| PerDirection::default()).collect();
        let records = std::iter::zip(0.., std::iter::zip(window.records(), line_of));
        let in_question = records.map(|(rank, (record, &number))| (rank, record, number as usize));
        let in_question = in_question.filter(|&(_, _, number)| has_gaps[number]);
        for (rank, record, number) in in_question.clone() {
            let lane = &mut lanes[number][record.direction];
            lane.octets += window.wire_length(rank);
            lane.messages += 1;
        }
        found.so_far = vec![0; window.len()];
        // Those that connect to the same endpoint introduce themselves with about as many octets.
        let mut begin: FxHashMap<(Endpoint, Direction), u64> = FxHashMap::default();
        for record in window.records().iter().filter(|record| record.ordinal == 0) {
            let offset = begin.entry((sockets.connection(record.conn).server, record.direction)).or_insert(u64::MAX);
            *offset = record.offset.min(*offset);
        }
        for (rank, record, number) in in_question {
            let lane = &mut lanes[number][record.direction];
            let before = lane.last.replace(rank);
            found.so_far[rank as usize] = lane.missing;
            if !record.after_gap {
                continue;
            }
            found.around.entry((record.conn, record.direction)).or_default().push((before.unwrap_or(0), rank));
            let end = match before {
                Some(before) => Some(window.record(before).offset + window.wire_length(before)),
                None => begin.get(&(sockets.connection(record.conn).server, record.direction)).copied(),
            };
            let Some(end) = end else { continue };
            let missing = record.offset.saturating_sub(end);
            let mean = (lane.octets / lane.messages.max(1)).max(1);
            let count = ((missing + mean / 2) / mean).min(MOST_COUNTED) as u32;
            found.before.insert(rank, count);
            lane.missing += count;
            found.so_far[rank as usize] = lane.missing;
        }
        for (&conn, lanes) in std::iter::zip(conns, &lanes) {
            for (direction, lane) in lanes.iter() {
                if let Some(last) = lane.last.filter(|_| sockets.connection(conn).ends_in_gap(direction)) {
                    found.around.entry((conn, direction)).or_default().push((last, Rank::MAX));
                }
            }
        }
        found
    }

    /// How many messages are missing right before one; `None` if none are, or nobody knows how many.
    pub fn before(&self, rank: Rank) -> Option<u32> {
        self.before.get(&rank).copied()
    }

    /// The number of a message in its direction, those that are missing counted.
    pub fn number(&self, window: &Window, rank: Rank) -> u64 {
        window.record(rank).ordinal + u64::from(self.so_far.get(rank as usize).copied().unwrap_or(0))
    }

    /// Whether there are any gaps.
    pub fn is_empty(&self) -> bool {
        self.around.is_empty()
    }

    /// Whether messages of one direction of a connection may be missing between two ranks.
    pub fn are_between(&self, lane: (u32, Direction), after: Rank, before: Rank) -> bool {
        let Some(around) = self.around.get(&lane) else { return false };
        let next = around.partition_point(|&(_, end)| end <= after);
        around.get(next).is_some_and(|&(start, _)| start < before)
    }

    /// The gaps of several directions together.
    pub fn together(&self, lanes: impl Iterator<Item = (u32, Direction)>) -> Holes {
        let mut around: Vec<(Rank, Rank)> =
            lanes.filter_map(|lane| self.around.get(&lane)).flatten().copied().collect();
        around.sort_unstable();
        let mut latest = 0;
        for (_, end) in &mut around {
            latest = latest.max(*end);
            *end = latest;
        }
        Holes(around)
    }
}

/// When messages of certain directions may be missing: each begins after one message and ends before another; sorted, each
/// end replaced by the latest so far.
#[derive(Debug, Default)]
pub struct Holes(Vec<(Rank, Rank)>);

impl Holes {
    /// Whether a message may be missing between two ranks.
    pub fn are_between(&self, after: Rank, before: Rank) -> bool {
        let begun = self.0.partition_point(|&(start, _)| start < before);
        begun.checked_sub(1).is_some_and(|last| self.0[last].1 > after)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A message, or the place of one that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// It was not before this message.
    pub after: Rank,
    /// It was not after this message.
    pub before: Rank,
}

impl Slot {
    /// The message, if it is not missing.
    pub fn known(self) -> Option<Rank> {
        (self.after == self.before).then_some(self.after)
    }
}

/// The last of these places that is before another one.
pub fn latest_before<T>(places: &[T], among: Range<usize>, slot: impl Fn(&T) -> Slot, other: Slot) -> Option<usize> {
    let count = places[among.clone()].partition_point(|place| slot(place).after < other.before);
    (count > 0).then(|| among.start + count - 1)
}

/// Messages with places for those that are missing between two.
pub fn slots(ranks: &[Rank], missing_between: impl Fn(Rank, Rank) -> u64) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(ranks.len());
    let mut last: Option<Rank> = None;
    for &rank in ranks {
        if let Some(before) = last {
            let place = Slot { after: before.min(rank), before: before.max(rank) };
            slots.extend((0..missing_between(before, rank).min(MOST_COUNTED)).map(|_| place));
        }
        slots.push(Slot { after: rank, before: rank });
        last = Some(rank);
    }
    slots
}

/// How many messages are missing between two that would follow each other on their connection if none were.
pub fn missing_between(scene: &Scene<'_>, before: Rank, rank: Rank) -> u64 {
    let (other, record) = (scene.window.record(before), scene.window.record(rank));
    let follows =
        other.conn == record.conn && other.direction == record.direction && other.ordinal + 1 == record.ordinal;
    scene.losses.before(rank).filter(|_| follows).map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_between_the_messages_around_it() {
        let holes = Holes(vec![(10, 40), (20, 40), (50, 60)]);
        assert!(holes.are_between(30, 35));
        assert!(!holes.are_between(40, 50));
        assert!(holes.are_between(40, 51));
        assert!(!holes.are_between(0, 10));
        assert!(!holes.are_between(60, 99));
    }
}
