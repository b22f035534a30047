//! One window of messages, looked up by socket and connection.

use super::index::SuffixIndex;
use super::sockets::{Frontend, SocketId, Sockets};
use super::window::{PartRecord, Rank, Window};
use crate::base::time::Duration;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};
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
    /// Requests by the connection that they arrived on and their content.
    pub arrivals: SuffixIndex,
    /// Requests by the socket that they arrived at and their content.
    pub socket_arrivals: SuffixIndex,
    /// Replies by the connection that they left on and their content.
    pub departures: SuffixIndex,
    /// What each socket that can be the back end of a node sent and received.
    pub backends: BTreeMap<SocketId, Traffic>,
    /// The sockets that can be the front end of a node, with those of their connections that carry requests.
    pub routers: BTreeMap<Frontend, Vec<u32>>,
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
        let (mut arrivals, mut socket_arrivals, mut departures) = (Vec::new(), Vec::new(), Vec::new());
        for (rank, record) in window.records().iter().enumerate() {
            let rank = rank as Rank;
            let suffix = window.parts(rank).first().map_or(0, |part| part.suffix);
            let (sender, receiver) = (sockets.sender(record), sockets.receiver(record));
            if is_request[rank as usize] {
                if can_be(sockets, sender, &[SocketType::DEALER, SocketType::ROUTER]) {
                    backends.entry(sender).or_default().requests.push(rank);
                }
                if can_be(sockets, receiver, &[SocketType::ROUTER]) {
                    arrivals.push((record.conn, suffix, rank));
                    socket_arrivals.push((receiver, suffix, rank));
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
                    departures.push((record.conn, suffix, rank));
                    place[rank as usize] = next_place(sender, false);
                }
            }
        }
        Self {
            window,
            sockets,
            is_request,
            place,
            arrivals: SuffixIndex::new(arrivals),
            socket_arrivals: SuffixIndex::new(socket_arrivals),
            departures: SuffixIndex::new(departures),
            backends,
            routers,
        }
    }

    /// The identity at `depth` of a message's envelope and what follows it; `None` if there is none.
    pub fn tag(&self, rank: Rank, depth: usize) -> Option<Tag> {
        let parts = self.window.parts(rank);
        let (identity, rest) = (parts.get(depth)?, parts.get(depth + 1)?);
        identity.can_be_identity().then_some(Tag { identity: identity.hash, suffix: rest.suffix })
    }

    /// Content of a whole message.
    pub fn content(&self, rank: Rank) -> u64 {
        self.window.parts(rank).first().map_or(0, |part| part.suffix)
    }

    /// Parts of a message.
    pub fn parts(&self, rank: Rank) -> &[PartRecord] {
        self.window.parts(rank)
    }

    /// The time from one message to another.
    pub fn delay(&self, cause: Rank, effect: Rank) -> Duration {
        self.window.record(effect).available - self.window.record(cause).available
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
