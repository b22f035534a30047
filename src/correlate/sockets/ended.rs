//! What is over: how long connections and sockets are remembered.
//!
//! A connection that ended is kept for a while, since messages of it may still be on their way elsewhere. What was learned by
//! its number is looked through once as many were released as are kept, so each costs its share, however few end at a time.

use super::{Bound, SocketId, Sockets};
use crate::base::time::{Duration, Timestamp};
use crate::correlate::window::Window;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// Connections that are over, and not released yet.
#[derive(Debug)]
pub(super) struct Ended {
    /// In the order in which they ended.
    queue: VecDeque<(u32, Timestamp)>,
    /// How many are kept, and how long.
    most: usize,
    time: Duration,
    /// How many were released since the sockets were last looked through.
    released: usize,
}

/// Connections of which no more is known.
#[derive(Debug, Default)]
pub struct Released {
    /// Their numbers.
    pub conns: Vec<u32>,
    /// So many were released that what is known by their numbers elsewhere should be looked through.
    pub are_many: bool,
}

impl Ended {
    /// None yet.
    pub(super) fn new(most: usize, time: Duration) -> Self {
        Self { queue: VecDeque::new(), most, time, released: 0 }
    }

    /// The one that is to be released next; `besides` are kept as well.
    fn due(&self, now: Timestamp, besides: usize) -> Option<(u32, Timestamp)> {
        let is_due = |&(_, at): &(u32, Timestamp)| self.queue.len() + besides > self.most || now - at > self.time;
        self.queue.front().copied().filter(is_due)
    }
}

impl Sockets {
    /// A connection is over: no more messages of it will come.
    pub fn disconnect(&mut self, conn: u32, at: Timestamp, by_server: bool) {
        let Some(connection) = self.connections.get(conn) else { return };
        if let Some(bound) = self.bound.get_mut(&connection.server)
            && bound.socket == connection.sockets.s2c
        {
            bound.open = bound.open.saturating_sub(1);
            bound.closed = bound.closed.max(at);
            bound.server_closed &= by_server;
        }
        self.calling.leave(connection);
        self.ended.queue.push_back((conn, at));
    }

    /// Whether so many are over that some should be released although no window was full.
    pub fn are_many_ended(&self) -> bool {
        self.ended.queue.len() > 2 * self.ended.most
    }

    /// How many connections were not released.
    #[cfg(test)]
    pub(in crate::correlate) fn known_connections(&self) -> usize {
        self.connections.known()
    }

    /// Releases connections that are over for long, or that too many others ended after, and that have no message in the
    /// window, nor among `others`.
    pub fn release(&mut self, window: &Window, others: impl Iterator<Item = u32>, now: Timestamp) -> Released {
        let mut released = Released::default();
        if self.ended.due(now, 0).is_none() {
            return released;
        }
        self.window += 1;
        for conn in window.records().iter().map(|record| record.conn).chain(others) {
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.seen = (self.window, 0);
            }
        }
        let mut needed = Vec::new();
        while let Some(oldest) = self.ended.due(now, needed.len()) {
            self.ended.queue.pop_front();
            if self.connections.get(oldest.0).is_some_and(|connection| connection.seen.0 == self.window) {
                needed.push(oldest);
            } else {
                self.connections.release(oldest.0);
                released.conns.push(oldest.0);
            }
        }
        needed.into_iter().rev().for_each(|ended| self.ended.queue.push_front(ended));
        self.ended.released += released.conns.len();
        released.are_many = self.ended.released > self.ended.most.max(self.connections.known() / 2);
        if released.are_many {
            self.look_through();
        }
        released
    }

    /// Forgets what released connections left behind.
    fn look_through(&mut self) {
        self.ended.released = 0;
        self.order_handshakes();
        let connections = &self.connections;
        for socket in self.shared.values_mut() {
            socket.connections.retain(|&conn| connections.get(conn).is_some());
            socket.connections.shrink_to(socket.connections.len() * 2);
            socket.handshakes.retain(|conn| connections.get(conn).is_some());
        }
        // What listened on an endpoint is remembered for as long as there is room: clients may come back.
        let shared = &self.shared;
        let is_idle = |bound: &Bound| shared.get(&bound.socket).is_none_or(|socket| socket.connections.is_empty());
        let idle = self.bound.values().filter(|bound| is_idle(bound));
        let mut idle: Vec<Timestamp> = idle.map(|bound| bound.closed).collect();
        if idle.len() > self.ended.most {
            idle.sort_unstable();
            let oldest = idle[idle.len() / 2];
            self.bound.retain(|_, bound| !is_idle(bound) || bound.closed > oldest);
        }
        let listening: FxHashSet<SocketId> = self.bound.values().map(|bound| bound.socket).collect();
        self.shared.retain(|id, socket| !socket.connections.is_empty() || listening.contains(id));
        self.calling.retain(|socket| self.shared.contains_key(&socket));
    }
}
