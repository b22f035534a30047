//! Who talks to whom: sockets, the processes that they belong to as far as paths tell, and the links between them.
//!
//! A bound socket is the endpoint that accepts its connections. Connecting ends are told apart only where paths show that what
//! came in at another socket left through them: they then belong to the same process. The others are counted together, by
//! the endpoint and the type: so the picture stays readable with any number of clients.

use super::model::connection::socket_type;
use super::summary::TypeName;
use crate::analyze::connection::ConnectionSummary;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::time::Duration;
use crate::correlate::path::{Hop, Path, Status, joined_to};
use hdrhistogram::Histogram;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

/// Hops that are less sure do not join sockets into a process.
const SURE: f64 = 0.9;

/// Endpoints with a histogram of their own; each takes some ten KiB.
const MEASURED: usize = 1000;

/// One end of a connection, or of all connections of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Socket {
    /// Accepts connections.
    Bound(Endpoint),
    /// The end that opened this connection.
    Connecting(u32),
}

/// Medians and tails of what took time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half took no longer.
    pub p50: Duration,
    /// 99 in 100 took no longer.
    pub p99: Duration,
}

/// A process, or peers that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Its sockets: of peers that are alike, one for all.
    pub sockets: Vec<NodeSocket>,
    /// How long messages stay in it before they leave through another socket.
    pub transit: Option<Latency>,
}

/// What a node of the picture stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Sockets that pass messages on to each other.
    Proxy,
    /// One bound socket.
    Server,
    /// Peers that connect to the same endpoint.
    Peers {
        /// Connections, as nothing tells which belong to one socket.
        count: usize,
        /// Their addresses: one, or how many there are.
        hosts: usize,
        /// One of these.
        host: IpAddr,
    },
}

impl NodeKind {
    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Server => "server",
            Self::Peers { .. } => "peers",
        }
    }
}

/// A socket of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSocket {
    /// Its type, if it is known.
    pub socket_type: TypeName,
    /// Where it accepts connections; `None` if it opens them.
    pub bound: Option<Endpoint>,
}

/// All connections between two nodes over the same endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Index of the node that opens them, and of its socket in it.
    pub from: (usize, usize),
    /// Index of the node that accepts them, and of its socket in it.
    pub to: (usize, usize),
    /// How many.
    pub connections: u64,
    /// Messages each way.
    pub messages: PerDirection<u64>,
    /// The direction of requests and how long they take to be answered at this endpoint, where any were.
    pub answered: Option<(Direction, Latency)>,
}

/// The picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Proxies first, then servers, then peers, each in order of their endpoints.
    pub nodes: Vec<Node>,
    /// In order of the endpoints.
    pub links: Vec<Link>,
    /// Connections in all.
    pub connections: u64,
}

/// The picture under construction.
#[derive(Debug, Default)]
pub struct Topology {
    /// Sockets between which sure hops passed.
    passed: FxHashSet<(Socket, Socket)>,
    transit: BTreeMap<Endpoint, Histogram<u32>>,
    answered: BTreeMap<Endpoint, (Direction, Histogram<u32>)>,
    connections: Vec<Ends>,
}

/// What is kept of a connection.
#[derive(Debug)]
struct Ends {
    conn: u32,
    client: IpAddr,
    server: Endpoint,
    types: PerDirection<TypeName>,
    messages: PerDirection<u64>,
}

impl Topology {
    /// A path.
    pub fn path(&mut self, path: &Path) {
        for (hops, request) in [(&path.request, true), (&path.reply, false)] {
            for (at, left) in hops.iter().enumerate().filter(|(_, hop)| hop.confidence >= SURE) {
                let Some(entered) = joined_to(hops, at) else { continue };
                let (inside, outside) = (receiver(entered), sender(left));
                if inside == outside {
                    continue;
                }
                if request {
                    self.passed.insert((inside, outside));
                }
                let node = match (inside, outside) {
                    // A device that connects to what it receives from is known by where it sends from.
                    (Socket::Connecting(_), Socket::Bound(endpoint)) if path.is_one_way() => endpoint,
                    _ => node_name(if request { entered } else { left }),
                };
                if let Some(histogram) = room(&mut self.transit, node, new_histogram) {
                    record(histogram, left.position.at - entered.position.at);
                }
            }
        }
        if path.status != Status::Complete {
            return;
        }
        for request in &path.request {
            let back = path.reply.iter().rev().find(|reply| reply.conn == request.conn);
            let Some(back) = back else { continue };
            let place = room(&mut self.answered, node_name(request), || (request.direction, new_histogram()));
            if let Some((_, histogram)) = place {
                record(histogram, back.position.at - request.position.at);
            }
        }
    }

    /// A connection.
    pub fn connection(&mut self, connection: &ConnectionSummary) {
        self.connections.push(Ends {
            conn: connection.conn,
            client: connection.client.ip,
            server: connection.server,
            types: PerDirection::from_fn(|direction| socket_type(&connection.peers[direction])),
            messages: PerDirection::from_fn(|direction| connection.traffic[direction].messages),
        });
    }

