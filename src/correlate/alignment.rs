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

/// Causes tried that are further away.
const MOST_FAR: usize = 4;

/// An alignment that is so much less likely than another one up to the same effect is followed no further; near a gap much may
/// still come that makes up for it.
const HOPELESS: f64 = 1e-7;
const HOPELESS_NEAR_A_GAP: f64 = 1e-12;

/// The likelihood that many causes at once have no effect.
const FAR: f64 = 4e-11;

/// How likely it is that two messages belong together, or that one has no counterpart.
pub(super) trait Likelihoods {
    /// A cause and an effect, 1 at most; `None` if that cannot be.
    fn pair(&self, cause: usize, effect: usize) -> Option<f64>;
    /// Of these causes, which are far from the first that is free, those that an effect may have all the same, though then none
    /// that is free before has one; in order. [`MOST_FAR`] of them are tried.
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
        trellis.follow(effect, causes.end, likelihoods);
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
    /// What is reached with the effect at hand.
    reached: Reached,
    /// What causes are to it.
    row: Row,
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

impl Trellis {
    /// No effect yet, every cause from this one on is free.
    fn new(first_cause: usize, effects: usize) -> Self {
        let mut stages = Vec::with_capacity(effects + 2);
        stages.extend([Stage { states: 0, ways: 0 }, Stage { states: 1, ways: 0 }]);
        Self {
            states: vec![State { next: first_cause as u32, by: 0, best: 1.0, all: 1.0 }],
            ways: Vec::new(),
            stages,
            reached: Reached::default(),
            row: Row::default(),
        }
    }

