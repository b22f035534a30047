//! Which socket of a host sends what which other one received.
//!
//! The same content came in first and went out later, for several contents, never the other way round. Where contents are
//! not told apart (heartbeats), what goes out each time follows shortly on what came in. Several sockets of a host may have
//! received the same: a device after another one, a subscriber of the device, another connection of the publisher. XSUB and
//! PULL are there to pass on, each rather its own than what another one passes on already, and the latest is the nearest.

use super::lanes::Lane;
use super::{Rank, Traffic};
use crate::base::direction::Direction;
use crate::base::time::Duration;
use crate::correlate::sockets::{SocketId, Sockets};
use crate::zmtp::wire::socket_type::SocketType as S;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Contents looked at in a window, spread over all of them.
const SAMPLE: usize = 512;

/// Messages of one content looked at, where it is repeated.
const REPEATED: usize = 256;

/// Messages compared with each other in a window: many sockets may have received the same.
const MOST_COMPARED: usize = 1 << 19;

/// Delays kept of two sockets.
const DELAYS: usize = 256;

/// So many contents must tell the same of two sockets, and this is many.
const LEAST_CONTENTS: u32 = 3;
const MANY_CONTENTS: u32 = 16;

/// Where contents are equal: so many must have gone out shortly after one came in, within this time.
const LEAST_NEAR: u32 = 8;
const NEAR: Duration = Duration::from_millis(2);

/// The most of the time that may be shortly after one came in: if it nearly always is, whatever goes out follows one.
const MOST_COVERED: f64 = 0.3;

/// Of so many contents that came in first, one may have been captured the other way round.
const REORDERED: u32 = 50;

/// A device that is not held up passes on within this time.
const PROMPT: Duration = Duration::from_millis(20);

/// Sockets of one process connect at once.
const AT_ONCE: Duration = Duration::from_millis(10);

/// The least time that a message is believed to wait in a device.
const LEAST_PATIENCE: Duration = Duration::from_millis(5);

/// How sure it is that a socket sends what another one received: by many contents, by some, by time alone where the types
/// say the same, and where they do not.
const BY_MANY: f64 = 0.99;
const BY_SOME: f64 = 0.95;
const BY_TIME: f64 = 0.92;
const BY_TIME_ALONE: f64 = 0.8;

/// No message left promptly: two programs that count are alike too.
const NEVER_PROMPT: f64 = 0.8;

/// Another socket received the same, but it passes it on elsewhere, or is of a type that does not pass on; or nothing tells.
const CONTESTED: f64 = 0.95;
const CONTESTED_BY_LIKES: f64 = 0.8;
const UNDECIDED: f64 = 0.6;

/// A socket from which another one's messages come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// The one that receives.
    pub(super) socket: SocketId,
    /// How sure, 0 to 1.
    pub(super) confidence: f64,
}

/// What is known of devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// By the socket that sends.
    sources: BTreeMap<SocketId, Vec<Source>>,
    /// How long a message may wait before a socket sends it.
    patience: BTreeMap<SocketId, Duration>,
    /// Sockets nearly all of whose messages are passed on.
    complete: BTreeSet<SocketId>,
}

/// What a window tells of two sockets.
#[derive(Debug)]
struct Evidence {
    /// Contents that came in before they went out, and the other way round.
    before: u32,
    violated: u32,
    /// Messages of repeated contents that went out shortly after one came in, and that did not.
    near: u32,
    far: u32,
    delays: Vec<Duration>,
    /// A message that came in, one that went out.
    example: (Rank, Rank),
}

/// What a window tells of all sockets.
#[derive(Debug, Default)]
struct Sighted {
    pairs: BTreeMap<(SocketId, SocketId), Evidence>,
    /// Contents that each socket received, or sent.
    received: FxHashMap<SocketId, u32>,
    sent: FxHashMap<SocketId, u32>,
    /// For each socket that sent a content that others had received: those, each time.
    choices: FxHashMap<SocketId, Vec<Vec<SocketId>>>,
    /// How often what a socket sent had been received by others.
    explained: FxHashMap<SocketId, u32>,
    /// Comparisons so far.
    compared: usize,
}

