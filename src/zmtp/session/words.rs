//! What a command says of its sender, and what is to be said about it.

use super::remark::Remark;
use crate::base::chunk::Position;
use crate::base::text::preview;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::assembler::OpenMessage;
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::command::{Body, Command, Quirk};
use crate::zmtp::wire::metadata::Metadata;
use crate::zmtp::wire::socket_type::SocketType;

/// Whether messages to such a socket must have a delimiter (RFC 28).
pub(super) fn needs_delimiter(receiver: SocketType) -> bool {
    matches!(receiver, SocketType::REQ | SocketType::REP)
}

/// What is to be said about a whole message to a REQ or REP that has no delimiter where it must have one (RFC 28).
pub(super) fn lacks_delimiter(receiver: SocketType, message: &OpenMessage) -> Option<&'static str> {
    let parts = &message.parts;
    let empty = |at: usize| parts.get(at).is_some_and(|part| part.length == 0);
    // An empty message is what ZMQ_PROBE_ROUTER sends.
    if message.part_count > parts.len() as u64 || parts.len() == 1 && empty(0) {
        return None;
    }
    let (fits, text) = match receiver {
        // The request's number of ZMQ_REQ_CORRELATE may stand in front.
        SocketType::REQ => (
            parts.len() > 1 && empty(0) || parts.len() > 2 && empty(1) && parts[0].length == 4,
            "a reply to a REQ does not begin with an empty frame: libzmq closes the connection and does not open it again, \
             so the REQ waits for ever; a ROUTER or DEALER must send that frame, after the identity and before the content",
        ),
        SocketType::REP => (
            (0..parts.len().saturating_sub(1)).any(empty),
            "a request to a REP has no empty frame before its content: REP drops it without a word, and the sender waits for \
             ever; a DEALER must send that frame first",
        ),
        _ => return None,
    };
    (!fits).then_some(text)
}

/// The peer as a command introduces it: READY or INITIATE with its metadata.
pub(super) fn introduction(command: &Command<'_>, known: &Peer, position: Position) -> Option<Peer> {
    match &command.body {
        Body::Metadata(metadata) | Body::CurveOpened { metadata, .. } => {
            Some(introduction_from(metadata, known, position))
        }
        _ => None,
    }
}

pub(super) fn introduction_from(metadata: &Metadata<'_>, known: &Peer, position: Position) -> Peer {
    let properties = &metadata.properties;
    let value = |name: &[u8]| properties.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| p.value);
    Peer {
        greeting: known.greeting,
        version: known.version,
        subprotocol: known.subprotocol,
        socket_type: value(b"Socket-Type").and_then(SocketType::from_name),
        identity: value(b"Identity").map(Box::from),
        properties: properties.iter().copied().collect(),
        introduced: Some(position),
    }
}

/// What is to be said about a command that did parse.
pub(super) fn remarks(command: &Command<'_>, found: &mut Vec<Remark>) {
    if let Body::Error(reason) = &command.body {
        let advice = match *reason {
            b"300" => "temporary failure of the authenticator",
            b"400" => "the authenticator refused these credentials",
            b"500" => "the authenticator itself failed",
            _ => "the peer refused the connection",
        };
        let text = format!("ERROR {}: {advice}", preview(reason, 255));
        found.push(Remark::new("handshake-refused", Severity::Error, text));
    }
    if let Some(quirk) = command.quirk {
        let text = match quirk {
            Quirk::CaretRror => {
                "ERROR is misspelt ^RROR, as libzmq 4.3.0 and later do under PLAIN; other implementations will not \
                 understand it"
            }
            Quirk::HelloNamedWelcome => {
                "HELLO is misspelt WELCOME, as libzmq 4.3.0 and 4.3.1 do under PLAIN; only these two versions accept it: \
                 update the client"
            }
        };
        found.push(Remark::new(quirk.code(), Severity::Note, text));
    }
}
