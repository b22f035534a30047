//! The turn at a worker that answers in order, where messages are missing.
//!
//! A REP answers what came over a connection in the order in which it came, whoever asked, and a REQ asks one at a time
//! (RFC 28). So all requests and replies of a connection are two sequences that run in parallel, and the envelopes, which a
//! reply repeats, are letters in them. What is missing is counted by its octets and keeps its place.

use super::alignment::{Found, Likelihoods, align};
use super::likeness::{Likeness, REQUESTS};
use super::losses::{Slot, latest_before, missing_between, slots};
use super::scene::Scene;
use super::window::Rank;
use crate::base::time::Timestamp;
use rustc_hash::FxHashMap;
use std::ops::Range;

/// A message that is missing, counted, with its counterpart.
const COUNTED: f64 = 0.61;

/// A message left alone: right where others are missing beyond those counted, and elsewhere.
const IN_A_GAP: f64 = 0.018;
const NOT_IN_A_GAP: f64 = 6e-6;

/// One that is missing and counted, without its counterpart.
const COUNTED_ALONE: f64 = 0.05;

/// Many requests at once have no reply so many messages after a gap at most; and those with the envelope of the next reply are
/// tried, if no more than one of so many has it.
const NEAR_A_GAP: usize = 8;
const RARE: usize = 16;

/// The last requests are answered after the capture, or after this window.
const AT_THE_END: f64 = 0.018;

/// Who asks one at a time had asked again before this reply.
const OUT_OF_TURN: f64 = 3.4e-4;

/// The reply repeats something of another request.
const UNLIKE: f64 = 3.4e-4;

/// So likely is a pair that needs no look at what the messages say.
const CLEAR: f64 = 0.999;

/// Replies that are asked what they repeat to learn whether replies do so at all, if there are so many.
const ASKED_FOR_ALL: usize = 64;

/// Delays that are not much longer are about as likely.
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
    let mut sequences = Sequences::new(places(scene, requests), places(scene, replies), one_at_a_time);
    let mut found = align(0..sequences.causes.len(), 0..sequences.effects.len(), &sequences);
    let in_order = sequences.answers(&found);
    // A reply without a request is none of them: had one been left over in its turn, it would have been joined to that.
    let is_in_doubt = |reply: &Letter<'_>| {
        let answer = in_order.binary_search_by_key(&reply.rank, |answer| answer.reply).ok().map(|at| in_order[at]);
        answer.is_some_and(|it| it.likelihood < CLEAR || scene.may_lack_request(it.request, it.reply))
    };
    if !replies.iter().any(is_in_doubt) {
        return in_order;
    }
    let Some(likely) = repeated(requests, replies, is_in_doubt) else { return in_order };
    for effect in &mut sequences.effects {
        effect.likely = effect.slot.known().and_then(|reply| likely.get(&reply).copied());
    }
    sequences.align_again(&mut found);
    sequences.answers(&found)
}

