//! Which identity names which connection on a ROUTER.
//!
//! An announced identity is known from the handshake. One that the ROUTER assigned never is on its connection's wire:
//! it is found by trying connections, and keeping the one whose messages explain those tagged with the identity best, by
//! content, count, order and delay. libzmq numbers anonymous peers one by one in the order of their handshakes, which
//! decides where the messages alone do not.

use super::carried::{Carried, Tagged, TaggedMessage};
use super::names::{Name, Names};
use super::numbering::{HandshakeOrder, Predicted};
use super::pairing::is_shortly_before;
use super::scene::{Front, Scene};
use super::sockets::Frontend;
use super::window::Rank;
use crate::base::time::Duration;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

/// Messages without an explanation weigh like a delay of 100 s.
const UNEXPLAINED: f64 = 18.42;

/// A message that came in and did not go out, or not here.
const NOT_FORWARDED: f64 = 0.5;

/// Delays below this many microseconds are alike.
const SHORTEST_DELAY: f64 = 20.0;

/// A message captured before what it was caused by.
const LATE: f64 = 8.0;

/// Connections tried for one identity.
const CANDIDATES: usize = 64;

/// Messages compared for every candidate, and for the few best of them.
const FIRST_LOOK: usize = 6;
const SECOND_LOOK: usize = 48;

/// How many candidates get a second look.
const FINALISTS: usize = 6;

/// A name that is at least so sure is not looked for again.
const SURE: f64 = 0.99;

/// The longest identity that a ROUTER is known to assign itself: 0MQ 2.x does, a zero octet and a UUID.
const LONGEST_ASSIGNED: usize = 17;

/// A message without an explanation where that may be missing.
const MISSING: f64 = 14.0;

/// How well messages are explained.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fit {
    /// Sum over messages; lower is better.
    pub cost: f64,
    /// Messages that were explained.
    pub explained: usize,
    /// Messages that were to be explained.
    pub messages: usize,
}

impl Fit {
    /// Adds another's messages.
    pub fn add(&mut self, other: Self) {
        self.cost += other.cost;
        self.explained += other.explained;
        self.messages += other.messages;
    }

    /// Cost of a message.
    pub fn mean(&self) -> f64 {
        self.cost / (self.messages.max(1) as f64)
    }
}

/// Finds what identities name on a ROUTER, as far as that is not known. What is known of assigned ones is kept; announced
/// ones may have moved to another connection since.
pub fn name(scene: &Scene<'_>, carried: &Carried, known: &Names) -> Vec<(u64, Name)> {
    let frontend = carried.frontend;
    let mut found = Vec::new();
    let announced = announced(scene, frontend);
    let mut open = Vec::new();
    for (identity, messages) in carried.iter() {
        let before = known.get(identity).filter(|name| name.confidence >= SURE);
        match announced.get(&identity) {
            Some(now) => {
                let is_new = |conn: &u32| before.is_none_or(|name| name.conns.binary_search(conn).is_err());
                let mut conns: SmallVec<[u32; 2]> = now.iter().copied().filter(is_new).collect();
                if !conns.is_empty() || before.is_some_and(|name| !name.announced) {
                    conns.extend(before.iter().flat_map(|name| &name.conns).copied());
                    conns.sort_unstable();
                    found.push((identity, Name { conns, announced: true, confidence: 0.999 }));
                }
            }
            None if before.is_some() => {}
            None if can_be_assigned(scene, frontend, identity) => open.push((identity, messages)),
            None => {}
        }
    }
    if open.is_empty() {
        // Once all are known, a window costs its own messages, not all names ever learned.
        return found;
    }
    // Whose turn it is must not depend on what happened to be captured first.
    open.sort_unstable_by_key(|(identity, _)| *identity);
    let named: FxHashSet<u32> = found.iter().flat_map(|(_, name)| name.conns.iter().copied()).collect();
    let is_free = |conn: &u32| !known.has(*conn) && !named.contains(conn) && is_anonymous(scene, *conn);
    let anonymous: Vec<u32> = scene.routers.get(&frontend).into_iter().flatten().copied().filter(is_free).collect();
    for (identity, choice) in assign(scene, frontend, &open, &anonymous) {
        let conns = SmallVec::from_slice(&[choice.conn]);
        found.push((identity, Name { conns, announced: false, confidence: choice.confidence() }));
    }
    found
}

/// How well the connections that names give explain all tagged messages.
pub fn fit(scene: &Scene<'_>, carried: &Carried, known: &Names, found: &[(u64, Name)]) -> Fit {
    let mut fit = Fit::default();
    let found: FxHashMap<u64, &Name> = found.iter().map(|(identity, name)| (*identity, name)).collect();
    let sure = |identity: u64| known.get(identity).filter(|name| name.confidence >= SURE);
    for (identity, messages) in carried.iter() {
        let name = found.get(&identity).copied().or_else(|| sure(identity));
        let conns = name.map_or(&[][..], |name| &name.conns);
        fit.add(fit_of(scene, messages, conns, usize::MAX));
    }
    fit
}

