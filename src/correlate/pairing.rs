//! Which message that left a node is which that entered it, where names and content leave several to choose from.
//!
//! Sockets keep order: the k-th that came in is the k-th that went out. Where messages are missing, or were captured in
//! another order than they were sent in, both sequences are aligned: pairs keep their order, short delays are likelier than
//! long ones, and leaving a message alone costs. What could as well be otherwise says so in its confidence.

use super::scene::Scene;
use super::window::{Rank, Record};
use crate::base::time::Duration;

/// Sockets keep this order by definition, and nothing speaks against it.
pub(super) const CERTAIN: f64 = 0.999;

/// Messages of equal content waited on several connections at once: any of them may have been read first.
const SEVERAL_QUEUES: f64 = 0.4;

/// Messages of equal content left over several connections at once: which was first is only known from the capture.
const OVERTAKING: f64 = 0.8;

/// The same, and some of them may be missing.
const OVERTAKING_UNSEEN: f64 = 0.2;

/// Right after messages that may be missing.
const AFTER_A_GAP: f64 = 0.8;

/// Captured in the wrong order, but nothing else comes into question, or something does.
const REORDERED: f64 = 0.99;
const REORDERED_AMONG_MANY: f64 = 0.8;

/// Aligned, and alternatives are much, somewhat, or hardly less likely.
const ALIGNED: [(f64, f64); 3] = [(2.5, 0.95), (1.2, 0.8), (0.0, 0.6)];

/// What leaving a message alone costs, in the unit of `cost`.
const ALONE: f64 = 4.0;

/// More came in than went out, and nothing tells but that no more waited at the end than long before it.
const ALWAYS_WAITING: f64 = 0.8;
const LONG_WAITING: usize = 32;

/// Pairs that one doubt reaches back to: what waited longer than that is in doubt by others.
const MOST_IN_DOUBT: usize = 64;

/// Alignments followed at once, and causes tried for each effect.
const BEAM: usize = 16;
const REACH: usize = 8;

/// Messages that are this close to each other may have been mistaken for each other.
const NEARBY: Duration = Duration::from_millis(5);

/// How far apart, in packets or in time, a capture may have put two messages in the wrong order.
const SLACK_PACKETS: u64 = 8;
const SLACK: Duration = Duration::from_micros(200);

/// A message that entered a node and the one that it left as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    /// As it entered.
    pub(super) cause: Rank,
    /// As it left.
    pub(super) effect: Rank,
    /// How sure, 0 to 1.
    pub(super) confidence: f64,
}

/// Messages of the same content that entered and left a node under one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alike<'a> {
    /// What entered, in order.
    pub(super) causes: &'a [Rank],
    /// What left, in the order of sending as far as it is known.
    pub(super) effects: &'a [Rank],
    /// That order is known.
    pub(super) effects_are_ordered: bool,
}

/// Pairs what entered with what left.
pub(super) fn pair(scene: &Scene<'_>, alike: Alike<'_>, pairs: &mut Vec<Pair>) {
    let Alike { causes, effects, .. } = alike;
    let causal = effects.iter().zip(causes).all(|(effect, cause)| cause < effect);
    // What came in last may not have gone out yet.
    let rest_is_later = causes.get(effects.len()).is_none_or(|next| effects.last().is_some_and(|last| last < next));
    if causal && effects.len() <= causes.len() && rest_is_later {
        in_order(scene, alike, pairs);
    } else if let Some((whole, most)) = in_step(scene, alike) {
        let first = pairs.len();
        in_order(scene, whole, pairs);
        pairs[first..].iter_mut().for_each(|pair| pair.doubt(most));
    } else {
        aligned(scene, alike, pairs);
    }
}

