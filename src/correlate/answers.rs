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
    let likely = likely(requests, replies);
    let sequences = Sequences {
        causes: places(scene, requests, &FxHashMap::default()),
        effects: places(scene, replies, &likely),
        one_at_a_time,
    };
    let mut answers = Vec::new();
    let found = align(sequences.causes.len(), sequences.effects.len(), &sequences);
    for (effect, found) in sequences.effects.iter().zip(found) {
        let Some(found) = found else { continue };
        if let (Some(request), Some(reply)) = (sequences.causes[found.cause].slot.known(), effect.slot.known()) {
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

/// A place in one of the sequences, and what is known of the message there; nothing of one that is missing.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: Slot,
    envelope: u64,
    at: Timestamp,
    follows_a_gap: bool,
    /// The request of which this reply repeats something.
    likely: Option<Rank>,
}

/// The messages of one direction, and those that are missing and were counted.
fn places(scene: &Scene<'_>, letters: &[Letter<'_>], likely: &FxHashMap<Rank, Rank>) -> Vec<Place> {
    let ranks: Vec<Rank> = letters.iter().map(|letter| letter.rank).collect();
    let mut letters = letters.iter();
    let place = |slot: Slot| {
        let known = slot.known().and_then(|_| letters.next());
        let record = known.map(|letter| scene.window.record(letter.rank));
        Place {
            slot,
            envelope: known.map_or(0, |letter| letter.envelope),
            at: record.map_or(Timestamp::default(), |record| record.available),
            follows_a_gap: record.is_none_or(|record| record.after_gap),
            likely: known.and_then(|letter| likely.get(&letter.rank).copied()),
        }
    };
    slots(&ranks, |before, rank| missing_between(scene, before, rank)).into_iter().map(place).collect()
}

struct Sequences {
    causes: Vec<Place>,
    effects: Vec<Place>,
    one_at_a_time: bool,
}

impl Costs for Sequences {
    fn causes_before(&self, effect: usize) -> usize {
        self.causes.partition_point(|cause| cause.slot.after < self.effects[effect].slot.before)
    }

    fn pair(&self, cause: usize, effect: usize) -> Option<f64> {
        let (asked, answered) = (&self.causes[cause], &self.effects[effect]);
        let (Some(request), Some(reply)) = (asked.slot.known(), answered.slot.known()) else {
            return (asked.slot.after < answered.slot.before).then_some(COUNTED);
        };
        if request > reply || asked.envelope != answered.envelope {
            return None;
        }
        // It is served when the one before it is done.
        let last = effect.checked_sub(1).map(|last| &self.effects[last]).filter(|last| last.slot.known().is_some());
        let begun = last.map_or(asked.at, |last| last.at.max(asked.at));
        let delay = DELAY * ((answered.at - begun).0.max(0) as f64 / SHORTEST_DELAY_NS).ln_1p();
        let asked_again = self.one_at_a_time && self.causes.get(cause + 1).is_some_and(|next| next.slot.before < reply);
        let is_unlike = answered.likely.is_some_and(|likely| likely != request);
        Some(delay + f64::from(asked_again) * OUT_OF_TURN + f64::from(is_unlike) * UNLIKE)
    }

    fn skip_cause(&self, cause: usize, before: usize) -> f64 {
        if before == self.effects.len() {
            AT_THE_END
        } else if self.causes[cause].slot.known().is_none() {
            COUNTED_ALONE
        } else if self.effects.get(before).is_some_and(|place| place.follows_a_gap) {
            IN_A_GAP
        } else {
            NOT_IN_A_GAP
        }
    }

    fn skip_effect(&self, effect: usize, before: usize) -> f64 {
        if self.effects[effect].slot.known().is_none() {
            COUNTED_ALONE
        } else if self.causes.get(before).is_some_and(|place| place.follows_a_gap) || before == self.causes.len() {
            IN_A_GAP
        } else {
            NOT_IN_A_GAP
        }
    }
}