    /// Goes on with the next effect, while no more than these causes are left.
    fn follow(&mut self, effect: usize, end: usize, likelihoods: &impl Likelihoods) {
        let Self { states, ways, stages, reached, row } = self;
        let begin = stages[stages.len() - 2].states;
        let next = states[begin..].iter().max_by(|a, b| a.all.total_cmp(&b.all)).map(|state| state.next as usize);
        let as_expected = next.filter(|next| *next < end).and_then(|next| likelihoods.pair(next, effect));
        let hopeless = if likelihoods.is_near_a_gap(effect) { HOPELESS_NEAR_A_GAP } else { HOPELESS };
        reached.begin(hopeless, as_expected.unwrap_or(0.0));
        row.begin(effect);
        for (from, state) in states[begin..].iter().enumerate() {
            reached.go_on_from(from, state);
            let first = state.next as usize;
            reached.add(Step { next: first, is_paired: false, likelihood: likelihoods.skip_effect(effect, first) });
            let near = first..end.min(first + REACH);
            let mut passed_over = 1.0;
            for cause in near.clone() {
                let Cell { pair, skip } = row.get(cause, likelihoods);
                if let Some(likelihood) = pair {
                    reached.add(Step { next: cause + 1, is_paired: true, likelihood: passed_over * likelihood });
                }
                passed_over *= skip;
                if reached.is_hopeless(passed_over) {
                    break;
                }
            }
            for &(cause, likelihood) in row.far(near.end..end, likelihoods) {
                reached.add(Step { next: cause + 1, is_paired: true, likelihood: FAR * likelihood });
            }
        }
        reached.settle(states, ways);
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

/// What causes are to the effect at hand: several states ask for the same.
#[derive(Debug, Default)]
struct Row {
    effect: usize,
    /// Some in a row, from this one on.
    first: usize,
    cells: Vec<Cell>,
    /// Those that are far from the first state that asked, and how likely each is to belong to the effect.
    far: Vec<(usize, f64)>,
    is_far_known: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// See [`Likelihoods::pair`].
    pair: Option<f64>,
    /// See [`Likelihoods::skip_cause`].
    skip: f64,
}

impl Row {
    fn begin(&mut self, effect: usize) {
        self.effect = effect;
        self.is_far_known = false;
        self.cells.clear();
    }

    /// Of a cause no more than one further than the last that was asked for, or else all before it are forgotten.
    fn get(&mut self, cause: usize, likelihoods: &impl Likelihoods) -> Cell {
        if cause < self.first || cause > self.first + self.cells.len() {
            self.cells.clear();
        }
        if self.cells.is_empty() {
            self.first = cause;
        }
        if cause == self.first + self.cells.len() {
            let pair = likelihoods.pair(cause, self.effect);
            self.cells.push(Cell { pair, skip: likelihoods.skip_cause(cause, self.effect) });
        }
        self.cells[cause - self.first]
    }

    /// See [`Likelihoods::far`]. What is asked for later begins later.
    fn far(&mut self, causes: Range<usize>, likelihoods: &impl Likelihoods) -> &[(usize, f64)] {
        if !std::mem::replace(&mut self.is_far_known, true) {
            self.far.clear();
            likelihoods.far(causes.clone(), self.effect, &mut |cause| {
                self.far.extend(likelihoods.pair(cause, self.effect).map(|likelihood| (cause, likelihood)));
            });
        }
        let first = self.far.partition_point(|&(cause, _)| cause < causes.start);
        let far = &self.far[first..];
        &far[..far.len().min(MOST_FAR)]
    }
}

/// One way to go on with the next effect.
#[derive(Clone, Copy, Debug)]
struct Step {
    next: usize,
    is_paired: bool,
    likelihood: f64,
}

/// What is reached with one more effect.
#[derive(Debug, Default)]
struct Reached {
    /// See [`HOPELESS`].
    hopeless: f64,
    /// What is less likely was given up.
    least: f64,
    /// The state from which steps are added, and where the next of them is likely to lead.
    from: u8,
    best: f64,
    all: f64,
    at: usize,
    /// In order of `next`.
    targets: Vec<Target>,
    /// All steps, by the number of their target.
    steps: Vec<(u16, Way)>,
    /// For each number of a target, its place among the states, if it has one.
    places: Vec<Option<u8>>,
}

/// A state to be.
#[derive(Clone, Copy, Debug)]
struct Target {
    next: usize,
    /// In the order in which targets were found.
    number: u16,
    /// The step by which it is likeliest to be reached, and how likely.
    by: usize,
    best: f64,
    /// The likelihood of all ways to it.
    all: f64,
}

impl Reached {
    /// The likeliest state goes on with a step of this likelihood, or one that is likelier.
    fn begin(&mut self, hopeless: f64, likelihood: f64) {
        (self.hopeless, self.least) = (hopeless, likelihood * hopeless);
        self.targets.clear();
        self.steps.clear();
    }

    fn go_on_from(&mut self, from: usize, state: &State) {
        (self.from, self.best, self.all, self.at) = (from as u8, state.best, state.all, 0);
    }

    /// Whether steps from the state that are no likelier are given up.
    fn is_hopeless(&self, likelihood: f64) -> bool {
        self.all * likelihood < self.least
    }

    /// Steps from one state come in the order of where they lead.
    fn add(&mut self, step: Step) {
        let Step { next, is_paired, likelihood } = step;
        let (best, all) = (self.best * likelihood, self.all * likelihood);
        if self.is_hopeless(likelihood) {
            return;
        }
        self.least = self.least.max(all * self.hopeless);
        while self.targets.get(self.at).is_some_and(|target| target.next < next) {
            self.at += 1;
        }
        let by = self.steps.len();
        if let Some(target) = self.targets.get_mut(self.at).filter(|target| target.next == next) {
            target.all += all;
            if best > target.best {
                (target.by, target.best) = (by, best);
            }
        } else {
            let number = self.targets.len() as u16;
            self.targets.insert(self.at, Target { next, number, by, best, all });
        }
        let number = self.targets[self.at].number;
        self.steps.push((number, Way { likelihood: likelihood as f32, from: self.from, to: 0, is_paired }));
    }

    /// Makes states of the likeliest targets, and ways of the steps that lead to them.
    fn settle(&mut self, states: &mut Vec<State>, ways: &mut Vec<Way>) {
        let Self { hopeless, targets, steps, places, .. } = self;
        places.clear();
        places.resize(targets.len(), None);
        let most = targets.iter().map(|target| target.all).fold(0.0, f64::max);
        targets.retain(|target| target.all >= most * *hopeless);
        if targets.len() > BEAM {
            targets.sort_unstable_by(|a, b| b.all.total_cmp(&a.all).then(a.next.cmp(&b.next)));
            targets.truncate(BEAM);
            targets.sort_unstable_by_key(|target| target.next);
        }
        let likeliest = targets.iter().map(|target| target.best).fold(0.0, f64::max);
        let first = states.len();
        for (place, target) in targets.iter().enumerate() {
            places[usize::from(target.number)] = Some(place as u8);
            states.push(State {
                next: target.next as u32,
                by: 0,
                best: target.best / likeliest,
                all: target.all / most,
            });
        }
        for (number, (target, step)) in steps.iter().enumerate() {
            let Some(to) = places[usize::from(*target)] else { continue };
            if targets[usize::from(to)].by == number {
                states[first + usize::from(to)].by = ways.len() as u32;
            }
            ways.push(Way { to, ..*step });
        }
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
