//! The turn at the worker: a request that nothing passed on, and the reply that left where it had arrived.
//!
//! A reply repeats the envelope of its request, so only requests of the same envelope come into question. REP and REQ answer
//! and ask one at a time (RFC 28): first in, first out. DEALERs and ROUTERs may answer in any order: while several requests
//! are under way, only what a reply repeats of a request tells which one it answers.

use super::answers::{Letter, answers};
use super::likeness::{Likeness, REQUESTS};
use super::nodes::Nodes;
use super::opaque::Opaque;
use super::pairing::{Pair, in_turns, is_shortly_before};
use super::path::Evidence;
use super::scene::Scene;
use super::sockets::SocketId;
use super::window::{Rank, mix};
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Sockets keep this order by definition, and nothing speaks against it.
const CERTAIN: f64 = 0.999;

/// The reply repeats something that no other request has.
const REPEATED: f64 = 0.995;

/// Others have some of it too.
const LIKELY: f64 = 0.8;

/// Requests may be missing between the two.
const ACROSS_A_GAP: f64 = 0.7;

/// Who passes other requests on, or asks in its own name, answered this one: it may have asked somebody all the same.
const AT_A_NODE: f64 = 0.8;

/// A broker asked somebody, nobody knows for whom, before it answered, and nothing tells its requests from one another.
const ASKED_MEANWHILE: f64 = 0.05;

/// Captured in the wrong order, as it must be where replies come in the order of the requests.
const REORDERED: f64 = 0.99;

/// Nothing says that this worker answers in order but that it did so whenever it showed, and how often that is enough.
const KEPT_ORDER: f64 = 0.95;
const ENOUGH_TOLD: usize = 10;

/// The one that has waited longest of several outstanding requests of a worker that may answer in any order: of few, and by how
/// many more it halves.
const ANY_ORDER: f64 = 0.3;
const ANY_ORDER_HALVES: f64 = 8.0;

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
    // Sorted and not hashed: peers choose envelopes.
    let mut exchanges: Vec<(u32, u64, Rank)> = Vec::new();
    let mut in_order: BTreeMap<u32, Vec<Rank>> = BTreeMap::new();
    for rank in 0..scene.window.len() as Rank {
        let conn = scene.conn_of(scene.line(rank));
        let takes_part = if scene.is_request[rank as usize] {
            !is_passed_on(rank) && (!nodes.is_frontend(scene.asked(rank)) || asks_one_at_a_time(scene, conn))
        } else {
            !is_explained(rank)
        };
        if takes_part && scene.sockets.is_request_reply(conn) && !nodes.is_about_work(scene, rank) {
            if answers_in_order(scene, conn) && scene.sockets.connection(conn).has_gaps() {
                in_order.entry(conn).or_default().push(rank);
                continue;
            }
            exchanges.push((scene.line(rank), envelope(scene, nodes, rank), rank));
        }
    }
    exchanges.sort_unstable();
    let keeps_order = keep_order(scene, &exchanges);
    let mut turns = Vec::new();
    let mut messages: Vec<Rank> = Vec::new();
    for same in exchanges.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        messages.clear();
        messages.extend(same.iter().map(|(.., rank)| *rank));
        exchange(scene, nodes, &messages, keeps_order.contains(&same[0].0), &mut turns);
    }
    for messages in in_order.values() {
        across_gaps(scene, nodes, messages, &mut turns);
    }
    doubt_at_brokers(scene, opaque, &mut turns);
    turns
}

