//! Connections that carry messages one way, and which of their messages are kept.
//!
//! A device receives with one socket and sends with another on the same host. Most captures of one-way traffic have no such
//! host, and for them that is all that is ever looked at: a look-up a message.

use super::hosts::{HostId, Hosts};
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::correlate::connections::Connections;
use crate::correlate::path::Pattern;
use crate::correlate::sockets::{SocketId, Sockets};
use crate::zmtp::event::Message;
use crate::zmtp::wire::socket_type::SocketType as S;

/// Messages kept of connections to hosts where nothing is known to send yet. A streamer holds what came before its first
/// worker, up to its high-water marks (1000 each, if nobody changed them) and what TCP buffers; and where handshakes were not
/// captured, the first message that a device passes on is what shows that there is one.
pub(in crate::correlate) const EARLY: usize = 4096;

/// A topic as a message of ZMTP 2.0 or 3.0 is no longer than this.
const LONGEST_TOPIC: u64 = 256;

/// A connection on which messages flow one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    /// Which way.
    pub(super) direction: Direction,
    /// The socket that sends, and its type as far as it is known.
    pub(super) sender: SocketId,
    pub(super) sender_type: Option<S>,
    /// The socket that receives.
    pub(super) receiver: SocketId,
    pub(super) receiver_type: Option<S>,
    /// The hosts of both.
    pub(super) sender_host: HostId,
    pub(super) receiver_host: HostId,
}

impl Lane {
    /// What its messages are part of; `None` if neither type is known.
    pub(super) fn pattern(&self) -> Option<Pattern> {
        match self.sender_type.or(self.receiver_type)? {
            S::PUB | S::XPUB | S::SUB | S::XSUB => Some(Pattern::PubSub),
            S::PUSH | S::PULL => Some(Pattern::PushPull),
            S::RADIO | S::DISH => Some(Pattern::RadioDish),
            S::SCATTER | S::GATHER => Some(Pattern::ScatterGather),
            _ => None,
        }
    }

    /// Each message is sent to one peer only.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self.pattern(), Some(Pattern::PushPull | Pattern::ScatterGather))
    }
}

/// What is known of a connection.
#[derive(Debug, Default)]
enum Way {
    /// It has carried nothing yet.
    #[default]
    Undecided,
    /// Both ways.
    Both,
    /// One way.
    One(Box<OneWay>),
}

/// A connection that carries messages one way.
#[derive(Clone, Copy, Debug)]
struct OneWay {
    lane: Lane,
    /// Its ends.
    from: Endpoint,
    to: Endpoint,
    /// By its types it will stay so.
    is_certain: bool,
    /// A device may hold its messages before anything shows that there is one.
    may_be_held: bool,
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Nothing. It may be a request or a reply.
    Other,
    /// Nothing. It is none.
    OneWay,
    /// It is kept. `is_certain` if it is no request or reply.
    Keep { is_certain: bool },
}

/// All lanes, by connection.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    ways: Connections<Way>,
    hosts: Hosts,
    early: usize,
    any_watched: bool,
    /// A lane came up on a host where something may pass messages on.
    news: bool,
}

impl Lanes {
    /// The next connection.
    pub(super) fn connection(&mut self) {
        self.ways.push(Way::Undecided);
    }

    /// A connection is forgotten, and with it its lane.
    pub(super) fn forget(&mut self, conn: u32) {
        if let Some(Way::One(one)) = self.ways.get(conn) {
            self.hosts.remove(one.from, one.to);
        }
        self.ways.release(conn);
    }

    #[cfg(test)]
    pub(super) fn known_ends(&self) -> usize {
        self.hosts.known_ends()
    }

    /// Whether a message may be one that a device passes on, or has passed on.
    #[inline]
    pub(super) fn watch(&mut self, sockets: &Sockets, conn: u32, message: &Message<'_>) -> Watch {
        match self.ways.get(conn) {
            Some(Way::Both) | None => Watch::Other,
            Some(Way::One(one)) if one.is_certain && !(self.any_watched || one.may_be_held && self.early < EARLY) => {
                Watch::OneWay
            }
            Some(Way::One(one)) => self.pass(**one, conn, message),
            Some(Way::Undecided) => self.decide(sockets, conn, message),
        }
    }

    fn pass(&mut self, one: OneWay, conn: u32, message: &Message<'_>) -> Watch {
        let OneWay { lane, is_certain, may_be_held, .. } = one;
        let nothing = if is_certain { Watch::OneWay } else { Watch::Other };
        if message.direction != lane.direction {
            if !is_certain && !is_subscription(message) {
                self.hosts.remove(one.from, one.to);
                self.set(conn, Way::Both);
            }
            return nothing;
        }
        let [entered, left] = [lane.receiver_host, lane.sender_host].map(|host| self.hosts.is_watched(host));
        let is_early = !(entered || left) && self.early < EARLY && may_be_held;
        self.early += usize::from(is_early);
        if entered || left || is_early { Watch::Keep { is_certain } } else { nothing }
    }

