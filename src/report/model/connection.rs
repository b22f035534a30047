//! `{"type":"connection"}`.

use super::bytes::{Hex, Shown};
use super::fields::Properties;
use super::{Both, SCHEMA};
use crate::analyze::connection::{ConnectionSummary, HandshakeOutcome};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::text::preview;
use crate::base::time::Timestamp;
use crate::flow::table::EndReason;
use crate::report::community_id::community_id;
use crate::zmtp::curve::nonces::Tally;
use crate::zmtp::peer::Peer;
use crate::zmtp::session::CurveFacts;
use crate::zmtp::wire::greeting::{MechanismName, Version};
use crate::zmtp::wire::socket_type::SocketType;
use serde::Serialize;
use std::borrow::Cow;

/// One ZMTP connection.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the contract names and explains the fields
pub struct Connection<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub conn: u32,
    pub community_id: Option<String>,
    pub transport: &'static str,
    pub client: Shown<Endpoint>,
    pub server: Shown<Endpoint>,
    pub start: Shown<Timestamp>,
    pub end: Shown<Timestamp>,
    pub start_packet: u64,
    pub end_packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<u16>,
    pub end_reason: &'static str,
    pub ended_by: Option<&'static str>,
    pub midstream: bool,
    pub version: Option<Shown<Version>>,
    pub mechanism: Option<Shown<MechanismName>>,
    pub handshake: &'static str,
    pub decrypted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve<'a>>,
    pub peers: Peers<'a>,
    pub messages: Both<u64>,
    pub frames: Both<u64>,
    pub commands: Both<u64>,
    pub body_bytes: Both<u64>,
    pub lost_bytes: Both<u64>,
}

/// Both ends.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Peers<'a> {
    pub client: PeerModel<'a>,
    pub server: PeerModel<'a>,
}

/// What a CURVE connection shows without any key; absent for others.
#[derive(Clone, Debug, Serialize)]
pub struct Curve<'a> {
    /// C', made for this connection.
    pub client_transient_key: Option<Hex<'a>>,
    /// The short nonces of each direction.
    pub nonces: Both<Nonces>,
}

/// The short nonces of one direction: libzmq counts every frame after the greeting but WELCOME.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Nonces {
    /// The first in the capture.
    pub first: Option<u64>,
    /// The highest.
    pub last: Option<u64>,
    /// How many between them were not seen.
    pub missing: u64,
    /// How many were not above the highest: replays.
    pub repeated: u64,
}

impl<'a> Curve<'a> {
    fn new(facts: &'a CurveFacts) -> Self {
        let nonces = |tally: &Tally| {
            let Tally { first, last, missing, repeated } = *tally;
            Nonces { first, last, missing, repeated }
        };
        let client_transient_key = facts.client_transient.as_ref().map(|key| Hex(key));
        Self { client_transient_key, nonces: Both::of(&facts.nonces, nonces) }
    }
}

/// One end.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct PeerModel<'a> {
    pub version: Option<Shown<Version>>,
    pub socket_type: Option<Cow<'static, str>>,
    pub identity: Option<Hex<'a>>,
    pub identity_source: Option<&'static str>,
    pub properties: Properties<'a>,
}

impl<'a> Connection<'a> {
    /// The row of `summary`.
    pub fn new(summary: &'a ConnectionSummary, several_files: bool) -> Self {
        Self {
            r#type: "connection",
            schema: SCHEMA,
            conn: summary.conn,
            community_id: community_id(summary.transport, summary.client, summary.server),
            transport: summary.transport.name(),
            client: Shown(summary.client),
            server: Shown(summary.server),
            start: Shown(summary.start.at),
            end: Shown(summary.last.at),
            start_packet: summary.start.packet.number(),
            end_packet: summary.last.packet.number(),
            file: several_files.then_some(summary.start.packet.file()),
            end_reason: end_reason(summary.end.reason),
            ended_by: summary.end.by.map(side),
            midstream: summary.midstream,
            version: summary.version.map(Shown),
            mechanism: summary.mechanism.map(Shown),
            handshake: handshake(summary.handshake),
            decrypted: summary.decrypted,
            curve: summary.curve.as_ref().map(Curve::new),
            peers: Peers { client: PeerModel::new(&summary.peers.c2s), server: PeerModel::new(&summary.peers.s2c) },
            messages: Both::of(&summary.traffic, |traffic| traffic.messages),
            frames: Both::of(&summary.traffic, |traffic| traffic.frames),
            commands: Both::of(&summary.traffic, |traffic| traffic.commands),
            body_bytes: Both::of(&summary.traffic, |traffic| traffic.body_bytes),
            lost_bytes: Both::of(&summary.lost_bytes, |bytes| *bytes),
        }
    }
}

impl<'a> PeerModel<'a> {
    fn new(peer: &'a Peer) -> Self {
        Self {
            version: peer.version.map(Shown),
            socket_type: socket_type(peer),
            identity: peer.identity.as_deref().map(Hex),
            identity_source: peer.identity.is_some().then_some("announced"),
            properties: Properties(&peer.properties),
        }
    }
}

/// The socket type as an RFC names it, or as the peer does.
pub fn socket_type(peer: &Peer) -> Option<Cow<'static, str>> {
    if let Some(name) = peer.socket_type.and_then(SocketType::name) {
        return Some(Cow::Borrowed(name));
    }
    let named = peer.properties.iter().find(|property| property.name.eq_ignore_ascii_case(b"Socket-Type"));
    named.map(|property| Cow::Owned(preview(property.value, 40)))
}

/// As in the contract.
pub fn end_reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Fin => "fin",
        EndReason::Reset => "reset",
        EndReason::Open => "open",
        EndReason::Idle => "idle",
        EndReason::Evicted => "evicted",
    }
}

/// The side that sends in `direction`.
pub fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::ClientToServer => "client",
        Direction::ServerToClient => "server",
    }
}

/// As in the contract.
pub fn handshake(outcome: HandshakeOutcome) -> &'static str {
    match outcome {
        HandshakeOutcome::Complete => "complete",
        HandshakeOutcome::Failed => "failed",
        HandshakeOutcome::Partial => "partial",
        HandshakeOutcome::Unseen => "unseen",
    }
}
