//! Causes joined to effects: a message that entered a node to the one that left it, a request to its reply.

use super::identities::{Name, Tagged, TaggedMessage};
use super::nodes::{Nodes, group};
use super::path::Evidence;
use super::scene::Scene;
use super::window::{Rank, mix};
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// Why a message exists: the one before it on its path.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The earlier message.
    pub cause: Rank,
    /// What joins them.
    pub evidence: Evidence,
    /// How sure, 0 to 1.
    pub confidence: f64,
}

/// What became of the messages of a window.
#[derive(Debug)]
pub struct Links {
    /// For each message: its cause, where one was found.
    pub cause: Vec<Option<Link>>,
    /// For each message: whether it is a cause.
    pub is_cause: Vec<bool>,
    /// Connections with a message that was joined to another.
    pub joined: FxHashSet<u32>,
}

/// Confidence where sockets keep order by definition and nothing speaks against it.
const CERTAIN: f64 = 0.999;

/// Several messages of equal content were under way over several connections: their order may have changed.
const OVERTAKING: f64 = 0.85;

/// Counts differ: some message was dropped or is not in the capture.
const UNEVEN: f64 = 0.7;

/// One of several outstanding requests of a worker that may answer in any order.
const ANY_ORDER: f64 = 0.5;

impl Links {
    /// Joins the messages of a window.
    pub fn find(scene: &Scene<'_>, nodes: &Nodes) -> Self {
        let count = scene.window.len();
        let mut links = Self { cause: vec![None; count], is_cause: vec![false; count], joined: FxHashSet::default() };
        links.through_nodes(scene, nodes);
        links.at_workers(scene, nodes);
        links
    }

    fn join(&mut self, scene: &Scene<'_>, cause: Rank, effect: Rank, evidence: Evidence, confidence: f64) {
        self.joined.extend([cause, effect].map(|rank| scene.window.record(rank).conn));
        self.cause[effect as usize] = Some(Link { cause, evidence, confidence });
        self.is_cause[cause as usize] = true;
    }

    /// Requests and replies that pass a node.
    fn through_nodes(&mut self, scene: &Scene<'_>, nodes: &Nodes) {
        let mut by_conn: FxHashMap<u32, Vec<Rank>> = FxHashMap::default();
        for (rank, record) in scene.window.records().iter().enumerate() {
            by_conn.entry(record.conn).or_default().push(rank as Rank);
        }
        for (router, backends) in nodes.by_frontend(scene) {
            for (frontend, tagged) in group(scene, router, &backends, Rank::MAX) {
                for (identity, messages) in tagged {
                    if let Some(name) = nodes.names(frontend).and_then(|names| names.get(&identity)) {
                        self.through_node(scene, name, &messages, &by_conn);
                    }
                }
            }
        }
    }

    /// What passed a node under one name.
    fn through_node(&mut self, scene: &Scene<'_>, name: &Name, messages: &Tagged, by_conn: &FxHashMap<u32, Vec<Rank>>) {
        let (mut arrived, mut departed) = (Vec::new(), Vec::new());
        for &rank in name.conns.iter().filter_map(|conn| by_conn.get(conn)).flatten() {
            let list = if scene.is_request[rank as usize] { &mut arrived } else { &mut departed };
            list.push((scene.content(rank), rank));
        }
        let content = |tagged: &[TaggedMessage]| tagged.iter().map(|m| (m.suffix, m.rank)).collect::<Vec<_>>();
        let (mut forwarded, mut returned) = (content(&messages.requests), content(&messages.replies));
        let evidence = if name.announced { Evidence::Announced } else { Evidence::Assigned };
        for (causes, effects) in [(&mut arrived, &mut forwarded), (&mut returned, &mut departed)] {
            causes.sort_unstable();
            effects.sort_unstable();
            for (cause, effect, confidence) in pair_by_content(scene, causes, effects) {
                self.join(scene, cause, effect, evidence, confidence * name.confidence);
            }
        }
    }

    /// Requests that nothing passed on, answered where they arrived.
    fn at_workers(&mut self, scene: &Scene<'_>, nodes: &Nodes) {
        let mut outstanding: FxHashMap<(u32, u64), Outstanding> = FxHashMap::default();
        for (rank, record) in scene.window.records().iter().enumerate() {
            let rank = rank as Rank;
            if !scene.sockets.is_request_reply(record.conn) {
                continue;
            }
            let envelope = (record.conn, envelope(scene, nodes, rank));
            if scene.is_request[rank as usize] {
                let passed_on = self.is_cause[rank as usize];
                if !passed_on && !nodes.is_frontend(scene.sockets.receiver(record)) {
                    outstanding.entry(envelope).or_default().requests.push_back(rank);
                }
            } else if self.cause[rank as usize].is_none()
                && let Some(waiting) = outstanding.get_mut(&envelope)
            {
                waiting.doubtful |= waiting.requests.len() > 1 && !answers_in_order(scene, record.conn);
                if let Some(request) = waiting.requests.pop_front() {
                    let confidence = match (waiting.doubtful, scene.sockets.connection(record.conn).incomplete) {
                        (true, _) => ANY_ORDER,
                        (false, true) => UNEVEN,
                        (false, false) => CERTAIN,
                    };
                    self.join(scene, request, rank, Evidence::Order, confidence);
                }
                waiting.doubtful &= !waiting.requests.is_empty();
            }
        }
    }
}

