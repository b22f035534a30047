//! The lines of `topology`: `node` and `link`.

use super::bytes::Shown;
use super::{Both, SCHEMA};
use crate::base::endpoint::Endpoint;
use crate::report::csv::Row;
use crate::report::record::Record;
use crate::report::topology::{Graph, Latency, Link, NodeKind};
use serde::Serialize;

/// A process, a bound socket, or peers that are alike; or all connections between two of these over one endpoint.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum TopologyLine<'a> {
    Node(NodeModel<'a>),
    Link(LinkModel),
}

/// A node.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct NodeModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub node: usize,
    /// `proxy`: sockets that pass messages on to each other; `server`: one bound socket; `peers`: connecting ends.
    pub kind: &'static str,
    pub title: String,
    pub sockets: Vec<SocketModel<'a>>,
    /// Connections of peers, and on how many hosts they are.
    pub peers: Option<usize>,
    pub hosts: Option<usize>,
    /// How long messages stay in a proxy.
    pub transit_ns: Option<LatencyModel>,
}

/// A socket of a node.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SocketModel<'a> {
    pub socket_type: Option<&'a str>,
    pub bound: Option<Shown<Endpoint>>,
}

/// A link.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct LinkModel {
    pub r#type: &'static str,
    pub schema: u32,
    /// The node that opens the connections, and the place of its socket.
    pub from: usize,
    pub from_socket: usize,
    /// The node that accepts them.
    pub to: usize,
    pub to_socket: usize,
    pub connections: u64,
    pub messages: Both<u64>,
    /// Which way requests go, where any were followed.
    pub requests: Option<&'static str>,
    /// From a request on this endpoint to its reply there.
    pub answered_ns: Option<LatencyModel>,
}

/// Times.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)]
pub struct LatencyModel {
    pub count: u64,
    pub p50: i64,
    pub p99: i64,
}

impl From<Latency> for LatencyModel {
    fn from(latency: Latency) -> Self {
        Self { count: latency.count, p50: latency.p50.0, p99: latency.p99.0 }
    }
}

/// All lines of a picture, nodes first.
pub fn lines(graph: &Graph) -> impl Iterator<Item = TopologyLine<'_>> {
    let nodes = graph.nodes.iter().enumerate().map(|(at, node)| {
        let (peers, hosts) = match node.kind {
            NodeKind::Peers { count, hosts, .. } => (Some(count), Some(hosts)),
            NodeKind::Proxy | NodeKind::Server => (None, None),
        };
        let sockets = node
            .sockets
            .iter()
            .map(|socket| SocketModel { socket_type: socket.socket_type.as_deref(), bound: socket.bound.map(Shown) });
        TopologyLine::Node(NodeModel {
            r#type: "node",
            schema: SCHEMA,
            node: at,
            kind: node.kind.name(),
            title: graph.node_title(at),
            sockets: sockets.collect(),
            peers,
            hosts,
            transit_ns: node.transit.map(Into::into),
        })
    });
    nodes.chain(graph.links.iter().map(|link| TopologyLine::Link(LinkModel::new(link))))
}

impl LinkModel {
    fn new(link: &Link) -> Self {
        Self {
            r#type: "link",
            schema: SCHEMA,
            from: link.from.0,
            from_socket: link.from.1,
            to: link.to.0,
            to_socket: link.to.1,
            connections: link.connections,
            messages: Both::of(&link.messages, |count| *count),
            requests: link.answered.map(|(direction, _)| direction.abbreviation()),
            answered_ns: link.answered.map(|(_, latency)| latency.into()),
        }
    }
}

// Nodes and links have different columns: there is no CSV form.
impl Record for TopologyLine<'_> {
    fn csv(&self, _row: &mut Row<'_>) {}
}