/// The messages of which the k-th that left is the k-th that entered, because none of these can be missing; `None` if they do
/// not fit. Before the first of a connection that began before the capture there were others, so what left first may be
/// theirs. A capture may have put some in the wrong order: there not most, or they are the effects of others. Also how sure
/// that can be at most.
fn in_step<'a>(scene: &Scene<'_>, alike: Alike<'a>) -> Option<(Alike<'a>, f64)> {
    let Alike { causes, effects, .. } = alike;
    let of = |holds: &dyn Fn(Rank) -> bool| causes.iter().chain(effects).any(|&rank| holds(rank));
    if of(&|rank| scene.has_gaps(rank)) {
        return None;
    }
    let most_skipped = usize::from(of(&|rank| scene.is_incomplete(rank)));
    for may_be_late in [false, true] {
        for skipped in 0..=most_skipped {
            let effects = effects.get(skipped..)?;
            let late = effects.iter().zip(causes).filter(|(effect, cause)| effect < cause);
            let fits = if may_be_late {
                late.clone().all(|(&effect, &cause)| is_shortly_before(scene, effect, cause))
                    && (most_skipped == 0 || late.count() * 2 <= effects.len())
            } else {
                late.count() == 0
            };
            if !fits || effects.len() > causes.len() || effects.is_empty() {
                continue;
            }
            let most = match causes.get(effects.len()) {
                Some(next) if effects.last() >= Some(next) => {
                    waits(scene, causes, effects).filter(|_| most_skipped == 0)
                }
                _ => Some(CERTAIN),
            };
            if let Some(most) = most {
                return Some((Alike { effects, ..alike }, most));
            }
        }
    }
    None
}

/// Whether what is left over of the causes may all have come last and wait, although some came before the last effect; and how
/// sure it can be then that the k-th left as the k-th. Else some in the middle had no effect, or one that was not captured.
fn waits(scene: &Scene<'_>, causes: &[Rank], effects: &[Rank]) -> Option<f64> {
    // By any other alignment at least one was left alone.
    let mut saved = 0.0;
    // The effects since nothing waited, and how many waited at most: of the longest such stretch, and of the latest.
    let (mut longest, mut latest) = ((0, 0), (0, 0));
    let mut was_empty = false;
    let mut most_waiting = [0, 0];
    let mut before = 0;
    for (number, &effect) in effects.iter().enumerate() {
        before += causes[before..].iter().take_while(|&&cause| cause < effect).count();
        let waiting = before.saturating_sub(number + 1);
        if waiting > 0 {
            saved += delay_cost(scene, causes[number], effect) - delay_cost(scene, causes[before - 1], effect);
        }
        let half = &mut most_waiting[usize::from(2 * number >= effects.len())];
        *half = waiting.max(*half);
        latest = (latest.0 + 1, waiting.max(latest.1));
        if waiting == 0 {
            longest = (latest.0.max(longest.0), latest.1.max(longest.1));
            latest = (0, 0);
            was_empty = true;
        }
    }
    let [early, late] = most_waiting;
    if saved <= ALONE || (latest.0 <= 2 * longest.0 && latest.1 <= 2 * longest.1) {
        Some(CERTAIN)
    } else {
        (!was_empty && effects.len() >= LONG_WAITING && late <= early + early / 4).then_some(ALWAYS_WAITING)
    }
}

/// Requests and replies that came one after the other: who asks did not ask again before it was answered. The k-th answers
/// the k-th then, whoever answers, and wherever a capture put the two. `None` if they did not, or some may be missing.
pub(super) fn in_turns(scene: &Scene<'_>, requests: &[Rank], replies: &[Rank]) -> Option<Vec<Pair>> {
    let alike = Alike { causes: requests, effects: replies, effects_are_ordered: true };
    let (Alike { causes, effects, .. }, _) = in_step(scene, alike)?;
    let awaited =
        causes.iter().skip(1).zip(causes.iter().zip(effects)).all(|(next, (one, other))| next > one.max(other));
    let pair =
        |(&cause, &effect): (&Rank, &Rank)| Pair { cause, effect, confidence: confidence_in_step(cause, effect) };
    awaited.then(|| causes.iter().zip(effects).map(pair).collect())
}

/// Of a pair where nothing is missing.
fn confidence_in_step(cause: Rank, effect: Rank) -> f64 {
    if cause < effect { CERTAIN } else { REORDERED }
}

