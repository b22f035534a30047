//! The turn at the worker: a request that nothing passed on, and the reply that left where it had arrived.
//!
//! A reply repeats the envelope of its request, so only requests of the same envelope come into question. REP and REQ answer
//! and ask one at a time (RFC 28): first in, first out. DEALERs and ROUTERs may answer in any order: while several requests
//! are under way, only what a reply repeats of a request tells which one it answers.

use super::answers::{Letter, answers};
use super::kept_order;
use super::likeness::{Likeliest, Likeness, REQUESTS};
use super::nodes::Nodes;
use super::opaque::Opaque;
use super::pairing::{Pair, in_turns, is_shortly_before};
use super::path::Evidence;
use super::scene::{Scene, Shape};
use super::sockets::SocketId;
use super::window::{PartRecord, Rank, mix};
use crate::base::direction::Direction;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Range;

/// Sockets keep this order by definition, and nothing speaks against it.
const CERTAIN: f64 = 0.999;

/// The reply repeats something that no other request has.
const REPEATED: f64 = 0.995;

/// Others have some of it too.
const LIKELY: f64 = 0.8;

/// Requests may be missing between the two.
pub(super) const ACROSS_A_GAP: f64 = 0.7;

/// Who passes other requests on, or asks in its own name, answered this one: it may have asked somebody all the same.
const AT_A_NODE: f64 = 0.8;

/// A broker asked somebody, nobody knows for whom, before it answered, and nothing tells its requests from one another.
const ASKED_MEANWHILE: f64 = 0.05;

/// Captured in the wrong order, as it must be where replies come in the order of the requests.
const REORDERED: f64 = 0.99;

/// The one that has waited longest of several outstanding requests of a worker that may answer in any order: of few, and by how
/// many more it halves.
const ANY_ORDER: f64 = 0.3;
const ANY_ORDER_HALVES: f64 = 8.0;

/// Requests that wait on a connection, each looked at for every reply; where there are more, they are sorted.
const MOST_WAITING: usize = 64;

/// A request and a reply to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The request as it reached the worker.
    pub(super) request: Rank,
    /// The reply as the worker sent it.
    pub(super) reply: Rank,
    /// What joins them.
    pub(super) evidence: Evidence,
    /// How sure, 0 to 1.
    pub(super) confidence: f64,
}

/// Joins requests that were not passed on to replies that came from nowhere else.
pub(super) fn turns(
    scene: &Scene<'_>,
    nodes: &Nodes,
    opaque: &Opaque,
    is_passed_on: impl Fn(Rank) -> bool,
    is_explained: impl Fn(Rank) -> bool,
) -> Vec<Turn> {
    let mut turns = Vec::new();
    let (mut messages, mut waiting, mut ranks) = (Vec::new(), VecDeque::new(), Vec::new());
    for line in (0..scene.lines() as u32).map(|line| Connection::new(scene, nodes, line)) {
        if !scene.sockets.is_request_reply(line.conn) {
            continue;
        }
        let takes_part = |&&rank: &&Rank| {
            let is_open = if scene.is_request[rank as usize] {
                line.asks_here && !is_passed_on(rank)
            } else {
                !is_explained(rank)
            };
            is_open && line.shape.is_none_or(|shape| scene.tag(rank, shape).is_some())
        };
        let open = scene.messages_of_line(line.number).iter().filter(takes_part).copied();
        if line.answers_in_order && line.has_gaps {
            ranks.clear();
            ranks.extend(open);
            if !ranks.is_empty() {
                across_gaps(scene, &line, &ranks, &mut turns);
            }
            continue;
        }
        messages.clear();
        messages.extend(open.map(|rank| (envelope_of(scene, line.shape, rank), rank)));
        let first = turns.len();
        if one_by_one(scene, &line, &messages, &mut waiting, &mut turns).is_some() {
            continue;
        }
        turns.truncate(first);
        if !line.answers_in_order && !line.has_gaps && kept_order::turns(scene, &line, &messages, &mut turns) {
            continue;
        }
        // Sorted and not hashed: peers choose envelopes.
        messages.sort_unstable();
        for same in messages.chunk_by(|a, b| a.0 == b.0) {
            ranks.clear();
            ranks.extend(same.iter().map(|(_, rank)| *rank));
            exchange(scene, &line, &ranks, &mut turns);
        }
    }
    doubt_at_brokers(scene, opaque, &mut turns);
    turns
}

