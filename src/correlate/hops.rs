//! Causes joined to effects: a message that entered a node to the one that left it, a request to its reply.

use super::across_gaps::{Front, Missing, holes_behind, pair_across_gaps};
use super::carried::{Carried, Tagged, TaggedMessage};
use super::closed::{self, following};
use super::losses::Holes;
use super::names::Name;
use super::nodes::{Nodes, Passage};
use super::opaque::Opaque;
use super::pairing::{Alike, CERTAIN, Pair, doubt_several_ways, is_shortly_before, pair};
use super::path::Evidence;
use super::scene::Scene;
use super::sending::Sending;
use super::turns::turns;
use super::window::Rank;
use rustc_hash::FxHashMap;
use std::cell::OnceCell;
use std::collections::VecDeque;

/// Messages that wait in a node under one name, each looked at for every one that leaves; where there are more, they are sorted.
const MOST_WAITING: usize = 64;

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
    /// For each connection of the window: whether a message of it was joined to another.
    joined: Vec<bool>,
}

impl Links {
    /// Joins the messages of a window.
    pub fn find(scene: &Scene<'_>, nodes: &Nodes, passages: &[Passage]) -> Self {
        let count = scene.window.len();
        let joined = vec![false; scene.lines()];
        let mut links = Self { cause: vec![None; count], is_cause: vec![false; count], joined };
        links.through_nodes(scene, nodes, passages);
        if scene.window.has_closed() {
            for joint in following::joints(scene, nodes) {
                links.join(scene, joint.cause, joint.effect, Evidence::Order, joint.confidence);
            }
        }
        let opaque = Opaque::find(scene, nodes, |rank| links.is_linked(rank));
        for (cause, effect, confidence) in opaque.pairs(scene) {
            links.join(scene, cause, effect, Evidence::Content, confidence);
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

    /// Whether any message of the connection of a message was joined to another.
    pub fn has_joined(&self, scene: &Scene<'_>, rank: Rank) -> bool {
        self.joined[scene.line(rank) as usize]
    }

    /// The connections of which any message was joined to another.
    pub fn joined(&self, scene: &Scene<'_>) -> impl Iterator<Item = u32> {
        let joined = self.joined.iter().zip(0..).filter(|&(&joined, _)| joined);
        joined.map(|(_, line)| scene.conn_of(line))
    }

    fn is_linked(&self, rank: Rank) -> bool {
        self.is_cause[rank as usize] || self.cause[rank as usize].is_some()
    }

    fn join(&mut self, scene: &Scene<'_>, cause: Rank, effect: Rank, evidence: Evidence, confidence: f64) {
        for rank in [cause, effect] {
            self.joined[scene.line(rank) as usize] = true;
        }
        let link = Link { cause, evidence, confidence };
        self.cause[effect as usize] =
            Some(if scene.window.has_closed() { closed::doubt(scene, effect, link) } else { link });
        self.is_cause[cause as usize] = true;
    }

    /// Requests and replies that pass a node.
    fn through_nodes(&mut self, scene: &Scene<'_>, nodes: &Nodes, passages: &[Passage]) {
        let mut room = Room::default();
        for passage in passages {
            let holes = [true, false].map(|requests| holes_behind(scene, &passage.backends, requests));
            for carried in &passage.eras {
                let Some(names) = nodes.names(passage, carried) else { continue };
                let sending = LazySending { scene, carried, found: OnceCell::new() };
                for (identity, messages) in carried.iter() {
                    if let Some(name) = names.get(identity) {
                        self.through_node(scene, name, messages, &sending, &holes, &mut room);
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
        messages: Tagged<'_>,
        sending: &LazySending<'_>,
        holes: &[Holes; 2],
        room: &mut Room,
    ) {
        let Room { arrived, forwarded, returned, departed, waiting, pairs } = room;
        let strip = |messages: &[TaggedMessage]| messages.first().map_or(0, |message| message.strip);
        let (request_strip, reply_strip) = (strip(messages.requests), strip(messages.replies));
        [&mut *arrived, forwarded, returned, departed].into_iter().for_each(Vec::clear);
        for &rank in name.conns.iter().flat_map(|&conn| scene.messages_of(conn)) {
            let (list, strip) = if scene.is_request[rank as usize] {
                (&mut *arrived, request_strip)
            } else {
                (&mut *departed, reply_strip)
            };
            list.extend(scene.content(rank, strip).map(|content| (content, rank)));
        }
        forwarded.extend(messages.requests.iter().map(|message| (message.suffix, message.rank)));
        returned.extend(messages.replies.iter().map(|message| (message.suffix, message.rank)));
        let evidence = if name.announced { Evidence::Announced } else { Evidence::Assigned };
        pairs.clear();
        let asked = pair_by_turns(scene, arrived, forwarded, waiting, pairs);
        let answered = pair_by_turns(scene, returned, departed, waiting, pairs);
        if !(asked && answered) {
            let front = Front::new(scene, &name.conns);
            let (in_turn, [requests_behind, replies_behind]) = (&front.in_turn, holes);
            if !asked {
                arrived.sort_unstable();
                forwarded.sort_unstable();
                let missing = Missing { causes: &front.requests, effects: requests_behind, sending: None, in_turn };
                let places = Places::OfEffects(sending);
                pair_by_content(scene, arrived, forwarded, &places, missing, pairs);
            }
            if !answered {
                returned.sort_unstable();
                departed.sort_unstable();
                let missing = Missing { causes: replies_behind, effects: &front.replies, sending: None, in_turn };
                let places = Places::OfCauses { messages, found: OnceCell::new() };
                pair_by_content(scene, returned, departed, &places, missing, pairs);
            }
        }
        for &Pair { cause, effect, confidence } in &*pairs {
            self.join(scene, cause, effect, evidence, confidence * name.confidence);
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
fn places_of_replies(scene: &Scene<'_>, messages: Tagged<'_>) -> Option<FxHashMap<Rank, u64>> {
    let conn = |message: &TaggedMessage| scene.window.record(message.rank).conn;
    let mut asked: FxHashMap<u32, VecDeque<usize>> = FxHashMap::default();
    for (place, request) in messages.requests.iter().enumerate() {
        asked.entry(conn(request)).or_default().push_back(place);
    }
    let mut replies = Vec::with_capacity(messages.replies.len());
    for reply in messages.replies {
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

/// A message by its content. Sorts by that, then time.
type Placed = (u64, Rank);

/// What is needed for one name after the other.
#[derive(Debug, Default)]
struct Room {
    arrived: Vec<Placed>,
    forwarded: Vec<Placed>,
    returned: Vec<Placed>,
    departed: Vec<Placed>,
    waiting: Vec<Placed>,
    pairs: Vec<Pair>,
}

/// The order in which the back ends of a node sent, found when it is first asked for.
struct LazySending<'a> {
    scene: &'a Scene<'a>,
    carried: &'a Carried,
    found: OnceCell<Sending>,
}

impl LazySending<'_> {
    fn get(&self) -> &Sending {
        self.found.get_or_init(|| {
            let requests = self.carried.messages().iter().map(|message| message.rank);
            let mut forwards: Vec<Rank> = requests.filter(|&rank| self.scene.is_request[rank as usize]).collect();
            forwards.sort_unstable();
            Sending::find(self.scene, &forwards)
        })
    }
}

/// In which order messages of one content came or left, where that is known better than from the capture.
enum Places<'a> {
    /// As the back ends took turns.
    OfEffects(&'a LazySending<'a>),
    /// As they were asked.
    OfCauses { messages: Tagged<'a>, found: OnceCell<Option<FxHashMap<Rank, u64>>> },
}

impl Places<'_> {
    /// Puts what entered and what left, all of one content, in order.
    fn put_in_order(&self, scene: &Scene<'_>, causes: &mut [Rank], effects: &mut [Rank]) {
        match self {
            Self::OfEffects(sending) if effects.len() > 1 && sending.get().is_known() => {
                effects.sort_unstable_by_key(|&rank| (sending.get().place(rank), rank));
            }
            Self::OfCauses { messages, found } if causes.len() > 1 => {
                if let Some(places) = found.get_or_init(|| places_of_replies(scene, *messages)) {
                    causes.sort_unstable_by_key(|&rank| (places.get(&rank).copied().unwrap_or(u64::from(rank)), rank));
                }
            }
            _ => {}
        }
    }

    /// The order of sending, if what left was sent by back ends.
    fn sending(&self) -> Option<&Sending> {
        match self {
            Self::OfEffects(sending) => Some(sending.get()),
            Self::OfCauses { .. } => None,
        }
    }
}

/// Pairs messages, in order of time, of which each left while no other of its content waited: then there is nothing to mistake
/// it for. So it is with who asks one at a time, and where contents differ. Says whether it is so for all; if not, there are
/// no pairs.
fn pair_by_turns(
    scene: &Scene<'_>,
    causes: &[Placed],
    effects: &[Placed],
    waiting: &mut Vec<Placed>,
    pairs: &mut Vec<Pair>,
) -> bool {
    if !scene.losses.is_empty() {
        return false;
    }
    let first = pairs.len();
    let is_whole = by_turns(scene, causes, effects, waiting, pairs).is_some();
    if !is_whole {
        pairs.truncate(first);
    }
    is_whole
}

fn by_turns(
    scene: &Scene<'_>,
    causes: &[Placed],
    effects: &[Placed],
    waiting: &mut Vec<Placed>,
    pairs: &mut Vec<Pair>,
) -> Option<()> {
    let follows_a_gap = |rank: Rank| scene.any_after_gap && scene.window.record(rank).after_gap;
    waiting.clear();
    let mut causes = causes.iter().copied().peekable();
    let mut last = None;
    let mut last_effect = None;
    for &(content, effect) in effects {
        if last_effect >= Some(effect) || follows_a_gap(effect) {
            return None;
        }
        last_effect = Some(effect);
        while let Some(cause) = causes.next_if(|&(_, cause)| cause < effect) {
            if last >= Some(cause.1) || waiting.len() >= MOST_WAITING || follows_a_gap(cause.1) {
                return None;
            }
            last = Some(cause.1);
            waiting.push(cause);
        }
        let at = waiting.iter().position(|waiting| waiting.0 == content)?;
        if waiting[at + 1..].iter().any(|waiting| waiting.0 == content) {
            return None;
        }
        let (_, cause) = waiting.swap_remove(at);
        pairs.push(Pair { cause, effect, confidence: CERTAIN });
    }
    // What came later left after this window, or never.
    let rest_is_later = causes.all(|(_, cause)| last < Some(cause) && last_effect < Some(cause));
    rest_is_later.then_some(())
}

/// Pairs causes and effects of equal content; both sorted by content, then time.
fn pair_by_content(
    scene: &Scene<'_>,
    causes: &[Placed],
    effects: &[Placed],
    places: &Places<'_>,
    missing: Missing<'_>,
    pairs: &mut Vec<Pair>,
) {
    let (mut alike_causes, mut alike_effects) = (Vec::new(), Vec::new());
    let mut causes = causes;
    for effects in effects.chunk_by(|a, b| a.0 == b.0) {
        let content = effects[0].0;
        let first = causes.iter().position(|cause| cause.0 >= content).unwrap_or(causes.len());
        let same = causes[first..].iter().take_while(|cause| cause.0 == content).count();
        alike_causes.clear();
        alike_causes.extend(causes[first..first + same].iter().map(|(_, rank)| *rank));
        alike_effects.clear();
        alike_effects.extend(effects.iter().map(|(_, rank)| *rank));
        causes = &causes[first + same..];
        if alike_causes.len().max(alike_effects.len()) <= 1 {
            let alike = Alike { causes: &alike_causes, effects: &alike_effects, effects_are_ordered: true };
            pair(scene, alike, pairs);
            continue;
        }
        places.put_in_order(scene, &mut alike_causes, &mut alike_effects);
        let sending = (alike_effects.len() > 1 || missing.is_anything()).then(|| places.sending()).flatten();
        let alike = Alike {
            causes: &alike_causes,
            effects: &alike_effects,
            effects_are_ordered: sending.is_some_and(Sending::is_sure),
        };
        if missing.is_anything() {
            let missing = Missing { sending: sending.filter(|sending| sending.is_known()), ..missing };
            let first = pairs.len();
            pair_across_gaps(scene, alike, &missing, pairs);
            doubt_several_ways(scene, alike, &mut pairs[first..]);
        } else {
            pair(scene, alike, pairs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_causes_is_broken_where_it_goes_back_furthest() {
        let by = |cause| Some(Link { cause, evidence: Evidence::Order, confidence: 0.6 });
        // 1 → 3 → 2 → 1, and 4 behind it; 0 alone.
        let cause = vec![None, by(2), by(3), by(1), by(3)];
        let mut links = Links { cause, is_cause: vec![false, true, true, true, false], joined: Vec::new() };
        links.break_circles();
        let causes: Vec<_> = links.cause.iter().map(|link| link.map(|link| link.cause)).collect();
        assert_eq!(causes, [None, None, Some(3), Some(1), Some(3)]);
        assert_eq!(links.is_cause, [false, true, false, true, false]);
    }
}
