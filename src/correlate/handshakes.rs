//! In which order did the anonymous peers of a socket introduce themselves?
//!
//! A ROUTER numbers them about so. The order is kept as connections come and go: each has its place among all of its era,
//! and keeps it when others are released. Handshakes that are told of late move those behind them.

use super::sockets::Frontend;
use crate::base::chunk::PacketId;
use crate::base::time::Timestamp;
use rustc_hash::FxHashSet;

/// When both peers of a connection had introduced themselves.
pub type Introduced = (Timestamp, PacketId);

/// The anonymous connections of a socket, by era and handshake.
#[derive(Debug, Default)]
pub struct Handshakes {
    order: Vec<Handshake>,
    /// Those that came since the order was last brought up to date.
    fresh: Vec<Handshake>,
}

/// One of them. Sorts by era, then time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Handshake {
    era: u32,
    introduced: Introduced,
    conn: u32,
    /// Its number among all of its era.
    place: u32,
}

impl Handshake {
    fn key(&self) -> (u32, Introduced, u32) {
        (self.era, self.introduced, self.conn)
    }
}

impl Handshakes {
    /// A connection is anonymous, and introduced.
    pub(super) fn add(&mut self, era: u32, introduced: Introduced, conn: u32) {
        self.fresh.push(Handshake { era, introduced, conn, place: 0 });
    }

    /// Connections turned out not to be anonymous, or to have introduced themselves at another time. Only of those in order.
    pub(super) fn remove(&mut self, conns: &FxHashSet<u32>) {
        let mut removed = (u32::MAX, 0);
        self.order.retain_mut(|handshake| {
            if removed.0 != handshake.era {
                removed = (handshake.era, 0);
            }
            handshake.place -= removed.1;
            let is_removed = conns.contains(&handshake.conn);
            removed.1 += u32::from(is_removed);
            !is_removed
        });
    }

    /// Brings the order up to date.
    pub(super) fn settle(&mut self) {
        let Some(first) = self.fresh.iter().min().copied() else { return };
        self.fresh.sort_unstable();
        let at = self.order.partition_point(|handshake| *handshake < first);
        // Of the era that begins before, the places go on; those that stood behind the first fresh one move.
        let behind = self.order.split_off(at);
        let (mut behind, mut fresh) = (behind.into_iter().peekable(), self.fresh.drain(..).peekable());
        let mut moved = (u32::MAX, 0);
        loop {
            let comes_fresh = match (behind.peek(), fresh.peek()) {
                (Some(old), Some(new)) => new < old,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => break,
            };
            if comes_fresh {
                let Some(mut next) = fresh.next() else { break };
                if moved.0 != next.era {
                    moved = (next.era, 0);
                }
                moved.1 += 1;
                let same_era = |other: &&Handshake| other.era == next.era;
                let after = self.order.last().filter(same_era).map(|before| before.place + 1);
                next.place = after.or_else(|| behind.peek().filter(same_era).map(|old| old.place)).unwrap_or(0);
                self.order.push(next);
            } else if let Some(mut old) = behind.next() {
                old.place += if moved.0 == old.era { moved.1 } else { 0 };
                self.order.push(old);
            }
        }
    }

    /// Forgets released connections; the others keep their places.
    pub(super) fn retain(&mut self, is_known: impl Fn(u32) -> bool) {
        self.settle();
        self.order.retain(|handshake| is_known(handshake.conn));
    }

    /// Those of one era, up to date.
    pub(super) fn of_era(&self, era: u32) -> Order<'_> {
        debug_assert!(self.fresh.is_empty(), "the order is brought up to date before it is asked");
        let first = self.order.partition_point(|handshake| handshake.era < era);
        let count = self.order[first..].partition_point(|handshake| handshake.era == era);
        Order { handshakes: &self.order[first..first + count], only: None }
    }
}

/// The anonymous connections of a ROUTER in one of its eras, in the order of their handshakes.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    handshakes: &'a [Handshake],
    only: Option<u32>,
}

impl Order<'_> {
    /// Of a ROUTER that connects, and so has no other.
    pub(super) fn of_one(conn: Option<u32>) -> Self {
        Self { handshakes: &[], only: conn }
    }

    /// Where a connection stands; `introduced` when it did.
    pub fn place(&self, frontend: Frontend, introduced: Introduced, conn: u32) -> Option<u32> {
        if self.only == Some(conn) {
            return Some(0);
        }
        let key = (frontend.era, introduced, conn);
        let at = self.handshakes.binary_search_by(|handshake| handshake.key().cmp(&key)).ok()?;
        Some(self.handshakes[at].place)
    }

    /// Which connection stands there.
    pub fn at(&self, place: u32) -> Option<u32> {
        let found = self.handshakes.binary_search_by_key(&place, |handshake| handshake.place).ok();
        found.map(|at| self.handshakes[at].conn).or(self.only.filter(|_| place == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: i64) -> Introduced {
        (Timestamp(time), PacketId::new(0, 0))
    }

    fn places(handshakes: &Handshakes, era: u32) -> Vec<(u32, u32)> {
        handshakes.of_era(era).handshakes.iter().map(|handshake| (handshake.conn, handshake.place)).collect()
    }

    #[test]
    fn places_count_what_was_released_and_what_came_late() {
        let mut handshakes = Handshakes::default();
        for conn in 0..4 {
            handshakes.add(0, at(i64::from(conn) * 10), conn);
        }
        handshakes.settle();
        handshakes.retain(|conn| conn > 1);
        assert_eq!(places(&handshakes, 0), [(2, 2), (3, 3)]);
        handshakes.add(0, at(25), 7);
        handshakes.add(1, at(99), 8);
        handshakes.add(0, at(50), 9);
        handshakes.settle();
        assert_eq!(places(&handshakes, 0), [(2, 2), (7, 3), (3, 4), (9, 5)]);
        assert_eq!(places(&handshakes, 1), [(8, 0)]);
        handshakes.remove(&FxHashSet::from_iter([7]));
        assert_eq!(places(&handshakes, 0), [(2, 2), (3, 3), (9, 4)]);
        let order = handshakes.of_era(0);
        assert_eq!((order.at(3), order.at(0)), (Some(3), None));
    }
}
