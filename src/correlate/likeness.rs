//! Which request does a reply repeat something of? For workers that answer in any order.
//!
//! Applications commonly put a number or name of the request into the reply. Every run of eight octets of the replies is
//! looked up in those of the requests; a run that only one request has speaks for that one, and one that few have for the first
//! of them. Nothing is known of what bodies mean.

use super::window::Rank;
use foldhash::fast::RandomState;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{HashMap, VecDeque};

/// Octets that a reply must repeat in a row: fewer are alike by chance.
const RUN: usize = 8;

/// The octets of a run, as a number.
type Run = u64;

/// A run that so many requests have, and no more than one of so many, speaks for the first if they have most of it in common:
/// the others go on about the same matter, as a client does that asks for more of a stream.
const MOST_OF_A_MATTER: u32 = 4;
const SHARE_OF_A_MATTER: usize = 8;

/// A run that so many requests have at once is nothing special, then and later.
const COMMON: u32 = 16;

/// Digits of a number, in any of the usual notations.
const LONGEST_NUMBER: usize = 40;

/// A request without an answer goes before one that a reply repeats so many times as much of.
const LEAST_OF_MOST: usize = 8;

/// Requests compared at once; the oldest is forgotten first.
pub(super) const REQUESTS: usize = 1024;

/// Requests of one envelope, by the runs of octets in them.
#[derive(Debug)]
pub(super) struct Likeness {
    /// The only runs that are kept, but for common ones.
    asked: Filter,
    /// Those of them that requests have, or had.
    had: Filter,
    /// Peers choose what they say, so it must not be known which runs meet in a table.
    runs: HashMap<Run, Holders, RandomState>,
    requests: VecDeque<(Rank, Vec<Run>)>,
    votes: FxHashMap<Rank, usize>,
    /// Those that have the runs of the reply at hand, each with its place there.
    holders: Vec<(usize, Holders)>,
    /// Number of the message at hand.
    message: u32,
    /// Requests of which more than what replies have would have been needed.
    lacking: FxHashSet<Rank>,
}

/// The requests that have a run.
#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    count: u32,
    /// The exclusive or of their ranks, which is the rank if it is one.
    ranks: Rank,
    /// The first of them, if it is not forgotten.
    first: Option<Rank>,
    /// A reply had it before any request: it is not the requests' own.
    is_older: bool,
    /// The latest message with it, so that none counts twice.
    latest: u32,
}

impl Holders {
    fn add(&mut self, rank: Rank) {
        if self.count == 0 {
            self.first = Some(rank);
        }
        (self.count, self.ranks) = (self.count + 1, self.ranks ^ rank);
    }

    fn forget(&mut self, rank: Rank) {
        (self.count, self.ranks) = (self.count - 1, self.ranks ^ rank);
        self.first = Some(self.ranks).filter(|_| self.count == 1);
    }