/// For the replies in doubt, and some others, that repeat something of just one request: that one. `None` if most replies repeat
/// nothing.
pub(super) fn repeated(
    requests: &[Letter<'_>],
    replies: &[Letter<'_>],
    is_in_doubt: impl Fn(&Letter<'_>) -> bool,
) -> Option<FxHashMap<Rank, Rank>> {
    // What most replies do is told by some of all of them.
    let every = replies.len().div_ceil(ASKED_FOR_ALL).max(1);
    let is_asked = |(number, reply): &(usize, &Letter<'_>)| number.is_multiple_of(every) || is_in_doubt(reply);
    let asked: Vec<(usize, &Letter<'_>)> = replies.iter().enumerate().filter(is_asked).collect();
    let mut likeness = Likeness::about(asked.iter().map(|(_, reply)| reply.body));
    let mut found = FxHashMap::default();
    let (mut told, mut known) = (0, 0);
    for (number, reply) in asked {
        let before = requests.partition_point(|request| request.rank < reply.rank);
        known = known.max(before.saturating_sub(REQUESTS / 2));
        for request in requests.iter().take(before + REQUESTS / 2).skip(known) {
            likeness.add(request.rank, request.body);
            known += 1;
        }
        if let Some(request) = likeness.find_clear(reply.rank, reply.body) {
            told += usize::from(number.is_multiple_of(every));
            found.insert(reply.rank, request);
        }
    }
    (told * 2 > replies.len().div_ceil(every)).then_some(found)
}

/// A place in one of the sequences, and what is known of the message there; nothing of one that is missing.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: Slot,
    envelope: u64,
    at: Timestamp,
    /// How many messages are between it and the last gap before it.
    since_gap: usize,
    /// The request of which this reply repeats something, if that was asked.
    likely: Option<Rank>,
}

/// The messages of one direction, and those that are missing and were counted.
fn places(scene: &Scene<'_>, letters: &[Letter<'_>]) -> Vec<Place> {
    let ranks: Vec<Rank> = letters.iter().map(|letter| letter.rank).collect();
    let mut letters = letters.iter();
    let mut since_gap = usize::MAX;
    let place = |slot: Slot| {
        let known = slot.known().and_then(|_| letters.next());
        let record = known.map(|letter| scene.window.record(letter.rank));
        let follows_a_gap = record.is_none_or(|record| record.after_gap);
        since_gap = if follows_a_gap { 0 } else { since_gap.saturating_add(1) };
        Place {
            slot,
            envelope: known.map_or(0, |letter| letter.envelope),
            at: record.map_or(Timestamp::default(), |record| record.available),
            since_gap,
            likely: None,
        }
    };
    slots(&ranks, |before, rank| missing_between(scene, before, rank)).into_iter().map(place).collect()
}

struct Sequences {
    causes: Vec<Place>,
    effects: Vec<Place>,
    /// The causes that are known, sorted by their envelopes.
    by_envelope: Vec<(u64, usize)>,
    one_at_a_time: bool,
}

impl Sequences {
    fn new(causes: Vec<Place>, effects: Vec<Place>, one_at_a_time: bool) -> Self {
        let known = causes.iter().enumerate().filter(|(_, place)| place.slot.known().is_some());
        let mut by_envelope: Vec<(u64, usize)> = known.map(|(cause, place)| (place.envelope, cause)).collect();
        by_envelope.sort_unstable();
        Self { causes, effects, by_envelope, one_at_a_time }
    }

    /// The pairs of messages that are known, by the order of the replies.
    fn answers(&self, found: &[Option<Found>]) -> Vec<Answer> {
        let answer = |(effect, found): (&Place, &Option<Found>)| {
            let Found { cause, likelihood } = (*found)?;
            let (request, reply) = (self.causes[cause].slot.known()?, effect.slot.known()?);
            Some(Answer { request, reply, likelihood, is_alike: effect.likely == Some(request) })
        };
        self.effects.iter().zip(found).filter_map(answer).collect()
    }

    /// Aligns what is in doubt again, now that it is known what replies repeat: that between two replies of which that is what
    /// was found.
    fn align_again(&self, found: &mut [Option<Found>]) {
        let (mut first, mut first_cause, mut in_doubt) = (0, 0, false);
        for effect in 0..=found.len() {
            let confirmed = found.get(effect).copied().flatten().filter(|found| {
                let request = self.causes[found.cause].slot.known();
                request.is_some() && self.effects[effect].likely == request
            });
            if confirmed.is_none() && effect < found.len() {
                in_doubt |= self.effects[effect].slot.known().is_some()
                    && (self.effects[effect].likely.is_some()
                        || found[effect].is_none_or(|found| found.likelihood < CLEAR));
                continue;
            }
            let end_cause = confirmed.map_or(self.causes.len(), |found| found.cause);
            if in_doubt {
                let again = align(first_cause..end_cause, first..effect, self);
                found[first..effect].copy_from_slice(&again);
            }
            if let Some(confirmed) = confirmed {
                let others = (1.0 - confirmed.likelihood) * UNLIKE;
                let likelihood = confirmed.likelihood / (confirmed.likelihood + others);
                found[effect] = Some(Found { likelihood, ..confirmed });
            }
            (first, first_cause, in_doubt) = (effect + 1, end_cause + 1, false);
        }
    }
}

impl Likelihoods for Sequences {
    fn far(&self, causes: Range<usize>, effect: usize, go: &mut dyn FnMut(usize)) {
        let answered = &self.effects[effect];
        if !self.is_near_a_gap(effect) {
            return;
        }
        let of_envelope = self.by_envelope.partition_point(|entry| entry.0 < answered.envelope);
        let alike = self.by_envelope[of_envelope..].partition_point(|entry| entry.0 == answered.envelope);
        if alike * RARE > self.by_envelope.len() {
            // One that many have may be met by chance, but for the latest request: few wait.
            latest_before(&self.causes, causes, |cause| cause.slot, answered.slot).into_iter().for_each(go);
            return;
        }
        let alike = self.by_envelope[of_envelope..][..alike].iter().map(|&(_, cause)| cause);
        alike.filter(|cause| causes.contains(cause)).for_each(go);
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
        let delay = (answered.at - begun).0.max(0) as f64 / SHORTEST_DELAY_NS;
        let asked_again = self.one_at_a_time && self.causes.get(cause + 1).is_some_and(|next| next.slot.before < reply);
        let is_unlike = answered.likely.is_some_and(|likely| likely != request);
        let in_turn = if asked_again { OUT_OF_TURN } else { 1.0 };
        let alike = if is_unlike { UNLIKE } else { 1.0 };
        // A worker takes about as long for each request, but some take much longer.
        Some(in_turn * alike / (1.0 + delay).sqrt())
    }

    fn skip_cause(&self, cause: usize, before: usize) -> f64 {
        if before == self.effects.len() {
            AT_THE_END
        } else if self.causes[cause].slot.known().is_none() {
            COUNTED_ALONE
        } else if self.effects.get(before).is_some_and(|place| place.since_gap == 0) {
            IN_A_GAP
        } else {
            NOT_IN_A_GAP
        }
    }

    fn is_near_a_gap(&self, effect: usize) -> bool {
        self.effects[effect].since_gap <= NEAR_A_GAP
    }

    fn skip_effect(&self, effect: usize, before: usize) -> f64 {
        if self.effects[effect].slot.known().is_none() {
            COUNTED_ALONE
        } else if self.causes.get(before).is_some_and(|place| place.since_gap == 0) || before == self.causes.len() {
            IN_A_GAP
        } else {
            NOT_IN_A_GAP
        }
    }
}
