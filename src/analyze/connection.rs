//! What is known about a ZMTP connection when it is over.

use crate::base::chunk::Position;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::transport::Transport;
use crate::flow::table::{End, EndReason, FlowInfo};
use crate::zmtp::datagrams::DatagramSession;
use crate::zmtp::handshake::{Progress, Step};
use crate::zmtp::peer::Peer;
use crate::zmtp::session::{Closed, CurveFacts, Session, Traffic};
use crate::zmtp::wire::greeting::{MechanismName, Version};

/// How far the handshake got, judged when the connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandshakeOutcome {
    /// Traffic could flow.
    Complete,
    /// A peer sent ERROR, or the connection closed before the handshake was complete.
    Failed,
    /// The capture ends before the handshake does, or does not hold all of it.
    Partial,
    /// The capture begins after it.
    Unseen,
}

/// A ZMTP connection.
#[derive(Clone, Debug)]
pub struct ConnectionSummary {
    /// Counts ZMTP connections from 0 by their first packet.
    pub conn: u32,
    /// What carries it.
    pub transport: Transport,
    /// The side that opened the TCP connection, or the one that publishes in datagrams.
    pub client: Endpoint,
    /// The side that accepted it, or where the datagrams are sent to.
    pub server: Endpoint,
    /// First packet.
    pub start: Position,
    /// Last packet.
    pub last: Position,
    /// How it ended.
    pub end: End,
    /// The capture begins after the connection did.
    pub midstream: bool,
    /// The only direction that is in the capture, although the other carried something.
    pub only: Option<Direction>,
    /// The version both speak.
    pub version: Option<Version>,
    /// The mechanism that the client offers; a mismatch is a finding.
    pub mechanism: Option<MechanismName>,
    /// Whether its encrypted traffic was opened; `None` if it is not encrypted.
    pub decrypted: Option<bool>,
    /// What CURVE shows without keys; `None` if the connection is not encrypted with it.
    pub curve: Option<CurveFacts>,
    /// Why messages stay closed; `None` if none does.
    pub closed: Option<Closed>,
    /// How far the handshake got.
    pub handshake: HandshakeOutcome,
    /// The last command of the handshake that each side sent.
    pub steps: PerDirection<Step>,
    /// Who the peers are; `c2s` is the client.
    pub peers: PerDirection<Peer>,
    /// What each sent.
    pub traffic: PerDirection<Traffic>,
    /// Octets of each direction that are not in the capture.
    pub lost_bytes: PerDirection<u64>,
}

impl ConnectionSummary {
    /// Puts together what transport and session know.
    pub fn new(conn: u32, flow: &FlowInfo, end: End, session: &Session, limits: &Limits) -> Self {
        let peers = PerDirection::from_fn(|direction| session.peer(direction).clone());
        let greeted = Direction::BOTH.into_iter().any(|direction| session.is_greeted(direction));
        let closed = matches!(end.reason, EndReason::Fin | EndReason::Reset);
        let only = flow.only();
        let lost_bytes = PerDirection::from_fn(|direction| match only {
            Some(heard) if heard != direction => flow.acknowledged_octets(direction),
            _ => flow.stats[direction].lost_bytes,
        });
        let all_seen = lost_bytes == PerDirection::default();
        let handshake = match session.handshake() {
            Progress::Complete => HandshakeOutcome::Complete,
            Progress::Failed => HandshakeOutcome::Failed,
            Progress::Partial if !flow.syn && !greeted => HandshakeOutcome::Unseen,
            Progress::Partial if closed && all_seen => HandshakeOutcome::Failed,
            Progress::Partial => HandshakeOutcome::Partial,
        };
        Self {
            conn,
            transport: if session.is_websocket() { Transport::WebSocket } else { flow.transport },
            client: flow.client,
            server: flow.server,
            start: flow.first,
            last: flow.last,
            end,
            // The opening SYN is not in the direction of the server, but what follows it is.
            midstream: !flow.syn && !only.is_some_and(|direction| session.is_greeted(direction)),
            only,
            version: session.version(),
            mechanism: session.mechanism(),
            decrypted: session.decrypted(),
            curve: session.curve(),
            closed: session.unopened(limits),
            steps: session.steps(),
            handshake,
            peers,
            traffic: PerDirection::from_fn(|direction| session.traffic(direction)),
            lost_bytes,
        }
    }

    /// Octets that it takes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.peers.c2s.held() + self.peers.s2c.held()
    }

    /// The same of datagrams, which have no handshake that could fail.
    pub fn of_datagrams(conn: u32, flow: &FlowInfo, end: End, session: &DatagramSession) -> Self {
        let peers = session.peers().clone();
        Self {
            conn,
            transport: flow.transport,
            client: flow.client,
            server: flow.server,
            start: flow.first,
            last: flow.last,
            end,
            midstream: !flow.syn,
            only: None,
            version: peers.c2s.version,
            mechanism: None,
            decrypted: None,
            curve: None,
            closed: None,
            steps: PerDirection::default(),
            handshake: HandshakeOutcome::Complete,
            peers,
            traffic: PerDirection { c2s: session.traffic(), s2c: Traffic::default() },
            lost_bytes: PerDirection::default(),
        }
    }
}