    /// Whether few of so many requests have it.
    fn are_few(&self, requests: usize) -> bool {
        self.count <= MOST_OF_A_MATTER && self.count as usize * SHARE_OF_A_MATTER <= requests
    }
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
    /// To be asked about replies with these first octets only.
    pub(super) fn about<'a>(replies: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut asked = Filter::new(replies.clone().map(<[u8]>::len).sum());
        replies.flat_map(all_runs).for_each(|run| asked.set(run));
        Self {
            had: asked.of_the_same_size(),
            asked,
            runs: HashMap::default(),
            requests: VecDeque::new(),
            votes: FxHashMap::default(),
            holders: Vec::new(),
            message: 0,
            lacking: FxHashSet::default(),
        }
    }

    /// A request with the first octets of its parts.
    pub(super) fn add(&mut self, rank: Rank, head: &[u8]) {
        if self.requests.len() >= REQUESTS
            && let Some((oldest, runs)) = self.requests.pop_front()
        {
            for run in runs {
                if let Some(holders) = self.runs.get_mut(&run) {
                    holders.forget(oldest);
                    if holders.count == 0 {
                        self.runs.remove(&run);
                    }
                }
            }
        }
        self.message += 1;
        // About as many as the one before it.
        let mut own = Vec::with_capacity(self.requests.back().map_or(0, |(_, runs)| runs.len()));
        for run in all_runs(head) {
            // Asked first: it is quick, and most are not.
            if !self.asked.may_have(run) || is_padding(run) {
                continue;
            }
            let holders = self.runs.entry(run).or_default();
            if holders.latest == self.message {
                continue;
            }
            holders.latest = self.message;
            holders.add(rank);
            own.push(run);
            if holders.count == 1 {
                self.had.set(run);
            } else if holders.count >= COMMON {
                // With it go some others that have the bit in common: never to be believed is better than to be believed wrongly.
                self.asked.unset(run);
            }
        }
        self.requests.push_back((rank, own));
    }

    /// The request before a reply that it repeats most of, of those without an answer if it repeats anything of one of them: a
    /// reply may quote others, such as the history of all that was asked. `None` if it repeats nothing special.
    pub(super) fn find(&mut self, reply: Rank, head: &[u8], is_answered: impl Fn(Rank) -> bool) -> Option<Likeliest> {
        self.look_up(reply, head);
        self.count_votes(|holders| holders.count == 1);
        let is_own = !self.votes.is_empty();
        if !is_own {
            let requests = self.requests.len();
            self.count_votes(|holders| holders.count > 1 && holders.are_few(requests));
            self.lacking.extend(self.votes.keys());
            let votes = std::mem::take(&mut self.votes);
            self.votes = votes.into_iter().filter(|(rank, _)| self.is_gone_on_about(*rank)).collect();
        }
        let most = self.votes.values().copied().max()?;
        let is_waiting = |rank: Rank, count: usize| count * LEAST_OF_MOST >= most && !is_answered(rank);
        let (&request, &most) =
            self.votes.iter().max_by_key(|&(&rank, &count)| (is_waiting(rank, count), count, rank))?;
        let mut others = self.votes.iter().filter(|&(&rank, _)| rank != request);
        let is_new = !is_answered(request);
        let is_clear = is_own && others.all(|(&rank, &next)| !comes_near(next, most) && (is_new || is_answered(rank)));
        Some(Likeliest { request, is_clear })
    }

    /// The requests of which [`Likeness::find`] could not tell whether replies go on about them: it may have given a wrong answer
    /// unless it is to be asked about what these say, too.
    pub(super) fn lacking(&self) -> &FxHashSet<Rank> {
        &self.lacking
    }

    /// The request before a reply of which it repeats what no other has, if it repeats much less of any other.
    pub(super) fn find_clear(&mut self, reply: Rank, head: &[u8]) -> Option<Rank> {
        self.look_up(reply, head);
        self.count_votes(|holders| holders.count == 1);
        let (&request, &most) = self.votes.iter().max_by_key(|&(&rank, &count)| (count, rank))?;
        let mut others = self.votes.iter().filter(|&(&rank, _)| rank != request);
        others.all(|(_, &next)| !comes_near(next, most)).then_some(request)
    }

    /// Who has the runs of a reply. What ends within a number is not repeated: the next request has another one that begins
    /// alike.
    fn look_up(&mut self, reply: Rank, head: &[u8]) {
        self.message += 1;
        self.holders.clear();
        let mut goes_on = false;
        for (at, run) in all_runs(head).enumerate() {
            if !self.asked.may_have(run) || is_padding(run) {
                // It is common, or says nothing.
                continue;
            }
            let holders = if self.had.may_have(run) { self.runs.get_mut(&run) } else { None };
            match holders {
                Some(holders) if holders.latest != self.message => {
                    holders.latest = self.message;
                    holders.is_older |= holders.first.is_some_and(|first| first >= reply);
                    self.holders.push((at, *holders));
                    goes_on = true;
                }
                Some(_) => goes_on = true,
                None if std::mem::take(&mut goes_on) => self.leave_out_cut_number(head, at + RUN - 1),
                None => {}
            }
        }
    }

    /// Leaves out the runs that end before this octet, if they have a part of a number there.
    fn leave_out_cut_number(&mut self, head: &[u8], end: usize) {
        let is_digit = |octet: &u8| octet.is_ascii_hexdigit();
        let digits = head[..end].iter().rev().take(LONGEST_NUMBER).take_while(|octet| is_digit(octet)).count();
        if digits > 0 && is_digit(&head[end]) {
            while self.holders.pop_if(|(at, _)| *at + RUN > end - digits).is_some() {}
        }
    }

    fn count_votes(&mut self, counts: impl Fn(&Holders) -> bool) {
        self.votes.clear();
        for (_, holders) in &self.holders {
            if let Some(first) = holders.first.filter(|_| !holders.is_older && counts(holders)) {
                *self.votes.entry(first).or_default() += 1;
            }
        }
    }

    /// Whether others repeat much of what only few requests have of this one: its name, not only its kind.
    fn is_gone_on_about(&self, request: Rank) -> bool {
        let Ok(at) = self.requests.binary_search_by_key(&request, |(rank, _)| *rank) else { return false };
        let special = self.requests[at].1.iter().filter(|&&run| self.asked.may_have(run));
        let holders = || special.clone().filter_map(|run| self.runs.get(run));
        let own = holders().filter(|holders| holders.count == 1).count();
        let requests = self.requests.len();
        let shared = holders().filter(|holders| holders.count > 1 && holders.are_few(requests)).count();
        2 * shared >= own
    }
}

