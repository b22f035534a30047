//! Which message that left a node is which that entered it, where some of either are missing.
//!
//! The capture tells where messages are missing (`losses`): a message without its counterpart is likely where that one can
//! be in a gap, and unlikely elsewhere. On the connection of a client every message goes under the client's name, so those
//! missing there are counted, and have their place among the others.

use super::alignment::{Likelihoods, align};
use super::losses::{Holes, Slot, latest_before, missing_between, slots};
use super::nodes::Backend;
use super::pairing::{Alike, Pair, relative_delay};
use super::scene::Scene;
use super::sending::Sending;
use super::sockets::SocketId;
use super::window::Rank;
use crate::base::direction::Direction;
use rustc_hash::FxHashMap;
use std::ops::Range;

/// A message of which the counterpart may be missing, or may not.
const IN_A_GAP: f64 = 0.05;
const NOT_IN_A_GAP: f64 = 3.4e-4;

/// A counted one of which the counterpart may be missing, or may not; counting may err.
const BOTH_IN_GAPS: f64 = 0.22;
const COUNTED_WRONG: f64 = 0.0067;

/// A counted one and its counterpart: as a common delay.
const COUNTED: f64 = 0.018;

/// A missing effect whose place in the order of sending is known, with its cause; one that is of another name; and a cause
/// whose effect has no place there.
const PLACED: f64 = 0.37;
const OF_ANOTHER_NAME: f64 = 0.5;
const NOT_PLACED: f64 = 0.0025;

/// The last ones may have been passed on after the capture, or after this window.
const AT_THE_END: f64 = 0.14;

/// Who asks one at a time had an answer before, or asked again before this.
const OUT_OF_TURN: f64 = 0.0025;

/// As sure as order alone makes it where messages are missing.
const MOST: f64 = 0.98;

/// Where messages are missing, and what else is known of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing<'a> {
    /// On the connections of the causes.
    pub(super) causes: &'a Holes,
    /// On those of the effects.
    pub(super) effects: &'a Holes,
    /// The order of sending of the effects, if it is known: then what is missing has its place there, though it may be of
    /// another name.
    pub(super) sending: Option<&'a Sending>,
    /// See [`Front::in_turn`].
    pub(super) in_turn: &'a FxHashMap<Rank, Rank>,
}

/// The connections of one client, as far as messages are missing there.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// Where requests may be missing.
    pub(super) requests: Holes,
    /// Where replies may be missing.
    pub(super) replies: Holes,
    /// If the client asks one at a time: for its requests the next message of its connection, and for replies to it the one
    /// before.
    pub(super) in_turn: FxHashMap<Rank, Rank>,
}

impl Front {
    /// Of these connections.
    pub(super) fn new(scene: &Scene<'_>, conns: &[u32]) -> Self {
        if scene.losses.is_empty() {
            return Self::default();
        }
        let asking = |conn: u32| scene.sockets.connection(conn).requests.unwrap_or(Direction::ClientToServer);
        let lanes = |reply: bool| {
            conns.iter().map(move |&conn| (conn, if reply { asking(conn).reverse() } else { asking(conn) }))
        };
        let mut in_turn = FxHashMap::default();
        for messages in conns.iter().map(|&conn| scene.messages_of(conn)).filter(|list| takes_turns(scene, list)) {
            for pair in messages.windows(2) {
                if scene.is_request[pair[0] as usize] {
                    in_turn.insert(pair[0], pair[1]);
                }
                if !scene.is_request[pair[1] as usize] {
                    in_turn.insert(pair[1], pair[0]);
                }
            }
        }
        Self { requests: scene.losses.together(lanes(false)), replies: scene.losses.together(lanes(true)), in_turn }
    }
}

/// Whether requests and replies alternate on a connection, but for what is missing.
fn takes_turns(scene: &Scene<'_>, messages: &[Rank]) -> bool {
    let same = |pair: &[Rank]| scene.is_request[pair[0] as usize] == scene.is_request[pair[1] as usize];
    let nothing_between = |pair: &[Rank]| {
        let (one, other) = (scene.gaps[pair[0] as usize], scene.gaps[pair[1] as usize]);
        (one.requests, one.replies) == (other.requests, other.replies) && !one.ahead
    };
    !messages.windows(2).any(|pair| same(pair) && nothing_between(pair))
}

