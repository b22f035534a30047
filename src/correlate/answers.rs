//! The turn at a worker that answers in order, where messages are missing.
//!
//! A REP answers what came over a connection in the order in which it came, whoever asked, and a REQ asks one at a time
//! (RFC 28). So all requests and replies of a connection are two sequences that run in parallel, and the envelopes, which a
//! reply repeats, are letters in them. What is missing is counted by its octets and keeps its place.

use super::alignment::{Costs, align};
use super::likeness::{Likeness, REQUESTS};
use super::losses::{Slot, missing_between, slots};
use super::scene::Scene;
use super::window::Rank;
use crate::base::time::Timestamp;
use rustc_hash::FxHashMap;

/// A message that is missing, counted, with its counterpart.
const COUNTED: f64 = 0.5;

/// A message left alone: right where others are missing beyond those counted, and elsewhere.
const IN_A_GAP: f64 = 4.0;
const NOT_IN_A_GAP: f64 = 12.0;

/// One that is missing and counted, without its counterpart.
const COUNTED_ALONE: f64 = 3.0;

/// The last requests are answered after the capture, or after this window.
const AT_THE_END: f64 = 4.0;

/// Who asks one at a time had asked again before this reply.
const OUT_OF_TURN: f64 = 8.0;

/// The reply repeats something of another request.
const UNLIKE: f64 = 8.0;

/// What a delay weighs, by its logarithm: a worker takes about as long for each request.
const DELAY: f64 = 0.5;
const SHORTEST_DELAY_NS: f64 = 20e3;

/// A request, its reply, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) request: Rank,
    pub(super) reply: Rank,
    pub(super) likelihood: f64,
    /// The reply repeats something of the request.
    pub(super) is_alike: bool,
}

/// What is known of a message of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letter<'a> {
    /// Which.
    pub(super) rank: Rank,
    /// Hash of its envelope.
    pub(super) envelope: u64,
    /// First octets of what follows it.
    pub(super) body: &'a [u8],
}

/// Joins the requests and replies of one connection; `one_at_a_time` if the requester awaits each reply.
pub(super) fn answers(
    scene: &Scene<'_>,
    requests: &[Letter<'_>],
    replies: &[Letter<'_>],
    one_at_a_time: bool,
) -> Vec<Answer> {
    let ranks = |letters: &[Letter<'_>]| letters.iter().map(|letter| letter.rank).collect::<Vec<_>>();
    let likely = likely(requests, replies);
    let envelopes = requests.iter().chain(replies).map(|letter| (letter.rank, letter.envelope)).collect();
    let counted = |before, rank| missing_between(scene, before, rank);
    let sequences = Sequences {
        scene,
        causes: slots(&ranks(requests), counted),
        effects: slots(&ranks(replies), counted),
        envelopes,
        likely: &likely,
        one_at_a_time,
    };
    let mut answers = Vec::new();
    let found = align(sequences.causes.len(), sequences.effects.len(), &sequences);
    for (effect, found) in sequences.effects.iter().zip(found) {
        let Some(found) = found else { continue };
        if let (Some(request), Some(reply)) = (sequences.causes[found.cause].known(), effect.known()) {
            let is_alike = likely.get(&reply) == Some(&request);
            answers.push(Answer { request, reply, likelihood: found.likelihood, is_alike });
        }
    }
    answers
}

/// For each reply that repeats something of just one request: that one. Empty where most repeat nothing.
fn likely(requests: &[Letter<'_>], replies: &[Letter<'_>]) -> FxHashMap<Rank, Rank> {
    let mut likeness = Likeness::default();
    let mut found = FxHashMap::default();
    let mut known = 0;
    for reply in replies {
        let wanted = requests.partition_point(|request| request.rank < reply.rank) + REQUESTS / 2;
        for request in &requests[known..requests.len().min(wanted)] {
            likeness.add(request.rank, request.body);
            known += 1;
        }
        if let Some(likeliest) = likeness.find(reply.rank, reply.body, |_| false).filter(|likeliest| likeliest.is_clear)
        {
            found.insert(reply.rank, likeliest.request);
        }
    }
    if found.len() * 2 > replies.len() { found } else { FxHashMap::default() }
}

struct Sequences<'a> {
    scene: &'a Scene<'a>,
    causes: Vec<Slot>,
    effects: Vec<Slot>,
    envelopes: FxHashMap<Rank, u64>,
    likely: &'a FxHashMap<Rank, Rank>,
    one_at_a_time: bool,
}

impl Sequences<'_> {
    fn at(&self, rank: Rank) -> Timestamp {
        self.scene.window.record(rank).available
    }

    fn is_gap_at(&self, slots: &[Slot], index: usize) -> bool {
        let is_after_gap = |slot: &Slot| slot.known().is_none_or(|rank| self.scene.window.record(rank).after_gap);
        slots.get(index).is_some_and(is_after_gap)
    }
}

impl Costs for Sequences<'_> {
    fn causes_before(&self, effect: usize) -> usize {
        self.causes.partition_point(|cause| cause.after < self.effects[effect].before)
    }

    fn pair(&self, cause: usize, effect: usize) -> Option<f64> {
        let (Some(request), Some(reply)) = (self.causes[cause].known(), self.effects[effect].known()) else {
            let (cause, effect) = (self.causes[cause], self.effects[effect]);
            return (cause.after < effect.before).then_some(COUNTED);
        };
        if request > reply || self.envelopes.get(&request) != self.envelopes.get(&reply) {
            return None;
        }
        // It is served when the one before it is done.
        let free = effect.checked_sub(1).and_then(|last| self.effects[last].known()).map(|last| self.at(last));
        let begun = free.map_or(self.at(request), |free| free.max(self.at(request)));
        let delay = DELAY * ((self.at(reply) - begun).0.max(0) as f64 / SHORTEST_DELAY_NS).ln_1p();
        let asked_again = self.one_at_a_time && self.causes.get(cause + 1).is_some_and(|next| next.before < reply);
        let is_unlike = self.likely.get(&reply).is_some_and(|&likely| likely != request);
        Some(delay + f64::from(asked_again) * OUT_OF_TURN + f64::from(is_unlike) * UNLIKE)
    }

    fn skip_cause(&self, cause: usize, before: usize) -> f64 {
        if before == self.effects.len() {
            AT_THE_END
        } else if self.causes[cause].known().is_none() {
            COUNTED_ALONE
        } else if self.is_gap_at(&self.effects, before) {
            IN_A_GAP
        } else {
            NOT_IN_A_GAP
        }
    }

    fn skip_effect(&self, effect: usize, before: usize) -> f64 {
        if self.effects[effect].known().is_none() {
            COUNTED_ALONE
        } else if self.is_gap_at(&self.causes, before) || before == self.causes.len() {
            IN_A_GAP
        } else {
            NOT_IN_A_GAP
        }
    }
}