    /// The picture.
    pub fn finish(self) -> Graph {
        let mut processes = Processes::default();
        let shown: FxHashSet<u32> = self.connections.iter().map(|ends| ends.conn).collect();
        let is_shown = |socket: &Socket| !matches!(socket, Socket::Connecting(conn) if !shown.contains(conn));
        let mut passed: Vec<_> = self.passed.iter().filter(|(a, b)| is_shown(a) && is_shown(b)).copied().collect();
        passed.sort_unstable();
        for (inside, outside) in passed {
            processes.join(inside, outside);
        }
        let mut builder = Builder::default();
        let mut links: BTreeMap<(Endpoint, (usize, usize)), Link> = BTreeMap::new();
        let mut hosts: FxHashMap<usize, FxHashSet<IpAddr>> = FxHashMap::default();
        for ends in &self.connections {
            let accepts = Socket::Bound(ends.server);
            let bound = Some(ends.server);
            let to = match processes.of(accepts) {
                Some(process) => builder.socket(Place::Process(process), NodeKind::Proxy, &ends.types.s2c, bound),
                None => builder.socket(Place::Server(ends.server), NodeKind::Server, &ends.types.s2c, bound),
            };
            let from = if let Some(process) = processes.of(Socket::Connecting(ends.conn)) {
                builder.socket(Place::Process(process), NodeKind::Proxy, &ends.types.c2s, None)
            } else {
                let alike = NodeKind::Peers { count: 0, hosts: 0, host: ends.client };
                let place = Place::Peers(ends.server, ends.types.c2s.clone());
                let from = builder.socket(place, alike, &ends.types.c2s, None);
                let addresses = hosts.entry(from.0).or_default();
                addresses.insert(ends.client);
                if let NodeKind::Peers { count, hosts, .. } = &mut builder.nodes[from.0].1.kind {
                    *count += 1;
                    *hosts = addresses.len();
                }
                from
            };
            let link = links.entry((ends.server, from)).or_insert_with(|| Link {
                from,
                to,
                connections: 0,
                messages: PerDirection::default(),
                answered: self.answered.get(&ends.server).and_then(|(way, times)| Some((*way, latency(times)?))),
            });
            link.connections += 1;
            for direction in Direction::BOTH {
                link.messages[direction] += ends.messages[direction];
            }
        }
        builder.graph(links.into_values().collect(), &self.transit, self.connections.len() as u64)
    }
}

/// Sockets of the same process.
#[derive(Debug, Default)]
struct Processes {
    parent: BTreeMap<Socket, Socket>,
}

impl Processes {
    fn root(&self, socket: Socket) -> Socket {
        let mut socket = socket;
        while let Some(&parent) = self.parent.get(&socket).filter(|&&parent| parent != socket) {
            socket = parent;
        }
        socket
    }

    fn join(&mut self, one: Socket, other: Socket) {
        for socket in [one, other] {
            self.parent.entry(socket).or_insert(socket);
        }
        let (one, other) = (self.root(one), self.root(other));
        // Bound sockets come first in their order: a process is named by one.
        self.parent.insert(one.max(other), one.min(other));
        // Flat, as there may be very many connections in one process.
        for socket in [one, other] {
            let root = self.root(socket);
            self.parent.insert(socket, root);
        }
    }

    fn of(&self, socket: Socket) -> Option<Socket> {
        self.parent.contains_key(&socket).then(|| self.root(socket))
    }
}

/// What makes two ends part of the same node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Process(Socket),
    Server(Endpoint),
    Peers(Endpoint, TypeName),
}

#[derive(Debug, Default)]
struct Builder {
    nodes: Vec<(Place, Node)>,
    places: BTreeMap<Place, usize>,
}

impl Builder {
    /// The node and the socket in it, made if there is none.
    fn socket(
        &mut self,
        place: Place,
        kind: NodeKind,
        socket_type: &TypeName,
        bound: Option<Endpoint>,
    ) -> (usize, usize) {
        let node = *self.places.entry(place.clone()).or_insert_with(|| {
            self.nodes.push((place, Node { kind, sockets: Vec::new(), transit: None }));
            self.nodes.len() - 1
        });
        let sockets = &mut self.nodes[node].1.sockets;
        let same = |socket: &NodeSocket| match bound {
            Some(_) => socket.bound == bound,
            None => socket.bound.is_none() && socket.socket_type == *socket_type,
        };
        if let Some(at) = sockets.iter().position(same) {
            // A connection whose handshake is not in the capture does not tell; another one may.
            if sockets[at].socket_type.is_none() {
                sockets[at].socket_type.clone_from(socket_type);
            }
            return (node, at);
        }
        sockets.push(NodeSocket { socket_type: socket_type.clone(), bound });
        (node, sockets.len() - 1)
    }