/// What is known of a connection of the window, for all its messages.
pub(super) struct Connection {
    number: u32,
    pub(super) conn: u32,
    /// What the broker makes of the messages, if the end that asks belongs to one.
    shape: Option<Shape>,
    /// Requests may be answered here: they are not passed on, or they are those of a REQ, of which none may be left out.
    asks_here: bool,
    answers_in_order: bool,
    has_gaps: bool,
    /// How sure a turn can be here.
    pub(super) most: f64,
}

impl Connection {
    fn new(scene: &Scene<'_>, nodes: &Nodes, line: u32) -> Self {
        let conn = scene.conn_of(line);
        let is_frontend = nodes.is_frontend(scene.asked_on(line));
        Self {
            number: line,
            conn,
            shape: nodes.backend(scene.asking_on(line)).map(|backend| backend.shape),
            asks_here: !is_frontend || scene.sockets.asks_one_at_a_time(conn),
            answers_in_order: scene.sockets.answers_in_order(conn),
            has_gaps: scene.sockets.connection(conn).has_gaps(),
            most: if is_frontend { AT_A_NODE } else { CERTAIN },
        }
    }

    /// Whether messages may be missing, but before the first one.
    fn is_cut(&self, scene: &Scene<'_>) -> bool {
        let connection = scene.sockets.connection(self.conn);
        self.has_gaps || Direction::BOTH.into_iter().any(|direction| connection.ends_in_gap(direction))
    }
}

/// Joins replies to requests where each reply came while one request of its envelope waited, or the first of several is meant.
/// `None` if that is not so for all: then other methods join them.
fn one_by_one(
    scene: &Scene<'_>,
    line: &Connection,
    messages: &[(u64, Rank)],
    waiting: &mut VecDeque<(u64, Rank)>,
    turns: &mut Vec<Turn>,
) -> Option<()> {
    if scene.any_after_gap || line.is_cut(scene) {
        return None;
    }
    waiting.clear();
    for &(envelope, rank) in messages {
        if scene.is_request[rank as usize] {
            if waiting.len() >= MOST_WAITING {
                return None;
            }
            waiting.push_back((envelope, rank));
            continue;
        }
        let at = waiting.iter().position(|waiting| waiting.0 == envelope)?;
        if !line.answers_in_order && waiting.iter().skip(at + 1).any(|waiting| waiting.0 == envelope) {
            return None;
        }
        let (_, request) = waiting.remove(at)?;
        turns.push(Turn { request, reply: rank, evidence: Evidence::Order, confidence: line.most });
    }
    Some(())
}

/// Who asks others in its own name may have asked them before it answered.
fn doubt_at_brokers(scene: &Scene<'_>, opaque: &Opaque, turns: &mut [Turn]) {
    if opaque.is_empty() {
        return;
    }
    let asked = |turn: &Turn| scene.connection(turn.request).sockets.s2c;
    let meanwhile: Vec<bool> =
        turns.iter().map(|turn| opaque.may_have_asked(scene, turn.request, turn.reply)).collect();
    // For each socket: how many turns there were, and with how many of them it may have asked.
    let mut counts: FxHashMap<SocketId, (usize, usize)> = FxHashMap::default();
    for (turn, &meanwhile) in turns.iter().zip(&meanwhile) {
        let (all, may_have_asked) = counts.entry(asked(turn)).or_default();
        (*all, *may_have_asked) = (*all + 1, *may_have_asked + usize::from(meanwhile));
    }
    for (turn, meanwhile) in turns.iter_mut().zip(meanwhile) {
        let (all, may_have_asked) = counts[&asked(turn)];
        // What a reply repeats speaks for its request, but not against others in between.
        if meanwhile && turn.evidence != Evidence::Content {
            turn.confidence = turn.confidence.min(ASKED_MEANWHILE);
        } else if meanwhile || opaque.is_asked(asked(turn)) || may_have_asked * 2 > all {
            turn.confidence = turn.confidence.min(AT_A_NODE);
        }
    }
}

