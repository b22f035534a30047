//! One window of messages, looked up by socket and connection.

use super::directions;
use super::index::SuffixIndex;
use super::losses::Losses;
use super::sockets::{Connection, Frontend, SocketId, Sockets};
use super::window::{PartRecord, Rank, Window};
use crate::base::chunk::Position;
use crate::base::time::Duration;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// A sorted window and what stands where in it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The messages.
    pub window: &'a Window,
    /// The sockets they travelled between.
    pub sockets: &'a Sockets,
    /// For each message: whether it flows in the direction of requests.
    pub is_request: Vec<bool>,
    /// For each message: its number among all messages of this direction that arrived at, or left from, the same
    /// possible front end.
    pub place: Vec<u32>,
    /// For each message: how often messages may be missing on its connection up to it.
    pub gaps: Vec<Gaps>,
    /// Where messages are missing.
    pub losses: Losses,
    /// What arrived at, and left from, sockets that can be front ends; see [`Scene::front`].
    front_messages: Vec<Rank>,
    fronts: [OnceCell<Front>; STRIPS],
    /// What each socket that can be the back end of a node sent and received.
    pub backends: BTreeMap<SocketId, Traffic>,
    /// The sockets that can be the front end of a node, with those of their connections that carry requests.
    pub routers: BTreeMap<Frontend, Vec<u32>>,
    handshakes: OnceCell<FxHashMap<Frontend, Handshakes>>,
}

/// The anonymous connections of a ROUTER in one of its eras.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// Them, in the order of their handshakes.
    pub order: Vec<u32>,
    /// Where each stands in it.
    pub place: FxHashMap<u32, u32>,
}

/// Parts that a broker may take off the front of what arrives before it passes the rest on, and one.
pub const STRIPS: usize = 7;

/// So deep in an envelope a delimiter follows the identity: without, any word could be taken for one.
const DELIMITED: usize = 2;

/// Gaps on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// In the direction of requests.
    pub requests: u32,
    /// In the direction of replies.
    pub replies: u32,
    /// One more in the other direction is next there: it may be before this message or after it.
    pub ahead: bool,
}

/// Messages at front ends, by their content from a certain part on.
#[derive(Debug)]
pub struct Front {
    /// Requests by the connection that they arrived on.
    pub arrivals: SuffixIndex,
    /// Requests by the socket that they arrived at.
    pub socket_arrivals: SuffixIndex,
    /// Replies by the connection that they left on.
    pub departures: SuffixIndex,
    /// Replies by the socket that they left from.
    pub socket_departures: SuffixIndex,
}

/// What passed through one socket.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Requests that it sent.
    pub requests: Vec<Rank>,
    /// Replies that it received.
    pub replies: Vec<Rank>,
}

impl<'a> Scene<'a> {
    /// Looks over a sorted window.
    pub fn new(window: &'a Window, sockets: &'a mut Sockets) -> Self {
        for (rank, record) in window.records().iter().enumerate() {
            sockets.consider(record, is_addressed(window.parts(rank as Rank)));
        }
        directions::hear(window, sockets);
        for record in window.records() {
            sockets.settle_direction(record.conn);
        }
        let sockets = &*sockets;
        let is_request: Vec<bool> = window.records().iter().map(|record| sockets.is_request(record)).collect();
        let mut backends: BTreeMap<SocketId, Traffic> = BTreeMap::new();
        let mut routers: BTreeMap<Frontend, Vec<u32>> = BTreeMap::new();
        let mut place = vec![0; window.len()];
        let mut counts: FxHashMap<(SocketId, bool), u32> = FxHashMap::default();
        let mut next_place = |socket, request| {
            let count = counts.entry((socket, request)).or_default();
            *count += 1;
            *count - 1
        };
        let mut seen = FxHashSet::default();
        let mut front_messages = Vec::new();
        for (rank, record) in window.records().iter().enumerate() {
            let rank = rank as Rank;
            let (sender, receiver) = (sockets.sender(record), sockets.receiver(record));
            if is_request[rank as usize] {
                if can_be(sockets, sender, &[SocketType::DEALER, SocketType::ROUTER]) {
                    backends.entry(sender).or_default().requests.push(rank);
                }
                if can_be(sockets, receiver, &[SocketType::ROUTER]) {
                    front_messages.push(rank);
                    place[rank as usize] = next_place(receiver, true);
                    if seen.insert(record.conn) {
                        let opened = sockets.connection(record.conn).opened;
                        routers.entry(sockets.frontend(receiver, opened)).or_default().push(record.conn);
                    }
                }
            } else {
                if can_be(sockets, receiver, &[SocketType::DEALER, SocketType::ROUTER]) {
                    backends.entry(receiver).or_default().replies.push(rank);
                }
                if can_be(sockets, sender, &[SocketType::ROUTER]) {
                    front_messages.push(rank);
                    place[rank as usize] = next_place(sender, false);
                }
            }
        }
        let gaps = gaps(window, sockets, &is_request);
        let losses = Losses::find(window, sockets);
        let fronts = std::array::from_fn(|_| OnceCell::new());
        Self {
            window,
            sockets,
            is_request,
            place,
            gaps,
            losses,
            front_messages,
            fronts,
            backends,
            routers,
            handshakes: OnceCell::new(),
        }
    }