    /// A peer introduced itself. Where both did, it is known what flows on their connection before anything does.
    pub(super) fn introduced(&mut self, sockets: &Sockets, conn: u32) {
        let peers = &sockets.connection(conn).peers;
        if peers.iter().all(|(_, peer)| peer.socket_type.is_some()) {
            self.decide_by_types(sockets, conn);
        }
    }

    #[cold]
    fn decide(&mut self, sockets: &Sockets, conn: u32, message: &Message<'_>) -> Watch {
        let peers = &sockets.connection(conn).peers;
        if peers.iter().any(|(_, peer)| peer.socket_type.is_some()) {
            self.decide_by_types(sockets, conn);
        } else if !is_subscription(message) {
            self.add(sockets, conn, message.direction, true);
        }
        match self.ways.get(conn) {
            Some(Way::One(one)) => self.pass(**one, conn, message),
            _ => Watch::Other,
        }
    }

    fn decide_by_types(&mut self, sockets: &Sockets, conn: u32) {
        if !matches!(self.ways.get(conn), Some(Way::Undecided)) {
            return;
        }
        let peers = &sockets.connection(conn).peers;
        match one_way(PerDirection::from_fn(|direction| peers[direction].socket_type)) {
            Some(direction) => self.add(sockets, conn, direction, false),
            None => self.set(conn, Way::Both),
        }
    }

    fn set(&mut self, conn: u32, way: Way) {
        if let Some(known) = self.ways.get_mut(conn) {
            *known = way;
        }
    }

    /// A connection carries messages this way.
    fn add(&mut self, sockets: &Sockets, conn: u32, direction: Direction, is_guessed: bool) {
        let connection = sockets.connection(conn);
        let socket_type = |direction: Direction| connection.peers[direction].socket_type;
        let (from, to) = match direction {
            Direction::ClientToServer => (connection.client, connection.server),
            Direction::ServerToClient => (connection.server, connection.client),
        };
        let (sender_host, receiver_host) = self.hosts.add(from, to);
        let lane = Lane {
            direction,
            sender: connection.sockets[direction],
            sender_type: socket_type(direction),
            receiver: connection.sockets[direction.reverse()],
            receiver_type: socket_type(direction.reverse()),
            sender_host,
            receiver_host,
        };
        let may_be_held = is_guessed || may_be_held(lane.receiver_type);
        self.set(conn, Way::One(Box::new(OneWay { lane, from, to, is_certain: !is_guessed, may_be_held })));
        let is_watched = self.hosts.is_watched(sender_host) || self.hosts.is_watched(receiver_host);
        self.any_watched |= is_watched;
        self.news |= is_watched;
    }

    /// Whether there is a host on which messages may be passed on.
    pub(super) fn any_watched(&self) -> bool {
        self.any_watched
    }

    /// Whether a lane came up on such a host since this was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// The lane of a connection, while it counts as one that carries messages one way.
    pub(super) fn lane(&self, conn: u32) -> Option<&Lane> {
        match self.ways.get(conn) {
            Some(Way::One(one)) => Some(&one.lane),
            _ => None,
        }
    }
}

/// Which way messages go between sockets of these types, those of who sends in each direction, as far as they are known;
/// `None` if both ways.
pub(in crate::correlate) fn one_way(types: PerDirection<Option<S>>) -> Option<Direction> {
    let is_way = |direction: &Direction| {
        types[*direction].is_some_and(sends) || types[direction.reverse()].is_some_and(receives)
    };
    Direction::BOTH.into_iter().find(is_way)
}

/// Whether a device that receives so may hold messages before anything shows that it is one.
pub(in crate::correlate) fn may_be_held(receiver: Option<S>) -> bool {
    matches!(receiver, Some(S::PULL | S::GATHER))
}

fn sends(socket_type: S) -> bool {
    matches!(socket_type, S::PUB | S::XPUB | S::PUSH | S::RADIO | S::SCATTER)
}

fn receives(socket_type: S) -> bool {
    matches!(socket_type, S::SUB | S::XSUB | S::PULL | S::DISH | S::GATHER)
}

/// Whether a message may be a subscription of ZMTP 2.0 or 3.0, which goes against the way of what is published. Its first octet is
/// all there is of it here (`Correlator::message`).
pub(in crate::correlate) fn is_subscription(message: &Message<'_>) -> bool {
    match message.parts {
        [part] => part.length <= LONGEST_TOPIC && matches!(message.head(part).first(), Some(0 | 1)),
        _ => false,
    }
}
