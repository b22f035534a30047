//! Which connections end in the same socket, and which way requests flow on each.
//!
//! A bound socket has many connections: all that were accepted on its endpoint. A connecting end is a socket of its own
//! here, since nothing on the wire tells which connections an application's socket opened, but for ROUTERs that connect to their
//! clients (`calling`). When the server closed all
//! connections of an endpoint before the next was opened, what listens there now is another socket.
//!
//! A connection that is over is released some time later, when no message under correlation is its own, so that memory is
//! that of the connections of the moment. A socket is numbered by the connection that it was first seen on: twice its
//! number if it accepted, one more if it connects.

use super::connection::{Connection, DirectionKnown, PeerRecord};
use super::connections::Connections;
use super::handshakes::{Handshakes, Order};
use super::window::Record;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{HashMap, VecDeque};

mod calling;
mod ended;

use calling::Calling;
use ended::Ended;

/// So many messages without one in the other direction, where no types are known, are no requests.
pub(super) const ONE_WAY: u64 = 256;

/// What messages must say together of a direction to be believed, and not to be asked again.
const SOME_VOICES: f64 = 1.0;
const MANY_VOICES: f64 = 24.0;

/// Starts of eras that are kept of a socket at least: more than it can have connections that are still needed.
const ERAS: usize = 1 << 17;

/// Number of a socket.
pub type SocketId = u32;

/// A socket between two moments in which nothing was connected to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    /// Which socket.
    pub socket: SocketId,
    /// How many times it had lost all its connections before.
    pub era: u32,
}

/// The sockets and connections of an analysis.
#[derive(Debug)]
pub struct Sockets {
    connections: Connections<Connection>,
    /// Those that can have several connections.
    shared: FxHashMap<SocketId, Socket>,
    bound: HashMap<Endpoint, Bound>,
    calling: Calling,
    ended: Ended,
    /// Connections that introduced themselves since handshakes were last put in order.
    unordered: Vec<u32>,
    /// Counts the windows that were looked at.
    window: u32,
}

/// A socket that accepts connections, or a ROUTER that connects to its clients.
#[derive(Debug, Default)]
struct Socket {
    /// Its connections.
    connections: Vec<u32>,
    /// When it was first without any connection and then got one again, and so on. Its process may have been another
    /// one since, so names that a ROUTER gave do not outlive an era.
    eras: VecDeque<Timestamp>,
    /// Eras whose beginnings were forgotten.
    eras_before: u32,
    /// Its type, as any of its connections told.
    kind: Option<SocketType>,
    /// What those that connected to it are.
    callers: Callers,
    handshakes: Handshakes,
}

/// What those that connected to a socket said that they are.
#[derive(Debug, Default)]
struct Callers {
    /// What the first of them said.
    first: Option<SocketType>,
    /// How many said the same, and whether any said anything else.
    alike: u32,
    is_mixed: bool,
}

/// What listens on an endpoint at the moment.
#[derive(Debug)]
struct Bound {
    socket: SocketId,
    open: u32,
    /// When the latest of its connections ended.
    closed: Timestamp,
    /// Whether the server ended all that ended since the latest was opened. One alone may look so by the order of its last
    /// packets.
    server_closed: bool,
}