/// The k-th with the k-th.
fn in_order(scene: &Scene<'_>, alike: Alike<'_>, pairs: &mut Vec<Pair>) {
    let first = pairs.len();
    pairs.extend(alike.causes.iter().zip(alike.effects).map(|(&cause, &effect)| Pair {
        cause,
        effect,
        confidence: confidence_in_step(cause, effect),
    }));
    let pairs = &mut pairs[first..];
    if pairs.len() < 2 {
        return;
    }
    for next in 1..pairs.len() {
        let (one, other) = (pairs[next - 1], pairs[next]);
        let late = |pair: Pair| pair.effect < pair.cause;
        let near = is_shortly_before(scene, one.cause.min(other.cause), one.cause.max(other.cause));
        if (late(one) || late(other)) && near && !is_same_way(scene, alike, one, other) {
            pairs[next - 1..=next].iter_mut().for_each(|pair| pair.doubt(REORDERED_AMONG_MANY));
        }
    }
    // Who had no more than one under way at any time had none from before the capture either.
    let one_at_a_time = pairs.windows(2).all(|two| !overlap(two[0], two[1]));
    let begins_in_gap = |pair: &Pair| ![pair.cause, pair.effect].iter().any(|&rank| scene.has_gaps(rank));
    if one_at_a_time && pairs.iter().all(begins_in_gap) {
        return;
    }
    for pair in pairs.iter_mut() {
        if [pair.cause, pair.effect].iter().any(|&rank| scene.window.record(rank).after_gap) {
            pair.confidence = AFTER_A_GAP;
        }
    }
    for next in 1..pairs.len() {
        let (one, other) = (pairs[next - 1], pairs[next]);
        if overlap(one, other) && one.confidence.min(other.confidence) < CERTAIN {
            pairs[next - 1..=next].iter_mut().for_each(|pair| pair.doubt(AFTER_A_GAP));
        }
    }
    doubt_several_ways(scene, alike, pairs);
}

impl Pair {
    fn doubt(&mut self, confidence: f64) {
        self.confidence = self.confidence.min(confidence);
    }
}

/// Lowers the confidence of pairs, in order, that were under way at the same time by different connections: messages of
/// one may have overtaken those of another.
pub(super) fn doubt_several_ways(scene: &Scene<'_>, alike: Alike<'_>, pairs: &mut [Pair]) {
    let conn = |rank: Rank| scene.window.record(rank).conn;
    let is_late = pairs.iter().any(|pair| pair.effect < pair.cause);
    let overlap = |one, other| if is_late { overlap_about(scene, one, other) } else { overlap(one, other) };
    for side in 0..2 {
        if side == 1 && alike.effects_are_ordered {
            continue;
        }
        let way = |pair: &Pair| conn(if side == 0 { pair.cause } else { pair.effect });
        let is_whole = |pair: &Pair| {
            !scene.connection(pair.cause).is_incomplete() && !scene.connection(pair.effect).is_incomplete()
        };
        let confidence = match side {
            0 => SEVERAL_QUEUES,
            _ if pairs.iter().all(is_whole) => OVERTAKING,
            _ => OVERTAKING_UNSEEN,
        };
        // The latest pair that took another way than the one before.
        let mut other: Option<usize> = None;
        for next in 1..pairs.len() {
            if way(&pairs[next - 1]) != way(&pairs[next]) {
                other = Some(next - 1);
            }
            let least = next.saturating_sub(MOST_IN_DOUBT);
            let first = (least..next).rev().take_while(|&before| overlap(pairs[before], pairs[next])).last();
            // All that were under way by then may have changed places.
            if let Some(first) = first.filter(|&first| other.is_some_and(|other| other >= first)) {
                pairs[first..=next].iter_mut().for_each(|pair| pair.doubt(confidence));
            }
        }
    }
}

/// Whether two pairs came and went by the same connections, or in an order that is known.
fn is_same_way(scene: &Scene<'_>, alike: Alike<'_>, one: Pair, other: Pair) -> bool {
    let same = |one: Rank, other: Rank| scene.window.record(one).conn == scene.window.record(other).conn;
    same(one.cause, other.cause) && (alike.effects_are_ordered || same(one.effect, other.effect))
}

/// Whether both causes may have been there before either effect, where a capture put some messages in the wrong order.
fn overlap_about(scene: &Scene<'_>, one: Pair, other: Pair) -> bool {
    let (cause, effect) = (one.cause.max(other.cause), one.effect.min(other.effect));
    cause < effect || is_shortly_before(scene, effect, cause)
}