/// The connections of a ROUTER by the identity that they announced.
fn announced(scene: &Scene<'_>, frontend: Frontend) -> FxHashMap<u64, Vec<u32>> {
    let mut announced: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
    for &conn in scene.routers.get(&frontend).into_iter().flatten() {
        if let Some(identity) = peer_identity(scene, conn) {
            announced.entry(identity).or_default().push(conn);
        }
    }
    announced
}

fn peer_identity(scene: &Scene<'_>, conn: u32) -> Option<u64> {
    let connection = scene.sockets.connection(conn);
    connection.peers[connection.requests?].identity
}

/// Whether an identity that nobody was seen to announce may be the name of a peer all the same: one that the ROUTER assigned, or
/// that was announced before the capture. ROUTERs assign numbers and UUIDs, which are no text; where one connects, its
/// application may have chosen anything (`ZMQ_CONNECT_ROUTING_ID`).
fn can_be_assigned(scene: &Scene<'_>, frontend: Frontend, identity: u64) -> bool {
    let is_unseen = |conn: &u32| {
        let connection = scene.sockets.connection(*conn);
        connection.requests.is_none_or(|asks| connection.peers[asks].introduced.is_none())
    };
    let is_text = |octets: &[u8]| octets.iter().all(|octet| matches!(octet, b' '..=b'~'));
    scene.window.identity(identity).is_some_and(|octets| octets.len() <= LONGEST_ASSIGNED && !is_text(octets))
        || scene.sockets.is_caller(frontend.socket)
        || scene.routers.get(&frontend).into_iter().flatten().any(is_unseen)
}

fn is_anonymous(scene: &Scene<'_>, conn: u32) -> bool {
    peer_identity(scene, conn).is_none()
}

/// A connection chosen for an identity.
#[derive(Clone, Copy, Debug)]
struct Choice {
    conn: u32,
    fit: Fit,
    /// How much worse the next best connection is.
    margin: f64,
    /// The order of handshakes says the same, and no other's handshake was at about the same time.
    in_order: bool,
}

impl Choice {
    fn confidence(&self) -> f64 {
        let by_margin = 1.0 - 0.5 * (-self.margin).exp();
        let floor = if self.in_order { 0.99 } else { 0.0 };
        by_margin.max(floor).min(0.999)
    }
}

/// The candidates of one identity, best first.
struct Candidates {
    identity: u64,
    ranked: Vec<(u32, Fit)>,
}

impl Candidates {
    /// The best connection that is not taken.
    fn choose(&self, order: Option<&Predicted<'_>>, taken: &FxHashSet<u32>) -> Option<Choice> {
        let cost = |conn: u32, fit: Fit| fit.cost - order.map_or(0.0, |order| order.weight(conn));
        let (mut best, mut next): (Option<(f64, u32, Fit)>, f64) = (None, f64::INFINITY);
        for &(conn, fit) in self.ranked.iter().filter(|(conn, _)| !taken.contains(conn)) {
            let cost = cost(conn, fit);
            if best.is_none_or(|(least, ..)| cost < least) {
                next = best.map_or(next, |(least, ..)| least);
                best = Some((cost, conn, fit));
            } else {
                next = next.min(cost);
            }
        }
        let (least, conn, fit) = best?;
        let next = if next.is_finite() { next } else { UNEXPLAINED * fit.messages as f64 };
        let in_order = order.is_some_and(|order| {
            let mut others = self.ranked.iter().filter(|(other, _)| *other != conn && !taken.contains(other));
            order.conn == conn && others.all(|(other, _)| order.weight(*other) == 0.0)
        });
        Some(Choice { conn, fit, margin: next - least, in_order })
    }
}

