//! Messages followed through nodes of which at least one side is closed, by lengths, order and time.
//!
//! Which identity names which connection cannot be seen. But the loop must close: a reply leaves on the connection of the
//! client whose request it answers. So at a node whose workers' turns are known each reply that leaves is joined to
//! the earliest that came back with the same lengths and answers a request that this client may have sent. Nodes nearer to
//! the workers come first: what they join is the turn of the node before them.

use crate::base::time::Duration;
use crate::correlate::nodes::Nodes;
use crate::correlate::scene::Scene;
use crate::correlate::sending::Sending;
use crate::correlate::sockets::SocketId;
use crate::correlate::window::{PartRecord, Rank, mix};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Nothing else was under way, or nothing else fits.
const ALONE: f64 = 0.99;

/// Others were, but only this one closes the loop.
const ONE_FITS: f64 = 0.95;

/// A worker had several requests, and is taken to answer them in order.
const IN_ORDER: f64 = 0.9;

/// One other fits as well.
const SEVERAL: f64 = 0.5;

/// Only the way there is known: no reply closes the loop.
const ONE_WAY: f64 = 0.5;

/// Messages of a back end that are compared with what arrived at each front end, and so many front ends.
const SAMPLE: usize = 64;
const MOST_FRONTS: usize = 64;

/// Of those, so many must have been passed on: of ten.
const EXPLAINED: usize = 9;

/// No node keeps a message for longer, as far as it says anything of which node this is.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Replies that are looked at for each one that leaves a node.
const CANDIDATES: usize = 16;

/// Two messages of which one led to the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::correlate) struct Joint {
    pub(in crate::correlate) cause: Rank,
    pub(in crate::correlate) effect: Rank,
    pub(in crate::correlate) confidence: f64,
}

/// What passed a socket.
#[derive(Debug, Default)]
struct Passed {
    requests: Vec<Rank>,
    replies: Vec<Rank>,
    has_closed: bool,
}

/// A node: where it is asked, and the sockets with which it asks.
#[derive(Debug)]
struct Node {
    front: SocketId,
    backs: Vec<SocketId>,
}

/// Joins the messages of a window that has closed ones.
pub(in crate::correlate) fn joints(scene: &Scene<'_>, nodes: &Nodes) -> Vec<Joint> {
    let (mut fronts, mut backs): (BTreeMap<SocketId, Passed>, BTreeMap<SocketId, Passed>) = Default::default();
    for rank in 0..scene.window.len() as Rank {
        let is_closed = scene.window.record(rank).is_closed;
        if nodes.is_about_work(scene, rank) || !scene.sockets.is_request_reply(scene.window.record(rank).conn) {
            continue;
        }
        for (sockets, socket) in [(&mut fronts, scene.asked(rank)), (&mut backs, scene.asking(rank))] {
            let passed = sockets.entry(socket).or_default();
            if scene.is_request[rank as usize] { &mut passed.requests } else { &mut passed.replies }.push(rank);
            passed.has_closed |= is_closed;
        }
    }
    backs.retain(|&socket, back| nodes.backend(socket).is_none() && may_be_passed_on(scene, back));
    let nodes = find(scene, &fronts, &backs);
    let is_front: FxHashSet<SocketId> = nodes.iter().map(|node| node.front).collect();
    let mut following = Following { scene, answers: FxHashMap::default(), joints: Vec::new() };
    for node in from_the_workers(scene, nodes, &backs) {
        let (mut forwarded, mut returned) = (Vec::new(), Vec::new());
        for back in &node.backs {
            let back = &backs[back];
            following.turns(back, &is_front);
            forwarded.extend_from_slice(&back.requests);
            returned.extend_from_slice(&back.replies);
        }
        forwarded.sort_unstable();
        returned.sort_unstable();
        following.through(&fronts[&node.front], &forwarded, &returned);
    }
    following.joints
}

/// Whether all that a socket asks can have an identity in front.
fn may_be_passed_on(scene: &Scene<'_>, back: &Passed) -> bool {
    let is_tagged = |&rank: &Rank| {
        let parts = scene.parts(rank);
        parts.len() > 1 && parts[0].has_length_of_identity()
    };
    !back.requests.is_empty() && back.requests.iter().all(is_tagged)
}

