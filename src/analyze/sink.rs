//! What one session tells, given to the outlet; and the key that a message has in every capture that saw it.

use super::datagrams::Joins;
use super::health::Health;
use super::observer::{ConnectionRef, Ends};
use super::outlet::Outlet;
use crate::base::direction::{Direction, PerDirection};
use crate::base::hash::{hash, hash_with_seed};
use crate::base::limits::Limits;
use crate::base::transport::Transport;
use crate::correlate::attention::{Attention, Way};
use crate::correlate::findings::Finding;
use crate::flow::table::FlowInfo;
use crate::zmtp::anomaly::Anomaly;
use crate::zmtp::event::{Content, EventSink, Frame, FrameKind, Message};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::command::Body;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// Sender and receiver as one number; with the TCP sequence number of a message's first byte it makes the message's
/// key, whatever capture it is in.
pub(super) fn endpoints_hash(flow: &FlowInfo, direction: Direction) -> u64 {
    let mut bytes = Vec::with_capacity(36);
    for endpoint in [flow.sender(direction), flow.receiver(direction)] {
        match endpoint.ip {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
        bytes.extend(endpoint.port.to_be_bytes());
    }
    hash(&bytes)
}

/// The key of a message: the same in every capture that holds it. In TCP the sequence number of its first byte tells it from
/// others; in PGM the number of its packet, which is part of the offset; in UDP nothing but its content, so that equal
/// datagrams have equal keys.
fn message_key(flow: &FlowInfo, message: &Message<'_>, endpoints: u64) -> u64 {
    match flow.transport {
        Transport::Tcp | Transport::WebSocket => {
            let base = flow.base[message.direction].unwrap_or_default();
            let sequence = base.wrapping_add(message.offset as u32);
            hash_with_seed(&sequence.to_be_bytes(), endpoints)
        }
        Transport::Pgm | Transport::Epgm => hash_with_seed(&message.offset.to_be_bytes(), endpoints),
        Transport::Udp => message.parts.iter().fold(endpoints, |seed, part| {
            let seed = hash_with_seed(&part.length.to_be_bytes(), seed);
            hash_with_seed(&part.hash.to_be_bytes(), seed)
        }),
    }
}

/// Gives what one session tells to the outlet.
pub(super) struct Sink<'a, O> {
    pub(super) conn: u32,
    pub(super) ends: &'a Ends,
    pub(super) flow: &'a FlowInfo,
    pub(super) endpoints_hash: &'a PerDirection<u64>,
    pub(super) told: &'a mut FxHashMap<&'static str, usize>,
    pub(super) outlet: &'a mut O,
    pub(super) joins: &'a mut Joins,
    /// What the correlator looks at; `None` where it looks at nothing of this.
    pub(super) attention: Option<(&'a mut Attention, &'a mut Way)>,
    pub(super) health: &'a mut Health,
    pub(super) limits: &'a Limits,
}

impl<O: Outlet> EventSink for Sink<'_, O> {
    #[inline]
    fn frame(&mut self, peers: PerDirection<&Peer>, frame: &Frame<'_>) {
        if let FrameKind::Command(Some(command)) = &frame.kind
            && let (b"JOIN", Body::Group(group)) = (command.name, &command.body)
        {
            self.joins.join(self.flow.receiver(frame.direction).ip, group, self.limits.joined_groups);
        }
        self.outlet.frame(&ConnectionRef { conn: self.conn, ends: self.ends, peers }, frame);
    }

    fn content(&self, direction: Direction) -> Content {
        let interest = self.outlet.interest();
        let matters = || self.attention.as_ref().is_some_and(|(attention, way)| attention.wants(way, direction));
        match (interest.messages || matters(), interest.frames) {
            (true, _) => Content::Compared,
            (false, true) => Content::Shown,
            (false, false) => Content::Nothing,
        }
    }

    fn message(&mut self, peers: PerDirection<&Peer>, message: &Message<'_>) {
        if !message.is_compared {
            return;
        }
        if let Some((attention, way)) = &mut self.attention {
            attention.message(way, message, PerDirection::from_fn(|direction| self.ends.sender(direction)));
        }
        let key = message_key(self.flow, message, self.endpoints_hash[message.direction]);
        self.outlet.message(&ConnectionRef { conn: self.conn, ends: self.ends, peers }, message, key);
    }

    fn peer(&mut self, direction: Direction, peer: &Peer) {
        if let Some((attention, way)) = &mut self.attention {
            let senders = PerDirection::from_fn(|direction| self.ends.sender(direction));
            attention.introduced(way, direction, peer.socket_type, senders);
        }
        self.outlet.peer(self.conn, direction, peer);
    }

    fn lost(&mut self, direction: Direction) {
        self.outlet.incomplete(self.conn, direction);
    }

    fn anomaly(&mut self, anomaly: Anomaly) {
        // Of a direction that is not in the capture at all, the diagnosis of the connection speaks.
        if !self.flow.heard[anomaly.direction] && self.flow.transport == Transport::Tcp {
            return;
        }
        // One connection must not use up the room of all others.
        let alike = self.told.entry(anomaly.code).or_default();
        *alike += 1;
        if *alike > self.limits.anomalies_alike {
            self.health.anomalies_not_listed += 1;
            return;
        }
        self.outlet.finding(Finding {
            code: anomaly.code,
            severity: anomaly.severity,
            at: Some(anomaly.position.at),
            conns: vec![self.conn],
            packets: vec![anomaly.position.packet],
            text: anomaly.text,
            spec: anomaly.spec,
        });
    }
}
