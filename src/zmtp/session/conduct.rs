//! What peers do that the specifications do not allow, or that other implementations take amiss: greetings, commands,
//! metadata, what stands where it must not, and what a closed connection left undone.
//!
//! Pure rules: each looks at what was parsed, and adds what is to be said. None changes how the stream is read.

use super::State;
use super::remark::{Remark, tell};
use crate::base::direction::Direction;
use crate::base::text::{hex, preview};
use crate::zmtp::anomaly::Severity;
use crate::zmtp::assembler::WholeFrame;
use crate::zmtp::event::EventSink;
use crate::zmtp::framer::{At, Unfinished};
use crate::zmtp::wire::command::{Body, Command, is_known_name};
use crate::zmtp::wire::frame::FrameHeader;
use crate::zmtp::wire::greeting::{Greeting, MechanismName, SIGNATURE_FIRST, Version};
use crate::zmtp::wire::metadata::Metadata;
use crate::zmtp::wire::socket_type::SocketType;
use std::collections::HashSet;

/// The longest identity, and the longest group (RFC 28, RFC 48).
const LONGEST_NAME: usize = 255;

/// The longest context of a PING (RFC 37).
const LONGEST_CONTEXT: usize = 16;

/// The largest padding that is the length of an identity plus one: what libzmq puts there, and 1.0 peers read.
const LARGEST_PADDING: u64 = 256;

/// Octets of the smallest CURVE MESSAGE: name, nonce, a box with flags only.
const SMALLEST_MESSAGE: u64 = 8 + 8 + 16 + 1;

/// A greeting, of which the 12 octets of 2.0 have no mechanism.
pub(super) fn greeting(parsed: &Greeting, found: &mut Vec<Remark>) {
    let mut say = |code, severity, text| found.push(Remark::new(code, severity, text));
    if parsed.padding > LARGEST_PADDING {
        let text =
            format!("the signature's padding is {:#018x}, which a peer of ZMTP 1.0 reads as a length", parsed.padding);
        say("greeting-padding", Severity::Note, text);
    }
    let Some(mechanism) = parsed.mechanism else { return };
    let version = parsed.version;
    // Greetings are of ZMTP's own streams.
    let Version::Zmtp { major, .. } = version else { return };
    if major < 3 {
        let text = format!(
            "a greeting of revision {major}, which is older than ZMTP 3, where the other side greets as 3.x: they cannot agree on \
             a grammar, and what follows may be read wrongly"
        );
        say("greeting-version", Severity::Error, text);
    } else if major > 3 {
        let text = format!("version {version} is newer than any known; read as 3.1, as peers have to do");
        say("greeting-version", Severity::Note, text);
    }
    if !MechanismName::is_plausible(&mechanism.0) {
        let text = format!(
            "the mechanism's 20 octets, '{}', are not a name (A-Z, 0-9, - _ . +) padded with NUL",
            preview(mechanism.as_bytes(), 80)
        );
        say("greeting-mechanism", Severity::Warning, text);
    }
    if parsed.as_server > 1 {
        let text = format!("as-server is {}, and must be 0 or 1", parsed.as_server);
        say("greeting-as-server", Severity::Warning, text);
    }
    if !parsed.filler_is_zero {
        let text = "the greeting's filler, octets 33 to 63, is not all zero".to_owned();
        say("greeting-filler", Severity::Note, text);
    }
}

