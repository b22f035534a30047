//! Attempts to connect to an endpoint where nobody listens: libzmq tries again every 100 ms (`ZMQ_RECONNECT_IVL`), for
//! ever, and tells the application nothing.
//!
//! Nothing in a refused connection says that it was to be ZMTP. It is believed where the endpoint did speak ZMTP at some
//! time in the capture, or where many attempts follow each other as quickly as libzmq's do.

use crate::base::chunk::Position;
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::Duration;
use crate::correlate::findings::Finding;
use crate::flow::table::{End, EndReason, FlowInfo};
use crate::zmtp::anomaly::Severity;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// So many attempts on an endpoint that speaks ZMTP are told of.
const TOLD: u64 = 3;

/// So many on one that was never heard, if they are as quick as libzmq's.
const TELLING: u64 = 8;

/// The longest mean time between two of those.
const QUICK: i64 = 250_000_000;

/// The refused attempts of a capture, by who tried and where.
#[derive(Debug, Default)]
pub struct Refused {
    attempts: HashMap<(IpAddr, Endpoint), Attempts>,
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    count: u64,
    first: Position,
    last: Position,
}

impl Refused {
    /// A TCP connection ended. Whether it was refused is found out here.
    pub fn ended(&mut self, flow: &FlowInfo, end: End, limits: &Limits) {
        let refused = end.reason == EndReason::Reset && end.by == Some(Direction::ServerToClient);
        let silent = Direction::BOTH.iter().all(|&side| flow.stats[side].bytes + flow.stats[side].lost_bytes == 0);
        if !refused || !silent || !flow.syn {
            return;
        }
        let key = (flow.client.ip, flow.server);
        // A scan of ports touches each once: what is kept first is kept.
        let room = self.attempts.len() < limits.refused_endpoints;
        if let Some(attempts) = self.attempts.get_mut(&key) {
            attempts.count += 1;
            attempts.last = flow.last;
        } else if room {
            self.attempts.insert(key, Attempts { count: 1, first: flow.first, last: flow.last });
        }
    }

    /// What there is to be said, in order of time. `zmtp` are the endpoints that did speak ZMTP.
    pub fn findings(&self, zmtp: &HashSet<Endpoint>) -> Vec<Finding> {
        let mut told: Vec<_> = self.attempts.iter().filter(|((_, server), one)| one.is_telling(zmtp, server)).collect();
        told.sort_unstable_by_key(|(_, attempts)| (attempts.first.at, attempts.first.packet));
        told.into_iter().map(|((client, server), attempts)| attempts.finding(*client, *server)).collect()
    }
}

impl Attempts {
    fn lasted(self) -> Duration {
        self.last.at - self.first.at
    }

    fn is_telling(self, zmtp: &HashSet<Endpoint>, server: &Endpoint) -> bool {
        let quick = self.lasted().0 <= QUICK.saturating_mul(self.count as i64);
        self.count >= TOLD && zmtp.contains(server) || self.count >= TELLING && quick
    }

    fn finding(self, client: IpAddr, server: Endpoint) -> Finding {
        let text = format!(
            "{} attempts of {client} to connect to {server} within {} were refused: nobody listens there. libzmq tries \
             again for ever and tells the application nothing: check the endpoint, and whether its socket is bound",
            self.count,
            self.lasted()
        );
        Finding {
            code: "connection-refused",
            severity: Severity::Warning,
            at: Some(self.first.at),
            conns: Vec::new(),
            packets: vec![self.first.packet, self.last.packet],
            text,
            spec: "",
        }
    }
}
