//! Which way requests flow on connections whose handshakes are not in the capture.
//!
//! Where a message with an identity in front is the same as another without it, the one with more is nearer to the worker.
//! So if the other came before, both are requests, and if it came after, both are replies. With equal bodies several come
//! into question: what is nearer in time is likelier, and many messages agree. Where few identities are carried it is decided
//! first, so that where there are more only such come into question as flow the right way.

use super::sockets::Sockets;
use super::window::{PartRecord, Rank, Record, Window, mix};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::time::Duration;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Delays below this are alike.
const SHORTEST_DELAY: Duration = Duration::from_micros(20);

/// What one message can say at most: it and its counterpart may be of different requests.
const ONE_VOICE: f64 = 6.0;

/// Where the identity nearest to the client is looked for: behind those of so many ROUTERs, or the words of Majordomo (RFC 7).
const DEEPEST: usize = 16;

/// Parts that a client may put in front for a broker: those of Majordomo 0.2 (RFC 18) and a delimiter.
const WORDS: usize = 5;

/// Who carries no identity is a client, and clients connect: what that weighs, in all and against each voice.
const CLIENTS_CONNECT: f64 = 12.0;
const CLIENTS_CONNECT_EACH: f64 = 1.5;

/// What it weighs that the direction is certain on another connection of the same company.
const SAME_COMPANY: f64 = 100.0;

/// What it says that a message came back where the one before had gone: it may be the next request all the same.
const SAME_WAY: f64 = 0.5;

/// So many messages of an identity show that it waits for each reply.
const ALTERNATIONS: usize = 4;

/// Of many of the same content, none came within this time. Of a few it may have taken longer.
const NONE_NEAR: Duration = Duration::from_millis(20);

/// Messages of the same content looked at on each side of one.
const NEIGHBOURS: usize = 16;

/// Messages of the same content that are few.
const FEW: usize = 4;

/// Lets the messages of a window speak for the directions that are not certain.
pub(super) fn hear(window: &Window, sockets: &mut Sockets) {
    let is_open = |sockets: &Sockets, rank: Rank| sockets.is_direction_open(window.record(rank).conn);
    let ranks = 0..window.len() as Rank;
    if !ranks.clone().any(|rank| is_open(sockets, rank)) {
        return;
    }
    let contents = Contents::new(window);
    let company = companies(window, sockets, &contents);
    let level = |rank: Rank| company[&window.record(rank).conn].level;
    let said = said_by_others(window, sockets, &contents, &company);
    let said = |company: Company| said.get(&company).copied().unwrap_or_default();
    let conns: Vec<(u32, Company)> = company.iter().map(|(&conn, &company)| (conn, company)).collect();
    // Those without identities first: of those nearer to the workers, only such come into question as flow the right way.
    for &(conn, company) in conns.iter().filter(|(_, company)| company.level == 0) {
        sockets.hear(conn, said(company) + CLIENTS_CONNECT);
        sockets.settle_direction(conn);
    }
    let mut tagged: Vec<Rank> = ranks.filter(|&rank| level(rank) > 0).collect();
    tagged.sort_by_key(|&rank| level(rank));
    for same_level in tagged.chunk_by(|&one, &other| level(one) == level(other)) {
        let mut voices: FxHashMap<Company, f64> = FxHashMap::default();
        for &rank in same_level {
            let is_lower = |other: Rank| level(other) < level(rank);
            let is_request = |other: Rank| is_lower(other) && sockets.is_request(window.record(other));
            let is_reply = |other: Rank| is_lower(other) && !sockets.is_request(window.record(other));
            if let Some(voice) = contents.voice(window, rank, is_request, is_reply) {
                *voices.entry(company[&window.record(rank).conn]).or_default() += voice.for_client(window, rank);
            }
        }
        for (rank, voice) in retraced(window, same_level) {
            *voices.entry(company[&window.record(rank).conn]).or_default() += voice;
        }
        for &(conn, company) in conns.iter().filter(|(_, company)| company.level == level(same_level[0])) {
            sockets.hear(conn, voices.get(&company).copied().unwrap_or_default() + said(company));
            sockets.settle_direction(conn);
        }
    }
}

