//! What the correlator knows of one connection.

use super::handshakes::Introduced;
use super::sockets::SocketId;
use crate::base::chunk::Position;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::time::Timestamp;
use crate::zmtp::wire::socket_type::SocketType;

/// A connection as the correlator knows it.
#[derive(Debug)]
pub struct Connection {
    /// The window that it was last seen in, and its number among the connections of that.
    pub(super) seen: (u32, u32),
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
    /// Since when it has its place in the order of handshakes.
    pub handshake: Option<Introduced>,
    pub(super) direction_known: DirectionKnown,
    /// What messages say of it: for client to server if positive.
    pub(super) direction_voices: f64,
    /// Whether any message of it was joined to another: it takes part in request/reply.
    pub joined: bool,
    /// Messages may be missing right before the next one of a direction.
    pub(super) gap: PerDirection<bool>,
    pub(super) gaps_inside: bool,
    pub(super) begins_in_gap: bool,
    /// Messages of each direction so far.
    pub(super) messages: PerDirection<u64>,
}

/// How it is known which way requests flow on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectionKnown {
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

impl Connection {
    /// When a peer was known to the other one, and that to it, if it is anonymous. A ROUTER gives a number once it has both sent
    /// its own introduction and got the peer's. Several may have got there at once; then its own show in which order it saw
    /// to them.
    pub(super) fn introduced(&self, peer: Direction) -> Option<Introduced> {
        // One of the two may be missing.
        let both = self.introduction(peer).max(self.introduction(peer.reverse()));
        both.filter(|_| self.peers[peer].identity.is_none())
    }

    /// Whether the other one introduced itself after a peer did: that shows in which order it saw to its peers.
    pub(super) fn was_welcomed(&self, peer: Direction) -> bool {
        self.introduction(peer.reverse()) > self.introduction(peer)
    }

    fn introduction(&self, peer: Direction) -> Option<Introduced> {
        self.peers[peer].introduced.map(|position| (position.at, position.packet))
    }

    /// Whether a ROUTER connected to who asks it, or to its worker.
    pub(super) fn calls_a_client(&self) -> bool {
        self.peers.c2s.socket_type == Some(SocketType::ROUTER)
            && matches!(self.peers.s2c.socket_type, Some(SocketType::REQ | SocketType::DEALER))
    }

    pub(super) fn is_request_reply(&self) -> bool {
        self.peers.iter().all(|(_, peer)| peer.socket_type.is_none_or(SocketType::asks_or_answers))
    }

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
