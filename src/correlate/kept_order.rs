//! The turn at a worker of which nothing says that it answers in order, but that it does so whenever it shows: so does a REP
//! that is not known for one, as ZMTP 1.0 does not tell, and neither does a capture that began later than the connection.

use super::answers::repeated;
use super::path::Evidence;
use super::scene::Scene;
use super::turns::{ACROSS_A_GAP, Connection, Turn, letters};
use super::window::Rank;
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};

/// How often order must have shown, and how sure it is then.
const ENOUGH_TOLD: usize = 10;
const KEPT_ORDER: f64 = 0.95;

/// The same, and what replies repeat speaks for it.
const REPEATED_IN_ORDER: f64 = 0.99;

/// Joins the messages of a connection, each with its envelope, in order of time. Says whether it keeps the order; if not, there
/// are no turns.
pub(super) fn turns(scene: &Scene<'_>, line: &Connection, messages: &[(u64, Rank)], turns: &mut Vec<Turn>) -> bool {
    let begins_in_gap = scene.sockets.connection(line.conn).is_incomplete();
    let Some(pairs) = pairs(scene, messages, begins_in_gap) else { return false };
    let (requests, replies) = letters(scene, line, messages.iter().map(|(_, rank)| *rank));
    let likely = repeated(&requests, &replies, |_| false);
    let is_other = |&(request, reply): &(Rank, Rank)| {
        likely.as_ref().and_then(|likely| likely.get(&reply)).is_some_and(|likely| *likely != request)
    };
    if pairs.iter().any(is_other) {
        return false;
    }
    let most = line.most.min(if likely.is_some() { REPEATED_IN_ORDER } else { KEPT_ORDER });
    turns.extend(pairs.into_iter().map(|(request, reply)| {
        let confidence = if scene.may_lack_request(request, reply) { most.min(ACROSS_A_GAP) } else { most };
        Turn { request, reply, evidence: Evidence::Order, confidence }
    }));
    true
}

/// Requests with their replies, if these kept the order of the requests of several requesters, though others waited, all along:
/// by chance half of them would not have.
fn pairs(scene: &Scene<'_>, messages: &[(u64, Rank)], begins_in_gap: bool) -> Option<Vec<(Rank, Rank)>> {
    let mut pairs = Vec::new();
    let mut waiting: VecDeque<(u64, Rank)> = VecDeque::new();
    // Peers choose envelopes, so it must not be known which meet in a table.
    let mut of_one: HashMap<u64, usize, RandomState> = HashMap::default();
    let mut told = 0;
    for &(envelope, rank) in messages {
        if scene.is_request[rank as usize] {
            waiting.push_back((envelope, rank));
            *of_one.entry(envelope).or_default() += 1;
        } else if let Some((first, request)) = waiting.pop_front() {
            let count = of_one.get_mut(&first).filter(|_| first == envelope)?;
            told += usize::from(*count <= waiting.len());
            *count -= 1;
            pairs.push((request, rank));
        } else if !begins_in_gap {
            return None;
        }
    }
    (told >= ENOUGH_TOLD).then_some(pairs)
}