    /// Nodes in their order.
    fn graph(self, mut links: Vec<Link>, transit: &BTreeMap<Endpoint, Histogram<u32>>, connections: u64) -> Graph {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by(|&a, &b| self.nodes[a].0.cmp(&self.nodes[b].0));
        let mut place = vec![0; order.len()];
        for (at, &node) in order.iter().enumerate() {
            place[node] = at;
        }
        for link in &mut links {
            (link.from.0, link.to.0) = (place[link.from.0], place[link.to.0]);
        }
        let mut nodes: Vec<_> = self.nodes.into_iter().map(|(_, node)| Some(node)).collect();
        let nodes = order.into_iter().filter_map(|node| {
            let mut node = nodes[node].take()?;
            if node.kind == NodeKind::Proxy {
                let mut all = new_histogram();
                for histogram in node.sockets.iter().filter_map(|socket| transit.get(&socket.bound?)) {
                    // It grows as needed.
                    let _ = all.add(histogram);
                }
                node.transit = latency(&all);
            }
            Some(node)
        });
        Graph { nodes: nodes.collect(), links, connections }
    }
}

/// The end that sent a message.
fn sender(hop: &Hop) -> Socket {
    match hop.direction {
        Direction::ClientToServer => Socket::Connecting(hop.conn),
        Direction::ServerToClient => Socket::Bound(hop.source),
    }
}

/// The end that received it.
fn receiver(hop: &Hop) -> Socket {
    match hop.direction {
        Direction::ClientToServer => Socket::Bound(hop.destination),
        Direction::ServerToClient => Socket::Connecting(hop.conn),
    }
}

/// The endpoint that accepted a hop's connection.
fn node_name(hop: &Hop) -> Endpoint {
    match hop.direction {
        Direction::ClientToServer => hop.destination,
        Direction::ServerToClient => hop.source,
    }
}

/// The value of `key`, made if there is room for one more.
fn room<V>(map: &mut BTreeMap<Endpoint, V>, key: Endpoint, new: impl FnOnce() -> V) -> Option<&mut V> {
    if map.len() >= MEASURED && !map.contains_key(&key) {
        return None;
    }
    Some(map.entry(key).or_insert_with(new))
}

/// Two significant digits, any range.
fn new_histogram() -> Histogram<u32> {
    let mut histogram = Histogram::new(2).expect("2 significant digits are allowed");
    histogram.auto(true);
    histogram
}

fn record(histogram: &mut Histogram<u32>, value: Duration) {
    // It fails for values beyond its largest bucket only, and grows instead.
    let _ = histogram.record(value.0.max(0) as u64);
}

fn latency(histogram: &Histogram<u32>) -> Option<Latency> {
    let at = |share| Duration(histogram.value_at_quantile(share) as i64);
    (!histogram.is_empty()).then(|| Latency { count: histogram.len(), p50: at(0.5), p99: at(0.99) })
}

/// What the nodes, sockets and links are called, in every format.
impl Graph {
    /// `proxy 1`, `server 2`, `peers 3`.
    pub fn node_title(&self, at: usize) -> String {
        match self.nodes[at].kind {
            NodeKind::Peers { count, hosts: 1, host } => format!("{count} peer{} on {host}", plural(count)),
            NodeKind::Peers { count, hosts, .. } => format!("{count} peers on {hosts} hosts"),
            kind => {
                let number = self.nodes[..=at].iter().filter(|node| node.kind == kind).count();
                format!("{} {number}", kind.name())
            }
        }
    }

    /// What a link carries, messages counted from the end that opened it, or from the other one.
    pub fn link_text(&self, link: &Link, turned: bool) -> String {
        let PerDirection { c2s, s2c } = link.messages;
        let (there, back) = if turned { (s2c, c2s) } else { (c2s, s2c) };
        let count = link.connections as usize;
        let mut text = format!("{count} connection{}, {there} → {back} ← messages", plural(count));
        if let Some((_, latency)) = link.answered {
            let _ = write!(text, ", answered in p50 {}, p99 {}", latency.p50, latency.p99);
        }
        text
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl Link {
    /// Whether requests go from the end that accepts to the one that connects: pictures show it turned round.
    pub fn is_turned(&self) -> bool {
        matches!(self.answered, Some((Direction::ServerToClient, _)))
    }

    /// Its ends in the direction of requests, node and socket each.
    pub fn ends(&self) -> ((usize, usize), (usize, usize)) {
        if self.is_turned() { (self.to, self.from) } else { (self.from, self.to) }
    }
}

impl NodeSocket {
    /// `ROUTER 127.0.0.1:5555`, `DEALER`.
    pub fn text(&self) -> String {
        let kind = self.socket_type.as_deref().unwrap_or("?");
        self.bound.map_or_else(|| kind.to_owned(), |bound| format!("{kind} {bound}"))
    }
}