/// What is said for requests from client to server by connections of the same company of which the direction is certain, by
/// what brokers passed on in their own name, and by messages with identities of the messages nearer to the client that they
/// were before or after.
fn said_by_others(
    window: &Window,
    sockets: &Sockets,
    contents: &Contents,
    company: &FxHashMap<u32, Company>,
) -> FxHashMap<Company, f64> {
    let mut voices: FxHashMap<Company, f64> = FxHashMap::default();
    for (&conn, &company) in company.iter().filter(|&(&conn, _)| sockets.is_direction_certain(conn)) {
        let for_client = sockets.connection(conn).requests == Some(Direction::ClientToServer);
        *voices.entry(company).or_default() += if for_client { SAME_COMPANY } else { -SAME_COMPANY };
    }
    let company = |rank: Rank| company[&window.record(rank).conn];
    for (rank, voice) in passed_on(window, &contents.pairs(window, |rank| company(rank).level == 0)) {
        *voices.entry(company(rank)).or_default() += voice;
    }
    for rank in 0..window.len() as Rank {
        let level = company(rank).level;
        if level == 0 {
            continue;
        }
        let mut hear = |voice: Voice, prior: f64| {
            *voices.entry(company(voice.other)).or_default() += voice.for_client(window, voice.other) + prior;
        };
        let anything = |_: Rank| true;
        let nearest = contents.voice(window, rank, anything, anything);
        if let Some(voice) = nearest.filter(|voice| company(voice.other).level == 0) {
            hear(voice, CLIENTS_CONNECT_EACH);
        }
        // Those of other nodes on the way.
        let record = window.record(rank);
        let is_certain = sockets.is_direction_certain(record.conn);
        let is_request = sockets.is_request(record);
        let is_between = |other: Rank| (1..level).contains(&company(other).level);
        let before = |other: Rank| (is_request || !is_certain) && is_between(other);
        let after = |other: Rank| (!is_request || !is_certain) && is_between(other);
        if level > 1
            && let Some(voice) = contents.voice(window, rank, before, after)
        {
            hear(voice, 0.0);
        }
    }
    voices
}

/// What messages without identities say for requests from client to server, of which a broker passed the content on in its own
/// name: to a worker's question comes the answer for whoever asked it, but who got an answer may next be passed on to another.
fn passed_on(window: &Window, pairs: &BTreeMap<Rank, Rank>) -> Vec<(Rank, f64)> {
    let mut by_conn: FxHashMap<u32, Vec<(Rank, Rank)>> = FxHashMap::default();
    for (&rank, &other) in pairs {
        by_conn.entry(window.record(rank).conn).or_default().push((rank, other));
    }
    let mut voices = Vec::new();
    for messages in by_conn.values() {
        for two in messages.windows(2) {
            let [(got, from), (sent, to)] = [two[0], two[1]];
            let is_turn = window.record(got).direction != window.record(sent).direction && from < got && sent < to;
            if is_turn && window.record(from).conn != window.record(to).conn {
                // What was got here is a reply, and what was sent a request; so are what they were passed on from and to.
                for (rank, is_request) in [(got, false), (from, false), (sent, true), (to, true)] {
                    voices.push((rank, for_client(window.record(rank), is_request, ONE_VOICE)));
                }
            }
        }
    }
    voices
}