/// What was sent both ways on one connection of a socket that answers in order, where some of it is missing.
fn across_gaps(scene: &Scene<'_>, line: &Connection, messages: &[Rank], turns: &mut Vec<Turn>) {
    let most = line.most.min(REPEATED);
    let (requests, replies) = letters(scene, line, messages.iter().copied());
    let found = answers(scene, &requests, &replies, scene.sockets.takes_turns(line.conn));
    turns.extend(found.into_iter().map(|answer| {
        let is_doubtful = !answer.is_alike && scene.may_lack_request(answer.request, answer.reply);
        Turn {
            request: answer.request,
            reply: answer.reply,
            evidence: if answer.is_alike { Evidence::Content } else { Evidence::Order },
            confidence: answer.likelihood.min(if is_doubtful { ACROSS_A_GAP } else { most }),
        }
    }));
}

/// The requests and the replies of a connection.
pub(super) fn letters<'a>(
    scene: &Scene<'a>,
    line: &Connection,
    messages: impl Iterator<Item = Rank>,
) -> (Vec<Letter<'a>>, Vec<Letter<'a>>) {
    let letter = |rank: Rank| {
        let parts = scene.parts(rank);
        let envelope = envelope_range(parts, line.shape);
        let body = scene.window.head(rank, envelope.end);
        Letter { rank, envelope: hash(&parts[envelope]), body }
    };
    messages.map(letter).partition(|letter| scene.is_request[letter.rank as usize])
}

/// What was sent both ways under one envelope on one connection.
fn exchange(scene: &Scene<'_>, line: &Connection, messages: &[Rank], turns: &mut Vec<Turn>) {
    let most = line.most;
    let (requests, replies): (SmallVec<[Rank; 8]>, SmallVec<[Rank; 8]>) =
        messages.iter().copied().partition(|&rank| scene.is_request[rank as usize]);
    if let Some(pairs) = in_turns(scene, &requests, &replies) {
        turns.extend(pairs.into_iter().map(|Pair { cause, effect, confidence }| Turn {
            request: cause,
            reply: effect,
            evidence: Evidence::Order,
            confidence: confidence.min(most),
        }));
        return;
    }
    let first = turns.len();
    let mut queue = Queue::default();
    for &rank in messages {
        if scene.is_request[rank as usize] {
            // At a node, what was passed on is not here, so that what is next to each other need not belong together.
            if most < CERTAIN && !scene.losses.is_empty() {
                queue.early = None;
            }
            turns.extend(queue.ask(scene, rank).map(|turn| Turn { confidence: turn.confidence.min(most), ..turn }));
        } else {
            turns.extend(queue.answer(scene, rank, line.answers_in_order, most));
        }
    }
    if queue.is_in_doubt {
        turns.truncate(first);
        by_likeness(scene, line, messages, turns);
    }
}

/// Requests that wait for their replies, first in, first out.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Rank>,
    /// One of several was answered, and it is not known which: so it stays until all are.
    disordered: bool,
    /// There was ever more than one waiting with nothing missing: this requester does not await each reply.
    pipelined: bool,
    /// A reply with nothing to answer.
    early: Option<Rank>,
    /// Some reply may answer another request than the one it was joined to.
    is_in_doubt: bool,
}

impl Queue {
    /// A request. It may have been captured after its own reply.
    fn ask(&mut self, scene: &Scene<'_>, request: Rank) -> Option<Turn> {
        let early = self.early.take().filter(|&reply| {
            self.waiting.is_empty()
                && !scene.connection(request).is_incomplete()
                && is_shortly_before(scene, reply, request)
        });
        if early.is_none() {
            self.waiting.push_back(request);
        }
        early.map(|reply| Turn { request, reply, evidence: Evidence::Order, confidence: REORDERED })
    }

    /// A reply; `ordered` if replies come in the order of the requests.
    fn answer(&mut self, scene: &Scene<'_>, reply: Rank, ordered: bool, most: f64) -> Option<Turn> {
        let Some(&first) = self.waiting.front() else {
            self.is_in_doubt |= !ordered;
            self.early = ordered.then_some(reply);
            return None;
        };
        let gaps = |rank: Rank| scene.gaps[rank as usize];
        let several = self.waiting.len() > 1;
        let reply_missing = gaps(first).replies != gaps(reply).replies;
        self.pipelined |= several && !reply_missing;
        let mut request = first;
        if several && !ordered {
            self.disordered = true;
        } else if several && reply_missing && !self.pipelined {
            // Who asks one at a time had the replies to all but the last.
            request = *self.waiting.back()?;
            self.waiting.clear();
        } else if several && reply_missing {
            self.disordered = true;
        }
        self.waiting.pop_front();
        self.is_in_doubt |= self.disordered;
        let confidence = if self.disordered {
            ANY_ORDER / (1.0 + (self.waiting.len() + 1) as f64 / ANY_ORDER_HALVES)
        } else if scene.may_lack_request(request, reply) {
            ACROSS_A_GAP
        } else {
            most
        };
        self.disordered &= !self.waiting.is_empty();
        Some(Turn { request, reply, evidence: Evidence::Order, confidence })
    }
}

