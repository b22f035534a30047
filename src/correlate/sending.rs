//! In which order did a DEALER send what left over several connections at once?
//!
//! A capture shows when the messages of a burst left the machine, not when the DEALER sent them. But a DEALER gives its
//! connections one message each in turn (RFC 28), in the order in which they came up, so the place of a message on its
//! connection tells its place in the whole. That holds while the connections stay the same and nothing is missing; where
//! the times of the capture do not agree, they decide.

use super::scene::Scene;
use super::window::Rank;
use crate::base::direction::Direction;
use crate::base::time::Duration;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Connections between which turns are looked for; beyond, bursts that spread over several rounds are rare.
const MOST_LANES: usize = 32;

/// Messages looked at to find the turns.
const SAMPLE: usize = 512;

/// Orders of turns from which better ones are looked for, and how far apart lanes are that are exchanged if
/// that costs much less.
const STARTS: usize = 3;
const MUCH_LESS: f64 = 0.7;
const REACH: usize = 6;

/// Pauses at which connections are compared, and how long they are at least.
const PAUSES: usize = 15;
const PAUSE: Duration = Duration::from_millis(1);

/// How far back in time the next in turn may have been captured, on average, for turns to be believed.
const MEAN_BACKWARDS_NS: f64 = 500_000.0;

/// The places of messages in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Sending {
    places: FxHashMap<Rank, u64>,
    /// Those places in order. Some are left out where messages are missing.
    taken: Vec<u64>,
    /// Nothing is missing: else turns are counted by the octets of gaps.
    is_sure: bool,
}

/// The messages that a DEALER sent over one of its connections.
struct Lane {
    conn: u32,
    messages: Vec<Rank>,
}

impl Sending {
    /// Finds the order of messages that one socket sent. Empty where turns explain nothing.
    pub(super) fn find(scene: &Scene<'_>, messages: &[Rank]) -> Self {
        let lanes = lanes(scene, messages);
        if !(2..=MOST_LANES).contains(&lanes.len()) || messages.len() < 2 * lanes.len() {
            return Self::default();
        }
        let order = |rounds: &[i64], turns: &[usize], most: usize| {
            let mut order: Vec<(i64, Rank)> = Vec::with_capacity(messages.len().min(most));
            for ((lane, rounds), &turn) in lanes.iter().zip(rounds).zip(turns) {
                let place = |rank: Rank| (ordinal(scene, rank) + rounds) * lanes.len() as i64 + turn as i64;
                order.extend(lane.messages.iter().take(most / lanes.len()).map(|&rank| (place(rank), rank)));
            }
            order.sort_unstable();
            order
        };
        let in_turns = |rounds: &[i64]| {
            let turns = best_turns(lanes.len(), |turns| backwards(scene, &order(rounds, turns, SAMPLE)));
            let order = order(rounds, &turns, usize::MAX);
            (backwards(scene, &order), order)
        };
        let rounds = rounds(scene, &lanes, messages);
        let (mut cost, mut order) = in_turns(&rounds);
        // What is missing may look like rounds that were missed.
        let has_gaps = messages.iter().any(|&rank| scene.connection(rank).has_gaps());
        if has_gaps && rounds.iter().any(|&missed| missed != 0) {
            let (other, in_time) = in_turns(&vec![0; lanes.len()]);
            if other < cost {
                (cost, order) = (other, in_time);
            }
        }
        let mean = cost / messages.len() as f64;
        if mean > MEAN_BACKWARDS_NS {
            return Self::default();
        }
        let is_sure = !messages.iter().any(|&rank| scene.connection(rank).has_gaps());
        let first = order[0].0;
        let taken: Vec<u64> = order.iter().map(|&(place, _)| (place - first) as u64).collect();
        Self { places: order.iter().map(|&(_, rank)| rank).zip(taken.iter().copied()).collect(), taken, is_sure }
    }

