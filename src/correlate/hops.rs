//! Causes joined to effects: a message that entered a node to the one that left it, a request to its reply.

use super::across_gaps::{Front, Missing, holes_behind, pair_across_gaps};
use super::identities::{Name, Tagged, TaggedMessage};
use super::losses::Holes;
use super::nodes::{Nodes, group};
use super::opaque::{Opaque, SAME_CONTENT};
use super::pairing::{Alike, Pair, doubt_several_ways, is_shortly_before, pair};
use super::path::Evidence;
use super::scene::Scene;
use super::sending::Sending;
use super::turns::turns;
use super::window::Rank;
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

impl Links {
    /// Joins the messages of a window.
    pub fn find(scene: &Scene<'_>, nodes: &Nodes) -> Self {
        let count = scene.window.len();
        let mut links = Self { cause: vec![None; count], is_cause: vec![false; count], joined: FxHashSet::default() };
        links.through_nodes(scene, nodes);
        let opaque = Opaque::find(scene, nodes, |rank| links.is_linked(rank));
        for &(cause, effect) in &opaque.pairs {
            links.join(scene, cause, effect, Evidence::Content, SAME_CONTENT);
        }
        links.at_workers(scene, nodes, &opaque);
        links.break_circles();
        links
    }

    /// Nothing causes itself. An effect that was captured before its cause may be joined to it, and several such links may
    /// lead round in a circle: then the link that goes back furthest is given up.
    fn break_circles(&mut self) {
        // The walk on which each message was met first.
        let mut met: Vec<Option<Rank>> = vec![None; self.cause.len()];
        let mut broken = false;
        for start in 0..self.cause.len() as Rank {
            let mut at = start;
            while met[at as usize].is_none() {
                met[at as usize] = Some(start);
                let Some(link) = self.cause[at as usize] else { break };
                at = link.cause;
                if met[at as usize] == Some(start) {
                    self.break_circle(at);
                    broken = true;
                    break;
                }
            }
        }
        if broken {
            self.is_cause.fill(false);
            for link in self.cause.iter().flatten() {
                self.is_cause[link.cause as usize] = true;
            }
        }
    }

    /// Breaks the circle that `first` is on.
    fn break_circle(&mut self, first: Rank) {
        let (mut worst, mut furthest) = (first, i64::MIN);
        let mut at = first;
        while let Some(link) = self.cause[at as usize] {
            let back = i64::from(link.cause) - i64::from(at);
            if back > furthest {
                (worst, furthest) = (at, back);
            }
            at = link.cause;
            if at == first {
                break;
            }
        }
        self.cause[worst as usize] = None;
    }

    fn is_linked(&self, rank: Rank) -> bool {
        self.is_cause[rank as usize] || self.cause[rank as usize].is_some()
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
            let holes = [true, false].map(|requests| holes_behind(scene, &backends, requests));
            for (frontend, tagged) in group(scene, router, &backends, Rank::MAX) {
                let mut forwards: Vec<Rank> =
                    tagged.values().flat_map(|messages| &messages.requests).map(|message| message.rank).collect();
                forwards.sort_unstable();
                let sending = Sending::find(scene, &forwards);
                for (identity, messages) in tagged {
                    if let Some(name) = nodes.names(frontend).and_then(|names| names.get(&identity)) {
                        self.through_node(scene, name, &messages, &by_conn, &sending, &holes);
                    }
                }
            }
        }
    }

    /// What passed a node under one name.
    fn through_node(
        &mut self,
        scene: &Scene<'_>,
        name: &Name,
        messages: &Tagged,
        by_conn: &FxHashMap<u32, Vec<Rank>>,
        sending: &Sending,
        holes: &[Holes; 2],
    ) {
        let (mut arrived, mut departed) = (Vec::new(), Vec::new());
        let strip = |messages: &[TaggedMessage]| messages.first().map_or(0, |message| message.strip);
        let (request_strip, reply_strip) = (strip(&messages.requests), strip(&messages.replies));
        for &rank in name.conns.iter().filter_map(|conn| by_conn.get(conn)).flatten() {
            let (list, strip) = if scene.is_request[rank as usize] {
                (&mut arrived, request_strip)
            } else {
                (&mut departed, reply_strip)
            };
            list.extend(scene.content(rank, strip).map(|content| (content, u64::from(rank), rank)));
        }
        let tagged = |tagged: &[TaggedMessage], place: &dyn Fn(Rank) -> u64| {
            tagged.iter().map(|message| (message.suffix, place(message.rank), message.rank)).collect::<Vec<_>>()
        };
        let mut forwarded = tagged(&messages.requests, &|rank| sending.place(rank));
        let places = places_of_replies(scene, messages);
        let place =
            |rank: Rank| places.as_ref().and_then(|places| places.get(&rank)).map_or(u64::from(rank), |&place| place);
        let mut returned = tagged(&messages.replies, &place);
        let evidence = if name.announced { Evidence::Announced } else { Evidence::Assigned };
        let [requests_behind, replies_behind] = holes;
        let front = Front::new(scene, &name.conns, by_conn);
        let in_turn = &front.in_turn;
        let requests = Missing {
            causes: &front.requests,
            effects: requests_behind,
            sending: Some(sending).filter(|sending| sending.is_known()),
            in_turn,
        };
        let replies = Missing { causes: replies_behind, effects: &front.replies, sending: None, in_turn };
        let ways = [
            (&mut arrived, &mut forwarded, sending.is_sure(), requests),
            (&mut returned, &mut departed, false, replies),
        ];
        for (causes, effects, effects_are_ordered, missing) in ways {
            causes.sort_unstable();
            effects.sort_unstable();
            for Pair { cause, effect, confidence } in
                pair_by_content(scene, causes, effects, effects_are_ordered, &missing)
            {
                self.join(scene, cause, effect, evidence, confidence * name.confidence);
            }
        }
    }

    /// Requests that nothing passed on, answered where they arrived.
    fn at_workers(&mut self, scene: &Scene<'_>, nodes: &Nodes, opaque: &Opaque) {
        let passed_on = |rank: Rank| self.is_cause[rank as usize];
        for turn in turns(scene, nodes, opaque, passed_on, |rank| self.cause[rank as usize].is_some()) {
            self.join(scene, turn.request, turn.reply, turn.evidence, turn.confidence);
        }
    }
}