impl Sockets {
    /// None yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            connections: Connections::default(),
            shared: FxHashMap::default(),
            bound: HashMap::new(),
            calling: Calling::default(),
            ended: Ended::new(limits.ended_connections, limits.answer_time),
            unordered: Vec::new(),
            window: 0,
        }
    }

    /// A connection; they come in the order of their numbers, from 0.
    pub fn connect(&mut self, conn: u32, client: Endpoint, server: Endpoint, opened: Timestamp) {
        debug_assert_eq!(conn, self.connections.next(), "connections are numbered in order");
        let accepting = self.accept(conn, server, opened);
        self.shared.entry(accepting).or_default().connections.push(conn);
        self.connections.push(Connection {
            seen: (0, 0),
            client,
            server,
            sockets: PerDirection { c2s: 2 * conn + 1, s2c: accepting },
            peers: PerDirection::default(),
            opened,
            requests: None,
            handshake: None,
            direction_known: DirectionKnown::ByFirst,
            direction_voices: 0.0,
            joined: false,
            gap: PerDirection::default(),
            gaps_inside: false,
            begins_in_gap: false,
            messages: PerDirection::default(),
        });
    }

    fn accept(&mut self, conn: u32, endpoint: Endpoint, opened: Timestamp) -> SocketId {
        if let Some(bound) = self.bound.get_mut(&endpoint) {
            // Connections may be told of in another order than they were opened and closed in.
            let was_alone = bound.open == 0 && opened > bound.closed;
            if !(was_alone && bound.server_closed) {
                if was_alone {
                    self.shared.entry(bound.socket).or_default().begin_era(opened);
                }
                bound.open += 1;
                bound.server_closed = true;
                return bound.socket;
            }
        }
        let socket = 2 * conn;
        self.bound.insert(endpoint, Bound { socket, open: 1, closed: Timestamp(i64::MIN), server_closed: true });
        socket
    }

    /// A peer introduced itself.
    pub fn introduce(&mut self, conn: u32, direction: Direction, peer: &Peer, identity: Option<u64>) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.peers[direction] =
            PeerRecord { socket_type: peer.socket_type, identity, introduced: peer.introduced };
        let accepting = self.shared.entry(connection.sockets.s2c).or_default();
        match direction {
            Direction::ServerToClient => accepting.kind = peer.socket_type,
            Direction::ClientToServer => accepting.callers.add(peer.socket_type),
        }
        self.unordered.push(conn);
        self.recognise_caller(conn);
    }

    /// Puts the connections that introduced themselves in the order of their handshakes.
    fn order_handshakes(&mut self) {
        let mut changed: FxHashMap<SocketId, FxHashSet<u32>> = FxHashMap::default();
        for conn in std::mem::take(&mut self.unordered) {
            let Some(connection) = self.connections.get_mut(conn) else { continue };
            // The one that a ROUTER may have numbered.
            let peer = if connection.calls_a_client() { Direction::ServerToClient } else { Direction::ClientToServer };
            let id = connection.sockets[peer.reverse()];
            let now = connection.introduced(peer);
            let before = std::mem::replace(&mut connection.handshake, now);
            let Some(socket) = self.shared.get_mut(&id).filter(|_| before != now) else {
                continue;
            };
            let era = socket.era(connection.opened);
            let removed = changed.entry(id).or_default();
            if before.is_some() {
                removed.insert(conn);
            }
            if let Some(now) = now {
                socket.handshakes.add(era, now, conn);
            }
        }
        for (socket, removed) in changed {
            if let Some(Socket { handshakes, .. }) = self.shared.get_mut(&socket) {
                if !removed.is_empty() {
                    handshakes.remove(&removed);
                }
                handshakes.settle();
            }
        }
    }

    /// Whether a connection was not released.
    pub fn is_known(&self, conn: u32) -> bool {
        self.connections.get(conn).is_some()
    }

    /// Whether a socket has connections that were not released, or may get others.
    pub fn is_known_socket(&self, socket: SocketId) -> bool {
        self.shared.contains_key(&socket) || !is_accepting(socket) && self.is_known(socket / 2)
    }

    /// One connection.
    pub fn connection(&self, conn: u32) -> &Connection {
        self.connections.get(conn).expect("a connection is kept for as long as there are messages of it")
    }

    fn connection_mut(&mut self, conn: u32) -> &mut Connection {
        self.connections.get_mut(conn).expect("a connection is kept for as long as there are messages of it")
    }

    /// Begins to look at another window.
    pub(super) fn begin_window(&mut self) {
        self.window += 1;
        self.order_handshakes();
    }

    /// The number that a connection has among those of this window; `next` is that of one that was not seen in it before.
    pub(super) fn number(&mut self, conn: u32, next: u32) -> u32 {
        let window = self.window;
        let connection = self.connection_mut(conn);
        if connection.seen.0 != window {
            connection.seen = (window, next);
        }
        connection.seen.1
    }

    /// The number of a connection in this window; `None` if it has no message in it, or was released.
    pub(super) fn number_of(&self, conn: u32) -> Option<u32> {
        let (window, number) = self.connections.get(conn)?.seen;
        (window == self.window).then_some(number)
    }

    /// Notes that a message of this connection was joined to another.
    pub fn set_joined(&mut self, conn: u32) {
        self.connection_mut(conn).joined = true;
    }

    /// Notes that messages of this direction of a connection may be missing, from here to its next one.
    pub fn set_incomplete(&mut self, conn: u32, direction: Direction) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.gap[direction] = true;
        // Once they have introduced themselves, what is missing is not only what was before the capture.
        let begun = connection.peers.iter().any(|(_, peer)| peer.introduced.is_some());
        connection.gaps_inside |= begun || connection.messages[direction] > 0;
        connection.begins_in_gap |= connection.messages[direction] == 0;
    }

    /// Whether messages may be missing right before this one of a direction.
    pub fn pass_gap(&mut self, conn: u32, direction: Direction) -> bool {
        std::mem::take(&mut self.connection_mut(conn).gap[direction])
    }

    /// The type of a socket, as any of its connections told.
    pub fn socket_type(&self, socket: SocketId) -> Option<SocketType> {
        match self.shared.get(&socket) {
            Some(socket) => socket.kind,
            None if is_accepting(socket) => None,
            None => self.connections.get(socket / 2)?.peers.c2s.socket_type,
        }
    }

    /// The types of the peers of a connection. Where an introduction is missing from the capture, the type of a bound socket is
    /// known from its other connections, and that of a peer which connected is taken to be what all others there have.
    fn peer_types(&self, connection: &Connection) -> PerDirection<Option<SocketType>> {
        let told = PerDirection::from_fn(|direction| connection.peers[direction].socket_type);
        let accepting = || self.shared.get(&connection.sockets.s2c);
        // A connection that began before the capture may be older than the others, and of another kind.
        let began_in_capture = || connection.peers.s2c.introduced.is_some();
        PerDirection {
            c2s: told.c2s.or_else(|| accepting().filter(|_| began_in_capture())?.callers.all()),
            s2c: told.s2c.or_else(|| accepting()?.kind),
        }
    }

    /// Whether the replies of a connection come in the order of its requests: a REP answers one request at a time, a REQ asks
    /// one at a time (RFC 28).
    pub(super) fn answers_in_order(&self, conn: u32) -> bool {
        let types = self.peer_types(self.connection(conn));
        types.iter().any(|(_, kind)| matches!(kind, Some(SocketType::REP | SocketType::REQ)))
    }

    /// Whether one end of a connection is a REQ, which never asks, or is asked, twice before there is an answer.
    pub(super) fn takes_turns(&self, conn: u32) -> bool {
        let types = self.peer_types(self.connection(conn));
        types.iter().any(|(_, kind)| *kind == Some(SocketType::REQ))
    }

    /// Whether the requests of a connection are those of a REQ.
    pub(super) fn asks_one_at_a_time(&self, conn: u32) -> bool {
        let connection = self.connection(conn);
        connection.requests.is_some_and(|asking| self.peer_types(connection)[asking] == Some(SocketType::REQ))
    }

    /// The connections of a socket that were not released; some that were may be among them.
    pub fn connections_of(&self, socket: SocketId) -> impl Iterator<Item = u32> + '_ {
        let several = self.shared.get(&socket).map_or(&[][..], |socket| &socket.connections);
        let one = (several.is_empty() && !is_accepting(socket)).then_some(socket / 2);
        several.iter().copied().chain(one).filter(|&conn| self.is_known(conn))
    }

    /// A ROUTER as it was at a time.
    pub fn frontend(&self, socket: SocketId, at: Timestamp) -> Frontend {
        let era = self.shared.get(&socket).map_or(0, |socket| socket.era(at));
        Frontend { socket, era }
    }

    /// The anonymous connections of a ROUTER in the order of their handshakes.
    pub fn handshakes(&self, frontend: Frontend) -> Order<'_> {
        if let Some(socket) = self.shared.get(&frontend.socket) {
            return socket.handshakes.of_era(frontend.era);
        }
        let conn = frontend.socket / 2;
        let connection = self.connections.get(conn);
        let introduced = connection.and_then(|connection| connection.introduced(Direction::ServerToClient));
        Order::of_one(introduced.map(|_| conn))
    }

    /// The socket that sent a message.
    pub fn sender(&self, record: &Record) -> SocketId {
        self.connection(record.conn).sockets[record.direction]
    }

    /// The socket that received a message.
    pub fn receiver(&self, record: &Record) -> SocketId {
        self.connection(record.conn).sockets[record.direction.reverse()]
    }

    /// Learns from a message, in order of time, which way requests flow on its connection: `addressed` if it carries an
    /// identity before a delimiter. REQ asks and REP is asked, CLIENT and SERVER (RFC 41) likewise, except where a REQ is the worker of a broker and asks for
    /// work; then, and where the types say nothing, the first message with an address does, else the first of all.
    pub fn consider(&mut self, record: &Record, addressed: bool) {
        if self.connection(record.conn).direction_known != DirectionKnown::ByFirst {
            return;
        }
        let types = self.peer_types(self.connection(record.conn));
        let has =
            |wanted: [SocketType; 2]| types.iter().any(|(_, kind)| kind.is_some_and(|kind| wanted.contains(&kind)));
        let connection = self.connection_mut(record.conn);
        if connection.requests.is_none() && connection.begins_in_gap && !has([SocketType::REQ, SocketType::REP]) {
            // What comes first may be a reply, and mostly it is the client who asks.
            connection.requests = Some(Direction::ClientToServer);
            connection.direction_known = DirectionKnown::Guessed;
            return;
        }
        let asks = |direction: &Direction| {
            matches!(types[*direction], Some(SocketType::REQ | SocketType::CLIENT))
                || matches!(types[direction.reverse()], Some(SocketType::REP | SocketType::SERVER))
        };
        let by_type = Direction::BOTH.into_iter().find(asks);
        // A REP never asks, and a SERVER knows its peers only from what they asked.
        let has_rep = has([SocketType::REP, SocketType::SERVER]);
        if has_rep || addressed {
            // Where messages are missing, the first that carries an address may be the reply to one that is.
            let is_whole = has_rep || !connection.is_incomplete();
            connection.direction_known = if is_whole { DirectionKnown::Certain } else { DirectionKnown::Guessed };
        }
        connection.requests = match (by_type, addressed) {
            (Some(direction), _) if has_rep => Some(direction),
            (_, true) => Some(record.direction),
            _ => connection.requests.or(by_type).or(Some(record.direction)),
        };
    }

    /// Whether it is known for good which way requests flow on a connection.
    pub fn is_direction_certain(&self, conn: u32) -> bool {
        self.connection(conn).direction_known == DirectionKnown::Certain
    }

    /// Whether it is still open which way requests flow on a connection whose beginning was not captured.
    pub fn is_direction_open(&self, conn: u32) -> bool {
        self.connection(conn).direction_known == DirectionKnown::Guessed
    }

    /// Hears how much is said for requests from client to server, or if negative the other way.
    pub fn hear(&mut self, conn: u32, voice: f64) {
        if self.is_direction_open(conn) {
            self.connection_mut(conn).direction_voices += voice;
        }
    }

    /// Settles what was heard.
    pub fn settle_direction(&mut self, conn: u32) {
        if !self.is_direction_open(conn) {
            return;
        }
        let connection = self.connection_mut(conn);
        if connection.direction_voices.abs() >= SOME_VOICES {
            let client = connection.direction_voices > 0.0;
            connection.requests = Some(if client { Direction::ClientToServer } else { Direction::ServerToClient });
            if connection.direction_voices.abs() >= MANY_VOICES {
                connection.direction_known = DirectionKnown::Certain;
            }
        }
    }

    /// Whether a message flows in the direction of requests.
    pub fn is_request(&self, record: &Record) -> bool {
        self.connection(record.conn).requests == Some(record.direction)
    }

    /// Counts a message. Says whether it can be a request or a reply: where no type is known, a direction that is never
    /// answered is a pipeline or a publication.
    pub fn takes_part(&mut self, conn: u32, direction: Direction) -> bool {
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        connection.messages[direction] += 1;
        let unknown = connection.peers.iter().all(|(_, peer)| peer.socket_type.is_none());
        let one_way = connection.messages[direction] > ONE_WAY && connection.messages[direction.reverse()] == 0;
        connection.is_request_reply() && !(unknown && one_way)
    }

    /// Whether this connection's messages can be requests and replies (RFC 28, 41), as far as types are known.
    pub fn is_request_reply(&self, conn: u32) -> bool {
        self.connection(conn).is_request_reply()
    }

    /// Whether every message of this connection is a request or a reply by its types alone.
    pub fn is_strictly_request_reply(&self, conn: u32) -> bool {
        let strict = |t: Option<SocketType>| matches!(t, Some(SocketType::REQ | SocketType::REP));
        self.connection(conn).peers.iter().any(|(_, peer)| strict(peer.socket_type))
    }
}

impl Socket {
    fn begin_era(&mut self, at: Timestamp) {
        self.eras.push_back(at);
        if self.eras.len() > ERAS {
            self.eras.pop_front();
            self.eras_before += 1;
        }
    }

    fn era(&self, at: Timestamp) -> u32 {
        self.eras_before + self.eras.partition_point(|&start| start <= at) as u32
    }
}

impl Callers {
    fn add(&mut self, kind: Option<SocketType>) {
        self.is_mixed |= self.alike > 0 && kind != self.first;
        self.first = self.first.or(kind);
        self.alike += 1;
    }

    /// What all of them are, if there are at least two.
    fn all(&self) -> Option<SocketType> {
        self.first.filter(|_| self.alike >= 2 && !self.is_mixed)
    }
}

fn is_accepting(socket: SocketId) -> bool {
    socket.is_multiple_of(2)
}