/// A command that did parse. `mechanism` is that of its sender's greeting; `again` if it sent its READY before.
pub(super) fn command(command: &Command<'_>, mechanism: Option<MechanismName>, again: bool, found: &mut Vec<Remark>) {
    let name = preview(command.name, 40);
    let mut say = |code, severity, text: String| found.push(Remark::new(code, severity, text));
    // With GSSAPI an empty one ends the exchange of tokens.
    if command.name.is_empty() && mechanism != Some(MechanismName::GSSAPI) {
        say("malformed-command", Severity::Warning, "a command whose name is empty".to_owned());
        return;
    }
    if let Some(mechanism) = mechanism.filter(|&mechanism| is_specified(mechanism)) {
        if !is_of(command.name, mechanism) {
            let body = [&[command.name.len() as u8][..], command.name].concat();
            if is_known_name(&body) {
                say("unexpected-command", Severity::Warning, format!("{name} is no command of mechanism {mechanism}"));
            } else {
                let text = format!("{name} is a command that no specification has; libzmq ignores it");
                say("unknown-command", Severity::Note, text);
            }
        }
        if again && command.name == b"READY" {
            say("unexpected-command", Severity::Warning, "READY a second time: a handshake has one".to_owned());
        }
    }
    match &command.body {
        Body::Malformed(data) => {
            let text =
                format!("the {} bytes of data of {name} are not {}", data.len(), grammar(command.name, mechanism));
            say("malformed-command", Severity::Warning, text);
        }
        Body::Ping { context, .. } if context.len() > LONGEST_CONTEXT => {
            let text = format!("PING with a context of {} bytes: {LONGEST_CONTEXT} are allowed", context.len());
            say("malformed-command", Severity::Warning, text);
        }
        Body::Group(group) if group.len() > LONGEST_NAME => {
            let text = format!("{name} with a group of {} bytes: {LONGEST_NAME} are allowed", group.len());
            found.push(Remark::new("malformed-command", Severity::Warning, text).by("48/RADIO-DISH"));
        }
        Body::CurveHello(hello) if hello.version != (1, 0) => {
            let (major, minor) = hello.version;
            let text = format!("HELLO is of CurveZMQ {major}.{minor}; 1.0 is the only version there is");
            say("curve-version", Severity::Warning, text);
        }
        Body::Metadata(metadata) | Body::CurveOpened { metadata, .. } => properties(&name, metadata, found),
        _ => {}
    }
}

/// The mechanisms whose commands are known.
fn is_specified(mechanism: MechanismName) -> bool {
    [MechanismName::NULL, MechanismName::PLAIN, MechanismName::CURVE].contains(&mechanism)
}

fn is_of(name: &[u8], mechanism: MechanismName) -> bool {
    match name {
        b"READY" | b"ERROR" | b"PING" | b"PONG" | b"SUBSCRIBE" | b"CANCEL" | b"JOIN" | b"LEAVE" => true,
        b"HELLO" | b"WELCOME" | b"INITIATE" => mechanism != MechanismName::NULL,
        b"MESSAGE" => mechanism == MechanismName::CURVE,
        _ => false,
    }
}

/// What the data of a command have to be.
fn grammar(name: &[u8], mechanism: Option<MechanismName>) -> &'static str {
    match (name, mechanism) {
        (b"ERROR", _) => "a reason behind one octet with its length",
        (b"PING", _) => "two octets of TTL and a context",
        (b"HELLO", Some(MechanismName::PLAIN)) => "a user name and a password, each behind one octet with its length",
        (b"WELCOME", Some(MechanismName::PLAIN)) => "none at all, as they must be",
        (b"HELLO", _) => "the 194 of CurveZMQ: version, padding, transient key, nonce, signature",
        (b"WELCOME", _) => "the 160 of CurveZMQ: nonce and box",
        (b"INITIATE", _) => "the 248 or more of CurveZMQ: cookie, nonce, box",
        (b"READY" | b"MESSAGE", _) => "a nonce of 8 and a box",
        _ => "what its grammar asks for",
    }
}

fn properties(name: &str, metadata: &Metadata<'_>, found: &mut Vec<Remark>) {
    let mut say = |code, severity, text: String| found.push(Remark::new(code, severity, text));
    if !metadata.rest.is_empty() {
        let text = format!("the last {} bytes of {name} are no property", metadata.rest.len());
        say("malformed-metadata", Severity::Warning, text);
    }
    match metadata.value("Socket-Type") {
        Some(value) if SocketType::from_name(value).is_none() => {
            let text = format!("socket type '{}' is none that a specification has", preview(value, 40));
            say("unknown-socket-type", Severity::Warning, text);
        }
        None if metadata.rest.is_empty() => {
            let text = format!("{name} does not say which type of socket its sender is");
            say("missing-socket-type", Severity::Warning, text);
        }
        _ => {}
    }
    if let Some(identity) = metadata.value("Identity") {
        if identity.len() > LONGEST_NAME {
            let text = format!("an identity of {} bytes: {LONGEST_NAME} are allowed", identity.len());
            say("malformed-identity", Severity::Warning, text);
        } else if identity.first() == Some(&0) {
            let text = format!("identity {} begins with a zero octet: such are the ROUTER's own", hex(identity));
            say("malformed-identity", Severity::Warning, text);
        }
    }
    let mut seen = HashSet::new();
    for property in &metadata.properties {
        if !seen.insert(property.name.to_ascii_lowercase()) {
            let text =
                format!("{name} has property {} twice: which one counts, nobody says", preview(property.name, 40));
            say("duplicate-property", Severity::Warning, text);
            break;
        }
    }
    for known in [&b"Socket-Type"[..], b"Identity", b"Resource"] {
        let is_it = |other: &&[u8]| other.eq_ignore_ascii_case(known) && *other != known;
        if let Some(other) = metadata.properties.iter().map(|property| property.name).find(is_it) {
            let text = format!(
                "property {} is allowed, but libzmq knows it only as {}",
                preview(other, 40),
                preview(known, 40)
            );
            say("property-case", Severity::Note, text);
        }
    }
}

