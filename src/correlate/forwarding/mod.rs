//! One-way messages through devices (RFC 29, 30): XSUB to XPUB, PULL to PUSH, and whatever else receives with one socket and
//! sends the same with another.
//!
//! Nothing in an envelope tells which message was passed on as which, so content, order and time do. For each window:
//!
//! 1. [`lanes`]: connections that carry messages one way, and [`hosts`] where one such ends and another begins;
//! 2. [`devices`]: which socket of a host sends what which other one received;
//! 3. [`copies`]: what came in joined to what went out: of a publication a copy for each subscriber, of a task one;
//! 4. [`delivery`]: messages joined into paths, each with all its ends.
//!
//! Without a host that may hold a device no message is kept, but for the first ones to a PULL; where the first windows show
//! none, later ones are passed over, more and more of them.

mod copies;
mod delivery;
mod devices;
pub(super) mod hosts;
pub(super) mod lanes;
#[cfg(test)]
mod tests;

use super::correlator::Report;
use super::path::Path;
use super::sockets::Sockets;
use super::window::mix;
use crate::base::chunk::{PacketId, Position};
use crate::base::limits::Limits;
use crate::base::time::{Duration, Timestamp};
use crate::zmtp::event::Message;
use devices::Devices;
use lanes::{Lane, Lanes, Watch};

/// In vain so many times, so many windows are passed over: two to the power of it, at most.
const MOST_PATIENCE: u32 = 6;

/// A message's index in the sorted window: smaller is earlier.
type Rank = u32;

/// One message.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// When the receiver could have all of it, and with which packet.
    available: Timestamp,
    packet: PacketId,
    conn: u32,
    /// Its number in its direction of its connection.
    ordinal: u64,
    /// The same in every capture that saw it.
    key: u64,
    /// Hash of all its parts.
    content: u64,
    /// Where its last octet was found.
    position: Position,
}

/// Follows one-way messages through devices.
#[derive(Debug)]
pub(super) struct Forwarding {
    lanes: Lanes,
    devices: Devices,
    records: Vec<Record>,
    limit: usize,
    answer_time: Duration,
    /// Live: so many messages are worth another look.
    look_again: usize,
    /// Looks in vain so far, and messages to pass over for that.
    in_vain: u32,
    pass_over: usize,
    given_up: u64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The window is full.
    pub(super) is_full: bool,
    /// By the types of its sockets it is no request or reply.
    pub(super) is_one_way: bool,
}

/// A sorted window and the lanes of its messages.
#[derive(Clone, Copy, Debug)]
struct Traffic<'a> {
    records: &'a [Record],
    lanes: &'a Lanes,
}

impl Traffic<'_> {
    fn record(&self, rank: Rank) -> &Record {
        &self.records[rank as usize]
    }

    fn lane(&self, rank: Rank) -> &Lane {
        self.lanes.lane(self.record(rank).conn).expect("messages of other connections are not in the window")
    }

    /// The time from one message to another.
    fn delay(&self, cause: Rank, effect: Rank) -> Duration {
        self.record(effect).available - self.record(cause).available
    }

    /// Ranks by content, each content's ascending.
    fn by_content(&self) -> Vec<(u64, Rank)> {
        let mut by_content: Vec<_> =
            self.records.iter().zip(0..).map(|(record, rank)| (record.content, rank)).collect();
        // One number is compared faster than two.
        by_content.sort_unstable_by_key(|&(content, rank)| u128::from(content) << 32 | u128::from(rank));
        by_content
    }
}

