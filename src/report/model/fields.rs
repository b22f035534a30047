//! The decoded fields of greetings and commands: an object whose members depend on what it describes.

use super::bytes::{Hex, text_or_hex};
use crate::zmtp::curve::likely::socket_types;
use crate::zmtp::event::Seal;
use crate::zmtp::properties;
use crate::zmtp::wire::command::{Body, Command};
use crate::zmtp::wire::curve::{BOX_OVERHEAD, VOUCHED};
use crate::zmtp::wire::greeting::Greeting;
use crate::zmtp::wire::gssapi::Wrapped;
use crate::zmtp::wire::http::{Head, Start};
use crate::zmtp::wire::websocket::Opcode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::HashSet;

/// What stands for a secret that was not asked for.
pub const WITHHELD: &str = "***";

/// The fields of one greeting or frame.
#[derive(Clone, Copy, Debug)]
pub enum Fields<'a> {
    /// A greeting.
    Greeting(&'a Greeting),
    /// A command.
    Command {
        /// As it was parsed.
        body: &'a Body<'a>,
        /// Show passwords.
        show_secrets: bool,
        /// How long the sender's identity is, as its greeting says.
        identity_length: Option<u8>,
    },
    /// A message frame under CURVE or GSSAPI.
    Seal(Seal),
    /// The head of an HTTP request or response.
    Upgrade {
        /// As it was parsed.
        head: &'a Head<'a>,
        /// Show what may be a password.
        show_secrets: bool,
    },
    /// CLOSE of WebSocket: its code and reason.
    Close(u16, &'a [u8]),
}

impl<'a> Fields<'a> {
    /// The fields of `command`; `None` if it has none.
    pub fn of_command(command: &'a Command<'a>, show_secrets: bool, identity_length: Option<u8>) -> Option<Self> {
        let body = &command.body;
        (!matches!(body, Body::Empty | Body::Unknown(_) | Body::Malformed(_))).then_some(Self::Command {
            body,
            show_secrets,
            identity_length,
        })
    }

    /// The fields of a control frame of WebSocket with this payload; `None` if it has none.
    pub fn of_control(opcode: Opcode, payload: &'a [u8]) -> Option<Self> {
        let (code, reason) = payload.split_first_chunk().filter(|_| opcode == Opcode::CLOSE)?;
        Some(Self::Close(u16::from_be_bytes(*code), reason))
    }

    /// Every field with its value, in the order in which they are sent.
    pub fn each(&self, mut field: impl FnMut(&str, Value<'_>)) {
        match self {
            Self::Greeting(greeting) => {
                field("version", Value::Text(&greeting.version.to_string()));
                if let Some(mechanism) = greeting.mechanism {
                    field("mechanism", Value::Bytes(mechanism.as_bytes()));
                    field("as_server", Value::Number(u64::from(greeting.as_server)));
                }
                if let Some(socket_type) = greeting.socket_type {
                    field("socket_type", Value::Text(&socket_type.to_string()));
                }
                if let Some(length) = greeting.identity_length() {
                    field("identity_length", Value::Number(u64::from(length)));
                }
            }
            Self::Command { body, show_secrets, identity_length } => {
                of_body(body, *show_secrets, *identity_length, field);
            }
            Self::Seal(seal) => of_seal(*seal, field),
            Self::Upgrade { head, show_secrets } => of_upgrade(head, *show_secrets, field),
            Self::Close(code, reason) => {
                field("code", Value::Number(u64::from(*code)));
                if !reason.is_empty() {
                    field("reason", Value::Bytes(reason));
                }
            }
        }
    }
}

fn of_seal(seal: Seal, mut field: impl FnMut(&str, Value<'_>)) {
    match seal {
        Seal::Clear => {}
        Seal::Opened { nonce } => field("nonce", Value::Number(nonce)),
        Seal::Curve { nonce, content, likely } => {
            field("nonce", Value::Number(nonce));
            field("plaintext_length", Value::Number(content));
            if let Some(likely) = likely {
                field("likely", Value::Text(likely));
            }
        }
        Seal::Gssapi(wrapped) => of_wrapped(wrapped, field),
    }
}

fn of_wrapped(wrapped: Wrapped, mut field: impl FnMut(&str, Value<'_>)) {
    field("token_length", Value::Number(u64::from(wrapped.length)));
    if let Some(sequence) = wrapped.sequence {
        field("sequence", Value::Number(sequence));
    }
}

/// What READY or INITIATE show of the metadata in their box: how long they are, and so, with libzmq, of which type.
fn of_sealed_metadata(sealed: &[u8], around: usize, identity: Option<u8>, mut field: impl FnMut(&str, Value<'_>)) {
    let Some(length) = sealed.len().checked_sub(around) else { return };
    field("metadata_length", Value::Number(length as u64));
    let types = socket_types(length as u64, identity);
    if !types.is_empty() {
        field("likely", Value::Text(&types.join(" or ")));
    }
}

/// The path of a request, without what follows the question mark: there are tokens, at times; and whether something does.
pub fn public_path<'a>(head: &Head<'a>) -> Option<(&'a str, bool)> {
    let Start::Request { path, .. } = head.start else { return None };
    Some(path.split_once('?').map_or((path, false), |(path, _)| (path, true)))
}

fn of_upgrade(head: &Head<'_>, show_secrets: bool, mut field: impl FnMut(&str, Value<'_>)) {
    match head.start {
        Start::Request { method, path } => {
            field("method", Value::Text(method));
            let public = public_path(head).map_or(path, |(public, _)| public);
            field("path", Value::Bytes(if show_secrets { path } else { public }.as_bytes()));
        }
        Start::Response { status, reason } => {
            field("status", Value::Number(u64::from(status)));
            field("reason", Value::Bytes(reason.as_bytes()));
        }
    }
    if let Some(host) = head.host {
        field("host", Value::Bytes(host));
    }
    if !head.subprotocols.is_empty() {
        field("subprotocol", Value::Bytes(&head.subprotocols.join(&b", "[..])));
    }
}

fn of_body(body: &Body<'_>, show_secrets: bool, identity_length: Option<u8>, mut field: impl FnMut(&str, Value<'_>)) {
    match body {
        Body::Metadata(metadata) => {
            for_each_property(metadata.properties.iter().map(|p| (p.name, p.value)), |name, value| {
                field(name, Value::Bytes(value));
            });
        }
        Body::Error(reason) => field("reason", Value::Bytes(reason)),
        Body::PlainHello(hello) => {
            field("username", Value::Bytes(hello.username));
            field("password", if show_secrets { Value::Bytes(hello.password) } else { Value::Text(WITHHELD) });
        }
        Body::CurveHello(hello) => {
            field("version", Value::Text(&format!("{}.{}", hello.version.0, hello.version.1)));
            field("client_transient_key", Value::Hex(hello.client_transient));
            field("nonce", Value::Number(hello.nonce));
        }
        Body::CurveWelcome(welcome) => field("nonce", Value::Hex(welcome.nonce)),
        Body::CurveInitiate(initiate) => {
            field("nonce", Value::Number(initiate.nonce));
            of_sealed_metadata(initiate.initiate_box, BOX_OVERHEAD + VOUCHED, identity_length, field);
        }
        Body::CurveBox(sealed) => {
            field("nonce", Value::Number(sealed.nonce));
            of_sealed_metadata(sealed.sealed, BOX_OVERHEAD, identity_length, field);
        }
        Body::GssToken(token) => {
            field("token_length", Value::Number(token.octets.len() as u64));
            if let Some(oid) = token.dotted_oid() {
                field("oid", Value::Text(&oid));
            }
            if let Some(name) = token.mechanism() {
                field("mechanism", Value::Text(name));
            }
            if let Some(kind) = token.kind() {
                field("token", Value::Text(kind));
            }
        }
        Body::GssWrapped(wrapped) => of_wrapped(*wrapped, field),
        Body::CurveOpened { nonce, client_key, metadata } => {
            field("nonce", Value::Number(*nonce));
            if let Some(key) = client_key {
                field("client_key", Value::Hex(key));
            }
            // A peer may call its properties as it likes: not as what is already there.
            let others = metadata.properties.iter().filter(|p| !matches!(p.name, b"nonce" | b"client_key"));
            for_each_property(others.map(|p| (p.name, p.value)), |name, value| field(name, Value::Bytes(value)));
        }
        Body::Topic(topic) => field("topic", Value::Bytes(topic)),
        Body::Group(group) => field("group", Value::Bytes(group)),
        Body::Ping { ttl, context } => {
            field("ttl", Value::Number(u64::from(*ttl)));
            field("context", Value::Bytes(context));
        }
        Body::Pong(context) => field("context", Value::Bytes(context)),
        Body::Empty | Body::Unknown(_) | Body::Malformed(_) => {}
    }
}

/// Properties with their names as text; of properties of the same name the first, as a JSON object has one.
pub fn for_each_property<'a>(
    properties: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    mut each: impl FnMut(&str, &'a [u8]),
) {
    let mut seen = HashSet::new();
    for (name, value) in properties {
        if seen.insert(name) {
            each(&text_or_hex(name), value);
        }
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Octets from the wire: text where they are text, else `0x…`.
    Bytes(&'a [u8]),
    /// Octets that are never text: keys, nonces.
    Hex(&'a [u8]),
    /// Words.
    Text(&'a str),
    /// A number.
    Number(u64),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => serializer.serialize_str(&text_or_hex(bytes)),
            Self::Hex(bytes) => Hex(bytes).serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut result = Ok(());
        self.each(|name, value| {
            if result.is_ok() {
                result = map.serialize_entry(name, &value);
            }
        });
        result?;
        map.end()
    }
}

/// Metadata properties as an object.
#[derive(Clone, Copy, Debug)]
pub struct Properties<'a>(pub &'a properties::Properties);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut result = Ok(());
        for_each_property(self.0.iter().map(|p| (p.name, p.value)), |name, value| {
            if result.is_ok() {
                result = map.serialize_entry(name, &Value::Bytes(value));
            }
        });
        result?;
        map.end()
    }
}