/// Joins each reply to the request that it repeats something of; the rest first in, first out.
fn by_likeness(scene: &Scene<'_>, line: &Connection, messages: &[Rank], turns: &mut Vec<Turn>) {
    let most = line.most;
    let (requests, replies) = letters(scene, line, messages.iter().copied());
    let bodies = replies.iter().map(|reply| reply.body);
    let mut likeness = Likeness::about(bodies.clone());
    let (mut found, mut answered) = likeliest(&mut likeness, &requests, &replies);
    if !likeness.lacking().is_empty() {
        let lacking = requests.iter().filter(|request| likeness.lacking().contains(&request.rank));
        let mut likeness = Likeness::about(bodies.chain(lacking.map(|request| request.body)));
        (found, answered) = likeliest(&mut likeness, &requests, &replies);
    }
    // Where replies do repeat something, most do, and each of another request; else it is chance.
    let is_rule =
        answered.len() * 2 > requests.len() || (found.len() * 2 > replies.len() && answered.len() * 2 > found.len());
    if !is_rule {
        answered.clear();
        found.clear();
    }
    let mut queue = Queue::default();
    for &rank in messages {
        if scene.is_request[rank as usize] {
            if !answered.contains(&rank) {
                queue.waiting.push_back(rank);
            }
        } else if let Some(likeliest) = found.get(&rank) {
            let confidence = if likeliest.is_clear { REPEATED } else { LIKELY };
            let confidence = confidence.min(most);
            turns.push(Turn { request: likeliest.request, reply: rank, evidence: Evidence::Content, confidence });
        } else if let Some(turn) = queue.answer(scene, rank, false, most) {
            turns.push(Turn { confidence: turn.confidence.min(LIKELY), ..turn });
        }
    }
}

/// For each reply the request that it repeats most of, if any, and these requests. All have the envelope in common.
fn likeliest(
    likeness: &mut Likeness,
    requests: &[Letter<'_>],
    replies: &[Letter<'_>],
) -> (FxHashMap<Rank, Likeliest>, FxHashSet<Rank>) {
    let (mut found, mut answered) = (FxHashMap::default(), FxHashSet::default());
    let mut known = 0;
    for reply in replies {
        // What later requests have too is nothing special.
        let wanted = requests.partition_point(|request| request.rank < reply.rank) + REQUESTS / 2;
        for request in requests.iter().take(wanted).skip(known) {
            likeness.add(request.rank, request.body);
            known += 1;
        }
        let likeliest = likeness.find(reply.rank, reply.body, |request| answered.contains(&request));
        if let Some(likeliest) = likeliest {
            answered.insert(likeliest.request);
            found.insert(reply.rank, likeliest);
        }
    }
    (found, answered)
}

/// What a reply repeats of its request: the parts up to the delimiter, or where there is none, up to the identity that
/// the node put in.
pub(super) fn envelope(scene: &Scene<'_>, nodes: &Nodes, rank: Rank) -> u64 {
    envelope_of(scene, nodes.backend(scene.asking(rank)).map(|backend| backend.shape), rank)
}

fn envelope_of(scene: &Scene<'_>, shape: Option<Shape>, rank: Rank) -> u64 {
    let parts = scene.parts(rank);
    hash(&parts[envelope_range(parts, shape)])
}

fn hash(parts: &[PartRecord]) -> u64 {
    parts.iter().fold(0, |hash, part| mix(hash, part.hash))
}

fn envelope_range(parts: &[PartRecord], shape: Option<Shape>) -> Range<usize> {
    let identity = shape.map(|shape| shape.depth);
    let after_identity = identity.map_or(0, |depth| depth + 1);
    let delimiter = parts.iter().skip(after_identity).position(|part| part.length == 0).map(|at| at + after_identity);
    let end = delimiter.filter(|at| at + 1 < parts.len()).map_or(after_identity, |at| at + 1).min(parts.len());
    // What stands before the identity is the broker's and may differ: commands of Majordomo do.
    identity.unwrap_or(0).min(end)..end
}
