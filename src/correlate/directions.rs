//! Which way requests flow on connections whose handshakes are not in the capture.
//!
//! Where a message with an identity in front is the same as another without it, the one with more is nearer to the worker.
//! So if the other came before, both are requests, and if it came after, both are replies. With equal bodies several come
//! into question: what is nearer in time is likelier, and many messages agree.

use super::sockets::Sockets;
use super::window::{PartRecord, Rank, Window};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::time::Duration;
use rustc_hash::FxHashMap;

/// Delays below this are alike.
const SHORTEST_DELAY: Duration = Duration::from_micros(20);

/// What one message can say at most: it and its counterpart may be of different requests.
const ONE_VOICE: f64 = 3.0;

/// Parts that a broker may put in front.
const STRIPS: usize = 4;

/// Parts that a client may put in front for a broker: those of Majordomo 0.2 (RFC 18) and a delimiter.
const WORDS: usize = 5;

/// Who carries no identity is a client, and clients connect: what that weighs.
const CLIENTS_CONNECT: f64 = 12.0;

/// Messages of the same content looked at on each side of one.
const NEIGHBOURS: usize = 4;

/// Lets the messages of a window speak for the directions that are not certain.
pub(super) fn hear(window: &Window, sockets: &mut Sockets) {
    let is_open = |sockets: &Sockets, rank: Rank| sockets.is_direction_open(window.record(rank).conn);
    let ranks = 0..window.len() as Rank;
    if !ranks.clone().any(|rank| is_open(sockets, rank)) {
        return;
    }
    let mut by_content: Vec<(u64, Rank)> = Vec::new();
    for rank in ranks.clone() {
        let parts = window.parts(rank);
        // Brokers may put other words before the rest than the clients did.
        let strips = if address(parts).is_some() { 1 } else { WORDS };
        by_content.extend(parts.iter().take(strips).map(|part| (part.suffix, rank)));
    }
    by_content.sort_unstable();
    let mut voices: FxHashMap<Company, f64> = FxHashMap::default();
    let company = companies(window, sockets);
    for tagged in ranks {
        let record = window.record(tagged);
        let Some(rest) = rest_of_tagged(window, tagged) else { continue };
        let at = by_content.partition_point(|&entry| entry < (rest, tagged));
        let same = |entry: &&(u64, Rank)| entry.0 == rest;
        let elsewhere = |entry: &&(u64, Rank)| window.record(entry.1).conn != record.conn;
        let before = by_content[..at].iter().rev().take_while(same).take(NEIGHBOURS).find(elsewhere);
        let after = by_content[at..].iter().take_while(same).take(NEIGHBOURS).find(elsewhere);
        let cost = |other: Option<&(u64, Rank)>| {
            let delay = |rank: Rank| (window.record(rank).available - record.available).0.abs();
            other.map_or(f64::INFINITY, |other| ((delay(other.1) + SHORTEST_DELAY.0) as f64).ln())
        };
        let (nearer, voice) = match (before, after) {
            (None, None) => continue,
            (Some(one), None) | (None, Some(one)) => (one, ONE_VOICE),
            (Some(one), Some(other)) => {
                let difference = (cost(before) - cost(after)).abs().min(ONE_VOICE);
                (if cost(before) <= cost(after) { one } else { other }, difference)
            }
        };
        let is_request = nearer.1 < tagged;
        for rank in [tagged, nearer.1] {
            let record = window.record(rank);
            let for_client = is_request == (record.direction == Direction::ClientToServer);
            *voices.entry(company[&record.conn]).or_default() += if for_client { voice } else { -voice };
        }
    }
    for (&conn, company) in &company {
        let prior = if company.has_identities { 0.0 } else { CLIENTS_CONNECT };
        sockets.hear(conn, voices.get(company).copied().unwrap_or_default() + prior);
    }
}

/// Connections on which requests flow the same way: they were accepted by one endpoint, and either all or none of them
/// carry identities. (Clients and workers of Majordomo share an endpoint.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Company {
    server: Endpoint,
    has_identities: bool,
}

/// The company of each connection.
fn companies(window: &Window, sockets: &Sockets) -> FxHashMap<u32, Company> {
    let mut counts: FxHashMap<u32, (usize, usize)> = FxHashMap::default();
    for (rank, record) in window.records().iter().enumerate() {
        let (messages, addressed) = counts.entry(record.conn).or_default();
        *messages += 1;
        *addressed += usize::from(address(window.parts(rank as Rank)).is_some());
    }
    let company = |(conn, (messages, addressed)): (u32, (usize, usize))| {
        // A worker also says what is about no request.
        let has_identities = addressed * 4 > messages;
        (conn, Company { server: sockets.connection(conn).server, has_identities })
    };
    counts.into_iter().map(company).collect()
}

/// Content of what follows the identity of a message that has one in front, or before a delimiter.
fn rest_of_tagged(window: &Window, rank: Rank) -> Option<u64> {
    let parts = window.parts(rank);
    let depth = address(parts).filter(|&depth| depth > 1);
    if let Some(depth) = depth {
        return parts.get(depth + 2).map(|part| part.suffix);
    }
    let depth = usize::from(parts.first()?.length == 0);
    let (identity, rest) = (parts.get(depth)?, parts.get(depth + 1)?);
    identity.can_be_identity().then_some(rest.suffix)
}

/// Where among the first parts an identity stands before a delimiter.
fn address(parts: &[PartRecord]) -> Option<usize> {
    parts.windows(3).take(STRIPS).position(|parts| parts[0].can_be_identity() && parts[1].length == 0)
}