/// A socket that may be the source of another one.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    socket: SocketId,
    is_made_to_pass_on: bool,
    never_violated: bool,
    median: Duration,
    confidence: f64,
}

impl Devices {
    /// Whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The sockets whose messages a socket sends.
    pub(super) fn sources(&self, sending: SocketId) -> &[Source] {
        self.sources.get(&sending).map_or(&[], Vec::as_slice)
    }

    /// How long a message may wait before a socket sends it.
    pub(super) fn patience(&self, sending: SocketId) -> Duration {
        self.patience.get(&sending).copied().unwrap_or(LEAST_PATIENCE)
    }

    /// Whether a socket belongs to a device that passes nearly all of its messages on.
    pub(super) fn passes_all(&self, receiving: SocketId) -> bool {
        self.complete.contains(&receiving)
    }

    /// Learns from a window.
    pub(super) fn learn(&mut self, sockets: &Sockets, traffic: Traffic<'_>, by_content: &[(u64, Rank)]) {
        let sighted = Sighted::look(traffic, by_content);
        self.patience.retain(|sending, _| !sighted.sent.contains_key(sending));
        let mut candidates: BTreeMap<SocketId, Vec<Candidate>> = BTreeMap::new();
        for (&(receiving, sending), evidence) in &sighted.pairs {
            if let Some(confidence) = sighted.confidence(sockets, traffic, (receiving, sending), evidence) {
                let mut delays = evidence.delays.clone();
                delays.sort_unstable();
                candidates.entry(sending).or_default().push(Candidate {
                    socket: receiving,
                    is_made_to_pass_on: is_made_to_pass_on(traffic.lane(evidence.example.0)),
                    never_violated: evidence.violated == 0,
                    median: delays.get(delays.len() / 2).copied().unwrap_or_default(),
                    confidence,
                });
                let patience =
                    delays.get(delays.len() * 99 / 100).map_or(LEAST_PATIENCE, |&Duration(delay)| Duration(4 * delay));
                let longest = self.patience.entry(sending).or_insert(LEAST_PATIENCE);
                *longest = patience.max(*longest);
            }
        }
        let mut order: Vec<_> = candidates.into_iter().collect();
        order.sort_by_key(|(sending, candidates)| (candidates.len(), *sending));
        let decided: BTreeSet<SocketId> = order.iter().map(|(sending, _)| *sending).collect();
        let earlier = self.sources.iter().filter(|(sending, _)| !decided.contains(sending));
        let mut used: BTreeSet<SocketId> =
            earlier.flat_map(|(_, sources)| sources).map(|source| source.socket).collect();
        for (sending, candidates) in order {
            let asked: Vec<SocketId> = candidates.iter().map(|candidate| candidate.socket).collect();
            let mut sources = choose(&sighted, sending, candidates, &used);
            used.extend(sources.iter().map(|source| source.socket));
            for known in self.sources(sending) {
                match sources.iter_mut().find(|source| source.socket == known.socket) {
                    // What was plain before does not become doubtful because the device is held up now.
                    Some(source) => source.confidence = source.confidence.max(known.confidence),
                    None if asked.contains(&known.socket) => {}
                    // It was silent.
                    None => sources.push(*known),
                }
            }
            self.sources.insert(sending, sources);
        }
        // Of a PUSH that connects to several workers each sends a share.
        let mut passed: BTreeMap<SocketId, u32> = BTreeMap::new();
        for (&(receiving, sending), evidence) in &sighted.pairs {
            if self.sources(sending).iter().any(|source| source.socket == receiving) {
                let passed = passed.entry(receiving).or_default();
                let is_share = traffic.lane(evidence.example.1).is_exclusive();
                *passed = if is_share { *passed + evidence.before } else { evidence.before.max(*passed) };
            }
        }
        let is_nearly_all = |(receiving, passed): &(SocketId, u32)| {
            sighted.received.get(receiving).is_some_and(|received| passed * 10 >= received * 9)
        };
        self.complete.extend(passed.into_iter().filter(is_nearly_all).map(|(receiving, _)| receiving));
    }
}

