//! Two sequences of messages of which some are missing, joined in order: which alignment is likeliest, and how likely each
//! of its pairs is among all alignments.
//!
//! Alignments are followed from the first effect to the last, the likeliest few at a time, and weighed from both ends (the
//! forward-backward algorithm), so a pair is as sure as those alignments that have it are likelier than those that have not.
//! Likelihoods are relative: only their ratios count.

use std::ops::Range;

/// Alignments followed at once, and causes tried for each effect.
const BEAM: usize = 24;
const REACH: usize = 8;

/// An alignment that is so much less likely than another one up to the same effect is followed no further; near a gap much may
/// still come that makes up for it.
const HOPELESS: f64 = 1e-9;
const HOPELESS_NEAR_A_GAP: f64 = 1e-14;

/// The likelihood that many causes at once have no effect.
const FAR: f64 = 4e-11;

/// How likely it is that two messages belong together, or that one has no counterpart.
pub(super) trait Likelihoods {
    /// A cause and an effect; `None` if that cannot be.
    fn pair(&self, cause: usize, effect: usize) -> Option<f64>;
    /// Of these causes, which are far from the first that is free, those that an effect may have all the same, though then none
    /// that is free before has one.
    fn far(&self, causes: Range<usize>, effect: usize, go: &mut dyn FnMut(usize));
    /// A cause without an effect, which would have been before this effect.
    fn skip_cause(&self, cause: usize, before: usize) -> f64;
    /// An effect without a cause, which would have been before this cause.
    fn skip_effect(&self, effect: usize, before: usize) -> f64;
    /// Whether messages may be missing not far before this effect.
    fn is_near_a_gap(&self, effect: usize) -> bool;
}

/// The cause of an effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) cause: usize,
    /// How likely it is this one, 0 to 1.
    pub(super) likelihood: f64,
}

/// For each of these effects, its cause in the likeliest alignment with these causes.
pub(super) fn align(causes: Range<usize>, effects: Range<usize>, likelihoods: &impl Likelihoods) -> Vec<Option<Found>> {
    let mut trellis = Trellis::new(causes.start, effects.len());
    for effect in effects.clone() {
        let hopeless = if likelihoods.is_near_a_gap(effect) { HOPELESS_NEAR_A_GAP } else { HOPELESS };
        trellis.follow(hopeless, |next, go| steps(effect, next..causes.end, likelihoods, go));
    }
    trellis.likeliest(|left_over| left_over.map(|cause| likelihoods.skip_cause(cause, effects.end)).product())
}

/// The alignments that are followed, from effect to effect.
struct Trellis {
    /// For each number of effects, those that are reached with so many, by the cause that is next.
    states: Vec<State>,
    /// For each effect, the steps that lead to these.
    ways: Vec<Way>,
    /// Where the states of each number of effects begin, and the ways that lead to them.
    stages: Vec<Stage>,
    /// What is reached with the effect at hand, and what of it leaves the same cause next.
    reached: Vec<Reached>,
    merged: Vec<Merged>,
}

/// All alignments of the first effects that leave the same causes.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The first cause that is still free.
    next: u32,
    /// The last step of the likeliest of them.
    by: u32,
    /// The likelihood of that one, in proportion to the likeliest of all states of as many effects.
    best: f64,
    /// The likelihood of all of them together, in proportion to the likeliest such state.
    all: f64,
}

/// A step from one state to another. Small, as there are many.
#[derive(Clone, Copy, Debug)]
struct Way {
    likelihood: f32,
    /// Number of the state among those of its number of effects.
    from: u8,
    to: u8,
    is_paired: bool,
}

#[derive(Clone, Copy, Debug)]
struct Stage {
    states: usize,
    ways: usize,
}

#[derive(Clone, Copy, Debug)]
struct Reached {
    step: Step,
    from: u8,
    best: f64,
    all: f64,
}

/// A state to be: which of what was reached it is, and the likelihood of all together.
#[derive(Clone, Copy, Debug)]
struct Merged {
    first: usize,
    count: usize,
    all: f64,
}

/// One way to go on with the next effect.
#[derive(Clone, Copy, Debug)]
struct Step {
    next: usize,
    is_paired: bool,
    likelihood: f64,
}

