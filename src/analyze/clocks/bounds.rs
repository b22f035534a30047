//! Bounds on the difference of two clocks, and what lies between them.

use super::Difference;

/// Capture files rarely tell times apart that are closer.
const RESOLUTION: i64 = 1_000;

/// Bounds that contradict the best difference are outliers, as long as they are no more than this share.
const OUTLIERS: usize = 4;

/// What the difference of two clocks cannot exceed, and what it cannot be below; nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    pub(super) upper: Vec<i64>,
    pub(super) lower: Vec<i64>,
}

impl Bounds {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.upper.len() + self.lower.len()
    }

    /// The middle of the range that contradicts the fewest bounds. `None` where one side is open, or where too many
    /// bounds contradict each other to mean anything.
    pub(super) fn difference(&mut self) -> Option<Difference> {
        self.upper.sort_unstable();
        self.lower.sort_unstable();
        if self.upper.is_empty() || self.lower.is_empty() {
            return None;
        }
        // Any best range begins at a lower bound and ends at an upper one, or at bounds that contradict each other.
        let mut candidates: Vec<i64> = self.upper.iter().chain(&self.lower).copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let contradicted = |at: i64| {
            let above = self.upper.partition_point(|&bound| bound < at);
            let below = self.lower.len() - self.lower.partition_point(|&bound| bound <= at);
            above + below
        };
        let counts: Vec<usize> = candidates.iter().map(|&at| contradicted(at)).collect();
        let least = counts.iter().copied().min()?;
        if least * OUTLIERS > self.len() {
            return None;
        }
        let from = candidates[counts.iter().position(|&count| count == least)?];
        let until = candidates[counts.iter().rposition(|&count| count == least)?];
        let ahead = from.midpoint(until);
        let half = until.abs_diff(from) / 2;
        let uncertainty = i64::try_from(half).unwrap_or(i64::MAX).max(self.contradiction(ahead)).max(RESOLUTION);
        Some(Difference { ahead, uncertainty, samples: self.len() as u64 })
    }

    /// By how much, in the median, bounds contradict a difference.
    fn contradiction(&self, ahead: i64) -> i64 {
        let above = self.upper.iter().filter(|&&bound| bound < ahead).map(|&bound| ahead.saturating_sub(bound));
        let below = self.lower.iter().filter(|&&bound| bound > ahead).map(|&bound| bound.saturating_sub(ahead));
        let mut by: Vec<i64> = above.chain(below).collect();
        by.sort_unstable();
        by.get(by.len() / 2).copied().unwrap_or(0)
    }
}