/// What messages of one level say for requests from client to server: a reply comes back where its request went, and the next
/// request may go elsewhere. Heard of those identities that always wait for the reply.
fn retraced(window: &Window, same_level: &[Rank]) -> Vec<(Rank, f64)> {
    let mut by_identity: FxHashMap<u64, Vec<Rank>> = FxHashMap::default();
    for &rank in same_level {
        let parts = window.parts(rank);
        // In front of it stand those of other ROUTERs, or words of a broker.
        let depth = address(parts).unwrap_or(0);
        let first = if parts[0].length == 0 { depth } else { 0 };
        let identity = parts[first..=depth].iter().fold(0, |hash, part| mix(hash, part.hash));
        by_identity.entry(identity).or_default().push(rank);
    }
    let mut voices = Vec::new();
    for ranks in by_identity.values() {
        let turns = ranks.windows(2).map(|two| (two[1], window.record(two[0]), window.record(two[1])));
        let turns = turns.filter(|(_, one, next)| one.direction != next.direction);
        if ranks.len() < ALTERNATIONS || turns.clone().count() * 8 < (ranks.len() - 1) * 7 {
            continue;
        }
        voices.extend(turns.map(|(rank, one, next)| {
            let is_request = one.conn != next.conn;
            (rank, for_client(next, is_request, if is_request { ONE_VOICE } else { SAME_WAY }))
        }));
    }
    voices
}

/// Connections on which requests flow the same way: they were accepted by one endpoint, and carry as many identities.
/// (Clients and workers of Majordomo share an endpoint.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Company {
    server: Endpoint,
    /// About the number of identities, 0 if there are none: it grows with each ROUTER.
    level: usize,
}

/// The company of each connection.
fn companies(window: &Window, sockets: &Sockets, contents: &Contents) -> FxHashMap<u32, Company> {
    let mut counts: FxHashMap<u32, (usize, Vec<usize>)> = FxHashMap::default();
    for (rank, record) in window.records().iter().enumerate() {
        let (messages, levels) = counts.entry(record.conn).or_default();
        *messages += 1;
        let parts = window.parts(rank as Rank);
        // DEALERs may do without a delimiter.
        let bare = || {
            let rest = parts.get(1).filter(|_| parts[0].can_be_identity())?;
            contents.is_elsewhere(window, rest.suffix, record.conn).then_some(parts.len() - 2)
        };
        if let Some(depth) = address(parts).or_else(bare) {
            levels.resize(levels.len().max(depth + 2), 0);
            levels[depth + 1] += 1;
        }
    }
    let company = |(conn, (messages, levels)): (u32, (usize, Vec<usize>))| {
        let most = (0..levels.len()).max_by_key(|&level| levels[level]);
        // A worker also says what is about no request.
        let level = most.filter(|&level| levels[level] * 4 > messages).unwrap_or(0);
        (conn, Company { server: sockets.connection(conn).server, level })
    };
    counts.into_iter().map(company).collect()
}

/// What one message says.
struct Voice {
    /// Its likeliest counterpart nearer to the client.
    other: Rank,
    /// That both are requests, or replies.
    is_request: bool,
    weight: f64,
}

impl Voice {
    /// What it says for requests from client to server on the connection of a message.
    fn for_client(&self, window: &Window, rank: Rank) -> f64 {
        for_client(window.record(rank), self.is_request, self.weight)
    }
}

/// What it says for requests from client to server that a message is one, or a reply.
fn for_client(record: &Record, is_request: bool, weight: f64) -> f64 {
    if is_request == (record.direction == Direction::ClientToServer) { weight } else { -weight }
}

/// Messages by their content from a certain part on, in order of time.
struct Contents(Vec<(u64, Rank)>);

impl Contents {
    fn new(window: &Window) -> Self {
        let mut contents = Vec::new();
        for rank in 0..window.len() as Rank {
            let parts = window.parts(rank);
            // Brokers may put other words before the rest than the clients did.
            let strips = if address(parts).is_some() { 1 } else { WORDS };
            contents.extend(parts.iter().take(strips).map(|part| (part.suffix, rank)));
        }
        contents.sort_unstable();
        Self(contents)
    }