/// Which of the candidates are the sources of a socket, best first where several had received the same.
fn choose(
    sighted: &Sighted,
    sending: SocketId,
    mut candidates: Vec<Candidate>,
    used: &BTreeSet<SocketId>,
) -> Vec<Source> {
    let merit = |candidate: &Candidate| {
        (candidate.is_made_to_pass_on, candidate.never_violated, !used.contains(&candidate.socket))
    };
    candidates.sort_by_key(|candidate| (Reverse(merit(candidate)), candidate.median, candidate.socket));
    let (mut wins, mut chances) = (vec![0_u32; candidates.len()], vec![0_u32; candidates.len()]);
    let mut confidence: Vec<f64> = candidates.iter().map(|candidate| candidate.confidence).collect();
    for received in sighted.choices.get(&sending).into_iter().flatten() {
        let present = || (0..candidates.len()).filter(|&at| received.contains(&candidates[at].socket));
        present().for_each(|at| chances[at] += 1);
        let mut present = present();
        let Some(best) = present.next() else { continue };
        wins[best] += 1;
        if let Some(second) = present.next() {
            let (one, other) = (&candidates[best], &candidates[second]);
            let doubt = if merit(one) == merit(other) {
                UNDECIDED
            } else if one.is_made_to_pass_on {
                CONTESTED
            } else {
                CONTESTED_BY_LIKES
            };
            confidence[best] = confidence[best].min(doubt);
        }
    }
    // One that is mostly second is what is left where the first was not captured.
    let won = |at: &usize| wins[*at] > 0 && wins[*at] * 2 >= chances[*at];
    (0..candidates.len())
        .filter(won)
        .map(|at| Source { socket: candidates[at].socket, confidence: confidence[at] })
        .collect()
}

impl Sighted {
    fn look(traffic: Traffic<'_>, by_content: &[(u64, Rank)]) -> Self {
        let mut sighted = Self::default();
        let contents = by_content.chunk_by(|a, b| a.0 == b.0).count();
        for group in by_content.chunk_by(|a, b| a.0 == b.0).step_by((contents / SAMPLE).max(1)) {
            if sighted.compared > MOST_COMPARED {
                break;
            }
            let ends = |end: fn(&Lane) -> SocketId| {
                let mut ends: Vec<(SocketId, Rank)> =
                    group.iter().map(|&(_, rank)| (end(traffic.lane(rank)), rank)).collect();
                ends.sort_unstable();
                ends
            };
            let (arrivals, departures) = (ends(|lane| lane.receiver), ends(|lane| lane.sender));
            let mut conns: Vec<u32> = group.iter().map(|&(_, rank)| traffic.record(rank).conn).collect();
            conns.sort_unstable();
            if conns.windows(2).any(|pair| pair[0] == pair[1]) {
                sighted.repeated(traffic, &arrivals, &departures);
            } else {
                sighted.once(traffic, arrivals, departures);
            }
        }
        for (&(_, sending), evidence) in &sighted.pairs {
            *sighted.explained.entry(sending).or_default() += evidence.before;
        }
        sighted
    }