/// Whether both causes were there before either effect. While the node owes nothing, nothing can be mistaken for what
/// comes next.
fn overlap(one: Pair, other: Pair) -> bool {
    one.cause.max(other.cause) < one.effect.min(other.effect)
}

/// One alignment of the first effects.
#[derive(Clone, Copy, Debug)]
struct Alignment {
    cost: f64,
    /// The first cause that is still free.
    next: u32,
    /// In the list before: which alignment this one goes on from.
    from: u8,
    /// The latest effect has the cause before `next`.
    is_paired: bool,
}

/// The cheapest alignment, then what is left over with some slack in time.
fn aligned(scene: &Scene<'_>, alike: Alike<'_>, pairs: &mut Vec<Pair>) {
    let Alike { causes, effects, .. } = alike;
    let mut steps: Vec<Vec<Alignment>> = Vec::with_capacity(effects.len() + 1);
    steps.push(vec![Alignment { cost: 0.0, next: 0, from: 0, is_paired: false }]);
    for &effect in effects {
        let before = causes.partition_point(|&cause| cause < effect);
        let mut reached: Vec<Alignment> = Vec::new();
        for (from, alignment) in steps[steps.len() - 1].iter().enumerate() {
            let from = from as u8;
            reached.push(Alignment { cost: alignment.cost + ALONE, from, is_paired: false, ..*alignment });
            let next = alignment.next as usize;
            let near = next..before.min(next + REACH);
            let latest = before.checked_sub(1).filter(|latest| *latest >= near.end.max(next));
            for at in near.chain(latest) {
                let passed_over = (at - next).min(REACH) as f64;
                let cost = alignment.cost + passed_over * ALONE + delay_cost(scene, causes[at], effect);
                reached.push(Alignment { cost, next: at as u32 + 1, from, is_paired: true });
            }
        }
        reached.sort_by(|a, b| (a.next, a.is_paired).cmp(&(b.next, b.is_paired)).then(a.cost.total_cmp(&b.cost)));
        reached.dedup_by_key(|alignment| (alignment.next, alignment.is_paired));
        reached.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.next.cmp(&b.next)));
        reached.truncate(BEAM);
        steps.push(reached);
    }
    let mut chosen: Vec<Option<usize>> = vec![None; effects.len()];
    let left_over = |alignment: &Alignment| alignment.cost + ALONE * (causes.len() - alignment.next as usize) as f64;
    let last = &steps[effects.len()];
    let mut at = (0..last.len()).min_by(|&a, &b| left_over(&last[a]).total_cmp(&left_over(&last[b]))).unwrap_or(0);
    for number in (0..effects.len()).rev() {
        let alignment = steps[number + 1][at];
        chosen[number] = alignment.is_paired.then(|| alignment.next as usize - 1);
        at = usize::from(alignment.from);
    }
    let first = pairs.len();
    let is_whole = [causes, effects].concat().iter().all(|&rank| !scene.has_gaps(rank));
    let mut is_free = vec![true; causes.len()];
    for cause in chosen.iter().flatten() {
        is_free[*cause] = false;
    }
    for (number, cause) in chosen.iter().enumerate() {
        if let &Some(cause) = cause {
            let mut confidence = confidence_of(scene, alike, &chosen, &is_free, number, cause);
            if is_whole && is_near_another(scene, alike, number, cause) {
                // Nothing is missing, so it is the order that is wrong somewhere.
                confidence = confidence.min(ALIGNED[2].1);
            }
            pairs.push(Pair { cause: causes[cause], effect: effects[number], confidence });
        }
    }
    doubt_several_ways(scene, alike, &mut pairs[first..]);
    with_slack(scene, alike, &chosen, &mut is_free, pairs);
}

/// How likely a delay is: equal factors cost the same.
fn delay_cost(scene: &Scene<'_>, cause: Rank, effect: Rank) -> f64 {
    relative_delay(scene, cause, effect).ln_1p()
}

/// A delay, in proportion to the shortest that matter.
pub(super) fn relative_delay(scene: &Scene<'_>, cause: Rank, effect: Rank) -> f64 {
    scene.delay(cause, effect).0.max(0) as f64 / 20e3
}

