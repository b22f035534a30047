//! What may be wrong with the WebSocket frames under ZMTP's own.

use crate::zmtp::anomaly::Severity;
use crate::zmtp::wire::websocket::Opcode;

/// One violation. Each is told once for a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// The client must mask, the server must not (RFC 6455, section 5.1).
    Mask,
    /// Reserved bits without an extension that libzmq knows of.
    Reserved(u8),
    /// A length in a longer form than needed.
    Length(u64),
    /// A message in several fragments: allowed, and decoded, but libzmq takes none.
    Fragmented,
    /// A fragment of nothing, or a new message within one.
    OutOfPlace(Opcode),
    /// Text, where RFC 45 wants binary messages.
    Text,
    /// A message without the flag octet.
    Empty,
    /// A control frame in fragments, or of more than 125 octets.
    Control(Opcode),
    /// Bits of the flag octet that RFC 45 does not have.
    Flags(u8),
}

impl Oddity {
    /// Its place in a set.
    pub(super) fn bit(self) -> u16 {
        1 << match self {
            Self::Mask => 0,
            Self::Reserved(_) => 1,
            Self::Length(_) => 2,
            Self::Fragmented => 3,
            Self::OutOfPlace(_) => 4,
            Self::Text => 5,
            Self::Empty => 6,
            Self::Control(_) => 7,
            Self::Flags(_) => 8,
        }
    }

    /// Code and severity of the anomaly.
    pub fn code(self) -> (&'static str, Severity) {
        match self {
            Self::Mask => ("ws-mask", Severity::Error),
            Self::Reserved(_) => ("ws-reserved-bits", Severity::Error),
            Self::Length(_) => ("ws-length-form", Severity::Note),
            Self::Fragmented => ("ws-fragmented", Severity::Warning),
            Self::OutOfPlace(_) => ("ws-out-of-place", Severity::Error),
            Self::Text => ("ws-text", Severity::Error),
            Self::Empty => ("ws-empty", Severity::Error),
            Self::Control(_) => ("ws-control", Severity::Warning),
            Self::Flags(_) => ("reserved-flags", Severity::Warning),
        }
    }

    /// What happened, and what follows.
    pub fn text(self) -> String {
        let name = |opcode: Opcode| opcode.name().unwrap_or("a frame of unknown kind");
        match self {
            Self::Mask => "a WebSocket frame is masked although the server sent it, or not although the client did: \
                           libzmq closes the connection"
                .to_owned(),
            Self::Reserved(bits) => format!(
                "a WebSocket frame has reserved bits ({bits}), as compressed ones have: its payload is not decoded, and \
                 libzmq knows no extensions"
            ),
            Self::Length(length) => format!("the length {length} of a WebSocket frame is not in its shortest form"),
            Self::Fragmented => "a WebSocket message in several fragments: libzmq closes the connection".to_owned(),
            Self::OutOfPlace(opcode) => {
                format!("{} where it cannot stand: fragments of messages are mixed up", name(opcode))
            }
            Self::Text => "a text message, where ZWS has binary ones: it is not decoded".to_owned(),
            Self::Empty => "a WebSocket message without the flag octet of ZWS: libzmq closes the connection".to_owned(),
            Self::Control(opcode) => {
                format!("{} in fragments or of more than 125 bytes, which RFC 6455 does not allow", name(opcode))
            }
            Self::Flags(flags) => format!("frame flags {flags:#04x}: all bits but the lowest two are reserved"),
        }
    }

    /// The specification that speaks of it.
    pub fn spec(self) -> &'static str {
        match self {
            Self::Text | Self::Empty | Self::Flags(_) => "45/ZWS",
            _ => "RFC 6455",
        }
    }
}
