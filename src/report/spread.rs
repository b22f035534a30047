//! One piece of work, spread over several threads at once.

use std::panic::resume_unwind;
use std::thread;

/// Gives `work` equal shares of `items`, in order, each with one of `results`, on as many threads as there are results; this one
/// is among them. Whose result there is no share for works on none.
pub fn spread<T: Sync, R: Default + Send>(items: &[T], results: &mut [R], work: impl Fn(&[T], &mut R) + Sync) {
    let each = items.len().div_ceil(results.len().max(1));
    let share = |at: usize| &items[(at * each).min(items.len())..((at + 1) * each).min(items.len())];
    let Some((first, others)) = results.split_first_mut() else { return };
    let work = &|share: &[T], result: &mut R| {
        // Neighbours in memory that several threads write to would slow each other down.
        let mut own = std::mem::take(result);
        work(share, &mut own);
        *result = own;
    };
    thread::scope(|scope| {
        let shared = others.iter_mut().enumerate().map(|(at, result)| (share(at + 1), result));
        let others: Vec<_> = shared.map(|(share, result)| scope.spawn(move || work(share, result))).collect();
        work(share(0), first);
        for other in others {
            other.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_in_order_and_nothing_is_left_out() {
        let items: Vec<u32> = (0..100).collect();
        for (count, threads) in [(0, 4), (1, 4), (100, 1), (100, 3), (99, 64)] {
            let mut results = vec![vec![7]; threads];
            spread(&items[..count], &mut results, |share, result| *result = share.to_vec());
            assert_eq!(results.concat(), items[..count], "{count} items, {threads} threads");
        }
    }
}