/// Looks for the front end of each back end: where the same lengths arrived, but for the first part, shortly before.
fn find(scene: &Scene<'_>, fronts: &BTreeMap<SocketId, Passed>, backs: &BTreeMap<SocketId, Passed>) -> Vec<Node> {
    let mut arrivals: Vec<(SocketId, u64, Rank)> = Vec::new();
    let mut largest: Vec<(usize, SocketId)> =
        fronts.iter().map(|(&socket, passed)| (passed.requests.len(), socket)).collect();
    largest.sort_unstable();
    let largest: Vec<SocketId> = largest.iter().rev().take(MOST_FRONTS).map(|(_, socket)| *socket).collect();
    for socket in &largest {
        let requests = &fronts[socket].requests;
        arrivals.extend(requests.iter().filter_map(|&rank| Some((*socket, lengths(scene, rank, 0)?, rank))));
    }
    arrivals.sort_unstable();
    let mut found: BTreeMap<SocketId, Vec<SocketId>> = BTreeMap::new();
    for (&socket, back) in backs {
        let sample = &back.requests[..back.requests.len().min(SAMPLE)];
        let fit = |front: SocketId| {
            let (mut explained, mut cost) = (0, 0.0);
            for &rank in sample {
                let Some(shape) = lengths(scene, rank, 1) else { continue };
                let end = arrivals.partition_point(|arrival| *arrival < (front, shape, rank));
                let before = arrivals[..end].last().filter(|arrival| (arrival.0, arrival.1) == (front, shape));
                let delay = before.map(|&(.., arrival)| scene.delay(arrival, rank));
                if let Some(delay) = delay.filter(|delay| *delay < LONGEST_DELAY) {
                    explained += 1;
                    cost += (delay.0.max(0) as f64 + 20_000.0).ln();
                }
            }
            (explained * 10 >= sample.len() * EXPLAINED).then(|| (cost / explained as f64, front))
        };
        let may_be = |front: &&SocketId| {
            **front != socket && (back.has_closed || fronts[*front].has_closed) && !is_asked_by(scene, back, **front)
        };
        let best = largest.iter().filter(may_be).filter_map(|&front| fit(front)).min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, front)) = best {
            found.entry(front).or_default().push(socket);
        }
    }
    found.into_iter().map(|(front, backs)| Node { front, backs }).collect()
}

/// Whether a back end asks at this socket.
fn is_asked_by(scene: &Scene<'_>, back: &Passed, front: SocketId) -> bool {
    back.requests.first().is_some_and(|&rank| scene.asked(rank) == front)
}

/// Nodes in an order in which those behind come before those that ask there.
fn from_the_workers(scene: &Scene<'_>, nodes: Vec<Node>, backs: &BTreeMap<SocketId, Passed>) -> Vec<Node> {
    let mut waiting: VecDeque<Node> = nodes.into();
    let mut fronts: FxHashSet<SocketId> = waiting.iter().map(|node| node.front).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    let mut put_off = 0;
    while let Some(node) = waiting.pop_front() {
        let asks_at = node.backs.iter().filter_map(|back| backs[back].requests.first()).map(|&rank| scene.asked(rank));
        // Where nodes ask each other in a circle, one has to be first.
        if put_off <= waiting.len() && asks_at.into_iter().any(|socket| fronts.contains(&socket)) {
            put_off += 1;
            waiting.push_back(node);
            continue;
        }
        put_off = 0;
        fronts.remove(&node.front);
        ordered.push(node);
    }
    ordered
}

/// Hash of the lengths of the parts of a message without the first ones; `None` if it has no more.
fn lengths(scene: &Scene<'_>, rank: Rank, strip: usize) -> Option<u64> {
    let parts = scene.parts(rank).get(strip..).filter(|parts| !parts.is_empty())?;
    Some(parts.iter().fold(parts.len() as u64, |hash, part| mix(hash, part.length)))
}

/// Hash of the lengths of the envelope: the parts up to the delimiter, or the identity alone.
fn envelope(parts: &[PartRecord]) -> u64 {
    let end = parts.iter().position(|part| part.length == 0).unwrap_or(0);
    parts[..=end.min(parts.len() - 1)].iter().fold(0, |hash, part| mix(hash, part.length))
}