/// Where messages of the back ends of a node may be missing.
pub(super) fn holes_behind(scene: &Scene<'_>, backends: &[(SocketId, Backend)], requests: bool) -> Holes {
    if scene.losses.is_empty() {
        return Holes::default();
    }
    let conns = backends.iter().flat_map(|(socket, _)| scene.sockets.connections_of(*socket));
    let asking = |conn: u32| scene.sockets.connection(conn).requests;
    scene.losses.together(conns.filter_map(|conn| {
        let asking = asking(conn)?;
        Some((conn, if requests { asking } else { asking.reverse() }))
    }))
}

impl Missing<'_> {
    /// Whether anything may be missing.
    pub(super) fn is_anything(&self) -> bool {
        !self.causes.is_empty() || !self.effects.is_empty()
    }
}

/// Pairs what entered with what left.
pub(super) fn pair_across_gaps(scene: &Scene<'_>, alike: Alike<'_>, missing: &Missing<'_>, pairs: &mut Vec<Pair>) {
    let counted = |before, rank| missing_between(scene, before, rank);
    let effects = match missing.sending {
        Some(sending) => slots(alike.effects, |before, rank| sending.missing_between(before, rank)),
        None => slots(alike.effects, counted),
    };
    let across = AcrossGaps { scene, causes: slots(alike.causes, counted), effects, missing };
    for (effect, found) in align(0..across.causes.len(), 0..across.effects.len(), &across).into_iter().enumerate() {
        let Some(found) = found else { continue };
        if let (Some(cause), Some(effect)) = (across.causes[found.cause].known(), across.effects[effect].known()) {
            pairs.push(Pair { cause, effect, confidence: found.likelihood.min(MOST) });
        }
    }
}

struct AcrossGaps<'a> {
    scene: &'a Scene<'a>,
    causes: Vec<Slot>,
    effects: Vec<Slot>,
    missing: &'a Missing<'a>,
}

impl AcrossGaps<'_> {
    fn in_turn(&self, cause: Rank, effect: Rank) -> f64 {
        let is_early = |until: &Rank| *until < effect;
        let is_late = |since: &Rank| *since > cause;
        let wrong = self.missing.in_turn.get(&cause).is_some_and(is_early)
            || self.missing.in_turn.get(&effect).is_some_and(is_late);
        if wrong { OUT_OF_TURN } else { 1.0 }
    }
}

impl Likelihoods for AcrossGaps<'_> {
    fn far(&self, causes: Range<usize>, effect: usize, go: &mut dyn FnMut(usize)) {
        latest_before(&self.causes, causes, |cause| *cause, self.effects[effect]).into_iter().for_each(go);
    }

    fn pair(&self, cause: usize, effect: usize) -> Option<f64> {
        let (cause, effect) = (self.causes[cause], self.effects[effect]);
        match (cause.known(), effect.known()) {
            (Some(cause), Some(effect)) if cause < effect => {
                Some(self.in_turn(cause, effect) / (1.0 + relative_delay(self.scene, cause, effect)))
            }
            (Some(_), Some(_)) => None,
            (_, None) if self.missing.sending.is_some() => (cause.after < effect.before).then_some(PLACED),
            _ => (cause.after < effect.before).then_some(COUNTED),
        }
    }

    fn skip_cause(&self, cause: usize, before: usize) -> f64 {
        let Some(next) = self.effects.get(before) else { return AT_THE_END };
        let slot = self.causes[cause];
        if self.missing.sending.is_some() {
            return NOT_PLACED;
        }
        let in_gap = self.missing.effects.are_between(slot.after, next.before);
        skipped(slot, in_gap)
    }

    fn is_near_a_gap(&self, _effect: usize) -> bool {
        true
    }

    fn skip_effect(&self, effect: usize, before: usize) -> f64 {
        let slot = self.effects[effect];
        if self.missing.sending.is_some() && slot.known().is_none() {
            return OF_ANOTHER_NAME;
        }
        let after = before.checked_sub(1).map_or(0, |last| self.causes[last].after);
        let until = self.causes.get(before).map_or(slot.before, |next| next.before.min(slot.before));
        let in_gap = self.missing.causes.are_between(after, until.max(after + 1));
        skipped(slot, in_gap)
    }
}

fn skipped(slot: Slot, in_gap: bool) -> f64 {
    match (slot.known().is_some(), in_gap) {
        (true, true) => IN_A_GAP,
        (true, false) => NOT_IN_A_GAP,
        (false, true) => BOTH_IN_GAPS,
        (false, false) => COUNTED_WRONG,
    }
}