/// How much dearer it would be to give an effect another cause that is free, or a cause another effect.
fn confidence_of(
    scene: &Scene<'_>,
    alike: Alike<'_>,
    chosen: &[Option<usize>],
    is_free: &[bool],
    number: usize,
    cause: usize,
) -> f64 {
    let Alike { causes, effects, .. } = alike;
    let now = delay_cost(scene, causes[cause], effects[number]);
    let neighbours = [cause.checked_sub(1), Some(cause + 1)].into_iter().flatten();
    let free_causes = neighbours.filter(|&other| is_free.get(other) == Some(&true) && causes[other] < effects[number]);
    let other_causes = free_causes.map(|other| delay_cost(scene, causes[other], effects[number]));
    let neighbours = [number.checked_sub(1), Some(number + 1)].into_iter().flatten();
    let free_effects = neighbours.filter(|&other| chosen.get(other) == Some(&None) && causes[cause] < effects[other]);
    let other_effects = free_effects.map(|other| delay_cost(scene, causes[cause], effects[other]));
    let margin = other_causes.chain(other_effects).map(|other| other - now).fold(f64::INFINITY, f64::min);
    let by_margin =
        ALIGNED.iter().find(|(least, _)| margin >= *least).map_or(ALIGNED[2].1, |(_, confidence)| *confidence);
    // Where several are under way at once, one that is missing may have moved them all.
    let overlaps = |other: usize| {
        chosen.get(other).copied().flatten().is_some_and(|its| {
            let pair =
                |cause: usize, effect: usize| Pair { cause: causes[cause], effect: effects[effect], confidence: 0.0 };
            overlap(pair(its, other), pair(cause, number))
        })
    };
    let is_busy = overlaps(number + 1) || number.checked_sub(1).is_some_and(overlaps);
    if is_busy { by_margin.min(ALIGNED[2].1) } else { by_margin }
}

/// Whether another message of this content came or went while a pair was under way, or shortly before or after.
fn is_near_another(scene: &Scene<'_>, alike: Alike<'_>, number: usize, cause: usize) -> bool {
    let Alike { causes, effects, .. } = alike;
    let at = |rank: Rank| scene.window.record(rank).available;
    let near = |other: Option<&Rank>| {
        other.is_some_and(|&other| {
            at(other) >= at(causes[cause]) + Duration(-NEARBY.0) && at(other) <= at(effects[number]) + NEARBY
        })
    };
    let neighbours = |list: &[Rank], index: usize| {
        near(index.checked_sub(1).and_then(|before| list.get(before))) || near(list.get(index + 1))
    };
    neighbours(causes, cause) || neighbours(effects, number)
}

/// Effects left over that were captured shortly before a cause that is left over.
fn with_slack(
    scene: &Scene<'_>,
    alike: Alike<'_>,
    chosen: &[Option<usize>],
    is_free: &mut [bool],
    pairs: &mut Vec<Pair>,
) {
    let Alike { causes, effects, .. } = alike;
    for (number, &effect) in effects.iter().enumerate().filter(|(number, _)| chosen[*number].is_none()) {
        let after = causes.partition_point(|&cause| cause < effect);
        let near = |&at: &usize| is_free[at] && is_shortly_before(scene, effect, causes[at]);
        if let Some(at) = (after..causes.len().min(after + REACH)).find(near) {
            is_free[at] = false;
            let alone = causes.len() == 1 && effects.len() == 1;
            let confidence = if alone { REORDERED } else { REORDERED_AMONG_MANY };
            pairs.push(Pair { cause: causes[at], effect: effects[number], confidence });
        }
    }
}

/// Whether two messages are so close that a capture may have put them in the wrong order.
pub(super) fn is_shortly_before(scene: &Scene<'_>, earlier: Rank, later: Rank) -> bool {
    let packet = |record: &Record| record.position.packet;
    let (one, other) = (scene.window.record(earlier), scene.window.record(later));
    let same_file = packet(one).file() == packet(other).file();
    let packets = packet(other).number().abs_diff(packet(one).number());
    (same_file && packets <= SLACK_PACKETS) || scene.delay(earlier, later) <= SLACK
}