    /// Whether the order is known.
    pub(super) fn is_known(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether nothing speaks against it.
    pub(super) fn is_sure(&self) -> bool {
        self.is_sure && self.is_known()
    }

    /// How many messages are missing between two.
    pub(super) fn missing_between(&self, one: Rank, other: Rank) -> u64 {
        let (Some(&one), Some(&other)) = (self.places.get(&one), self.places.get(&other)) else { return 0 };
        let until = |place: u64| self.taken.partition_point(|&taken| taken < place) as u64;
        (other.saturating_sub(one)).saturating_sub(until(other).saturating_sub(until(one)))
    }

    /// Where a message stands in it.
    pub(super) fn place(&self, rank: Rank) -> u64 {
        self.places.get(&rank).copied().unwrap_or(u64::from(rank))
    }
}

/// The connections in the order in which they came up.
fn lanes(scene: &Scene<'_>, messages: &[Rank]) -> Vec<Lane> {
    let mut numbers: FxHashMap<u32, usize> = FxHashMap::default();
    let mut lanes: Vec<Lane> = Vec::new();
    for &rank in messages {
        let conn = scene.window.record(rank).conn;
        let number = *numbers.entry(conn).or_insert(lanes.len());
        if number == lanes.len() {
            lanes.push(Lane { conn, messages: Vec::new() });
        }
        lanes[number].messages.push(rank);
    }
    lanes.sort_by_key(|lane| {
        let connection = scene.sockets.connection(lane.conn);
        let introduced = |direction: Direction| connection.peers[direction].introduced.map(|position| position.at);
        let up = introduced(Direction::ClientToServer).max(introduced(Direction::ServerToClient));
        (up.unwrap_or(connection.opened), Reverse(lane.messages.len()), lane.conn)
    });
    lanes
}

fn ordinal(scene: &Scene<'_>, rank: Rank) -> i64 {
    scene.losses.number(scene.window, rank) as i64
}

/// How many rounds each lane missed because it came up later than the first: what that had sent more at times when none was
/// in a hurry.
fn rounds(scene: &Scene<'_>, lanes: &[Lane], messages: &[Rank]) -> Vec<i64> {
    let delays = messages.windows(2).map(|pair| (Reverse(scene.delay(pair[0], pair[1])), pair[0]));
    let mut pauses: Vec<(Reverse<Duration>, Rank)> = delays.filter(|(delay, _)| delay.0 >= PAUSE).collect();
    pauses.sort_unstable();
    pauses.truncate(PAUSES);
    pauses.extend(messages.last().map(|&last| (Reverse(PAUSE), last)));
    // At least, and at most: some may be missing.
    let sent = |lane: &Lane, until: Rank| {
        let count = lane.messages.partition_point(|&rank| rank <= until);
        let next = lane.messages.get(count).map(|&next| ordinal(scene, next));
        let last = count.checked_sub(1).map(|last| ordinal(scene, lane.messages[last]) + 1);
        let surely = last.or(next).unwrap_or_default();
        // Messages whose times are wrong may stand in another order than they were sent in.
        (surely, next.map_or(surely, |next| next.max(surely)))
    };
    let ahead = |lane: &Lane| {
        let mut ahead: Vec<i64> = pauses
            .iter()
            .map(|&(_, until)| {
                let ((first, first_most), (least, most)) = (sent(&lanes[0], until), sent(lane, until));
                0.max(first - most).min(first_most - least)
            })
            .collect();
        ahead.sort_unstable();
        // By one they differ in every round.
        ahead.get(ahead.len() / 2).copied().filter(|ahead| ahead.abs() > 1).unwrap_or(0)
    };
    lanes.iter().map(ahead).collect()
}

/// The order of lanes that costs least: that in which they came up, beginning anywhere, unless exchanging two at a time
/// makes it much better. Handshakes at about the same time may end in another order than they are seen to.
fn best_turns(count: usize, cost: impl Fn(&[usize]) -> f64) -> Vec<usize> {
    let rotations = (0..count).map(|first| (0..count).map(|lane| (lane + first) % count).collect::<Vec<_>>());
    let mut starts: Vec<(f64, Vec<usize>)> = rotations.map(|turns| (cost(&turns), turns)).collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut least, mut best) = starts[0].clone();
    starts.truncate(STARTS);
    for (cost_so_far, mut turns) in starts {
        let mut now = cost_so_far;
        let mut improved = true;
        while improved {
            improved = false;
            for one in 0..count {
                for other in one + 1..count.min(one + REACH) {
                    turns.swap(one, other);
                    let exchanged = cost(&turns);
                    if exchanged < MUCH_LESS * now {
                        (now, improved) = (exchanged, true);
                    } else {
                        turns.swap(one, other);
                    }
                }
            }
        }
        if now < MUCH_LESS * least {
            (least, best) = (now, turns);
        }
    }
    best
}

/// By how much the times of messages go backwards in an order, together.
fn backwards(scene: &Scene<'_>, order: &[(i64, Rank)]) -> f64 {
    let at = |rank: Rank| scene.window.record(rank).available.0;
    order.windows(2).map(|pair| (at(pair[0].1) - at(pair[1].1)).max(0) as f64).sum()
}
