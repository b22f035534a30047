//! The last stage of an analysis: what sessions told goes to the correlator and to the observer; what waits for the end is
//! kept.

use super::connection::ConnectionSummary;
use super::ended::Ended;
use super::health::Health;
use super::observer::{ConnectionRef, Ends, Interest, Observer};
use super::outlet::Outlet;
use super::refused::Refused;
use crate::base::direction::Direction;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::correlate::correlator::Correlator;
use crate::correlate::findings::Finding;
use crate::zmtp::event::{Frame, Message};
use crate::zmtp::peer::Peer;

/// What the stages before it know when there are no more packets.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub(super) health: Health,
    pub(super) refused: Refused,
}

/// Gives results to an observer.
pub(super) struct Results<O> {
    pub(super) observer: O,
    interest: Interest,
    correlator: Option<Correlator>,
    ended: Ended,
    told_early: u64,
    findings: Vec<Finding>,
    findings_limit: usize,
    not_listed: u64,
}

impl<O: Observer> Results<O> {
    pub(super) fn new(limits: &Limits, observer: O) -> Self {
        let interest = observer.interest();
        Self {
            observer,
            interest,
            correlator: interest.paths.then(|| Correlator::new(limits).explaining(interest.explained)),
            ended: Ended::new(limits),
            told_early: 0,
            findings: Vec::new(),
            findings_limit: limits.anomalies,
            not_listed: 0,
        }
    }

    /// Octets of memory that the connections take that ended.
    pub(super) fn summaries(&self) -> usize {
        self.ended.held()
    }

    /// Nothing more is told: what waited for the end is given to the observer.
    pub(super) fn finish(mut self, conclusion: Conclusion) -> (O, Health) {
        let Conclusion { mut health, refused } = conclusion;
        let observer = &mut self.observer;
        if let Some(correlator) = &mut self.correlator {
            correlator.finish(&mut |path| observer.path(path));
            health.given_up_messages = correlator.given_up();
        }
        let servers = self.ended.finish(observer);
        for finding in self.findings.iter().chain(&refused.findings(&servers)) {
            observer.finding(finding);
        }
        health.anomalies_not_listed += self.not_listed;
        health.connections_told_early = self.told_early;
        (self.observer, health)
    }
}

impl<O: Observer> Outlet for Results<O> {
    fn interest(&self) -> Interest {
        self.interest
    }

    fn connection(&mut self, conn: u32, ends: &Ends) {
        if let Some(correlator) = &mut self.correlator {
            correlator.connection(conn, ends.client, ends.server, ends.first.at);
        }
    }

    fn incomplete(&mut self, conn: u32, direction: Direction) {
        if let Some(correlator) = &mut self.correlator {
            correlator.incomplete(conn, direction);
        }
    }

    fn peer(&mut self, conn: u32, direction: Direction, peer: &Peer) {
        if let Some(correlator) = &mut self.correlator {
            correlator.peer(conn, direction, peer);
        }
    }

    #[inline]
    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        if self.interest.frames {
            self.observer.frame(connection, frame);
        }
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        if self.interest.messages {
            self.observer.message(connection, message, key);
        }
        // What is published has no reply.
        if let Some(correlator) = self.correlator.as_mut().filter(|_| !connection.ends.transport.is_one_way()) {
            correlator.message(connection.conn, key, message, &mut |path| self.observer.path(path));
        }
    }

    fn finding(&mut self, finding: Finding) {
        if self.findings.len() < self.findings_limit {
            self.findings.push(finding);
        } else {
            self.not_listed += 1;
        }
    }

    fn closed(&mut self, summary: ConnectionSummary) {
        if let Some(correlator) = &mut self.correlator {
            let by_server = summary.end.by == Some(Direction::ServerToClient);
            correlator.ended(summary.conn, summary.last.at, by_server);
        }
        self.told_early += self.ended.push(summary, &mut self.observer);
    }

    fn tick(&mut self, now: Timestamp) {
        if let Some(correlator) = &mut self.correlator {
            correlator.tick(now, &mut |path| self.observer.path(path));
        }
    }
}
