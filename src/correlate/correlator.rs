//! The correlator's front: takes what sessions tell, gives paths, keeps its memory bounded.

use super::assemble::{self, components};
use super::closed;
use super::forwarding::Forwarding;
use super::hops::Links;
use super::nodes::Nodes;
use super::overtaken::Overtaken;
use super::path::{Path, Status};
use super::scene::Scene;
use super::sockets::Sockets;
use super::window::{Rank, Window};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::hash::hash;
use crate::base::limits::Limits;
use crate::base::time::{Duration, Timestamp};
use crate::zmtp::event::Message;
use crate::zmtp::peer::Peer;

/// Live: a path is reported once nothing was added to it for so long.
const SETTLED: Duration = Duration::from_secs(1);

/// Live: how often the window is looked through, for each so many messages that wait in it: what a look costs is in
/// proportion to them.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKED_AT_ONCE: usize = 16 << 10;

/// A window is looked through whenever this part of it is new: so it takes less memory, and less of it is out of the
/// processor's reach.
const LOOKS: usize = 4;

/// Complete paths that end in the last one of so many parts of a window stay: what happened last may still go on.
const RECENT: usize = 8;

/// Joins messages of many connections into paths.
#[derive(Debug)]
pub struct Correlator {
    sockets: Sockets,
    nodes: Nodes,
    window: Window,
    forwarding: Forwarding,
    limit: usize,
    /// The window is looked through when it holds so many messages.
    look_at: usize,
    answer_time: Duration,
    gap_patience: Duration,
    paths: u64,
    /// The path of which alternatives are told.
    explained: Option<u64>,
    given_up: u64,
    /// When the window was last looked through for lack of packets.
    looked: Timestamp,
}

/// Which paths a look at the window reports.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    /// All.
    Everything,
    /// Complete ones whose last message is before this time, others if they had time enough to be answered.
    Before(Timestamp),
}