    /// What arrived at, and left from, sockets that can be front ends, looked up by its content without the first `strip`
    /// parts.
    pub fn front(&self, strip: usize) -> &Front {
        self.fronts[strip].get_or_init(|| {
            let (mut arrivals, mut socket_arrivals) = (Vec::new(), Vec::new());
            let (mut departures, mut socket_departures) = (Vec::new(), Vec::new());
            for &rank in &self.front_messages {
                let Some(part) = self.parts(rank).get(strip) else { continue };
                let record = self.window.record(rank);
                if self.is_request[rank as usize] {
                    arrivals.push((record.conn, part.suffix, rank));
                    socket_arrivals.push((self.sockets.receiver(record), part.suffix, rank));
                } else {
                    departures.push((record.conn, part.suffix, rank));
                    socket_departures.push((self.sockets.sender(record), part.suffix, rank));
                }
            }
            Front {
                arrivals: SuffixIndex::new(arrivals),
                socket_arrivals: SuffixIndex::new(socket_arrivals),
                departures: SuffixIndex::new(departures),
                socket_departures: SuffixIndex::new(socket_departures),
            }
        })
    }

    /// The anonymous connections of a ROUTER that has messages in this window; `None` if there are none. Those of all eras
    /// are put in order at once: a ROUTER has as many eras as connections where clients come one after the other.
    pub fn handshakes(&self, frontend: Frontend) -> Option<&Handshakes> {
        self.handshakes.get_or_init(|| handshakes(self.sockets, &self.routers)).get(&frontend)
    }

    /// The identity in a message's envelope and what follows it; `None` if there is none.
    pub fn tag(&self, rank: Rank, shape: Shape) -> Option<Tag> {
        let parts = self.window.parts(rank);
        let (identity, mut rest) = (parts.get(shape.depth)?, parts.get(shape.depth + 1)?);
        if shape.depth >= DELIMITED && rest.length != 0 {
            return None;
        }
        if shape.drops_delimiter {
            rest = parts.get(shape.depth + 2).filter(|_| rest.length == 0)?;
        }
        identity.can_be_identity().then_some(Tag { identity: identity.hash, suffix: rest.suffix })
    }

    /// Content of a message without its first parts; `None` if it has no more.
    pub fn content(&self, rank: Rank, strip: usize) -> Option<u64> {
        self.window.parts(rank).get(strip).map(|part| part.suffix)
    }

    /// Parts of a message.
    pub fn parts(&self, rank: Rank) -> &[PartRecord] {
        self.window.parts(rank)
    }

    /// The connection of a message.
    pub fn connection(&self, rank: Rank) -> &Connection {
        self.sockets.connection(self.window.record(rank).conn)
    }

    /// The time from one message to another.
    pub fn delay(&self, cause: Rank, effect: Rank) -> Duration {
        self.window.record(effect).available - self.window.record(cause).available
    }
}