/// The places of what came back under one name, where a capture put it in the wrong order: who is asked one request at a time
/// gets the replies in the order of the requests, and a worker replies where it was asked.
fn places_of_replies(scene: &Scene<'_>, messages: &Tagged) -> Option<FxHashMap<Rank, u64>> {
    let conn = |message: &TaggedMessage| scene.window.record(message.rank).conn;
    let mut asked: FxHashMap<u32, VecDeque<usize>> = FxHashMap::default();
    for (place, request) in messages.requests.iter().enumerate() {
        asked.entry(conn(request)).or_default().push_back(place);
    }
    let mut replies = Vec::with_capacity(messages.replies.len());
    for reply in &messages.replies {
        replies.push((asked.get_mut(&conn(reply))?.pop_front()?, reply.rank));
    }
    if replies.is_sorted() || messages.requests.iter().any(|request| scene.connection(request.rank).has_gaps()) {
        return None;
    }
    replies.sort_unstable();
    let is_before = |one: Rank, other: Rank| one < other || is_shortly_before(scene, other, one);
    let awaited = replies.windows(2).all(|two| {
        let next = messages.requests.get(two[0].0 + 1);
        is_before(two[0].1, two[1].1) && next.is_none_or(|next| is_before(two[0].1, next.rank))
    });
    awaited.then(|| replies.iter().map(|&(place, rank)| (rank, place as u64)).collect())
}

/// A message by its content and its place among those of the same content.
type Placed = (u64, u64, Rank);

/// Pairs causes and effects of equal content; both sorted by content, then place.
fn pair_by_content(
    scene: &Scene<'_>,
    causes: &[Placed],
    effects: &[Placed],
    effects_are_ordered: bool,
    missing: &Missing<'_>,
) -> Vec<Pair> {
    let ranks = |placed: &[Placed]| placed.iter().map(|(.., rank)| *rank).collect::<Vec<_>>();
    let mut pairs = Vec::new();
    let mut causes = causes;
    for effects in effects.chunk_by(|a, b| a.0 == b.0) {
        let content = effects[0].0;
        causes = &causes[causes.partition_point(|cause| cause.0 < content)..];
        let same = causes.partition_point(|cause| cause.0 == content);
        let (causes, effects) = (ranks(&causes[..same]), ranks(effects));
        let alike = Alike { causes: &causes, effects: &effects, effects_are_ordered };
        if missing.is_anything() && causes.len().max(effects.len()) > 1 {
            let first = pairs.len();
            pair_across_gaps(scene, alike, missing, &mut pairs);
            doubt_several_ways(scene, alike, &mut pairs[first..]);
        } else {
            pair(scene, alike, &mut pairs);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_causes_is_broken_where_it_goes_back_furthest() {
        let by = |cause| Some(Link { cause, evidence: Evidence::Order, confidence: 0.6 });
        // 1 → 3 → 2 → 1, and 4 behind it; 0 alone.
        let cause = vec![None, by(2), by(3), by(1), by(3)];
        let mut links = Links { cause, is_cause: vec![false, true, true, true, false], joined: FxHashSet::default() };
        links.break_circles();
        let causes: Vec<_> = links.cause.iter().map(|link| link.map(|link| link.cause)).collect();
        assert_eq!(causes, [None, None, Some(3), Some(1), Some(3)]);
        assert_eq!(links.is_cause, [false, true, false, true, false]);
    }
}