impl Forwarding {
    /// Nothing seen yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            lanes: Lanes::default(),
            devices: Devices::default(),
            records: Vec::new(),
            limit: limits.window_messages.max(16),
            answer_time: limits.answer_time,
            look_again: 0,
            in_vain: 0,
            pass_over: 0,
            given_up: 0,
        }
    }

    /// The next connection.
    pub(super) fn connection(&mut self) {
        self.lanes.connection();
    }

    /// A connection is forgotten.
    pub(super) fn forget(&mut self, conn: u32) {
        self.lanes.forget(conn);
    }

    /// Ends of connections that carry messages one way, as far as they are known.
    #[cfg(test)]
    pub(super) fn known_ends(&self) -> usize {
        self.lanes.known_ends()
    }

    /// A peer introduced itself.
    pub(super) fn introduced(&mut self, sockets: &Sockets, conn: u32) {
        self.lanes.introduced(sockets, conn);
    }

    /// A message.
    #[inline]
    pub(super) fn message(&mut self, sockets: &Sockets, conn: u32, key: u64, message: &Message<'_>) -> Taken {
        match self.lanes.watch(sockets, conn, message) {
            Watch::Other => Taken { is_full: false, is_one_way: false },
            Watch::OneWay => Taken { is_full: false, is_one_way: true },
            Watch::Keep { is_certain } => Taken { is_full: self.keep(conn, key, message), is_one_way: is_certain },
        }
    }

    /// Says whether the window is full.
    fn keep(&mut self, conn: u32, key: u64, message: &Message<'_>) -> bool {
        if self.lanes.take_news() {
            (self.in_vain, self.pass_over) = (0, 0);
        }
        if self.pass_over > 0 {
            self.pass_over -= 1;
            return false;
        }
        // What is not known as a whole is not known to be equal to anything.
        let is_cut =
            message.part_count > message.parts.len() as u64 || message.parts.iter().any(|part| part.missing > 0);
        if is_cut || message.encrypted {
            return false;
        }
        let content = message.parts.iter().fold(0, |hash, part| mix(mix(hash, part.hash), part.length));
        self.records.push(Record {
            available: message.available.at,
            packet: message.available.packet,
            conn,
            ordinal: message.ordinal,
            key,
            content,
            position: message.end,
        });
        self.records.len() >= self.limit
    }

    /// The time before which paths are reported when the window is full: what happened in its last quarter may still go on.
    pub(super) fn newest(&mut self) -> Report {
        self.sort();
        Report::Before(self.records[self.records.len() * 3 / 4].available)
    }

    fn sort(&mut self) {
        self.records.sort_by_key(|record| (record.available, record.packet, record.conn, record.ordinal));
    }

    /// Follows the messages of the window; gives the paths that are to be reported in the order in which they begin, not
    /// numbered yet, and keeps the rest.
    pub(super) fn resolve(&mut self, sockets: &Sockets, report: Report) -> Vec<Path> {
        if self.records.is_empty() || !self.lanes.any_watched() {
            return Vec::new();
        }
        let Self { lanes, records, .. } = self;
        records.retain(|record| lanes.lane(record.conn).is_some() && sockets.is_known(record.conn));
        self.sort();
        let is_full = self.records.len() >= self.limit;
        if !is_full && self.records.len() < self.look_again && matches!(report, Report::Before(_)) {
            return Vec::new();
        }
        let traffic = Traffic { records: &self.records, lanes: &self.lanes };
        let by_content = traffic.by_content();
        self.devices.learn(sockets, traffic, &by_content);
        if self.devices.is_empty() {
            self.look_elsewhere(is_full, report);
            return Vec::new();
        }
        (self.in_vain, self.look_again) = (0, 0);
        let links = copies::find(traffic, &self.devices, &by_content);
        let delivery::Found { paths, keep } =
            delivery::paths(sockets, traffic, &self.devices, &links, report, self.answer_time);
        let mut paths = paths;
        self.retain(&keep);
        if is_full && self.records.len() > self.limit / 2 {
            self.given_up += self.records.len() as u64;
            paths.append(&mut self.resolve(sockets, Report::Everything));
        }
        paths
    }

    /// No device in this window.
    fn look_elsewhere(&mut self, is_full: bool, report: Report) {
        match report {
            Report::Before(now) if !is_full => {
                // Live: not enough may have been seen yet.
                let since = now + Duration(-self.answer_time.0);
                self.records.retain(|record| record.available >= since);
                self.look_again = 2 * self.records.len();
            }
            _ => {
                self.records.clear();
                self.in_vain = (self.in_vain + 1).min(MOST_PATIENCE);
                self.pass_over = self.limit << self.in_vain;
            }
        }
    }

    fn retain(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        self.records.retain(|_| keep.next().copied().unwrap_or(false));
    }

    /// The connections of the messages in the window, some more than once: those of a streamer that may never show are let go.
    pub(super) fn connections(&self) -> impl Iterator<Item = u32> + '_ {
        let records = if self.lanes.any_watched() { self.records.as_slice() } else { &[] };
        records.iter().map(|record| record.conn)
    }

    /// Messages in the window.
    pub(super) fn waiting(&self) -> usize {
        self.records.len()
    }

    /// Messages that were not followed because too many others waited.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }
}
