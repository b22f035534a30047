//! The overview's content: connections grouped, paths grouped by route, findings grouped by code.

use super::model::connection::socket_type;
use super::route::{Route, Routes};
use super::topology::Topology;
use crate::analyze::connection::{ConnectionSummary, HandshakeOutcome};
use crate::base::chunk::PacketId;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::transport::Transport;
use crate::correlate::findings::Finding;
use crate::correlate::path::Path;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::wire::greeting::{MechanismName, Version};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Connections are listed one by one up to so many.
pub const LISTED: usize = 12;

/// Places cited for each code of findings.
const CITED: usize = 5;

/// The name of a socket type.
pub type TypeName = Option<Cow<'static, str>>;

/// What connections of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// What carries them.
    pub transport: Transport,
    /// The side that accepted them.
    pub server: Endpoint,
    /// Socket type of the clients.
    pub client_type: TypeName,
    /// Socket type of the server.
    pub server_type: TypeName,
    /// Negotiated version.
    pub version: Option<Version>,
    mechanism: Option<[u8; 20]>,
}

impl GroupKey {
    /// The mechanism that both sides offer.
    pub fn mechanism(&self) -> Option<MechanismName> {
        self.mechanism.map(MechanismName)
    }
}

/// Connections to the same server of the same kind.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// How many.
    pub connections: u64,
    /// Of these, connections whose handshake failed.
    pub failed: u64,
    /// Messages each way.
    pub messages: PerDirection<u64>,
    /// Octets of their bodies.
    pub body_bytes: PerDirection<u64>,
    /// Octets that are not in the capture.
    pub lost_bytes: u64,
}

/// Findings of the same code.
#[derive(Clone, Debug)]
pub struct FindingGroup {
    /// The code.
    pub code: &'static str,
    /// The worst of them.
    pub severity: Severity,
    /// How many.
    pub count: u64,
    /// Connections of the first ones.
    pub conns: Vec<u32>,
    /// Packets of the first ones.
    pub packets: Vec<PacketId>,
    /// The text of the first.
    pub text: String,
}

/// The overview under construction.
#[derive(Debug, Default)]
pub struct Summary {
    /// The first connections.
    pub listed: Vec<ConnectionSummary>,
    /// All of them, in groups.
    pub groups: BTreeMap<GroupKey, Group>,
    /// How many there are.
    pub connections: u64,
    /// Findings by code.
    pub findings: FxHashMap<&'static str, FindingGroup>,
    /// Who talks to whom.
    pub topology: Topology,
    routes: Routes,
    types: FxHashMap<u32, PerDirection<TypeName>>,
}

impl Summary {
    /// A path.
    pub fn path(&mut self, path: &Path) {
        self.routes.add(path);
        self.topology.path(path);
    }

    /// A connection.
    pub fn connection(&mut self, connection: &ConnectionSummary) {
        self.connections += 1;
        self.topology.connection(connection);
        if self.listed.len() < LISTED {
            self.listed.push(connection.clone());
        }
        let types = PerDirection::from_fn(|direction| socket_type(&connection.peers[direction]));
        let key = GroupKey {
            transport: connection.transport,
            server: connection.server,
            client_type: types.c2s.clone(),
            server_type: types.s2c.clone(),
            version: connection.version,
            mechanism: connection.mechanism.map(|mechanism| mechanism.0),
        };
        self.types.insert(connection.conn, types);
        let group = self.groups.entry(key).or_default();
        group.connections += 1;
        group.failed += u64::from(connection.handshake == HandshakeOutcome::Failed);
        for direction in Direction::BOTH {
            group.messages[direction] += connection.traffic[direction].messages;
            group.body_bytes[direction] += connection.traffic[direction].body_bytes;
            group.lost_bytes += connection.lost_bytes[direction];
        }
    }

    /// A finding.
    pub fn finding(&mut self, finding: &Finding) {
        let group = self.findings.entry(finding.code).or_insert_with(|| FindingGroup {
            code: finding.code,
            severity: finding.severity,
            count: 0,
            conns: Vec::new(),
            packets: Vec::new(),
            text: finding.text.clone(),
        });
        group.count += 1;
        group.severity = group.severity.max(finding.severity);
        group.packets.extend(finding.packets.iter().take(CITED.saturating_sub(group.packets.len())));
        for conn in &finding.conns {
            if group.conns.len() < CITED && !group.conns.contains(conn) {
                group.conns.push(*conn);
            }
        }
    }

    /// Findings, the worst first.
    pub fn findings(&self) -> Vec<&FindingGroup> {
        let mut groups: Vec<_> = self.findings.values().collect();
        groups.sort_by_key(|group| (Reverse(group.severity), group.code));
        groups
    }

    /// Routes, the busiest first, each with the socket types at its two ends; and how many paths are in none of them.
    pub fn routes(&mut self) -> (Vec<(Route, TypeName, TypeName)>, u64) {
        let routes = std::mem::take(&mut self.routes);
        let not_told_apart = routes.not_told_apart;
        let described = routes.finish().into_iter().map(|route| {
            let first = route.legs.first().map(|leg| leg.direction);
            let last = route.legs.last().map(|leg| leg.direction.reverse());
            let client = self.common_type(&route.clients, first);
            let worker = self.common_type(&route.workers, last);
            (route, client, worker)
        });
        (described.collect(), not_told_apart)
    }

    /// The socket type of the side that sends in `direction`, if it is the same on all these connections.
    fn common_type(&self, conns: &FxHashSet<u32>, direction: Option<Direction>) -> TypeName {
        let direction = direction?;
        let mut types = conns.iter().map(|conn| self.types.get(conn).and_then(|types| types[direction].as_ref()));
        let first = types.next()??;
        types.all(|other| other == Some(first)).then(|| first.clone())
    }
}
