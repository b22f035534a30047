//! What a command says of its sender, and what is to be said about it.

use super::Remark;
use crate::base::chunk::Position;
use crate::base::text::preview;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::command::{Body, Command, Quirk};
use crate::zmtp::wire::metadata::Metadata;
use crate::zmtp::wire::socket_type::SocketType;

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
        socket_type: value(b"Socket-Type").and_then(SocketType::from_name),
        identity: value(b"Identity").map(Box::from),
        properties: properties.iter().map(|p| (p.name.into(), p.value.into())).collect(),
        introduced: Some(position),
    }
}

/// What is to be said about a command that did parse.
pub(super) fn remarks(command: &Command<'_>, found: &mut Vec<Remark>) {
    let name = preview(command.name, 40);
    match &command.body {
        Body::Error(reason) => {
            let advice = match *reason {
                b"300" => "temporary failure of the authenticator",
                b"400" => "the authenticator refused these credentials",
                b"500" => "the authenticator itself failed",
                _ => "the peer refused the connection",
            };
            let text = format!("ERROR {}: {advice}", preview(reason, 255));
            found.push(Remark::new("handshake-refused", Severity::Error, text));
        }
        Body::Metadata(metadata) | Body::CurveOpened { metadata, .. } if !metadata.rest.is_empty() => {
            let text = format!("the last {} bytes of {name} are no property", metadata.rest.len());
            found.push(Remark::new("malformed-metadata", Severity::Warning, text));
        }
        Body::Malformed(data) => {
            let text = format!("the {} bytes of data of {name} do not follow its grammar", data.len());
            found.push(Remark::new("malformed-command", Severity::Warning, text));
        }
        _ => {}
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
