//! Which connections end in the same socket, and which way requests flow on each.
//!
//! A bound socket has many connections: all that were accepted on its endpoint. A connecting end is a socket of its own
//! here, since nothing on the wire tells which connections an application's socket opened. When the server closed all
//! connections of an endpoint before the next was opened, what listens there now is another socket.

use super::window::Record;
use crate::base::chunk::Position;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::time::Timestamp;
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::FxHashMap;

/// So many messages without one in the other direction are no requests.
const ONE_WAY: u64 = 256;

/// What messages must say together of a direction to be believed, and not to be asked again.
const SOME_VOICES: f64 = 1.0;
const MANY_VOICES: f64 = 24.0;

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

/// A connection as the correlator knows it.
#[derive(Debug)]
pub struct Connection {
    /// Its client.
    pub client: Endpoint,
    /// Its server.
    pub server: Endpoint,
    /// The socket at each end; `c2s` is the client's.
    pub sockets: PerDirection<SocketId>,
    /// What each peer said of itself.
    pub peers: PerDirection<PeerRecord>,
    /// Its first packet.
    pub opened: Timestamp,
    /// The direction in which requests flow, once known.
    pub requests: Option<Direction>,
    direction_known: DirectionKnown,
    /// What messages say of it: for client to server if positive.
    direction_voices: f64,
    /// Whether any message of it was joined to another: it takes part in request/reply.
    pub joined: bool,
    /// Messages may be missing right before the next one of a direction.
    gap: PerDirection<bool>,
    gaps_inside: bool,
    begins_in_gap: bool,
    /// Messages of each direction so far.
    messages: PerDirection<u64>,
}

/// How it is known which way requests flow on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DirectionKnown {
    /// The first message says so, as long as no better one does.
    ByFirst,
    /// The beginning was not captured: nothing but what messages say together tells.
    Guessed,
    /// For good.
    Certain,
}

/// What a peer said of itself.
#[derive(Debug, Default)]
pub struct PeerRecord {
    /// Its socket type.
    pub socket_type: Option<SocketType>,
    /// Hash of the identity that it announced; `None` if it announced none or an empty one.
    pub identity: Option<u64>,
    /// Where it introduced itself. ROUTERs number their anonymous peers in about this order.
    pub introduced: Option<Position>,
}

/// The sockets and connections of an analysis.
#[derive(Debug, Default)]
pub struct Sockets {
    connections: Vec<Connection>,
    all: Vec<Socket>,
    bound: FxHashMap<Endpoint, Bound>,
}

/// One socket.
#[derive(Debug, Default)]
pub struct Socket {
    /// Its connections.
    pub connections: Vec<u32>,
    /// When it was first without any connection and then got one again, and so on. Its process may have been another
    /// one since, so names that a ROUTER gave do not outlive an era.
    eras: Vec<Timestamp>,
    /// Its type, as any of its connections told.
    pub socket_type: Option<SocketType>,
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

impl Connection {
    /// Whether messages of it may be missing, so that order proves little.
    pub fn is_incomplete(&self) -> bool {
        self.begins_in_gap || self.gaps_inside
    }

    /// Whether messages are missing between those that were seen; before the first one they may be.
    pub fn has_gaps(&self) -> bool {
        self.gaps_inside
    }

    /// Whether messages may be missing after the last one of a direction.
    pub fn ends_in_gap(&self, direction: Direction) -> bool {
        self.gap[direction]
    }
}

impl Sockets {
    /// A connection; they come in the order of their numbers, from 0.
    pub fn connect(&mut self, conn: u32, client: Endpoint, server: Endpoint, opened: Timestamp) {
        debug_assert_eq!(conn as usize, self.connections.len(), "connections are numbered in order");
        let accepting = self.accept(server, opened);
        let connecting = self.create();
        for socket in [connecting, accepting] {
            self.all[socket as usize].connections.push(conn);
        }
        self.connections.push(Connection {
            client,
            server,
            sockets: PerDirection { c2s: connecting, s2c: accepting },
            peers: PerDirection::default(),
            opened,
            requests: None,
            direction_known: DirectionKnown::ByFirst,
            direction_voices: 0.0,
            joined: false,
            gap: PerDirection::default(),
            gaps_inside: false,
            begins_in_gap: false,
            messages: PerDirection::default(),
        });
    }

    fn accept(&mut self, endpoint: Endpoint, opened: Timestamp) -> SocketId {
        if let Some(bound) = self.bound.get_mut(&endpoint) {
            // Connections may be told of in another order than they were opened and closed in.
            let was_alone = bound.open == 0 && opened > bound.closed;
            if !(was_alone && bound.server_closed) {
                if was_alone {
                    self.all[bound.socket as usize].eras.push(opened);
                }
                bound.open += 1;
                bound.server_closed = true;
                return bound.socket;
            }
        }
        let socket = self.create();
        self.bound.insert(endpoint, Bound { socket, open: 1, closed: Timestamp(i64::MIN), server_closed: true });
        socket
    }

    fn create(&mut self) -> SocketId {
        self.all.push(Socket::default());
        self.all.len() as SocketId - 1
    }