/// What was joined so far.
struct Following<'a, 'w> {
    scene: &'a Scene<'w>,
    /// For each reply that came back: the request that it answers, on the same connection, and how sure that is.
    answers: FxHashMap<Rank, (Rank, f64)>,
    joints: Vec<Joint>,
}

/// Replies of the same lengths that came back to a node and did not leave it yet.
#[derive(Debug, Default)]
struct Returned {
    waiting: VecDeque<Rank>,
    /// Several fitted one that left.
    is_in_doubt: bool,
}

/// A request that left a node and whose reply left it too.
#[derive(Clone, Copy, Debug)]
struct Answered {
    request: Rank,
    /// The connection of the client.
    client: u32,
    /// What the client had sent, if it asks one by one.
    arrival: Option<Rank>,
    /// What the client got.
    departure: Rank,
    confidence: f64,
}

/// For each reply to a client that never asked twice before it had one: the request.
fn one_by_one(scene: &Scene<'_>, front: &Passed) -> FxHashMap<Rank, Rank> {
    let mut lines: FxHashMap<u32, Vec<Rank>> = FxHashMap::default();
    for &rank in front.requests.iter().chain(&front.replies) {
        lines.entry(scene.line(rank)).or_default().push(rank);
    }
    let mut found = FxHashMap::default();
    for messages in lines.values_mut() {
        messages.sort_unstable();
        let is_request = |rank: Rank| scene.is_request[rank as usize];
        if messages.chunks(2).all(|two| is_request(two[0]) && two.get(1).is_none_or(|&reply| !is_request(reply))) {
            found.extend(messages.chunks_exact(2).map(|two| (two[1], two[0])));
        }
    }
    found
}

/// Requests that came in at a node, by connection and lengths.
type Arrivals = FxHashMap<(u32, u64), VecDeque<Rank>>;

impl Following<'_, '_> {
    fn join(&mut self, cause: Rank, effect: Rank, confidence: f64) {
        self.joints.push(Joint { cause, effect, confidence });
    }

    /// Turns at the workers of a back end: first in, first out, of the same envelope.
    fn turns(&mut self, back: &Passed, is_front: &FxHashSet<SocketId>) {
        let mut messages: Vec<Rank> = back.requests.iter().chain(&back.replies).copied().collect();
        messages.retain(|&rank| !is_front.contains(&self.scene.asked(rank)));
        messages.sort_unstable();
        let mut open: FxHashMap<u32, VecDeque<(u64, Rank)>> = FxHashMap::default();
        for rank in messages {
            let waiting = open.entry(self.scene.line(rank)).or_default();
            let envelope = envelope(self.scene.parts(rank));
            if self.scene.is_request[rank as usize] {
                waiting.push_back((envelope, rank));
                continue;
            }
            let looked_at = waiting.iter().take(CANDIDATES);
            let Some(at) = looked_at.into_iter().position(|(asked, _)| *asked == envelope) else { continue };
            // A REP answers in order; that this is one is not known unless it always does.
            let confidence = if waiting.len() == 1 { ALONE } else { IN_ORDER };
            let Some((_, request)) = waiting.remove(at) else { continue };
            self.answers.insert(rank, (request, confidence));
            self.join(request, rank, confidence);
        }
    }

