//! Two sequences of messages of which some are missing, joined in order: which alignment is likeliest, and how likely each
//! of its pairs is among all alignments.
//!
//! Costs are negative logarithms of likelihoods. Alignments are followed from the first effect to the last, the likeliest
//! few at a time, and weighed from both ends (the forward-backward algorithm), so a pair is as sure as those alignments that
//! have it are likelier than those that have not.

use std::ops::Range;

/// Alignments followed at once, and causes tried for each effect.
const BEAM: usize = 24;
const REACH: usize = 8;

/// An alignment that costs so much more than another one up to the same effect is followed no further.
const HOPELESS: f64 = 40.0;

/// What it costs to join two messages, or to leave one alone.
pub(super) trait Costs {
    /// A cause and an effect; `None` if that cannot be.
    fn pair(&self, cause: usize, effect: usize) -> Option<f64>;
    /// How many causes are before this effect in time.
    fn causes_before(&self, effect: usize) -> usize;
    /// A cause without an effect, which would have been before this effect.
    fn skip_cause(&self, cause: usize, before: usize) -> f64;
    /// An effect without a cause, which would have been before this cause.
    fn skip_effect(&self, effect: usize, before: usize) -> f64;
}

/// The cause of an effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) cause: usize,
    /// How likely it is this one, 0 to 1.
    pub(super) likelihood: f64,
}

/// All alignments of the first effects that leave the same causes.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The first cause that is still free.
    next: usize,
    /// Of the cheapest of them: its cost, and where it came from.
    least: f64,
    from: usize,
    is_paired: bool,
    /// Cost of all of them together.
    all: f64,
}

/// One way to go on with the next effect.
struct Step {
    next: usize,
    is_paired: bool,
    cost: f64,
}

/// For each effect, its cause in the likeliest alignment.
pub(super) fn align(causes: usize, effects: usize, costs: &impl Costs) -> Vec<Option<Found>> {
    let mut stages = vec![vec![State { next: 0, least: 0.0, from: 0, is_paired: false, all: 0.0 }]];
    for effect in 0..effects {
        let mut reached: Vec<State> = Vec::new();
        let latest = costs.causes_before(effect).min(causes);
        for (from, state) in stages[effect].iter().enumerate() {
            steps(effect, state.next..causes, latest, costs, |step| {
                let Step { next, is_paired, cost } = step;
                reached.push(State { next, is_paired, from, least: state.least + cost, all: state.all + cost });
            });
        }
        reached.sort_by(|a, b| a.next.cmp(&b.next).then(a.least.total_cmp(&b.least)));
        reached.dedup_by(|other, first| {
            let same = other.next == first.next;
            if same {
                first.all = either(first.all, other.all);
            }
            same
        });
        let hopeless = reached.iter().fold(f64::INFINITY, |least, state| state.all.min(least)) + HOPELESS;
        reached.retain(|state| state.all <= hopeless);
        if reached.len() > BEAM {
            reached.sort_by(|a, b| a.all.total_cmp(&b.all));
            reached.truncate(BEAM);
            reached.sort_by_key(|state| state.next);
        }
        stages.push(reached);
    }
    // What is left over at the end.
    let mut rest = vec![0.0; causes + 1];
    for cause in (0..causes).rev() {
        rest[cause] = rest[cause + 1] + costs.skip_cause(cause, effects);
    }
    let last = &stages[effects];
    let mut onwards: Vec<f64> = last.iter().map(|state| rest[state.next]).collect();
    let total = last.iter().zip(&onwards).map(|(state, rest)| state.all + rest).fold(f64::INFINITY, either);
    let cost = |at: &usize| last[*at].least + onwards[*at];
    let mut at = (0..last.len()).min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
    let mut found = vec![None; effects];
    for effect in (0..effects).rev() {
        let (stage, before) = (&stages[effect + 1], &stages[effect]);
        let mut likelihood = 0.0;
        let mut onwards_before = vec![f64::INFINITY; before.len()];
        let chosen = stage[at];
        let latest = costs.causes_before(effect).min(causes);
        for (from, state) in before.iter().enumerate() {
            steps(effect, state.next..causes, latest, costs, |step| {
                let Ok(to) = stage.binary_search_by_key(&step.next, |state| state.next) else { return };
                let rest = step.cost + onwards[to];
                onwards_before[from] = either(onwards_before[from], rest);
                if step.is_paired && chosen.is_paired && step.next == chosen.next {
                    likelihood += (total - state.all - rest).exp();
                }
            });
        }
        if chosen.is_paired {
            found[effect] = Some(Found { cause: chosen.next - 1, likelihood: likelihood.min(1.0) });
        }
        at = chosen.from;
        onwards = onwards_before;
    }
    found
}

/// The ways to go on with an effect while these causes are neither used up nor left behind; those before `latest` are before it
/// in time.
fn steps(effect: usize, free: Range<usize>, latest: usize, costs: &impl Costs, mut go: impl FnMut(Step)) {
    let first = free.start;
    go(Step { next: first, is_paired: false, cost: costs.skip_effect(effect, first) });
    let mut passed_over = 0.0;
    for cause in first..free.end.min(first + REACH) {
        if let Some(cost) = costs.pair(cause, effect) {
            go(Step { next: cause + 1, is_paired: true, cost: passed_over + cost });
        }
        passed_over += costs.skip_cause(cause, effect);
        if passed_over > HOPELESS {
            break;
        }
    }
    // After many that have no effect, from the latest on.
    if let Some(cost) = (latest > first + REACH).then(|| costs.pair(latest - 1, effect)).flatten() {
        go(Step { next: latest, is_paired: true, cost: passed_over + cost });
    }
}

/// The cost of either of two alternatives.
fn either(a: f64, b: f64) -> f64 {
    let (less, more) = if a < b { (a, b) } else { (b, a) };
    if more.is_infinite() { less } else { less - (less - more).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters that match their like.
    struct Letters<'a>(&'a [u8], &'a [u8]);

    impl Costs for Letters<'_> {
        fn causes_before(&self, _: usize) -> usize {
            self.0.len()
        }
        fn pair(&self, cause: usize, effect: usize) -> Option<f64> {
            (self.0[cause] == self.1[effect]).then_some(0.0)
        }
        fn skip_cause(&self, _: usize, _: usize) -> f64 {
            4.0
        }
        fn skip_effect(&self, _: usize, _: usize) -> f64 {
            4.0
        }
    }

    fn causes(causes: &[u8], effects: &[u8]) -> Vec<Option<usize>> {
        let found = align(causes.len(), effects.len(), &Letters(causes, effects));
        found.iter().map(|found| found.map(|found| found.cause)).collect()
    }

    #[test]
    fn what_is_missing_on_either_side_is_left_out() {
        assert_eq!(causes(b"abcde", b"acxde"), [Some(0), Some(2), None, Some(3), Some(4)]);
        assert_eq!(causes(b"", b"ab"), [None, None]);
        assert_eq!(causes(b"ab", b""), []);
    }

    #[test]
    fn of_equal_ones_each_is_as_likely() {
        let found = align(2, 1, &Letters(b"aa", b"a"))[0].expect("one of them");
        assert!((found.likelihood - 0.5).abs() < 0.01, "{found:?}");
        let found = align(3, 3, &Letters(b"aba", b"aba"));
        assert!(found.iter().flatten().all(|found| found.likelihood > 0.99), "{found:?}");
    }
}