    /// A peer introduced itself.
    pub fn introduce(&mut self, conn: u32, direction: Direction, peer: &Peer, identity: Option<u64>) {
        let connection = &mut self.connections[conn as usize];
        connection.peers[direction] =
            PeerRecord { socket_type: peer.socket_type, identity, introduced: peer.introduced };
        let socket = connection.sockets[direction];
        self.all[socket as usize].socket_type = peer.socket_type;
    }

    /// A connection is over.
    pub fn disconnect(&mut self, conn: u32, at: Timestamp, by_server: bool) {
        let connection = &self.connections[conn as usize];
        if let Some(bound) = self.bound.get_mut(&connection.server)
            && bound.socket == connection.sockets.s2c
        {
            bound.open = bound.open.saturating_sub(1);
            bound.closed = bound.closed.max(at);
            bound.server_closed &= by_server;
        }
    }

    /// One connection.
    pub fn connection(&self, conn: u32) -> &Connection {
        &self.connections[conn as usize]
    }

    /// Notes that a message of this connection was joined to another.
    pub fn set_joined(&mut self, conn: u32) {
        self.connections[conn as usize].joined = true;
    }

    /// Notes that messages of this direction of a connection may be missing, from here to its next one.
    pub fn set_incomplete(&mut self, conn: u32, direction: Direction) {
        let connection = &mut self.connections[conn as usize];
        connection.gap[direction] = true;
        // Once they have introduced themselves, what is missing is not only what was before the capture.
        let begun = connection.peers.iter().any(|(_, peer)| peer.introduced.is_some());
        connection.gaps_inside |= begun || connection.messages[direction] > 0;
        connection.begins_in_gap |= connection.messages[direction] == 0;
    }

    /// Whether messages may be missing right before this one of a direction.
    pub fn pass_gap(&mut self, conn: u32, direction: Direction) -> bool {
        std::mem::take(&mut self.connections[conn as usize].gap[direction])
    }

    /// One socket.
    pub fn socket(&self, socket: SocketId) -> &Socket {
        &self.all[socket as usize]
    }

    /// A ROUTER as it was at a time.
    pub fn frontend(&self, socket: SocketId, at: Timestamp) -> Frontend {
        let era = self.socket(socket).eras.partition_point(|&start| start <= at) as u32;
        Frontend { socket, era }
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
        let connection = &mut self.connections[record.conn as usize];
        if connection.direction_known == DirectionKnown::Certain {
            return;
        }
        let peers = &connection.peers;
        let strict = |peer: &PeerRecord| matches!(peer.socket_type, Some(SocketType::REQ | SocketType::REP));
        if connection.requests.is_none() && connection.begins_in_gap && !peers.iter().any(|(_, peer)| strict(peer)) {
            // What comes first may be a reply, and mostly it is the client who asks.
            connection.requests = Some(Direction::ClientToServer);
            connection.direction_known = DirectionKnown::Guessed;
        }
        if connection.direction_known == DirectionKnown::Guessed {
            return;
        }
        let of = |direction: Direction| peers[direction].socket_type;
        let asks = |direction: &Direction| {
            matches!(of(*direction), Some(SocketType::REQ | SocketType::CLIENT))
                || matches!(of(direction.reverse()), Some(SocketType::REP | SocketType::SERVER))
        };
        let by_type = Direction::BOTH.into_iter().find(asks);
        // A REP never asks, and a SERVER knows its peers only from what they asked.
        let has_rep =
            peers.iter().any(|(_, peer)| matches!(peer.socket_type, Some(SocketType::REP | SocketType::SERVER)));
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

    /// Whether it is still open which way requests flow on a connection whose beginning was not captured.
    pub fn is_direction_open(&self, conn: u32) -> bool {
        self.connection(conn).direction_known == DirectionKnown::Guessed
    }

    /// Hears how much is said for requests from client to server, or if negative the other way.
    pub fn hear(&mut self, conn: u32, voice: f64) {
        if self.is_direction_open(conn) {
            self.connections[conn as usize].direction_voices += voice;
        }
    }

    /// Settles what was heard.
    pub fn settle_direction(&mut self, conn: u32) {
        if !self.is_direction_open(conn) {
            return;
        }
        let connection = &mut self.connections[conn as usize];
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
        let connection = &mut self.connections[conn as usize];
        connection.messages[direction] += 1;
        let unknown = connection.peers.iter().all(|(_, peer)| peer.socket_type.is_none());
        let one_way = connection.messages[direction] > ONE_WAY && connection.messages[direction.reverse()] == 0;
        self.is_request_reply(conn) && !(unknown && one_way)
    }

    /// Whether this connection's messages can be requests and replies (RFC 28, 41), as far as types are known.
    pub fn is_request_reply(&self, conn: u32) -> bool {
        self.connection(conn).peers.iter().all(|(_, peer)| {
            peer.socket_type.is_none_or(|t| {
                matches!(t, SocketType::REQ | SocketType::REP | SocketType::DEALER | SocketType::ROUTER)
                    || matches!(t, SocketType::CLIENT | SocketType::SERVER)
            })
        })
    }

    /// Whether every message of this connection is a request or a reply by its types alone.
    pub fn is_strictly_request_reply(&self, conn: u32) -> bool {
        let strict = |t: Option<SocketType>| matches!(t, Some(SocketType::REQ | SocketType::REP));
        self.connection(conn).peers.iter().any(|(_, peer)| strict(peer.socket_type))
    }
}