/// What a broker makes of a message that it passes on: `[a, b, c]` from a client leaves as `[x …, identity, b, c]`. Plain
/// proxies put the identity first and take nothing off. Majordomo (RFC 7) makes `['', W, 2, identity, '', body]` of
/// `['', C, service, body]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Parts before the identity.
    pub depth: usize,
    /// A delimiter follows the identity that is not the client's.
    pub drops_delimiter: bool,
    /// Parts of the client's request that are not passed on.
    pub request_strip: usize,
    /// Parts of the reply to the client that are not the worker's.
    pub reply_strip: usize,
}

/// The anonymous connections of these ROUTERs, by era.
fn handshakes(sockets: &Sockets, routers: &BTreeMap<Frontend, Vec<u32>>) -> FxHashMap<Frontend, Handshakes> {
    let mut found: FxHashMap<Frontend, Handshakes> = FxHashMap::default();
    let mut last = None;
    // Ordered: the eras of one socket are next to each other.
    for socket in routers.keys().map(|frontend| frontend.socket) {
        if last.replace(socket) == Some(socket) {
            continue;
        }
        // A ROUTER gives a number once it has both sent its own introduction and got the peer's. Several may have got there
        // at once; then its own show in which order it saw to them.
        let introduced = |conn: u32| {
            let Connection { sockets, peers, .. } = sockets.connection(conn);
            let (peer, own) = if sockets.s2c == socket { (&peers.c2s, &peers.s2c) } else { (&peers.s2c, &peers.c2s) };
            let order = |position: Position| (position.at, position.packet);
            if peer.identity.is_some() {
                return None;
            }
            // One of the two may be missing.
            peer.introduced.map(order).max(own.introduced.map(order))
        };
        let conns = &sockets.socket(socket).connections;
        let mut order: Vec<_> = conns.iter().filter_map(|&conn| Some((introduced(conn)?, conn))).collect();
        order.sort_unstable();
        for (_, conn) in order {
            let Handshakes { order, place } =
                found.entry(sockets.frontend(socket, sockets.connection(conn).opened)).or_default();
            place.insert(conn, order.len() as u32);
            order.push(conn);
        }
    }
    found
}

/// For each message, the gaps on its connection up to it.
fn gaps(window: &Window, sockets: &Sockets, is_request: &[bool]) -> Vec<Gaps> {
    let count = window.len();
    let mut gaps = vec![Gaps::default(); count];
    if !window.records().iter().any(|record| record.after_gap || sockets.connection(record.conn).is_incomplete()) {
        return gaps;
    }
    let mut so_far: FxHashMap<u32, Gaps> = FxHashMap::default();
    for (rank, record) in window.records().iter().enumerate() {
        let passed = so_far.entry(record.conn).or_default();
        if record.after_gap {
            *passed.of(is_request[rank]) += 1;
        }
        gaps[rank] = *passed;
    }
    let mut ahead: FxHashMap<(u32, bool), bool> = FxHashMap::default();
    for (rank, record) in window.records().iter().enumerate().rev() {
        let other = !is_request[rank];
        let ends_in_gap = || sockets.connection(record.conn).ends_in_gap(record.direction.reverse());
        gaps[rank].ahead = *ahead.entry((record.conn, other)).or_insert_with(ends_in_gap);
        ahead.insert((record.conn, is_request[rank]), record.after_gap);
    }
    gaps
}

impl Gaps {
    fn of(&mut self, requests: bool) -> &mut u32 {
        if requests { &mut self.requests } else { &mut self.replies }
    }
}

/// Whether an identity stands before a delimiter, and something after it.
fn is_addressed(parts: &[PartRecord]) -> bool {
    parts.windows(3).any(|parts| parts[0].can_be_identity() && parts[1].length == 0)
}

/// An identity in an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Hash of the identity.
    pub identity: u64,
    /// Hash of the parts after it.
    pub suffix: u64,
}

fn can_be(sockets: &Sockets, socket: SocketId, types: &[SocketType]) -> bool {
    sockets.socket(socket).socket_type.is_none_or(|t| types.contains(&t))
}
