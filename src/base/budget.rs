//! What many connections hold together, and who gives up when that is too much.
//!
//! Whatever is kept of the wire is counted in an account like this, one for each layer, so that memory is bounded by the sum
//! of the limits however many connections share it. When one is exceeded, its holders give up what they can, those silent
//! longest first, until an eighth is free: so the cost of looking for them stays constant for each octet.
//!
//! How long somebody is silent is counted in packets, not in time: timestamps are the capture's word, and one from the far
//! future must not keep its connection from being the next to give up.

/// The account of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: usize,
    held: usize,
    /// What was left above seven eighths when nobody could give up more: it counts as if there were so much more room, so
    /// that the next look is worth its cost.
    stuck: usize,
}

impl Budget {
    /// For so many octets.
    pub fn new(limit: usize) -> Self {
        Self { limit, held: 0, stuck: 0 }
    }

    /// Octets that all hold.
    pub fn held(&self) -> usize {
        self.held
    }

    /// One of them held `before` and holds `after` now.
    pub fn change(&mut self, before: usize, after: usize) {
        self.held = self.held + after - before;
        self.stuck = self.stuck.min(self.held.saturating_sub(self.enough()));
    }

    /// Whether somebody has to give up.
    pub fn is_exceeded(&self) -> bool {
        self.held > self.limit + self.stuck
    }

    /// Lets `holders` give up, those with the least `heard` first, until an eighth of the limit is free. `give_up` says what
    /// one held before and what it holds after. Returns how many were asked.
    pub fn relieve<H, K: Ord>(
        &mut self,
        mut holders: Vec<H>,
        heard: impl Fn(&H) -> K,
        mut give_up: impl FnMut(H) -> (usize, usize),
    ) -> u64 {
        holders.sort_unstable_by_key(heard);
        let mut asked = 0;
        for holder in holders {
            if self.held <= self.enough() {
                break;
            }
            let (before, after) = give_up(holder);
            self.change(before, after);
            asked += 1;
        }
        self.stuck = self.held.saturating_sub(self.enough());
        asked
    }

    fn enough(&self) -> usize {
        self.limit / 8 * 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holders of so many octets each, heard in this order; all but `kept` octets of each can be given up.
    fn relieve(budget: &mut Budget, holders: &mut [usize], kept: usize) -> u64 {
        let all: Vec<_> = holders.iter_mut().enumerate().collect();
        budget.relieve(all, |(number, _)| *number, |(_, held)| (std::mem::replace(held, kept), kept))
    }

    #[test]
    fn those_silent_longest_give_up_until_an_eighth_is_free() {
        let mut budget = Budget::new(800);
        let mut holders = [100; 9];
        budget.change(0, 900);
        assert!(budget.is_exceeded());
        assert_eq!(relieve(&mut budget, &mut holders, 0), 2);
        assert_eq!((budget.held(), budget.is_exceeded()), (700, false));
        assert_eq!(holders, [0, 0, 100, 100, 100, 100, 100, 100, 100]);
    }

    #[test]
    fn what_nobody_can_give_up_is_not_looked_for_again_and_again() {
        let mut budget = Budget::new(800);
        let mut holders = [100; 10];
        budget.change(0, 1000);
        assert_eq!(relieve(&mut budget, &mut holders, 90), 10, "all of them, and it is not enough");
        assert!(!budget.is_exceeded(), "nothing can be done about it");
        budget.change(0, 90);
        assert!(!budget.is_exceeded());
        budget.change(0, 20);
        assert!(budget.is_exceeded(), "an eighth of the limit came since");
    }

    #[test]
    fn room_that_was_lent_is_taken_back() {
        let mut budget = Budget::new(800);
        let mut holders = [100; 10];
        budget.change(0, 1000);
        relieve(&mut budget, &mut holders, 90);
        budget.change(900, 0);
        budget.change(0, 801);
        assert!(budget.is_exceeded(), "the limit is what it was");
    }
}