/// Gives connections to identities, one each: first where another would be much worse. What is predicted for an identity
/// counts for that connection.
fn choose_all<'a>(candidates: &[Candidates], predict: impl Fn(u64) -> Option<Predicted<'a>>) -> BTreeMap<u64, Choice> {
    let mut taken = FxHashSet::default();
    let mut chosen: BTreeMap<u64, Choice> = BTreeMap::new();
    let mut waiting = BinaryHeap::new();
    let choose = |number: usize, taken: &FxHashSet<u32>| {
        let candidate = &candidates[number];
        candidate.choose(predict(candidate.identity).as_ref(), taken).filter(|choice| choice.fit.explained > 0)
    };
    let place = |number: usize, choice: Choice| Waiting { margin: choice.margin, number: Reverse(number), choice };
    waiting.extend((0..candidates.len()).filter_map(|number| Some(place(number, choose(number, &taken)?))));
    while let Some(Waiting { number: Reverse(number), choice, .. }) = waiting.pop() {
        if taken.insert(choice.conn) {
            chosen.insert(candidates[number].identity, choice);
        } else if let Some(choice) = choose(number, &taken) {
            waiting.push(place(number, choice));
        }
    }
    // What a connection that was given to another identity would have explained better is as doubtful as that gift was.
    let owners: FxHashMap<u32, f64> = chosen.values().map(|choice| (choice.conn, choice.margin)).collect();
    for candidate in candidates {
        let Some(choice) = chosen.get_mut(&candidate.identity) else { continue };
        for (conn, fit) in candidate.ranked.iter().filter(|(conn, _)| *conn != choice.conn) {
            if let Some(margin) = owners.get(conn).filter(|_| fit.cost < choice.fit.cost) {
                choice.margin = choice.margin.min(margin - (choice.fit.cost - fit.cost)).max(0.0);
            }
        }
    }
    chosen
}

/// An identity that waits for a connection, before those for which it matters less which one that is.
struct Waiting {
    margin: f64,
    number: Reverse<usize>,
    choice: Choice,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.margin.total_cmp(&other.margin).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// Gives each identity a connection of its own.
fn assign(scene: &Scene<'_>, frontend: Frontend, open: &[(u64, Tagged<'_>)], anonymous: &[u32]) -> Vec<(u64, Choice)> {
    let free = anonymous.iter().copied().collect();
    let candidates: Vec<Candidates> = open
        .iter()
        .map(|(identity, messages)| {
            let ranked = rank_candidates(scene, frontend, *messages, anonymous, &free);
            Candidates { identity: *identity, ranked }
        })
        .collect();
    let mut chosen = choose_all(&candidates, |_| None);
    let named = candidates.iter().filter_map(|candidate| {
        let clear = chosen.get(&candidate.identity).map(|choice| choice.conn);
        let conn = clear.or_else(|| candidate.ranked.first().map(|(conn, _)| *conn))?;
        Some((candidate.identity, conn))
    });
    if let Some(order) = HandshakeOrder::learn(scene, frontend, named) {
        chosen = choose_all(&candidates, |identity| order.predict(scene, identity));
    }
    chosen.into_iter().collect()
}

/// The connections that can have this identity, best first.
fn rank_candidates(
    scene: &Scene<'_>,
    frontend: Frontend,
    messages: Tagged<'_>,
    anonymous: &[u32],
    free: &FxHashSet<u32>,
) -> Vec<(u32, Fit)> {
    let tried =
        if anonymous.len() <= CANDIDATES { anonymous.to_vec() } else { nearest(scene, frontend, messages, free) };
    let mut ranked: Vec<(u32, Fit)> =
        tried.into_iter().map(|conn| (conn, fit_of(scene, messages, &[conn], FIRST_LOOK))).collect();
    ranked.sort_by(by_cost);
    if messages.requests.len() > FIRST_LOOK || messages.replies.len() > FIRST_LOOK {
        ranked.truncate(FINALISTS);
        for (conn, fit) in &mut ranked {
            *fit = fit_of(scene, messages, &[*conn], SECOND_LOOK);
        }
        ranked.sort_by(by_cost);
    }
    ranked
}

fn by_cost(a: &(u32, Fit), b: &(u32, Fit)) -> Ordering {
    a.1.cost.total_cmp(&b.1.cost).then(a.0.cmp(&b.0))
}

/// The anonymous connections on which a message of the right content arrived shortly before the first tagged ones.
fn nearest(scene: &Scene<'_>, frontend: Frontend, messages: Tagged<'_>, free: &FxHashSet<u32>) -> Vec<u32> {
    let mut conns = Vec::new();
    let mut seen = FxHashSet::default();
    for forward in messages.requests.iter().take(3) {
        let arrivals = scene.front(Front::SocketArrivals, forward.strip);
        let (socket, suffix, rank) = (frontend.socket, forward.suffix, forward.rank);
        let late = arrivals.all_after(socket, suffix, rank).take_while(|&later| is_shortly_before(scene, rank, later));
        for arrival in late.chain(arrivals.all_before(socket, suffix, rank)).take(4 * CANDIDATES) {
            let conn = scene.window.record(arrival).conn;
            if free.contains(&conn) && seen.insert(conn) {
                conns.push(conn);
            }
            if conns.len() >= CANDIDATES {
                return conns;
            }
        }
    }
    conns
}

/// Whether one message can have caused another: it came before, or was captured shortly after.
fn may_cause(scene: &Scene<'_>, cause: Rank, effect: Rank) -> bool {
    cause < effect || is_shortly_before(scene, effect, cause)
}