/// What the connection's end cuts off, said once per direction.
fn cut_off(unfinished: &Unfinished<'_>) -> Option<Remark> {
    let (code, severity, text) = match *unfinished {
        Unfinished::Nothing => return None,
        Unfinished::Greeting { octets, length } => {
            let mut severity = Severity::Warning;
            let what = match (octets.first(), octets.get(10)) {
                (Some(&first), _) if first != SIGNATURE_FIRST => {
                    severity = Severity::Error;
                    format!(", and they are not how one begins: {}", hex(&octets[..octets.len().min(16)]))
                }
                (_, Some(revision @ 0..=2)) => {
                    severity = Severity::Error;
                    format!("; it says revision {revision}, which is older than ZMTP 3, as the other side greets")
                }
                _ => String::new(),
            };
            let text = format!("the connection closed after {} of {length} bytes of the greeting{what}", octets.len());
            ("greeting-cut", severity, text)
        }
        Unfinished::Header { octets } => {
            let text = format!("the connection closed within a frame's header: {} is all of it", hex(octets));
            ("frame-cut", Severity::Warning, text)
        }
        Unfinished::Body { length, remaining } => {
            let text =
                format!("the connection closed within a frame: {} of its {length} bytes were sent", length - remaining);
            ("frame-cut", Severity::Warning, text)
        }
    };
    Some(Remark::new(code, severity, text))
}

impl State {
    /// Says once per direction if a message frame comes sooner than it may, or in clear where everything is sealed.
    #[inline]
    pub(super) fn message_in_place(
        &mut self,
        direction: Direction,
        frame: &WholeFrame,
        is_sealed: Option<bool>,
        sink: &mut impl EventSink,
    ) {
        if self.in_place[direction] && is_sealed.is_none() {
            return;
        }
        let side = &mut self.sides[direction];
        let WholeFrame { at, header: FrameHeader { length, .. }, .. } = *frame;
        let Some(mechanism) = self.peers[direction].mechanism().copied().filter(|_| !side.lost) else { return };
        let early = match mechanism {
            MechanismName::NULL => !self.handshake.is_ready(direction),
            _ => is_specified(mechanism) && side.traffic.commands == 0,
        };
        self.in_place[direction] = !early;
        if early && side.told.first("early-message") {
            let text = "a message before its sender's part of the handshake".to_owned();
            tell(Remark::new("early-message", Severity::Warning, text), direction, at, sink);
        }
        let clear = is_sealed == Some(false) || is_sealed == Some(true) && length < SMALLEST_MESSAGE;
        if clear && side.told.first("curve-malformed-message") {
            let text = format!(
                "a frame of {length} bytes under CURVE that is no MESSAGE: name, nonce of 8 and a box of 17 or more"
            );
            tell(Remark::new("curve-malformed-message", Severity::Warning, text), direction, at, sink);
        }
    }

    /// The connection was closed, and all that was sent is in the capture: what was under way never ended.
    pub(super) fn closed_within(
        &mut self,
        direction: Direction,
        unfinished: &Unfinished<'_>,
        at: At,
        sink: &mut impl EventSink,
    ) {
        let side = &self.sides[direction];
        let parts = side.assembler.message().part_count;
        if let Some(remark) = cut_off(unfinished) {
            tell(remark, direction, at, sink);
        } else if parts > 0 {
            let text = format!(
                "the connection closed within a message: {parts} parts were sent, the last said that more follow"
            );
            tell(Remark::new("message-cut", Severity::Warning, text), direction, at, sink);
        }
    }
}