    /// Messages of a kind of which just one other, on another connection, is or ends with the same: both ways.
    fn pairs(&self, window: &Window, is_meant: impl Fn(Rank) -> bool) -> BTreeMap<Rank, Rank> {
        let same = self.0.chunk_by(|one, other| one.0 == other.0);
        let two = same.filter_map(|same| <&[_; 2]>::try_from(same).ok()).map(|&[(_, one), (_, other)]| (one, other));
        let apart = |one: Rank, other: Rank| window.record(one).conn != window.record(other).conn;
        let meant = two.filter(|&(one, other)| is_meant(one) && is_meant(other) && apart(one, other));
        meant.flat_map(|(one, other)| [(one, other), (other, one)]).collect()
    }

    /// Whether some message on another connection is, or ends with, this.
    fn is_elsewhere(&self, window: &Window, content: u64, conn: u32) -> bool {
        let first = self.0.partition_point(|entry| entry.0 < content);
        let same = self.0[first..].iter().take_while(|entry| entry.0 == content).take(NEIGHBOURS);
        same.into_iter().any(|entry| window.record(entry.1).conn != conn)
    }

    /// What a message with an identity says, of such before it and such after it as come into question.
    fn voice(
        &self,
        window: &Window,
        tagged: Rank,
        comes_before: impl Fn(Rank) -> bool,
        comes_after: impl Fn(Rank) -> bool,
    ) -> Option<Voice> {
        rests_of_tagged(window, tagged).into_iter().flatten().find_map(|rest| {
            let record = window.record(tagged);
            let at = self.0.partition_point(|&entry| entry < (rest, tagged));
            let elsewhere = |rank: Rank| window.record(rank).conn != record.conn;
            let rank = |entry: &(u64, Rank)| (entry.0 == rest).then_some(entry.1);
            let before = self.0[..at].iter().rev().map_while(rank).take(NEIGHBOURS);
            let before = before.filter(|&other| elsewhere(other)).find(|&other| comes_before(other));
            let after = self.0[at..].iter().map_while(rank).take(NEIGHBOURS);
            let after = after.filter(|&other| elsewhere(other)).find(|&other| comes_after(other));
            let cost = |other: Rank| {
                let delay = (window.record(other).available - record.available).0.abs();
                ((delay + SHORTEST_DELAY.0) as f64).ln()
            };
            let first = at.saturating_sub(2 * FEW);
            let few = self.0[first..].iter().take(4 * FEW).filter(|entry| entry.0 == rest).nth(FEW).is_none();
            let alone = |other: Rank| {
                if few { ONE_VOICE } else { ((NONE_NEAR.0 as f64).ln() - cost(other)).clamp(0.0, ONE_VOICE) }
            };
            match (before, after) {
                (None, None) => None,
                (Some(other), None) => Some(Voice { other, is_request: true, weight: alone(other) }),
                (None, Some(other)) => Some(Voice { other, is_request: false, weight: alone(other) }),
                (Some(before), Some(after)) => {
                    let more = cost(after) - cost(before);
                    let is_request = more >= 0.0;
                    let other = if is_request { before } else { after };
                    Some(Voice { other, is_request, weight: more.abs().min(ONE_VOICE) })
                }
            }
        })
    }
}

/// Content of what follows the identity of a message that has one in front, or where there is no such thing, that before the
/// delimiter.
fn rests_of_tagged(window: &Window, rank: Rank) -> [Option<u64>; 2] {
    let parts = window.parts(rank);
    let depth = usize::from(parts.first().is_some_and(|first| first.length == 0));
    let is_identity = parts.get(depth).is_some_and(PartRecord::can_be_identity);
    let in_front = parts.get(depth + 1).filter(|_| is_identity).map(|part| part.suffix);
    let deeper = address(parts).filter(|&depth| depth > 1).and_then(|depth| parts.get(depth + 2));
    [in_front, deeper.map(|part| part.suffix)]
}

/// Where among the first parts an identity stands before a delimiter.
fn address(parts: &[PartRecord]) -> Option<usize> {
    parts.windows(3).take(DEEPEST).position(|parts| parts[0].can_be_identity() && parts[1].length == 0)
}