/// Who asks others in its own name may have asked them before it answered.
fn doubt_at_brokers(scene: &Scene<'_>, opaque: &Opaque, turns: &mut [Turn]) {
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
fn across_gaps(scene: &Scene<'_>, nodes: &Nodes, messages: &[Rank], turns: &mut Vec<Turn>) {
    let most = most(scene, nodes, messages).min(REPEATED);
    let letter = |&rank: &Rank| Letter {
        rank,
        envelope: envelope(scene, nodes, rank),
        body: scene.window.head(rank, envelope_parts(scene, nodes, rank).end),
    };
    let (requests, replies): (Vec<Letter<'_>>, Vec<Letter<'_>>) =
        messages.iter().map(letter).partition(|letter| scene.is_request[letter.rank as usize]);
    let conn = scene.window.record(messages[0]).conn;
    let found = answers(scene, &requests, &replies, takes_part_as_req(scene, conn));
    turns.extend(found.into_iter().map(|answer| Turn {
        request: answer.request,
        reply: answer.reply,
        evidence: if answer.is_alike { Evidence::Content } else { Evidence::Order },
        confidence: answer.likelihood.min(most),
    }));
}

/// How sure a turn can be where these messages were answered.
fn most(scene: &Scene<'_>, nodes: &Nodes, messages: &[Rank]) -> f64 {
    let at_node = messages
        .iter()
        .find(|&&rank| scene.is_request[rank as usize])
        .is_some_and(|&rank| nodes.is_frontend(scene.asked(rank)));
    if at_node { AT_A_NODE } else { CERTAIN }
}

/// What was sent both ways under one envelope on one connection.
fn exchange(scene: &Scene<'_>, nodes: &Nodes, messages: &[Rank], keeps_order: bool, turns: &mut Vec<Turn>) {
    let conn = scene.window.record(messages[0]).conn;
    let ordered = answers_in_order(scene, conn);
    let most = most(scene, nodes, messages);
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
            turns.extend(queue.answer(scene, rank, ordered, most));
        }
    }
    if queue.is_in_doubt {
        turns.truncate(first);
        by_likeness(scene, nodes, messages, keeps_order, most, turns);
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
        let requests_missing = gaps(request).requests != gaps(reply).requests || gaps(reply).ahead;
        let confidence = if self.disordered {
            ANY_ORDER / (1.0 + (self.waiting.len() + 1) as f64 / ANY_ORDER_HALVES)
        } else if requests_missing {
            ACROSS_A_GAP
        } else {
            most
        };
        self.disordered &= !self.waiting.is_empty();
        Some(Turn { request, reply, evidence: Evidence::Order, confidence })
    }
}

/// Joins each reply to the request that it repeats something of; the rest first in, first out.
fn by_likeness(
    scene: &Scene<'_>,
    nodes: &Nodes,
    messages: &[Rank],
    keeps_order: bool,
    most: f64,
    turns: &mut Vec<Turn>,
) {
    // All have the envelope in common.
    let body = |rank: Rank| scene.window.head(rank, envelope_parts(scene, nodes, rank).end);
    let mut likeness = Likeness::default();
    let mut found = FxHashMap::default();
    let mut answered = FxHashSet::default();
    let requests: Vec<Rank> = messages.iter().copied().filter(|&rank| scene.is_request[rank as usize]).collect();
    let mut known = 0;
    for &reply in messages.iter().filter(|&&rank| !scene.is_request[rank as usize]) {
        // What later requests have too is nothing special.
        let wanted = requests.partition_point(|&request| request < reply) + REQUESTS / 2;
        for &request in &requests[known..requests.len().min(wanted)] {
            likeness.add(request, body(request));
            known += 1;
        }
        let likeliest = likeness.find(reply, body(reply), |request| answered.contains(&request));
        if let Some(likeliest) = likeliest {
            answered.insert(likeliest.request);
            found.insert(reply, likeliest);
        }
    }
    // Where replies do repeat something, most do, and each of another request; else it is chance.
    let replies = messages.len() - requests.len();
    let is_rule =
        answered.len() * 2 > requests.len() || (found.len() * 2 > replies && answered.len() * 2 > found.len());
    if !is_rule {
        answered.clear();
        found.clear();
    }
    let in_order = keeps_order && answered.is_empty();
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
        } else if let Some(turn) = queue.answer(scene, rank, in_order, most) {
            turns.push(Turn { confidence: turn.confidence.min(if in_order { KEPT_ORDER } else { LIKELY }), ..turn });
        }
    }
}