impl Trellis {
    /// No effect yet, every cause from this one on is free.
    fn new(first_cause: usize, effects: usize) -> Self {
        let mut stages = Vec::with_capacity(effects + 2);
        stages.extend([Stage { states: 0, ways: 0 }, Stage { states: 1, ways: 0 }]);
        Self {
            states: vec![State { next: first_cause as u32, by: 0, best: 1.0, all: 1.0 }],
            ways: Vec::new(),
            stages,
            reached: Vec::new(),
            merged: Vec::new(),
        }
    }

    /// Goes on with the next effect; `steps` tells the ways on from where a cause is next, of which none is followed that is
    /// so much less likely than another.
    fn follow(&mut self, hopeless: f64, steps: impl Fn(usize, &mut dyn FnMut(Step))) {
        let Self { states, ways, stages, reached, merged } = self;
        let begin = stages[stages.len() - 2].states;
        reached.clear();
        let mut least = 0.0;
        for (from, state) in states[begin..].iter().enumerate() {
            steps(state.next as usize, &mut |step| {
                let all = state.all * step.likelihood;
                if all >= least {
                    least = f64::max(all * hopeless, least);
                    reached.push(Reached { step, from: from as u8, best: state.best * step.likelihood, all });
                }
            });
        }
        let order = |a: &Reached, b: &Reached| {
            a.step.next.cmp(&b.step.next).then(b.best.total_cmp(&a.best)).then(a.from.cmp(&b.from))
        };
        reached.sort_unstable_by(order);
        merged.clear();
        let mut first = 0;
        for same in reached.chunk_by(|a, b| a.step.next == b.step.next) {
            merged.push(Merged { first, count: same.len(), all: same.iter().map(|reached| reached.all).sum() });
            first += same.len();
        }
        let most = merged.iter().map(|state| state.all).fold(0.0, f64::max);
        merged.retain(|state| state.all >= most * hopeless);
        if merged.len() > BEAM {
            merged.sort_unstable_by(|a, b| b.all.total_cmp(&a.all).then(a.first.cmp(&b.first)));
            merged.truncate(BEAM);
            merged.sort_unstable_by_key(|state| state.first);
        }
        let likeliest = merged.iter().map(|state| reached[state.first].best).fold(0.0, f64::max);
        for (to, state) in merged.iter().enumerate() {
            let same = &reached[state.first..][..state.count];
            let Reached { step, best, .. } = same[0];
            let by = ways.len() as u32;
            states.push(State { next: step.next as u32, by, best: best / likeliest, all: state.all / most });
            ways.extend(same.iter().map(|Reached { step, from, .. }| Way {
                likelihood: step.likelihood as f32,
                from: *from,
                to: to as u8,
                is_paired: step.is_paired,
            }));
        }
        stages.push(Stage { states: states.len(), ways: ways.len() });
    }

    /// The likeliest alignment, with how likely each pair of it is; `left_over` tells how likely it is that these causes have no
    /// effect.
    fn likeliest(&self, left_over: impl Fn(Range<usize>) -> f64) -> Vec<Option<Found>> {
        let effects = self.stages.len() - 2;
        let states = |stage: usize| &self.states[self.stages[stage].states..self.stages[stage + 1].states];
        let last = states(effects);
        let most_used = last.last().map_or(0, |state| state.next as usize);
        // For each state of a stage: the likelihood of all ways together to go on from there to the end.
        let mut onwards: Vec<f64> = last.iter().map(|state| left_over(state.next as usize..most_used)).collect();
        let mut onwards_before = Vec::new();
        let best = |at: &usize| last[*at].best * onwards[*at];
        let mut at = (0..last.len()).min_by(|a, b| best(b).total_cmp(&best(a))).unwrap_or(0);
        let mut found = vec![None; effects];
        for effect in (0..effects).rev() {
            let (before, ways) = (states(effect), self.stages[effect + 1].ways..self.stages[effect + 2].ways);
            onwards_before.clear();
            onwards_before.resize(before.len(), 0.0);
            let (mut of_all, mut of_chosen) = (0.0, 0.0);
            for way in &self.ways[ways] {
                let onwards = f64::from(way.likelihood) * onwards[usize::from(way.to)];
                let from = usize::from(way.from);
                onwards_before[from] += onwards;
                let likelihood = before[from].all * onwards;
                of_all += likelihood;
                if way.is_paired && usize::from(way.to) == at {
                    of_chosen += likelihood;
                }
            }
            let chosen = states(effect + 1)[at];
            let by = self.ways[chosen.by as usize];
            if by.is_paired {
                found[effect] = Some(Found { cause: chosen.next as usize - 1, likelihood: of_chosen / of_all });
            }
            at = usize::from(by.from);
            let most = onwards_before.iter().copied().fold(0.0, f64::max);
            for onwards in &mut onwards_before {
                *onwards /= most;
            }
            std::mem::swap(&mut onwards, &mut onwards_before);
        }
        found
    }
}

