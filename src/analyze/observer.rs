//! Who receives what an analysis finds, as it finds it.

use super::connection::ConnectionSummary;
use crate::base::chunk::Position;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::transport::Transport;
use crate::correlate::findings::Finding;
use crate::correlate::path::Path;
use crate::flow::table::FlowInfo;
use crate::zmtp::event::{Frame, Message};
use crate::zmtp::peer::Peer;

/// What is known of a connection from its first packet on, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// What carries it; `Tcp` also where WebSocket is inside.
    pub transport: Transport,
    /// The side that opened it, or publishes in datagrams.
    pub client: Endpoint,
    /// The side that accepted it, or where datagrams are sent to.
    pub server: Endpoint,
    /// Its first packet.
    pub first: Position,
}

impl Ends {
    /// The endpoint that sends in `direction`.
    pub fn sender(&self, direction: Direction) -> Endpoint {
        match direction {
            Direction::ClientToServer => self.client,
            Direction::ServerToClient => self.server,
        }
    }

    /// The endpoint that receives in `direction`.
    pub fn receiver(&self, direction: Direction) -> Endpoint {
        self.sender(direction.reverse())
    }
}

impl From<&FlowInfo> for Ends {
    fn from(flow: &FlowInfo) -> Self {
        Self { transport: flow.transport, client: flow.client, server: flow.server, first: flow.first }
    }
}

/// The connection that a frame or message belongs to.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionRef<'a> {
    /// Its number.
    pub conn: u32,
    /// Its endpoints.
    pub ends: &'a Ends,
    /// What is known about its peers by now; `c2s` is the client. With a message, long metadata may be shortened.
    pub peers: PerDirection<&'a Peer>,
}

/// Which results are wanted: what is not wanted is not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// [`Observer::frame`] is wanted.
    pub frames: bool,
    /// [`Observer::message`] is wanted.
    pub messages: bool,
    /// [`Observer::path`] is wanted: messages are correlated.
    pub paths: bool,
    /// Number of the path that is wanted with what else its hops could have been joined to.
    pub explained: Option<u64>,
}

impl Interest {
    /// Connections and findings alone.
    pub const NOTHING_ELSE: Self = Self { frames: false, messages: false, paths: false, explained: None };

    /// Paths, and connections and findings.
    pub const PATHS: Self = Self { paths: true, ..Self::NOTHING_ELSE };
}

impl Default for Interest {
    /// All but paths, which cost the most.
    fn default() -> Self {
        Self { frames: true, messages: true, ..Self::NOTHING_ELSE }
    }
}

/// Receives results. Frames and messages come in the order in which the capture completes them within a connection;
/// paths in the order in which they began; connections when they and all before them are over, but for those of which there are
/// too many to keep ([`crate::base::limits::Limits::summary_total_bytes`]); findings when the analysis is over.
pub trait Observer {
    /// What is wanted.
    fn interest(&self) -> Interest {
        Interest::default()
    }
    /// A greeting or frame.
    fn frame(&mut self, _connection: &ConnectionRef<'_>, _frame: &Frame<'_>) {}
    /// A message, and its key (the same in every capture that saw it).
    fn message(&mut self, _connection: &ConnectionRef<'_>, _message: &Message<'_>, _key: u64) {}
    /// A path.
    fn path(&mut self, _path: Path) {}
    /// A connection; in the order of their numbers, if memory sufficed.
    fn connection(&mut self, _connection: &ConnectionSummary) {}
    /// A finding.
    fn finding(&mut self, _finding: &Finding) {}
}