    /// What went through a node, there and back.
    fn through(&mut self, front: &Passed, forwarded: &[Rank], returned: &[Rank]) {
        let scene = self.scene;
        let conn = |rank: Rank| scene.window.record(rank).conn;
        let mut arrivals = Arrivals::default();
        for &rank in &front.requests {
            if let Some(shape) = lengths(scene, rank, 0) {
                arrivals.entry((conn(rank), shape)).or_default().push_back(rank);
            }
        }
        let mut open = arrivals.clone();
        let asked_one_by_one = one_by_one(scene, front);
        let mut came_back: FxHashMap<u64, Returned> = FxHashMap::default();
        let mut returned = returned.iter().copied().peekable();
        let mut answered: Vec<Answered> = Vec::new();
        for &departure in &front.replies {
            while let Some(reply) = returned.next_if(|&reply| reply < departure) {
                if let Some(shape) = lengths(scene, reply, 1) {
                    came_back.entry(shape).or_default().waiting.push_back(reply);
                }
            }
            let client = conn(departure);
            let came_back = lengths(scene, departure, 0).and_then(|shape| came_back.get_mut(&shape));
            let Some(Returned { waiting, is_in_doubt }) = came_back else { continue };
            let is_asked = |reply: &Rank| {
                let Some(&(request, _)) = self.answers.get(reply) else { return false };
                if let Some(&arrival) = asked_one_by_one.get(&departure) {
                    return arrival < request && lengths(scene, arrival, 0) == lengths(scene, request, 1);
                }
                let asked = lengths(scene, request, 1).and_then(|shape| open.get(&(client, shape)));
                asked.and_then(VecDeque::front).is_some_and(|&arrival| arrival < request)
            };
            let mut fitting = waiting.iter().take(CANDIDATES).enumerate().filter(|(_, reply)| is_asked(reply));
            let Some((at, _)) = fitting.next() else {
                // What left unseen must not hide what came after it.
                if waiting.len() > CANDIDATES {
                    waiting.pop_front();
                }
                continue;
            };
            let others = fitting.count();
            // A mistake leaves another reply behind that may be taken for a later one.
            let confidence = match (others, waiting.len()) {
                (0, _) if *is_in_doubt => SEVERAL,
                (0, 1) => ALONE,
                (0, _) => ONE_FITS,
                (others, _) => SEVERAL / others as f64,
            };
            *is_in_doubt = (*is_in_doubt || others > 0) && waiting.len() > 1;
            let Some(reply) = waiting.remove(at) else { continue };
            // What was passed over time and again left unseen.
            if at + 1 == CANDIDATES {
                waiting.pop_front();
            }
            let (request, turn) = self.answers[&reply];
            if let Some(asked) = lengths(scene, request, 1).and_then(|shape| open.get_mut(&(client, shape))) {
                asked.pop_front();
            }
            self.join(reply, departure, confidence);
            let arrival = asked_one_by_one.get(&departure).copied();
            answered.push(Answered { request, client, arrival, departure, confidence: confidence * turn });
        }
        self.ways_there(answered, forwarded, arrivals);
    }

    /// Requests joined to what became of them. What one client sent with equal lengths leaves in the order in which it came;
    /// what no reply tells the client of, in the order in which all came.
    fn ways_there(&mut self, answered: Vec<Answered>, forwarded: &[Rank], mut arrivals: Arrivals) {
        let scene = self.scene;
        let answered: FxHashMap<Rank, Answered> = answered.into_iter().map(|answer| (answer.request, answer)).collect();
        // Of what came in, by lengths, what nothing was joined to yet.
        let mut left: FxHashMap<u64, BTreeSet<Rank>> = FxHashMap::default();
        for (&(_, shape), waiting) in &arrivals {
            left.entry(shape).or_default().extend(waiting);
        }
        for answer in answered.values() {
            let shape = answer.arrival.and_then(|arrival| Some((arrival, lengths(scene, arrival, 0)?)));
            if let Some((arrival, left)) = shape.and_then(|(arrival, shape)| Some((arrival, left.get_mut(&shape)?))) {
                left.remove(&arrival);
            }
        }
        let sending = Sending::find(scene, forwarded);
        let mut forwarded = forwarded.to_vec();
        forwarded.sort_unstable_by_key(|&rank| (sending.place(rank), rank));
        for request in forwarded {
            let Some((shape, left)) = lengths(scene, request, 1).and_then(|shape| Some((shape, left.get_mut(&shape)?)))
            else {
                continue;
            };
            let Some(answer) = answered.get(&request) else {
                let mut open = left.range(..request);
                if let Some(&arrival) = open.next() {
                    let others = open.take(CANDIDATES).count();
                    left.remove(&arrival);
                    self.join(arrival, request, ONE_WAY / (others + 1) as f64);
                }
                continue;
            };
            let mut next = || {
                let waiting = arrivals.get_mut(&(answer.client, shape))?;
                // Some may be joined already, for want of a reply that says whose they were.
                while waiting.front().is_some_and(|arrival| !left.contains(arrival)) {
                    waiting.pop_front();
                }
                let arrival = waiting.front().copied().filter(|&arrival| arrival < request)?;
                waiting.pop_front();
                left.remove(&arrival);
                Some(arrival)
            };
            if let Some(arrival) = answer.arrival.or_else(&mut next) {
                self.join(arrival, request, answer.confidence);
                self.answers.insert(answer.departure, (arrival, answer.confidence));
            }
        }
    }
}