/// The requests with one envelope that a worker has not answered.
#[derive(Debug, Default)]
struct Outstanding {
    requests: VecDeque<Rank>,
    /// One of several was answered, and it is not known which: so it stays until all are.
    doubtful: bool,
}

/// A REP answers one request at a time, a REQ asks one at a time (RFC 28).
fn answers_in_order(scene: &Scene<'_>, conn: u32) -> bool {
    let strict = |t: Option<SocketType>| matches!(t, Some(SocketType::REP | SocketType::REQ));
    scene.sockets.connection(conn).peers.iter().any(|(_, peer)| strict(peer.socket_type))
}

/// What a reply repeats of its request: the parts up to the delimiter, or where there is none, up to the identity that
/// the node put in.
fn envelope(scene: &Scene<'_>, nodes: &Nodes, rank: Rank) -> u64 {
    let parts = scene.parts(rank);
    let record = scene.window.record(rank);
    let delimiter = parts.iter().position(|part| part.length == 0).filter(|at| at + 1 < parts.len());
    let length = delimiter.map(|at| at + 1).or_else(|| {
        let node =
            if scene.is_request[rank as usize] { scene.sockets.sender(record) } else { scene.sockets.receiver(record) };
        nodes.backend(node).map(|backend| backend.depth + 1)
    });
    parts[..length.unwrap_or(0).min(parts.len())].iter().fold(0, |hash, part| mix(hash, part.hash))
}

/// Pairs causes and effects of equal content; both sorted by content, then rank.
fn pair_by_content(scene: &Scene<'_>, causes: &[(u64, Rank)], effects: &[(u64, Rank)]) -> Vec<(Rank, Rank, f64)> {
    let mut pairs = Vec::new();
    let mut causes = causes;
    for effects in effects.chunk_by(|a, b| a.0 == b.0) {
        let content = effects[0].0;
        causes = &causes[causes.partition_point(|cause| cause.0 < content)..];
        let same = causes.partition_point(|cause| cause.0 == content);
        pair_in_order(scene, &causes[..same], effects, &mut pairs);
    }
    pairs
}

/// Pairs causes and effects of the same content, each in order of time.
fn pair_in_order(
    scene: &Scene<'_>,
    causes: &[(u64, Rank)],
    effects: &[(u64, Rank)],
    pairs: &mut Vec<(Rank, Rank, f64)>,
) {
    let causal = effects.iter().zip(causes).all(|(effect, cause)| cause.1 < effect.1);
    // What came in last may not have gone out yet.
    let rest_is_later = causes.get(effects.len()).is_none_or(|next| effects.last().is_some_and(|last| last.1 < next.1));
    if causal && effects.len() <= causes.len() && rest_is_later {
        let pairs_in_order: Vec<(Rank, Rank)> =
            causes.iter().zip(effects).map(|(cause, effect)| (cause.1, effect.1)).collect();
        // While the node owes nothing, nothing can be mistaken for what comes next.
        for busy in pairs_in_order.chunk_by(|(_, effect), (next_cause, _)| next_cause < effect) {
            let confidence = match busy {
                // Equal content elsewhere may be missing its counterpart.
                _ if pairs_in_order.len() > 1 && is_incomplete(scene, busy) => UNEVEN,
                _ if keeps_order(scene, busy) => CERTAIN,
                _ => OVERTAKING,
            };
            pairs.extend(busy.iter().map(|&(cause, effect)| (cause, effect, confidence)));
        }
        return;
    }
    // Otherwise each effect belongs to the latest cause before it that no earlier effect used.
    let mut next = 0;
    for effect in effects {
        let before = causes.partition_point(|cause| cause.1 < effect.1);
        if before > next {
            let confidence = if before - next == 1 { 0.99 } else { UNEVEN };
            pairs.push((causes[before - 1].1, effect.1, confidence));
            next = before;
        }
    }
}

/// Whether all these messages came in on one connection and went out on one.
fn keeps_order(scene: &Scene<'_>, pairs: &[(Rank, Rank)]) -> bool {
    let conns = |&(cause, effect): &(Rank, Rank)| [cause, effect].map(|rank| scene.window.record(rank).conn);
    pairs.iter().all(|pair| conns(pair) == conns(&pairs[0]))
}

/// Whether messages may be missing on any of these connections.
fn is_incomplete(scene: &Scene<'_>, pairs: &[(Rank, Rank)]) -> bool {
    let incomplete = |rank: Rank| scene.sockets.connection(scene.window.record(rank).conn).incomplete;
    pairs.iter().any(|&(cause, effect)| incomplete(cause) || incomplete(effect))
}
