//! What sessions tell, copied, so that another thread can show it while the next packets are dissected.
//!
//! A [`Relay`] is an [`Outlet`] that fills a [`Dispatch`]; [`Dispatch::deliver`] tells another outlet the same in the same
//! order. How a stream of events is cut into dispatches shows nowhere. Frames are not among them: who wants those dissects
//! on the thread that shows them.
//!
//! Invariants: a dispatch is handed on when it is large, so memory is bounded; its buffers come back and are used again, so
//! that a message costs no allocation.

use super::connection::ConnectionSummary;
use super::observer::{ConnectionRef, Ends, Interest};
use super::outlet::Outlet;
use crate::base::direction::{Direction, PerDirection};
use crate::base::time::Timestamp;
use crate::correlate::findings::Finding;
use crate::zmtp::event::{Frame, FrameKind, Message, Part};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};

/// A dispatch with so many events or kept octets is handed on before the batch of packets that it comes of is over.
const LARGE: usize = 2048;
const LARGE_OCTETS: usize = 256 << 10;

/// One event.
#[derive(Debug)]
enum Told {
    Connection(u32, Box<Ends>),
    Incomplete(u32, Direction),
    /// What a view may know of both peers changed.
    Peers(u32, Box<PerDirection<Peer>>),
    Introduced(u32, Direction, Box<Peer>),
    /// So many of the messages, one after the other.
    Messages(usize),
    Finding(Box<Finding>),
    Closed(Box<ConnectionSummary>),
    Tick(Timestamp),
}

/// A message without what it borrows.
#[derive(Debug)]
struct Kept {
    conn: u32,
    key: u64,
    message: Message<'static>,
    /// How many of the parts and of their first octets are its own.
    parts: u32,
    heads: u32,
}

/// Some events, in order.
#[derive(Debug)]
pub(super) struct Dispatch {
    told: Vec<Told>,
    messages: Vec<Kept>,
    parts: Vec<Part>,
    heads: Vec<u8>,
    /// Octets of memory of what else is told, where that may be much.
    boxed: usize,
}

/// What the receiver of dispatches keeps between them: the connections that are open.
#[derive(Debug, Default)]
pub(super) struct Known(FxHashMap<u32, (Ends, PerDirection<Peer>)>);

impl Dispatch {
    /// None, and room for as many as usually come: buffers of many sizes, while they grow, would leave the heap in pieces.
    pub(super) fn new() -> Self {
        Self {
            told: Vec::with_capacity(LARGE + 1),
            messages: Vec::with_capacity(LARGE + 1),
            parts: Vec::with_capacity(2 * LARGE),
            heads: Vec::with_capacity(LARGE_OCTETS),
            boxed: 0,
        }
    }

    /// Whether it is time to hand it on.
    fn is_large(&self) -> bool {
        self.told.len().max(self.messages.len()) >= LARGE
            || self.parts.len() >= 2 * LARGE
            || self.heads.len() + self.boxed >= LARGE_OCTETS
    }

    /// Tells `outlet` all of it; then it is empty.
    pub(super) fn deliver(&mut self, known: &mut Known, outlet: &mut impl Outlet) {
        let mut messages = self.messages.iter();
        let (mut parts, mut heads) = (self.parts.as_slice(), self.heads.as_slice());
        for told in self.told.drain(..) {
            match told {
                Told::Connection(conn, ends) => {
                    outlet.connection(conn, &ends);
                    known.0.insert(conn, (*ends, PerDirection::default()));
                }
                Told::Incomplete(conn, direction) => outlet.incomplete(conn, direction),
                Told::Peers(conn, peers) => {
                    if let Some(connection) = known.0.get_mut(&conn) {
                        connection.1 = *peers;
                    }
                }
                Told::Introduced(conn, direction, peer) => outlet.peer(conn, direction, &peer),
                Told::Messages(count) => {
                    for kept in messages.by_ref().take(count) {
                        let (own_parts, own_heads);
                        (own_parts, parts) = parts.split_at(kept.parts as usize);
                        (own_heads, heads) = heads.split_at(kept.heads as usize);
                        let Some((ends, peers)) = known.0.get(&kept.conn) else { continue };
                        let connection = ConnectionRef { conn: kept.conn, ends, peers: peers.as_ref() };
                        let message = Message { parts: own_parts, heads: own_heads, ..kept.message };
                        outlet.message(&connection, &message, kept.key);
                    }
                }
                Told::Finding(finding) => outlet.finding(*finding),
                Told::Closed(summary) => {
                    known.0.remove(&summary.conn);
                    outlet.closed(*summary);
                }
                Told::Tick(now) => outlet.tick(now),
            }
        }
        self.messages.clear();
        self.parts.clear();
        self.heads.clear();
        self.boxed = 0;
    }
}