/// The ways to go on with an effect while these causes are neither used up nor left behind.
fn steps(effect: usize, free: Range<usize>, likelihoods: &impl Likelihoods, go: &mut dyn FnMut(Step)) {
    let first = free.start;
    go(Step { next: first, is_paired: false, likelihood: likelihoods.skip_effect(effect, first) });
    let near = first..free.end.min(first + REACH);
    let mut pair = |cause: usize, passed_over: f64| {
        if let Some(likelihood) = likelihoods.pair(cause, effect) {
            go(Step { next: cause + 1, is_paired: true, likelihood: passed_over * likelihood });
        }
    };
    let mut passed_over = 1.0;
    for cause in near.clone() {
        pair(cause, passed_over);
        passed_over *= likelihoods.skip_cause(cause, effect);
        if passed_over < HOPELESS_NEAR_A_GAP {
            break;
        }
    }
    if near.end < free.end {
        likelihoods.far(near.end..free.end, effect, &mut |cause| pair(cause, FAR));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters that match their like.
    struct Letters<'a>(&'a [u8], &'a [u8]);

    impl Likelihoods for Letters<'_> {
        fn far(&self, causes: Range<usize>, _: usize, go: &mut dyn FnMut(usize)) {
            causes.take(20).for_each(go);
        }
        fn pair(&self, cause: usize, effect: usize) -> Option<f64> {
            (self.0[cause] == self.1[effect]).then_some(1.0)
        }
        fn skip_cause(&self, _: usize, _: usize) -> f64 {
            0.02
        }
        fn skip_effect(&self, _: usize, _: usize) -> f64 {
            0.02
        }
        fn is_near_a_gap(&self, _: usize) -> bool {
            true
        }
    }

    fn causes(causes: &[u8], effects: &[u8]) -> Vec<Option<usize>> {
        let found = align(0..causes.len(), 0..effects.len(), &Letters(causes, effects));
        found.iter().map(|found| found.map(|found| found.cause)).collect()
    }

    #[test]
    fn what_is_missing_on_either_side_is_left_out() {
        assert_eq!(causes(b"abcde", b"acxde"), [Some(0), Some(2), None, Some(3), Some(4)]);
        assert_eq!(causes(b"", b"ab"), [None, None]);
        assert_eq!(causes(b"ab", b""), []);
    }

    #[test]
    fn many_may_be_missing_at_once() {
        assert_eq!(causes(b"abcdefghijklmnopqrstuvwxyz", b"aabxyz")[3..], [Some(23), Some(24), Some(25)]);
    }

    #[test]
    fn long_sequences_stay_in_step() {
        let letters: Vec<u8> = (0..5000).map(|number| (number % 64) as u8).collect();
        let found = align(0..letters.len(), 0..letters.len(), &Letters(&letters, &letters));
        for (number, found) in found.into_iter().enumerate() {
            let found = found.expect("none is missing");
            assert!(found.cause == number && found.likelihood > 0.999, "{number}: {found:?}");
        }
    }

    #[test]
    fn of_equal_ones_each_is_as_likely() {
        let found = align(0..2, 0..1, &Letters(b"aa", b"a"))[0].expect("one of them");
        assert!((found.likelihood - 0.5).abs() < 0.01, "{found:?}");
        let found = align(0..3, 0..3, &Letters(b"aba", b"aba"));
        assert!(found.iter().flatten().all(|found| found.likelihood > 0.99), "{found:?}");
    }
}