/// Connections on which replies kept the order of the requests of several requesters, though others waited, all along: by
/// chance half of them would not have. So does a REP that is not known for one (ZMTP 1.0 does not tell).
fn keep_order(scene: &Scene<'_>, exchanges: &[(u32, u64, Rank)]) -> FxHashSet<u32> {
    let mut found = FxHashSet::default();
    for of_line in exchanges.chunk_by(|a, b| a.0 == b.0) {
        let ((line, one, _), (_, other, _)) = (of_line[0], of_line[of_line.len() - 1]);
        let conn = scene.conn_of(line);
        if one == other || answers_in_order(scene, conn) || scene.sockets.connection(conn).has_gaps() {
            continue;
        }
        let begins_in_gap = scene.sockets.connection(conn).is_incomplete();
        let numbered = of_line.chunk_by(|a, b| a.1 == b.1).zip(0_usize..);
        let mut messages: Vec<(Rank, usize)> =
            numbered.flat_map(|(same, number)| same.iter().map(move |&(.., rank)| (rank, number))).collect();
        messages.sort_unstable();
        let mut waiting: VecDeque<usize> = VecDeque::new();
        let mut of_one: FxHashMap<usize, usize> = FxHashMap::default();
        let mut told = 0;
        let is_kept = messages.iter().all(|&(rank, number)| {
            if scene.is_request[rank as usize] {
                waiting.push_back(number);
                *of_one.entry(number).or_default() += 1;
                return true;
            }
            let Some(first) = waiting.pop_front() else { return begins_in_gap };
            let count = of_one.entry(first).or_default();
            told += usize::from(*count <= waiting.len());
            *count -= 1;
            first == number
        });
        if is_kept && told >= ENOUGH_TOLD {
            found.insert(line);
        }
    }
    found
}

/// A REP answers one request at a time, a REQ asks one at a time (RFC 28).
fn answers_in_order(scene: &Scene<'_>, conn: u32) -> bool {
    let strict = |t: Option<SocketType>| matches!(t, Some(SocketType::REP | SocketType::REQ));
    scene.sockets.connection(conn).peers.iter().any(|(_, peer)| strict(peer.socket_type))
}

/// Whether one end of a connection is a REQ, which never asks, or is asked, twice before there is an answer.
fn takes_part_as_req(scene: &Scene<'_>, conn: u32) -> bool {
    let peers = &scene.sockets.connection(conn).peers;
    peers.iter().any(|(_, peer)| peer.socket_type == Some(SocketType::REQ))
}

/// Whether the requests of a connection are those of a REQ.
fn asks_one_at_a_time(scene: &Scene<'_>, conn: u32) -> bool {
    let connection = scene.sockets.connection(conn);
    connection.requests.is_some_and(|asking| connection.peers[asking].socket_type == Some(SocketType::REQ))
}

/// What a reply repeats of its request: the parts up to the delimiter, or where there is none, up to the identity that
/// the node put in.
pub(super) fn envelope(scene: &Scene<'_>, nodes: &Nodes, rank: Rank) -> u64 {
    let Range { start, end } = envelope_parts(scene, nodes, rank);
    scene.parts(rank)[start..end].iter().fold(0, |hash, part| mix(hash, part.hash))
}

fn envelope_parts(scene: &Scene<'_>, nodes: &Nodes, rank: Rank) -> Range<usize> {
    let parts = scene.parts(rank);
    let identity = nodes.backend(scene.asking(rank)).map(|backend| backend.shape.depth);
    let after_identity = identity.map_or(0, |depth| depth + 1);
    let delimiter = parts.iter().skip(after_identity).position(|part| part.length == 0).map(|at| at + after_identity);
    let end = delimiter.filter(|at| at + 1 < parts.len()).map_or(after_identity, |at| at + 1).min(parts.len());
    // What stands before the identity is the broker's and may differ: commands of Majordomo do.
    identity.unwrap_or(0).min(end)..end
}
