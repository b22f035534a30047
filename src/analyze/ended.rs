//! Connections that are over, and wait to be told in the order of their numbers when the analysis is.
//!
//! Their summaries hold what peers said of themselves. When they are too much, those with the lowest numbers are told at
//! once: no connection is left out, but one that is still open by then is told behind others with higher numbers.

use super::connection::ConnectionSummary;
use super::observer::Observer;
use crate::base::budget::Budget;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use std::collections::HashSet;

/// The connections that ended.
pub(super) struct Ended {
    waiting: Vec<ConnectionSummary>,
    budget: Budget,
    /// Where those accepted that were told before the end, up to a limit.
    servers: HashSet<Endpoint>,
    most_servers: usize,
}

impl Ended {
    /// None yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            waiting: Vec::new(),
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
        self.budget.change(0, summary.memory());
        self.waiting.push(summary);
        if self.budget.is_exceeded() { self.tell_first(observer) } else { 0 }
    }

    #[cold]
    fn tell_first(&mut self, observer: &mut impl Observer) -> u64 {
        self.waiting.sort_by_cached_key(|summary| summary.conn);
        let Self { waiting, budget, servers, most_servers } = self;
        let told = budget.relieve(
            waiting.iter().collect(),
            |summary| summary.conn,
            |summary| {
                observer.connection(summary);
                if servers.len() < *most_servers {
                    servers.insert(summary.server);
                }
                (summary.memory(), 0)
            },
        );
        waiting.drain(..told as usize);
        told
    }

    /// All that were not told. Returns the endpoints that accepted connections.
    pub(super) fn finish(&mut self, observer: &mut impl Observer) -> HashSet<Endpoint> {
        self.waiting.sort_by_cached_key(|summary| summary.conn);
        for summary in &self.waiting {
            observer.connection(summary);
            self.servers.insert(summary.server);
        }
        std::mem::take(&mut self.servers)
    }
}
