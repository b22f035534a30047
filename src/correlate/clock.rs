//! Packets with a wrong time.
//!
//! Messages are put in the order of time, so one with a time far from that of all others around it would be joined to the
//! wrong ones, and so would all after it on its connection. A capture may pause, and then time goes on where it is; but when
//! packets after it are where those before it were, its time is wrong.

use crate::base::chunk::PacketId;
use crate::base::time::{Duration, Timestamp};

/// Time does not go on by so much from one message to the next, or back, unless it stays there.
const FAR: Duration = Duration::from_secs(60);

/// After so many messages it stays there.
const ENOUGH: usize = 8;

/// Follows the time of a capture.
#[derive(Debug, Default)]
pub struct Clock {
    /// The latest time in keeping with others.
    steady: Option<Timestamp>,
    /// Messages far from it, all near to each other.
    doubtful: Vec<usize>,
    /// The time and packet of the latest of them.
    latest: Option<(Timestamp, PacketId)>,
}

impl Clock {
    /// A message was recorded under a number. Gives the numbers of those before it whose time was wrong, and a better one.
    pub fn pass(&mut self, number: usize, at: Timestamp, packet: PacketId) -> Option<(Vec<usize>, Timestamp)> {
        let Some(steady) = self.steady else {
            self.steady = Some(at);
            return None;
        };
        let is_near = |other: Timestamp| (at - other).0.unsigned_abs() <= FAR.0.unsigned_abs();
        if is_near(steady) {
            // What was held back until now is no news.
            let is_news = self.latest.is_none_or(|(_, latest)| latest.file() == packet.file() && latest < packet);
            if is_news {
                self.steady = Some(at);
                let wrong = std::mem::take(&mut self.doubtful);
                self.latest = None;
                return (!wrong.is_empty()).then_some((wrong, steady));
            }
            return None;
        }
        if !self.latest.is_some_and(|(latest, _)| is_near(latest)) {
            self.doubtful.clear();
        }
        self.doubtful.push(number);
        self.latest = Some((at, packet));
        if self.doubtful.len() >= ENOUGH {
            self.steady = Some(at);
            self.forget();
        }
        None
    }

    /// The numbers are no longer valid.
    pub fn forget(&mut self) {
        self.doubtful.clear();
        self.latest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(clock: &mut Clock, number: usize, seconds: i64) -> Option<(Vec<usize>, Timestamp)> {
        clock.pass(number, Timestamp(seconds * 1_000_000_000), PacketId::new(0, number as u64))
    }

    #[test]
    fn a_time_far_from_those_around_it_is_wrong() {
        for wrong in [-1_000_000, 1_000_000] {
            let mut clock = Clock::default();
            assert_eq!(pass(&mut clock, 0, 1000), None);
            assert_eq!(pass(&mut clock, 1, wrong), None);
            assert_eq!(pass(&mut clock, 2, wrong), None, "two in one packet");
            assert_eq!(pass(&mut clock, 3, 1001), Some((vec![1, 2], Timestamp(1_000_000_000_000))));
            assert_eq!(pass(&mut clock, 4, 1002), None);
        }
    }

    #[test]
    fn a_capture_may_pause() {
        let mut clock = Clock::default();
        assert_eq!(pass(&mut clock, 0, 0), None);
        for number in 1..20 {
            assert_eq!(pass(&mut clock, number, 10_000 + number as i64), None);
        }
        assert_eq!(pass(&mut clock, 20, 0), None, "that is what is wrong now");
        assert_eq!(pass(&mut clock, 21, 10_021), Some((vec![20], Timestamp(10_019 * 1_000_000_000))));
    }
}
