//! What came into a device joined to what went out, where it is known which sockets are its.
//!
//! Equal content, in order: of a publication a copy on each connection, of a task one on one connection. Where the same
//! content came in several times, two ways of counting are compared: each copy is the earliest that it can be, or the latest.
//! Where both agree there is no other way; where they do not, the shorter delays are likelier, and the confidence says so.

use super::devices::{Devices, can_pass};
use super::{Rank, Traffic};
use crate::base::time::Duration;
use crate::correlate::path::Evidence;
use crate::correlate::sockets::SocketId;
use rustc_hash::{FxHashMap, FxHashSet};

/// There is no other way to count.
const CERTAIN: f64 = 0.999;

/// Equal messages of several connections waited at once, or left over several at once.
const SEVERAL_QUEUES: f64 = 0.6;

/// Equal messages, some of which did not go out.
const SOME_LOST: f64 = 0.8;

/// By how much the delays of one way to count are shorter (of their logarithms, on average), and how sure that is.
const SHORTER: [(f64, f64); 3] = [(2.3, 0.95), (1.0, 0.8), (0.0, 0.6)];

/// Delays below this are alike.
const SHORTEST_DELAY: Duration = Duration::from_micros(20);

/// Why a message exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// The message that came in.
    pub(super) cause: Rank,
    /// What joins them.
    pub(super) evidence: Evidence,
    /// How sure, 0 to 1.
    pub(super) confidence: f64,
}

/// For each message of a window: what it is a copy of.
pub(super) fn find(traffic: Traffic<'_>, devices: &Devices, by_content: &[(u64, Rank)]) -> Vec<Option<Link>> {
    let mut links = vec![None; traffic.records.len()];
    let pools = Pools::new(traffic, devices);
    let (mut ways, mut departures, mut arrivals, mut pairs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for group in by_content.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        ways.clear();
        ways.extend(group.iter().filter_map(|&(_, rank)| Some((pools.way(traffic, rank)?, rank))));
        ways.sort_unstable();
        let mut of_pool = None;
        for left in ways.chunk_by(|a, b| a.0 == b.0) {
            let (way, first) = left[0];
            departures.clear();
            departures.extend(left.iter().map(|(_, rank)| *rank));
            if of_pool.replace(way.pool) != Some(way.pool) {
                let enters = |rank: &Rank| pools.enters(way.pool, traffic.lane(*rank).receiver);
                arrivals.clear();
                arrivals.extend(group.iter().map(|(_, rank)| *rank).filter(enters));
            }
            let patience = way.conn.map(|_| devices.patience(traffic.lane(first).sender));
            pairs.clear();
            pair(traffic, &arrivals, &departures, patience, &mut pairs);
            for &(departure, arrival, confidence) in &pairs {
                let (entered, left) = (traffic.lane(arrival).receiver, traffic.lane(departure).sender);
                let source = devices.sources(left).iter().find(|source| source.socket == entered);
                let evidence = if arrivals.len() == 1 { Evidence::Content } else { Evidence::Order };
                let source = source.filter(|_| can_pass(traffic, arrival, departure));
                links[departure as usize] =
                    source.map(|source| Link { cause: arrival, evidence, confidence: confidence * source.confidence });
            }
        }
    }
    links
}

/// Messages among which each that came in leaves once at most: all of a device's PUSH sockets, or one connection of a PUB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    pool: u32,
    conn: Option<u32>,
}

/// Sockets that send the same, and where it comes from.
struct Pools {
    of_sender: FxHashMap<SocketId, u32>,
    entries: FxHashSet<(u32, SocketId)>,
}

impl Pools {
    fn new(traffic: Traffic<'_>, devices: &Devices) -> Self {
        let mut pools = Self { of_sender: FxHashMap::default(), entries: FxHashSet::default() };
        let mut count = 0;
        let mut exclusive: FxHashMap<SocketId, u32> = FxHashMap::default();
        for rank in 0..traffic.records.len() as Rank {
            let lane = traffic.lane(rank);
            if pools.of_sender.contains_key(&lane.sender) {
                continue;
            }
            let sources: Vec<SocketId> = devices.sources(lane.sender).iter().map(|source| source.socket).collect();
            if sources.is_empty() {
                continue;
            }
            // A PUSH that connects to several workers is several sockets here.
            let shared = sources.iter().find_map(|source| exclusive.get(source)).filter(|_| lane.is_exclusive());
            let pool = shared.copied().unwrap_or(count);
            count = count.max(pool + 1);
            if lane.is_exclusive() {
                exclusive.extend(sources.iter().map(|&source| (source, pool)));
            }
            pools.entries.extend(sources.into_iter().map(|source| (pool, source)));
            pools.of_sender.insert(lane.sender, pool);
        }
        pools
    }

    /// The way of a message that left a device.
    fn way(&self, traffic: Traffic<'_>, rank: Rank) -> Option<Way> {
        let lane = traffic.lane(rank);
        let pool = *self.of_sender.get(&lane.sender)?;
        Some(Way { pool, conn: (!lane.is_exclusive()).then(|| traffic.record(rank).conn) })
    }

    fn enters(&self, pool: u32, receiver: SocketId) -> bool {
        self.entries.contains(&(pool, receiver))
    }
}