impl Correlator {
    /// Nothing seen yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            sockets: Sockets::new(limits),
            nodes: Nodes::default(),
            window: Window::default(),
            forwarding: Forwarding::new(limits),
            limit: limits.window_messages.max(16),
            look_at: limits.window_messages.max(16) / LOOKS,
            answer_time: limits.answer_time,
            gap_patience: limits.gap_patience,
            paths: 0,
            explained: None,
            given_up: 0,
            looked: Timestamp::default(),
        }
    }

    /// Tells alternatives of the path of this number.
    #[must_use]
    pub fn explaining(self, path: Option<u64>) -> Self {
        Self { explained: path, ..self }
    }

    /// A connection got its number; they come in order, from 0.
    pub fn connection(&mut self, conn: u32, client: Endpoint, server: Endpoint, opened: Timestamp) {
        self.sockets.connect(conn, client, server, opened);
        self.forwarding.connection();
    }

    /// A peer introduced itself.
    pub fn peer(&mut self, conn: u32, direction: Direction, peer: &Peer) {
        let identity = peer.identity.as_ref().filter(|identity| !identity.is_empty());
        self.sockets.introduce(conn, direction, peer, identity.map(|identity| hash(identity)));
        self.forwarding.introduced(&self.sockets, conn);
    }

    /// Messages of a direction may be missing, from here to its next one.
    pub fn incomplete(&mut self, conn: u32, direction: Direction) {
        self.sockets.set_incomplete(conn, direction);
    }

    /// A connection is over.
    pub fn ended(&mut self, conn: u32, at: Timestamp, by_server: bool) {
        self.sockets.disconnect(conn, at, by_server);
        // Connections without a request or reply fill no window.
        if self.sockets.are_many_ended() {
            self.release(at);
        }
    }

    /// A message is complete. Where the types of its sockets say that it is no request or reply
    /// ([`SocketType::asks_or_answers`](crate::zmtp::wire::socket_type::SocketType::asks_or_answers)), of its parts no more than
    /// the first octet is looked at.
    pub fn message(&mut self, conn: u32, key: u64, message: &Message<'_>, on: &mut impl FnMut(Path)) {
        let taken = self.forwarding.message(&self.sockets, conn, key, message);
        if taken.is_full {
            let report = self.forwarding.newest();
            for path in self.forwarding.resolve(&self.sockets, report) {
                on(Path { number: self.paths, ..path });
                self.paths += 1;
            }
        }
        if taken.is_one_way || !self.sockets.takes_part(conn, message.direction) {
            return;
        }
        let after_gap = self.sockets.pass_gap(conn, message.direction);
        self.window.push(conn, key, message, after_gap);
        if self.window.len() >= self.look_at {
            self.window.sort();
            let newest = self.window.record((self.window.len() - self.window.len() / RECENT) as Rank).available;
            self.resolve(Report::Before(newest), Vec::new(), on);
            self.make_room(on);
            // Half of what is looked through is new, or more, so what waits does not multiply the work.
            self.look_at = self.window.len() + self.window.len().max(self.limit / LOOKS);
        }
    }

    /// Time passes. Cheap to call often.
    pub fn tick(&mut self, now: Timestamp, on: &mut impl FnMut(Path)) {
        let waiting = self.window.len() + self.forwarding.waiting();
        let every = Duration(LOOK_EVERY.0 * (1 + waiting / LOOKED_AT_ONCE) as i64);
        // Time may seem to go back after a packet with a wrong time.
        if (Duration(0)..every).contains(&(now - self.looked)) {
            return;
        }
        self.looked = now;
        self.resolve_all(Report::Before(now + Duration(-SETTLED.0)), on);
    }

    /// No more messages.
    pub fn finish(&mut self, on: &mut impl FnMut(Path)) {
        self.resolve_all(Report::Everything, on);
    }

    /// Messages whose path was cut short because too many others waited.
    pub fn given_up(&self) -> u64 {
        self.given_up + self.forwarding.given_up()
    }

    /// One-way messages that wait to be joined to others.
    #[cfg(test)]
    pub(super) fn forwarded_waiting(&self) -> usize {
        self.forwarding.waiting()
    }

    /// Looks through both windows; what they report is given in the order in which it begins.
    fn resolve_all(&mut self, report: Report, on: &mut impl FnMut(Path)) {
        let one_way = self.forwarding.resolve(&self.sockets, report);
        self.resolve(report, one_way, on);
    }

    /// The window is still more than half full of what waits: everything in it is reported as it stands.
    fn make_room(&mut self, on: &mut impl FnMut(Path)) {
        if self.window.len() > self.limit / 2 {
            self.given_up += self.window.len() as u64;
            self.resolve(Report::Everything, Vec::new(), on);
        }
    }

    /// Forgets connections that are over and of which nothing is under correlation.
    fn release(&mut self, now: Timestamp) {
        let released = self.sockets.release(&self.window, self.forwarding.connections(), now);
        for conn in released.conns {
            self.forwarding.forget(conn);
        }
        if released.are_many {
            self.nodes.forget(&self.sockets);
        }
    }

    /// How many connections are known, and how many ends of those that carry messages one way.
    #[cfg(test)]
    pub(super) fn known_connections(&self) -> usize {
        self.sockets.known_connections().max(self.forwarding.known_ends() / 2)
    }

    /// Correlates the window, reports what is to be reported, keeps the rest.
    fn resolve(&mut self, report: Report, one_way: Vec<Path>, on: &mut impl FnMut(Path)) {
        let begins = |path: &Path| path.hops().next().map(|hop| hop.position.at);
        let mut number = self.paths;
        let mut give = |path: Path| {
            on(Path { number, ..path });
            number += 1;
            number
        };
        if self.window.is_empty() {
            for path in one_way {
                self.paths = give(path);
            }
            return;
        }
        let mut one_way = one_way.into_iter().peekable();
        self.window.sort();
        if self.window.has_closed() {
            let waits = matches!(report, Report::Before(_));
            closed::grouping::group(&mut self.window, waits);
        }
        let scene = Scene::new(&self.window, &mut self.sockets);
        let passages = self.nodes.learn(&scene);
        let links = Links::find(&scene, &self.nodes, &passages);
        let mut keep = vec![false; self.window.len()];
        let components = components(&scene, &self.nodes, &links);
        let complete = components.iter().filter(|component| component.status == Status::Complete);
        let overtaken = Overtaken::new(&scene, &links, complete.map(|component| component.ranks.as_slice()));
        for component in components {
            let last = assemble::last_time(&scene, &component);
            let is_over = || overtaken.contains(&scene, &self.nodes, &component.ranks, self.gap_patience);
            let reported = match report {
                Report::Everything => true,
                Report::Before(time) if component.status == Status::Complete => last < time,
                Report::Before(time) => time - last > self.answer_time || (last < time && is_over()),
            };
            if !reported {
                component.ranks.iter().for_each(|&rank| keep[rank as usize] = true);
            } else if component.is_path {
                let mut path = assemble::path(&scene, &self.nodes, &links, &component, self.paths);
                while let Some(earlier) = one_way.next_if(|earlier| begins(earlier) < begins(&path)) {
                    self.paths = give(earlier);
                }
                if self.explained == Some(self.paths) {
                    assemble::explain(&scene, &self.nodes, &links, &component, &mut path);
                }
                self.paths = give(path);
            }
        }
        for path in one_way {
            self.paths = give(path);
        }
        let newest = self.window.record(self.window.len() as Rank - 1).available;
        let joined: Vec<u32> = links.joined(&scene).collect();
        for conn in joined {
            self.sockets.set_joined(conn);
        }
        self.window.retain(&keep);
        self.release(newest);
    }
}
