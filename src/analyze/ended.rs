//! Connections that are over, told in the order of their numbers: each waits until all before it are over too.
//!
//! Their summaries hold what peers said of themselves. When they are too much, those with the lowest numbers are told at
//! once: no connection is left out, but one that is still open by then is told behind others with higher numbers.

use super::connection::ConnectionSummary;
use super::observer::Observer;
use crate::base::budget::Budget;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The connections that ended.
pub(super) struct Ended {
    waiting: BTreeMap<u32, ConnectionSummary>,
    /// All before this number were told, but for those of `late`, which are still open.
    next: u32,
    late: BTreeSet<u32>,
    budget: Budget,
    /// Where those accepted that were told, up to a limit.
    servers: HashSet<Endpoint>,
    most_servers: usize,
}

impl Ended {
    /// None yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            waiting: BTreeMap::new(),
            next: 0,
            late: BTreeSet::new(),
            budget: Budget::new(limits.summary_total_bytes),
            servers: HashSet::default(),
            most_servers: limits.connections,
        }
    }

    /// Octets of memory that they take.
    pub(super) fn held(&self) -> usize {
        self.budget.held()
    }

    /// One more. Returns how many were told for want of room.
    pub(super) fn push(&mut self, summary: ConnectionSummary, observer: &mut impl Observer) -> u64 {
        if self.late.remove(&summary.conn) {
            self.tell(&summary, observer);
        } else {
            self.budget.change(0, summary.memory());
            self.waiting.insert(summary.conn, summary);
        }
        while self.late.is_empty()
            && let Some(summary) = self.waiting.remove(&self.next)
        {
            self.budget.change(summary.memory(), 0);
            self.tell(&summary, observer);
            self.next += 1;
        }
        if self.budget.is_exceeded() { self.tell_first(observer) } else { 0 }
    }

    #[cold]
    fn tell_first(&mut self, observer: &mut impl Observer) -> u64 {
        let waiting: Vec<_> = self.waiting.values().collect();
        let told = self.budget.relieve(waiting, |summary| summary.conn, |summary| (summary.memory(), 0));
        for _ in 0..told {
            let Some((conn, summary)) = self.waiting.pop_first() else { break };
            self.tell(&summary, observer);
            self.late.extend(self.next..conn);
            self.next = conn + 1;
        }
        told
    }

    fn tell(&mut self, summary: &ConnectionSummary, observer: &mut impl Observer) {
        observer.connection(summary);
        if self.servers.len() < self.most_servers {
            self.servers.insert(summary.server);
        }
    }

    /// All that were not told. Returns the endpoints that accepted connections.
    pub(super) fn finish(&mut self, observer: &mut impl Observer) -> HashSet<Endpoint> {
        for summary in std::mem::take(&mut self.waiting).into_values() {
            self.tell(&summary, observer);
        }
        std::mem::take(&mut self.servers)
    }
}