    /// A content that no connection carried twice.
    fn once(
        &mut self,
        traffic: Traffic<'_>,
        mut arrivals: Vec<(SocketId, Rank)>,
        mut departures: Vec<(SocketId, Rank)>,
    ) {
        arrivals.dedup_by_key(|(socket, _)| *socket);
        departures.dedup_by_key(|(socket, _)| *socket);
        for (receiving, _) in &arrivals {
            *self.received.entry(*receiving).or_default() += 1;
        }
        for &(sending, departure) in &departures {
            *self.sent.entry(sending).or_default() += 1;
            self.compared += arrivals.len();
            if self.compared > MOST_COMPARED {
                return;
            }
            let mut had_received = Vec::new();
            for &(receiving, arrival) in &arrivals {
                if !can_pass(traffic, arrival, departure) {
                    continue;
                }
                let evidence = self.evidence((receiving, sending), (arrival, departure));
                if arrival < departure {
                    evidence.before += 1;
                    evidence.add_delay(traffic.delay(arrival, departure));
                    had_received.push(receiving);
                } else {
                    evidence.violated += 1;
                }
            }
            if !had_received.is_empty() {
                self.choices.entry(sending).or_default().push(had_received);
            }
        }
    }

    /// A content that says nothing by itself: what goes out follows shortly on what came in.
    fn repeated(&mut self, traffic: Traffic<'_>, arrivals: &[(SocketId, Rank)], departures: &[(SocketId, Rank)]) {
        for departures in departures.chunk_by(|a, b| a.0 == b.0) {
            let departures = &departures[..departures.len().min(REPEATED)];
            let sending = departures[0].0;
            let mut followed: Vec<Vec<SocketId>> = vec![Vec::new(); departures.len()];
            for arrivals in arrivals.chunk_by(|a, b| a.0 == b.0) {
                let receiving = arrivals[0].0;
                self.compared += arrivals.len() + departures.len();
                if self.compared > MOST_COMPARED {
                    return;
                }
                let Some(follows) = follow(traffic, arrivals, departures) else { continue };
                let evidence = self.evidence((receiving, sending), (arrivals[0].1, departures[0].1));
                for (at, delay) in follows.into_iter().enumerate() {
                    let Some(delay) = delay else {
                        evidence.far += 1;
                        continue;
                    };
                    evidence.near += 1;
                    evidence.add_delay(delay);
                    followed[at].push(receiving);
                }
            }
            followed.retain(|followed| !followed.is_empty());
            self.choices.entry(sending).or_default().append(&mut followed);
        }
    }

    fn evidence(&mut self, pair: (SocketId, SocketId), example: (Rank, Rank)) -> &mut Evidence {
        self.pairs.entry(pair).or_insert_with(|| Evidence {
            before: 0,
            violated: 0,
            near: 0,
            far: 0,
            delays: Vec::new(),
            example,
        })
    }

    /// How sure it is that a socket sends what another one received; `None` if nothing says so.
    fn confidence(
        &self,
        sockets: &Sockets,
        traffic: Traffic<'_>,
        (receiving, sending): (SocketId, SocketId),
        evidence: &Evidence,
    ) -> Option<f64> {
        let (entered, left) = (traffic.lane(evidence.example.0), traffic.lane(evidence.example.1));
        let by_content = evidence.before >= LEAST_CONTENTS
            && evidence.violated * REORDERED <= evidence.before
            && (evidence.before * 2 >= self.received.get(&receiving).copied().unwrap_or_default()
                || self.is_explained(sending));
        let confidence = if by_content {
            if evidence.before >= MANY_CONTENTS { BY_MANY } else { BY_SOME }
        } else if evidence.before == 0 && evidence.near >= LEAST_NEAR && evidence.far * 5 <= evidence.near {
            if is_made_to_pass_on(entered) { BY_TIME } else { BY_TIME_ALONE }
        } else {
            return None;
        };
        let mut delays = evidence.delays.clone();
        delays.sort_unstable();
        let shortest = delays.get(delays.len() / 10).copied().unwrap_or_default();
        // Others may count as well, and begin later.
        let confidence = if shortest <= PROMPT { confidence } else { confidence.min(NEVER_PROMPT) };
        if !may_be_twins(entered, left) {
            return Some(confidence);
        }
        // The publisher itself may have sent the same over another of its endpoints or connections.
        let opened = |rank: Rank| sockets.connection(traffic.record(rank).conn).opened;
        let apart = opened(evidence.example.1) - opened(evidence.example.0);
        let was_seen = |rank: Rank| !sockets.connection(traffic.record(rank).conn).is_incomplete();
        let is_one_process = left.direction == Direction::ClientToServer
            && apart.0.abs() <= AT_ONCE.0
            && was_seen(evidence.example.0)
            && was_seen(evidence.example.1);
        (shortest <= NEAR && !is_one_process).then_some(confidence.min(UNDECIDED))
    }