/// How well the messages of `conns` explain those that are tagged, the first `limit` of each direction.
fn fit_of(scene: &Scene<'_>, messages: Tagged<'_>, conns: &[u32], limit: usize) -> Fit {
    let mut fit = Fit::default();
    let mut used: FxHashMap<u64, usize> = FxHashMap::default();
    let sum = |count: &dyn Fn(u32) -> usize| conns.iter().map(|&conn| count(conn)).sum::<usize>();
    // Where nothing is missing, the k-th that came is the k-th that went.
    let whole = match conns {
        [conn] if !messages.is_part && !is_incomplete(scene, messages, *conn) => Some(*conn),
        _ => None,
    };
    let mut last = None;
    for forward in messages.requests.iter().take(limit) {
        let TaggedMessage { rank, suffix, strip, .. } = *forward;
        let arrivals = scene.front(Front::Arrivals, strip);
        let used = used.entry(suffix).or_default();
        let cause = if let Some(conn) = whole {
            arrivals.nth(conn, suffix, *used).filter(|&cause| may_cause(scene, cause, rank))
        } else {
            // As many have arrived as have left before, and one more: this one. If some are missing, it is at least new.
            let possible = sum(&|conn| arrivals.count_before(conn, suffix, rank)) > *used;
            let latest = conns.iter().filter_map(|&conn| arrivals.latest_before(conn, suffix, rank)).max();
            latest.filter(|&cause| possible || last.is_none_or(|last| last < cause))
        };
        *used += 1;
        let cost = cause.map(|cause| cost(scene, messages, forward, scene.delay(cause, rank), cause));
        fit.explain(cost, || is_missing(scene, conns, true, last.unwrap_or(0), rank));
        last = cause.or(last);
    }
    if let Some(latest) = messages.requests.iter().take(limit).next_back().filter(|_| !messages.is_part) {
        let arrived = sum(&|conn| scene.front(Front::Arrivals, latest.strip).owner_before(conn, latest.rank));
        fit.cost += NOT_FORWARDED * arrived.saturating_sub(fit.messages) as f64;
    }
    used.clear();
    last = None;
    for reply in messages.replies.iter().take(limit) {
        let TaggedMessage { rank, suffix, strip, .. } = *reply;
        let departures = scene.front(Front::Departures, strip);
        let used = used.entry(suffix).or_default();
        let effect = if let Some(conn) = whole {
            departures.nth(conn, suffix, *used).filter(|&effect| may_cause(scene, rank, effect))
        } else {
            // No more have left than had come before this one. If some are missing, it is at least another.
            let possible = sum(&|conn| departures.count_before(conn, suffix, rank)) <= *used;
            let next = conns.iter().filter_map(|&conn| departures.earliest_after(conn, suffix, rank)).min();
            next.filter(|&effect| possible || last.is_none_or(|last| last < effect))
        };
        *used += 1;
        last = effect.or(last);
        let cost = effect.map(|effect| cost(scene, messages, reply, scene.delay(rank, effect), effect));
        fit.explain(cost, || is_missing(scene, conns, false, rank, Rank::MAX));
    }
    fit
}

impl Fit {
    fn explain(&mut self, cost: Option<f64>, is_missing: impl Fn() -> bool) {
        self.messages += 1;
        self.explained += usize::from(cost.is_some());
        self.cost += cost.unwrap_or_else(|| if is_missing() { MISSING } else { UNEXPLAINED });
    }
}

/// Whether some of the messages tagged with an identity, or of the connection that it may name, may be missing.
fn is_incomplete(scene: &Scene<'_>, messages: Tagged<'_>, conn: u32) -> bool {
    let has_gaps = |message: &TaggedMessage| scene.connection(message.rank).has_gaps();
    scene.sockets.connection(conn).is_incomplete()
        || !scene.losses.is_empty() && messages.requests.iter().chain(messages.replies).any(has_gaps)
}

/// Whether requests or replies of these connections may be missing between two ranks.
fn is_missing(scene: &Scene<'_>, conns: &[u32], requests: bool, after: Rank, before: Rank) -> bool {
    conns.iter().any(|&conn| {
        let asking = scene.sockets.connection(conn).requests;
        asking.is_some_and(|asking| {
            scene.losses.are_between((conn, if requests { asking } else { asking.reverse() }), after, before)
        })
    })
}

/// Cost of joining a tagged message to one at the front end: the longer it took and the more messages it overtook, the
/// less likely. Nodes handle messages one after the other, so the order is about the same on both sides.
fn cost(scene: &Scene<'_>, messages: Tagged<'_>, tagged: &TaggedMessage, delay: Duration, front: Rank) -> f64 {
    let overtaken = if messages.is_part { 0 } else { tagged.place.abs_diff(scene.place[front as usize]) };
    let late = if delay.0 < 0 { LATE } else { 0.0 };
    (delay.0.abs() as f64 / 1e3 + SHORTEST_DELAY).ln() + f64::from(overtaken).ln_1p() + late
}
