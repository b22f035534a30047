//! `{"type":"message"}`.

use super::SCHEMA;
use super::bytes::{Hex, Key, Shown, text_of};
use crate::analyze::observer::ConnectionRef;
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::time::Timestamp;
use crate::report::settings::{Payload, Settings};
use crate::zmtp::event::{Message, Part};
use crate::zmtp::role::{self, Role};
use crate::zmtp::wire::socket_type::SocketType;
use serde::ser::{Serialize, Serializer};

/// One multipart message.
#[derive(Clone, Debug, serde::Serialize)]
#[allow(missing_docs)] // the contract names and explains the fields
pub struct MessageModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub key: Key,
    pub conn: u32,
    pub src: Shown<Endpoint>,
    pub dst: Shown<Endpoint>,
    pub dir: &'static str,
    pub ordinal: u64,
    pub start: Shown<Timestamp>,
    pub ts: Shown<Timestamp>,
    pub start_packet: u64,
    pub packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<u16>,
    pub encrypted: bool,
    pub parts: Parts<'a>,
    /// Parts beyond those listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts_not_listed: Option<u64>,
    pub envelope: Envelope<'a>,
    pub role: Option<&'static str>,
}

impl<'a> MessageModel<'a> {
    /// The row of `message`, which was sent between `parties`.
    pub fn new(parties: &Parties, message: &'a Message<'a>, key: u64, settings: &Settings) -> Self {
        let not_listed = message.part_count - message.parts.len() as u64;
        Self {
            r#type: "message",
            schema: SCHEMA,
            key: Key(key),
            conn: parties.conn,
            src: Shown(parties.source),
            dst: Shown(parties.destination),
            dir: message.direction.abbreviation(),
            ordinal: message.ordinal,
            start: Shown(message.start.at),
            ts: Shown(message.end.at),
            start_packet: message.start.packet.number(),
            packet: message.end.packet.number(),
            file: settings.several_files.then_some(message.end.packet.file()),
            encrypted: message.encrypted,
            parts: Parts { message, payload: settings.payload, limit: settings.part_body() },
            parts_not_listed: (not_listed > 0).then_some(not_listed),
            envelope: Envelope { message, length: parties.envelope_length(message) },
            role: parties.role(message),
        }
    }
}

/// Between whom messages of one direction of a connection are sent.
#[derive(Clone, Copy, Debug)]
pub struct Parties {
    /// The connection.
    pub conn: u32,
    /// Who sends.
    pub source: Endpoint,
    /// Who receives.
    pub destination: Endpoint,
    /// What they are, as far as that is known.
    sender: Option<SocketType>,
    receiver: Option<SocketType>,
    /// Nothing comes back, whatever they are.
    is_one_way: bool,
}

impl Parties {
    /// Those of messages of `direction`, as far as they are known by now.
    pub fn new(connection: &ConnectionRef<'_>, direction: Direction) -> Self {
        Self {
            conn: connection.conn,
            source: connection.ends.sender(direction),
            destination: connection.ends.receiver(direction),
            sender: connection.peers[direction].socket_type,
            receiver: connection.peers[direction.reverse()].socket_type,
            is_one_way: connection.ends.transport.is_one_way(),
        }
    }

    /// How many leading parts of `message` are the envelope; 0 where the socket types are not known to use one.
    pub fn envelope_length(&self, message: &Message<'_>) -> usize {
        let may = role::has_envelope(self.sender, self.receiver) && !message.encrypted;
        if may { role::envelope_length(message.parts) } else { 0 }
    }

    /// What `message` is for.
    pub fn role(&self, message: &Message<'_>) -> Option<&'static str> {
        // PGM says no types, and has only publishers.
        let publishes = self.sender.is_none() && self.is_one_way;
        role::role(message, self.sender, self.receiver).or(publishes.then_some(Role::Publish)).map(Role::name)
    }
}

/// The parts of a message as an array.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    message: &'a Message<'a>,
    payload: Payload,
    limit: usize,
}

#[derive(serde::Serialize)]
struct PartModel<'a> {
    length: u64,
    missing: u64,
    hex: Option<Hex<'a>>,
    text: Option<&'a str>,
}

impl Parts<'_> {
    /// How many the message has.
    pub fn count(&self) -> u64 {
        self.message.part_count
    }

    /// Their lengths.
    pub fn lengths(&self) -> impl Iterator<Item = u64> {
        self.message.parts.iter().map(|part| part.length)
    }

    /// Their leading bytes; none where no bodies were asked for.
    pub fn bodies(&self) -> impl Iterator<Item = Hex<'_>> {
        let shown = if self.payload == Payload::None { &[] } else { self.message.parts };
        shown.iter().map(|part| Hex(&self.message.head(part)[..part.head.len().min(self.limit)]))
    }

    fn model<'a>(&'a self, part: &Part) -> PartModel<'a> {
        let head = self.message.head(part);
        let head = &head[..head.len().min(self.limit)];
        let shown = Some(head).filter(|_| self.payload != Payload::None);
        let cut = (head.len() as u64) < part.length;
        PartModel {
            length: part.length,
            missing: part.missing,
            hex: shown.map(Hex),
            text: shown.filter(|_| self.payload != Payload::Hex).and_then(|head| text_of(head, cut)),
        }
    }
}

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.message.parts.iter().map(|part| self.model(part)))
    }
}

/// The envelope's parts as an array of hexadecimal.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    message: &'a Message<'a>,
    length: usize,
}

impl Envelope<'_> {
    /// Its parts.
    pub fn hex(&self) -> impl Iterator<Item = Hex<'_>> {
        self.message.parts[..self.length].iter().map(|part| Hex(self.message.head(part)))
    }
}

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.hex())
    }
}
