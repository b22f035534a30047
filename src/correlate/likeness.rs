//! Which request does a reply repeat something of? For workers that answer in any order.
//!
//! Applications commonly put a number or name of the request into the reply. Every run of eight octets of the requests is
//! looked up by its hash; a run that only one request has speaks for that one. Nothing is known of what bodies mean.

use super::window::Rank;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64;

/// Octets that a reply must repeat in a row: fewer are alike by chance.
const RUN: usize = 8;

/// Requests compared at once; the oldest is forgotten first.
pub(super) const REQUESTS: usize = 1024;

/// Requests of one envelope, by the runs of octets in them.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    /// For each run: how many requests have it, and the exclusive or of their ranks, which is the rank if it is one.
    runs: FxHashMap<u64, (u32, Rank)>,
    requests: VecDeque<(Rank, Vec<u64>)>,
    votes: FxHashMap<Rank, usize>,
}

/// The request that a reply repeats most of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Likeliest {
    /// Which.
    pub(super) request: Rank,
    /// No other request comes near.
    pub(super) is_clear: bool,
}

impl Likeness {
    /// A request with the first octets of its parts.
    pub(super) fn add(&mut self, rank: Rank, head: &[u8]) {
        if self.requests.len() >= REQUESTS
            && let Some((oldest, runs)) = self.requests.pop_front()
        {
            for run in runs {
                if let Some((count, ranks)) = self.runs.get_mut(&run) {
                    (*count, *ranks) = (*count - 1, *ranks ^ oldest);
                    if *count == 0 {
                        self.runs.remove(&run);
                    }
                }
            }
        }
        let runs = runs(head);
        for &run in &runs {
            let (count, ranks) = self.runs.entry(run).or_default();
            (*count, *ranks) = (*count + 1, *ranks ^ rank);
        }
        self.requests.push_back((rank, runs));
    }

    /// The request before a reply that it repeats most of; `None` if it repeats nothing that only one of them has. A later
    /// one may look like a reply as a whole.
    pub(super) fn find(&mut self, head: &[u8], reply: Rank) -> Option<Likeliest> {
        self.votes.clear();
        for run in runs(head) {
            if let Some(&(1, rank)) = self.runs.get(&run).filter(|(_, rank)| *rank < reply) {
                *self.votes.entry(rank).or_default() += 1;
            }
        }
        let (&request, &most) = self.votes.iter().max_by_key(|&(&rank, &count)| (count, rank))?;
        let others = self.votes.iter().filter(|&(&rank, _)| rank != request).map(|(_, &count)| count);
        Some(Likeliest { request, is_clear: others.max().is_none_or(|next| most >= 3 * next) })
    }
}

/// Hashes of all different runs of octets.
fn runs(head: &[u8]) -> Vec<u64> {
    let is_padding = |run: &&[u8]| run.iter().all(|octet| [run[0], run[RUN - 1]].contains(octet));
    let mut runs: Vec<u64> = head.windows(RUN).filter(|run| !is_padding(run)).map(xxh3_64).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_request_has_speaks_for_it() {
        let mut likeness = Likeness::default();
        for (rank, body) in ["call 5e1f00aa9c13 begin", "call 77ab31c0de42 begin"].iter().enumerate() {
            likeness.add(rank as Rank, body.as_bytes());
        }
        let find = |likeness: &mut Likeness, body: &str| likeness.find(body.as_bytes(), 2);
        assert_eq!(find(&mut likeness, "77ab31c0de42 done"), Some(Likeliest { request: 1, is_clear: true }));
        assert_eq!(find(&mut likeness, "call someone, begin"), None, "all of them have that");
        likeness.add(2, b"more, answer to 77ab31c0de42");
        let likeliest = find(&mut likeness, "done, answer to 5e1f00aa9c13");
        assert_eq!(likeliest.map(|likeliest| likeliest.request), Some(0), "what comes later was not asked yet");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut likeness = Likeness::default();
        for rank in 0..=REQUESTS as Rank {
            likeness.add(rank, format!("request {rank:08}").as_bytes());
        }
        assert_eq!(likeness.find(b"reply 00000000 xyz", Rank::MAX), None);
        assert_eq!(likeness.find(b"reply 00000012", Rank::MAX).map(|likeliest| likeliest.request), Some(12));
        assert_eq!(
            likeness.runs.len(),
            likeness.requests.iter().flat_map(|(_, runs)| runs).collect::<std::collections::HashSet<_>>().len()
        );
    }
}