/// Whether a request has so many votes, too, that it may as well be meant.
fn comes_near(votes: usize, most: usize) -> bool {
    3 * votes > most
}

/// Some runs, and others that have a bit in common with one of them.
#[derive(Debug)]
struct Filter {
    bits: Vec<u64>,
    /// All but the bits of a number that count.
    shift: u32,
}

impl Filter {
    /// None yet of so many.
    fn new(count: usize) -> Self {
        // Most bits stay unset.
        let bits = (count * 16).next_power_of_two().max(64);
        Self { bits: vec![0; bits / 64], shift: 64 - bits.ilog2() }
    }

    fn of_the_same_size(&self) -> Self {
        Self { bits: vec![0; self.bits.len()], shift: self.shift }
    }

    fn set(&mut self, run: Run) {
        let (word, bit) = self.place(run);
        self.bits[word] |= bit;
    }

    fn unset(&mut self, run: Run) {
        let (word, bit) = self.place(run);
        self.bits[word] &= !bit;
    }

    fn may_have(&self, run: Run) -> bool {
        let (word, bit) = self.place(run);
        self.bits[word] & bit != 0
    }

    fn place(&self, run: Run) -> (usize, u64) {
        // Fibonacci hashing: the highest bits of the product depend on all of the run.
        let number = run.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        ((number / 64) as usize, 1 << (number % 64))
    }
}

/// All runs of octets, some more than once.
fn all_runs(head: &[u8]) -> impl Iterator<Item = Run> {
    head.windows(RUN).map(|run| Run::from_le_bytes(run.try_into().expect("a window has as many octets")))
}