    /// Whether half of what a socket sent had been received by others that may pass it on.
    fn is_explained(&self, sending: SocketId) -> bool {
        let count = |of: &FxHashMap<SocketId, u32>| of.get(&sending).copied().unwrap_or_default();
        count(&self.explained) * 2 >= count(&self.sent)
    }
}

/// How shortly after the latest message that came in each one went out; `None` for one that did not, or had none left to
/// follow on its connection. Nothing at all where so many came in that chance would look the same.
fn follow(
    traffic: Traffic<'_>,
    arrivals: &[(SocketId, Rank)],
    departures: &[(SocketId, Rank)],
) -> Option<Vec<Option<Duration>>> {
    let (&(_, first), &(_, last)) = (departures.first()?, departures.last()?);
    if !can_pass(traffic, arrivals[0].1, first) {
        return None;
    }
    let before = |departure: Rank| arrivals.partition_point(|(_, arrival)| *arrival < departure);
    let since = |departure: Rank| Some(traffic.delay(arrivals[before(departure).checked_sub(1)?].1, departure));
    let mut delays: Vec<_> = departures.iter().filter_map(|&(_, departure)| since(departure)).collect();
    delays.sort_unstable();
    let near = Duration(delays.get(delays.len() / 2)?.0 * 4).min(NEAR);
    let during = &arrivals[before(first).saturating_sub(1)..before(last)];
    let gaps = during.windows(2).map(|pair| traffic.delay(pair[0].1, pair[1].1));
    let covered: i64 = gaps.map(|gap| gap.min(near).0).sum();
    if covered as f64 > MOST_COVERED * traffic.delay(during.first()?.1, last).0 as f64 {
        return None;
    }
    // On each connection no more go out than came in since its first.
    let mut sent: FxHashMap<u32, (usize, usize)> = FxHashMap::default();
    let follows = departures.iter().map(|&(_, departure)| {
        let delay = since(departure).filter(|&delay| delay <= near)?;
        let came = before(departure);
        let since_near = || arrivals.partition_point(|(_, arrival)| traffic.delay(*arrival, departure) > near);
        let (from, count) = sent.entry(traffic.record(departure).conn).or_insert_with(|| (since_near(), 0));
        *count += 1;
        (*count <= came - *from).then_some(delay)
    });
    Some(follows.collect())
}

impl Evidence {
    fn add_delay(&mut self, delay: Duration) {
        if self.delays.len() < DELAYS {
            self.delays.push(delay);
        }
    }
}

/// Whether the receiver of one message and the sender of the other may be two sockets of a device.
pub(super) fn can_pass(traffic: Traffic<'_>, arrival: Rank, departure: Rank) -> bool {
    let (entered, left) = (traffic.lane(arrival), traffic.lane(departure));
    entered.receiver_host == left.sender_host
        && entered.receiver != left.sender
        && entered.sender != left.sender
        && entered.receiver != left.receiver
}

/// Sockets that are there to pass on, or that take what no other one gets.
fn is_made_to_pass_on(entered: &Lane) -> bool {
    matches!(entered.receiver_type, Some(S::XSUB | S::PULL | S::GATHER))
}

/// Whether what came in may come from the same socket as what went out: PUB binds or connects more than once.
fn may_be_twins(entered: &Lane, left: &Lane) -> bool {
    !is_made_to_pass_on(entered)
        && !left.is_exclusive()
        && entered.sender_host == left.sender_host
        && entered.sender_type == left.sender_type
        && entered.direction == left.direction
}