/// Departures with their arrivals, all of the same content and in order, and how sure each is.
fn pair(
    traffic: Traffic<'_>,
    arrivals: &[Rank],
    departures: &[Rank],
    patience: Option<Duration>,
    pairs: &mut Vec<(Rank, Rank, f64)>,
) {
    if let [arrival] = arrivals {
        let after = departures.iter().find(|departure| *departure > arrival);
        pairs.extend(after.map(|&departure| (departure, *arrival, CERTAIN)));
        return;
    }
    let earliest = earliest(traffic, arrivals, departures, patience);
    let latest = latest(arrivals, departures);
    let cost = |departure: usize, arrival: usize| {
        ((traffic.delay(arrivals[arrival], departures[departure]).0 + SHORTEST_DELAY.0) as f64).ln()
    };
    let mut chosen: Vec<Option<(usize, f64)>> = Vec::with_capacity(departures.len());
    let mut at = 0;
    while at < departures.len() {
        let differs = |at: usize| matches!((earliest[at], latest[at]), (Some(one), Some(other)) if one != other);
        if !differs(at) {
            chosen.push(earliest[at].or(latest[at]).map(|arrival| (arrival, CERTAIN)));
            at += 1;
            continue;
        }
        // Those that are counted differently hang together.
        let end = (at..departures.len()).find(|&at| !differs(at)).unwrap_or(departures.len());
        let sum = |way: &[Option<usize>]| -> f64 {
            (at..end).filter_map(|at| way[at].map(|arrival| cost(at, arrival))).sum()
        };
        let (one, other) = (sum(&earliest), sum(&latest));
        let way = if one < other { &earliest } else { &latest };
        let margin = (one - other).abs() / (end - at) as f64;
        let confidence = SHORTER.iter().find(|(least, _)| margin >= *least).map_or(SHORTER[2].1, |found| found.1);
        chosen.extend((at..end).map(|at| way[at].map(|arrival| (arrival, confidence))));
        at = end;
    }
    doubt_queues(traffic, arrivals, departures, &mut chosen);
    doubt_losses(&mut chosen);
    let chosen = departures.iter().zip(chosen);
    pairs.extend(
        chosen.filter_map(|(&departure, chosen)| chosen.map(|(at, confidence)| (departure, arrivals[at], confidence))),
    );
}

/// Each departure is the earliest arrival that it can be. What waited longer than `patience` was not passed on.
fn earliest(
    traffic: Traffic<'_>,
    arrivals: &[Rank],
    departures: &[Rank],
    patience: Option<Duration>,
) -> Vec<Option<usize>> {
    let mut next = 0;
    departures
        .iter()
        .map(|&departure| {
            if let Some(patience) = patience {
                let is_over = |&arrival: &Rank| traffic.delay(arrival, departure) > patience;
                next = next.max(arrivals.partition_point(is_over));
            }
            let found = arrivals.get(next).is_some_and(|&arrival| arrival < departure).then_some(next);
            next += usize::from(found.is_some());
            found
        })
        .collect()
}

/// Each departure is the latest arrival that it can be.
fn latest(arrivals: &[Rank], departures: &[Rank]) -> Vec<Option<usize>> {
    let mut before = arrivals.len();
    let mut found: Vec<Option<usize>> = departures
        .iter()
        .rev()
        .map(|&departure| {
            before = before.min(arrivals.partition_point(|&arrival| arrival < departure));
            before = before.checked_sub(1)?;
            Some(before)
        })
        .collect();
    found.reverse();
    found
}

/// Where some that came in between did not go out, which of them is not certain.
fn doubt_losses(chosen: &mut [Option<(usize, f64)>]) {
    let mut passed = chosen.iter().flatten().map(|&(arrival, _)| arrival);
    let Some(first) = passed.next() else { return };
    let (last, count) = passed.fold((first, 1), |(_, count), arrival| (arrival, count + 1));
    if last - first + 1 > count {
        for (_, confidence) in chosen.iter_mut().flatten() {
            *confidence = confidence.min(SOME_LOST);
        }
    }
}

/// Equal messages that were in the device at the same time, and came or went by different connections, may have changed
/// places: all that hang together so.
fn doubt_queues(traffic: Traffic<'_>, arrivals: &[Rank], departures: &[Rank], chosen: &mut [Option<(usize, f64)>]) {
    let conn = |rank: Rank| traffic.record(rank).conn;
    let mut from = 0;
    while from < chosen.len() {
        let (mut to, mut last) = (from + 1, departures[from]);
        let (mut queues, mut ways) = (false, false);
        while let Some(&next) = chosen.get(to) {
            if let (Some((at, _)), Some((before, _))) = (next, chosen[to - 1]) {
                if arrivals[at] > last {
                    break;
                }
                queues |= conn(arrivals[at]) != conn(arrivals[before]);
            }
            ways |= conn(departures[to]) != conn(departures[to - 1]);
            last = departures[to];
            to += 1;
        }
        let doubt = if queues || ways { SEVERAL_QUEUES } else { CERTAIN };
        for (_, confidence) in chosen[from..to].iter_mut().flatten() {
            *confidence = confidence.min(doubt);
        }
        from = to;
    }
}