/// Whether every octet is the first or the last one: it fills room, and says nothing.
fn is_padding(run: Run) -> bool {
    const ONES: Run = Run::MAX / 0xFF;
    const LOW: Run = 0x7F * ONES;
    // The highest bit of each octet that is not like this one.
    let unlike = |octet: Run| {
        let differing = run ^ ((octet & 0xFF) * ONES);
        ((differing & LOW) + LOW) | differing
    };
    unlike(run) & unlike(run >> 56) & !LOW == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(replies: &[&str]) -> Likeness {
        Likeness::about(replies.iter().map(|reply| reply.as_bytes()))
    }

    #[test]
    fn what_only_one_request_has_speaks_for_it() {
        let mut likeness = about(&["77ab31c0de42 done", "call someone, begin", "done, answer to 5e1f00aa9c13"]);
        for (rank, body) in ["call 5e1f00aa9c13 begin", "call 77ab31c0de42 begin"].iter().enumerate() {
            likeness.add(rank as Rank, body.as_bytes());
        }
        let find = |likeness: &mut Likeness, body: &str| likeness.find(2, body.as_bytes(), |_| false);
        assert_eq!(find(&mut likeness, "77ab31c0de42 done"), Some(Likeliest { request: 1, is_clear: true }));
        assert_eq!(find(&mut likeness, "call someone, begin"), None, "all of them have that");
        likeness.add(2, b"more, answer to 77ab31c0de42");
        let likeliest = find(&mut likeness, "done, answer to 5e1f00aa9c13");
        assert_eq!(likeliest.map(|likeliest| likeliest.request), Some(0), "what comes later was not asked yet");
    }

    #[test]
    fn only_what_is_asked_about_is_kept() {
        let reply = b"77ab31c0de42 done";
        let mut likeness = Likeness::about(std::iter::once(&reply[..]));
        for (rank, name) in ["5e1f00aa9c13", "77ab31c0de42", "0c9d1b7e44f2"].iter().enumerate() {
            likeness.add(rank as Rank, format!("call {name} with all that it takes").as_bytes());
        }
        assert_eq!(likeness.find_clear(3, reply), Some(1));
        assert!(likeness.runs.len() < 20, "{} of 90 runs: six are asked about, others by chance", likeness.runs.len());
        assert_eq!(likeness.find_clear(3, b"call 5e1f00aa9c13"), None, "that was not asked about");
    }

    #[test]
    fn two_different_octets_are_padding() {
        for (run, expected) in [
            (*b"aaaaaaaa", true),
            (*b"aabbabab", true),
            (*b"\0\0\0\0\0\0\0\x01", true),
            (*b"\xff\x7f\xff\x7f\xff\xff\xff\x7f", true),
            (*b"aaaacaab", false),
            (*b"abababac", false),
            (*b"\x80\0\x01\0\0\0\0\0", false),
        ] {
            assert_eq!(is_padding(Run::from_le_bytes(run)), expected, "{run:?}");
        }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut likeness = about(&["reply 00000000 xyz", "reply 00000012"]);
        for rank in 0..=REQUESTS as Rank {
            likeness.add(rank, format!("request {rank:08}").as_bytes());
        }
        assert_eq!(likeness.find(Rank::MAX, b"reply 00000000 xyz", |_| false), None);
        assert_eq!(likeness.find(Rank::MAX, b"reply 00000012", |_| false).map(|likeliest| likeliest.request), Some(12));
        assert_eq!(
            likeness.runs.len(),
            likeness.requests.iter().flat_map(|(_, runs)| runs).collect::<std::collections::HashSet<_>>().len()
        );
    }

    #[test]
    fn a_reply_may_quote_requests_that_were_answered() {
        let mut likeness = about(&["77ab31c0de42: print the sum of all", "5e1f00aa9c13: more"]);
        for (rank, body) in ["5e1f00aa9c13 run: print the sum of all", "77ab31c0de42 history"].iter().enumerate() {
            likeness.add(rank as Rank, body.as_bytes());
        }
        let reply = b"77ab31c0de42: print the sum of all";
        assert_eq!(likeness.find(2, reply, |rank| rank == 0), Some(Likeliest { request: 1, is_clear: false }));
        assert_eq!(likeness.find(2, b"5e1f00aa9c13: more", |_| true), Some(Likeliest { request: 0, is_clear: true }));
    }

    #[test]
    fn what_goes_on_about_a_request_does_not_hide_it() {
        let name = |rank: u64| format!("id {:016x}", 0x5e1f_00aa_9c13_77ab_u64.wrapping_mul(rank + 1));
        let mut requests: Vec<String> = (0..20).map(|rank| format!("{} stream", name(rank))).collect();
        // One goes on about the first; two of a kind are not one matter.
        requests.push(format!("{} stream: more", name(0)));
        requests.extend(["id 0123456789abcdef rare-kind", "id fedcba9876543210 rare-kind"].map(str::to_owned));
        let item = format!("{} item 1", name(0));
        let replies = [item.as_str(), "rare-kind result"];
        let found = |likeness: &mut Likeness| {
            for (rank, request) in requests.iter().enumerate() {
                likeness.add(rank as Rank, request.as_bytes());
            }
            let find = |reply: &str| likeness.find(Rank::MAX, reply.as_bytes(), |_| true).map(|it| it.request);
            replies.map(find)
        };
        let mut likeness = about(&replies);
        found(&mut likeness);
        assert_eq!(likeness.lacking(), &FxHashSet::from_iter([0, 21]), "what else do these say?");
        let in_question = likeness.lacking().iter().map(|&rank| requests[rank as usize].as_str());
        let mut likeness = about(&[&replies[..], &in_question.collect::<Vec<_>>()].concat());
        assert_eq!(found(&mut likeness), [Some(0), None]);
    }

    #[test]
    fn what_many_requests_have_is_nothing_special_even_when_they_are_forgotten() {
        let reply = "call 5e1f00aa9c13 rather-common";
        let mut likeness = about(&[reply]);
        for rank in 0..COMMON + REQUESTS as Rank {
            likeness.add(rank, format!("call {rank:012} rather-common").as_bytes());
        }
        assert!(all_runs(b"rather-common").all(|run| !likeness.runs.contains_key(&run)), "it is not kept");
        likeness.add(Rank::MAX - 2, b"this is rather-common");
        assert_eq!(likeness.find_clear(Rank::MAX, reply.as_bytes()), None, "it once was");
        likeness.add(Rank::MAX - 1, b"call 5e1f00aa9c13");
        assert_eq!(likeness.find_clear(Rank::MAX, reply.as_bytes()), Some(Rank::MAX - 1));
    }

    #[test]
    fn a_number_that_begins_alike_is_another_number() {
        let replies = ["03-00001829: done", "5e1f00aa9c14: done, as asked by client 77ab31c0de42"];
        let mut likeness = about(&replies);
        for (rank, request) in ["03-00001827 begin", "5e1f00aa9c13 begin", "77ab31c0de42 begin"].iter().enumerate() {
            likeness.add(rank as Rank, request.as_bytes());
        }
        assert_eq!(likeness.find_clear(4, replies[0].as_bytes()), None, "its request is missing");
        assert_eq!(likeness.find_clear(4, replies[1].as_bytes()), Some(2));
        likeness.add(3, b"03-00001829 begin");
        assert_eq!(likeness.find_clear(4, replies[0].as_bytes()), Some(3));
    }

    #[test]
    fn what_is_common_does_not_cut_a_number() {
        // As zerorpc names requests: what counts up stands in the middle.
        let name = |rank: Rank| format!("f73ee9{rank:02x}1f77481fbbd7ba25e198e4e2");
        let replies: Vec<String> = (0..2 * COMMON).map(|rank| format!("response_to {}", name(rank))).collect();
        let mut likeness = about(&replies.iter().map(String::as_str).collect::<Vec<_>>());
        for rank in 0..2 * COMMON {
            likeness.add(rank, format!("message_id {}", name(rank)).as_bytes());
        }
        for rank in 0..2 * COMMON {
            let found = likeness.find_clear(Rank::MAX, replies[rank as usize].as_bytes());
            assert_eq!(found, Some(rank));
        }
    }

    #[test]
    fn what_replies_had_before_is_not_a_requests_own() {
        let replies = ["in-response-to 77ab31c0de42"; 2];
        let mut likeness = about(&replies);
        likeness.add(0, b"call 5e1f00aa9c13");
        likeness.add(2, b"call 77ab31c0de42");
        likeness.add(4, b"cancel in-response-to 5e1f00aa9c13");
        let mut find = |reply| likeness.find(reply, replies[0].as_bytes(), |_| false).map(|it| it.request);
        assert_eq!(find(3), Some(2));
        assert_eq!(find(5), Some(2), "others begin like the third request, too");
    }
}