/// Fills dispatches; `S` hands a full one on, and leaves an empty one in its place.
pub(super) struct Relay<S> {
    interest: Interest,
    dispatch: Dispatch,
    /// Connections whose peers may have changed since a message of them was last told.
    changed: FxHashSet<u32>,
    send: S,
}

impl<S: FnMut(&mut Dispatch)> Relay<S> {
    pub(super) fn new(interest: Interest, send: S) -> Self {
        Self { interest, dispatch: Dispatch::new(), changed: FxHashSet::default(), send }
    }

    /// Hands on what there is, be it nothing.
    pub(super) fn hand_on(&mut self) {
        (self.send)(&mut self.dispatch);
    }

    fn tell(&mut self, told: Told) {
        self.dispatch.told.push(told);
        self.hand_on_if_large();
    }

    fn hand_on_if_large(&mut self) {
        if self.dispatch.is_large() {
            self.hand_on();
        }
    }
}

impl<S: FnMut(&mut Dispatch)> Outlet for Relay<S> {
    fn interest(&self) -> Interest {
        self.interest
    }

    fn connection(&mut self, conn: u32, ends: &Ends) {
        self.changed.insert(conn);
        self.tell(Told::Connection(conn, Box::new(*ends)));
    }

    fn incomplete(&mut self, conn: u32, direction: Direction) {
        if self.interest.paths {
            self.tell(Told::Incomplete(conn, direction));
        }
    }

    fn peer(&mut self, conn: u32, direction: Direction, peer: &Peer) {
        self.changed.insert(conn);
        if self.interest.paths {
            self.dispatch.boxed += peer.held();
            self.tell(Told::Introduced(conn, direction, Box::new(peer.clone())));
        }
    }

    #[inline]
    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        debug_assert!(!self.interest.frames, "who wants frames has no relay");
        if matches!(frame.kind, FrameKind::Greeting(_) | FrameKind::Upgrade(_)) {
            self.changed.insert(connection.conn);
        }
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        let correlated = self.interest.paths && !connection.ends.transport.is_one_way();
        if !self.interest.messages && !correlated {
            return;
        }
        let conn = connection.conn;
        // Nobody looks at peers but who wants messages.
        if self.interest.messages && self.changed.remove(&conn) {
            let mut peers = PerDirection::from_fn(|direction| connection.peers[direction].clone());
            // As long as the connection is open the receiver keeps them, in no account.
            peers.c2s.release();
            peers.s2c.release();
            self.dispatch.told.push(Told::Peers(conn, Box::new(peers)));
        }
        let Dispatch { told, messages, parts, heads, .. } = &mut self.dispatch;
        let (first_part, first_octet) = (parts.len(), heads.len());
        let looked_into =
            || connection.peers.iter().all(|(_, peer)| peer.socket_type.is_none_or(SocketType::asks_or_answers));
        if self.interest.messages || looked_into() {
            parts.extend_from_slice(message.parts);
            heads.extend_from_slice(message.heads);
        } else {
            // All that the correlator looks at, as `Correlator::message` says.
            for part in message.parts {
                let start = heads.len() - first_octet;
                heads.extend(message.head(part).first());
                parts.push(Part { head: start..heads.len() - first_octet, ..part.clone() });
            }
        }
        messages.push(Kept {
            conn,
            key,
            message: message.without_parts(),
            parts: (parts.len() - first_part) as u32,
            heads: (heads.len() - first_octet) as u32,
        });
        match told.last_mut() {
            Some(Told::Messages(count)) => *count += 1,
            _ => told.push(Told::Messages(1)),
        }
        self.hand_on_if_large();
    }

    fn finding(&mut self, finding: Finding) {
        self.tell(Told::Finding(Box::new(finding)));
    }

    fn closed(&mut self, summary: ConnectionSummary) {
        self.changed.remove(&summary.conn);
        self.dispatch.boxed += summary.memory();
        self.tell(Told::Closed(Box::new(summary)));
    }

    fn tick(&mut self, now: Timestamp) {
        self.tell(Told::Tick(now));
    }
}
