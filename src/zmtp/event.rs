//! What a session tells: frames, messages, peers, anomalies. All borrowed; a sink copies what it keeps.

use super::anomaly::Anomaly;
use super::peer::Peer;
use super::wire::command::Command;
use super::wire::frame::FrameFlags;
use super::wire::greeting::Greeting;
use super::wire::gssapi::Wrapped;
use super::wire::http::Head;
use super::wire::websocket::Opcode;
use crate::base::chunk::Position;
use crate::base::direction::{Direction, PerDirection};
use std::ops::Range;

/// A whole greeting or frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Who sent it.
    pub direction: Direction,
    /// Stream offset of its first octet, header included.
    pub offset: u64,
    /// Where its first octet was found.
    pub start: Position,
    /// Where its last octet was found.
    pub end: Position,
    /// The flags octet; 0 for a greeting.
    pub flags: FrameFlags,
    /// Octets of the body (64 for a greeting).
    pub length: u64,
    /// Octets of the body that are not in the capture.
    pub missing: u64,
    /// The first octets of the body.
    pub head: &'a [u8],
    /// What it is.
    pub kind: FrameKind<'a>,
}

impl Frame<'_> {
    /// The same without its body; `None` of a kind that borrows more.
    pub fn without_body(&self) -> Option<Frame<'static>> {
        let kind = match self.kind {
            FrameKind::Greeting(_) | FrameKind::Upgrade(_) | FrameKind::Command(_) => return None,
            FrameKind::Control(opcode) => FrameKind::Control(opcode),
            FrameKind::Identity => FrameKind::Identity,
            FrameKind::Part { ordinal, part, seal } => FrameKind::Part { ordinal, part, seal },
            FrameKind::CutPart { nonce } => FrameKind::CutPart { nonce },
        };
        Some(Frame { head: &[], kind, ..*self })
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug)]
pub enum FrameKind<'a> {
    /// Not a frame, but shown among them.
    Greeting(&'a Greeting),
    /// A part of the upgrade to WebSocket, in place of a greeting.
    Upgrade(&'a Head<'a>),
    /// A control frame of WebSocket: nothing that ZMTP knows of.
    Control(Opcode),
    /// A command; `None` if its body does not hold a name.
    Command(Option<&'a Command<'a>>),
    /// The identity with which a peer of ZMTP 1.0 or 2.0 begins: no message, though it looks like one.
    Identity,
    /// A part of a message.
    Part {
        /// Number of the message in its direction.
        ordinal: u64,
        /// Number of the part in the message.
        part: u64,
        /// What it was sent in.
        seal: Seal,
    },
    /// A part out of a CURVE MESSAGE that was opened, where the message that it belongs to may have begun with frames
    /// that are lost or closed: such a message is not told, as nobody can say whether it is whole.
    CutPart {
        /// The short nonce.
        nonce: u64,
    },
}

/// What a part of a message was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// Nothing.
    Clear,
    /// A CURVE MESSAGE that was opened: flags, length and head are those of what was in it.
    Opened {
        /// The short nonce.
        nonce: u64,
    },
    /// A CURVE MESSAGE that stays closed.
    Curve {
        /// The short nonce.
        nonce: u64,
        /// Octets of what is in it, a part of a message or a command.
        content: u64,
        /// Which command it may be, to judge by its size and its answer.
        likely: Option<&'static str>,
    },
    /// A GSSAPI MESSAGE, which always stays closed.
    Gssapi(Wrapped),
}

impl Seal {
    /// Whether what is in it is not known.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Curve { .. } | Self::Gssapi(_))
    }
}

/// What is wanted of the content of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Nothing but what the session itself looks at.
    Nothing,
    /// The first octets.
    Shown,
    /// Hashes, too.
    #[default]
    Compared,
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Octets.
    pub length: u64,
    /// How many of them are not in the capture.
    pub missing: u64,
    /// Hash of all octets (XXH3, 64 bits); meaningless where some are missing, or nobody compares them
    /// ([`Message::is_compared`]).
    pub hash: u64,
    /// Where its first octets are in [`Message::heads`].
    pub head: Range<usize>,
}

/// A whole multipart message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Who sent it.
    pub direction: Direction,
    /// Counts the messages of this direction from 0.
    pub ordinal: u64,
    /// Stream offset of its first octet, frame header included.
    pub offset: u64,
    /// Where its first octet was found.
    pub start: Position,
    /// Where its last octet was found.
    pub end: Position,
    /// Where the receiver could have all of it at the earliest: later than `end` where an octet of it, or of a message
    /// before it in this direction, came late.
    pub available: Position,
    /// The parts; no more than [`crate::base::limits::Limits::parts`].
    pub parts: &'a [Part],
    /// How many parts it has.
    pub part_count: u64,
    /// The first octets of the parts, one after the other.
    pub heads: &'a [u8],
    /// The parts are MESSAGEs of CURVE or GSSAPI that were not opened.
    pub encrypted: bool,
    /// Its parts have hashes ([`Content::Compared`]).
    pub is_compared: bool,
}

impl Message<'_> {
    /// The same without its parts.
    pub fn without_parts(&self) -> Message<'static> {
        Message { parts: &[], heads: &[], ..*self }
    }

    /// The first octets of a part.
    pub fn head(&self, part: &Part) -> &[u8] {
        &self.heads[part.head.clone()]
    }
}

/// Receives what a session finds. `peers` is what is known about both peers by then; `c2s` is the client.
pub trait EventSink {
    /// What is wanted of the content of messages of `direction` that begin now.
    fn content(&self, _direction: Direction) -> Content {
        Content::Compared
    }
    /// A greeting or frame is complete.
    fn frame(&mut self, peers: PerDirection<&Peer>, frame: &Frame<'_>);
    /// A message is complete.
    fn message(&mut self, peers: PerDirection<&Peer>, message: &Message<'_>);
    /// A peer introduced itself: READY, or INITIATE of PLAIN.
    fn peer(&mut self, direction: Direction, peer: &Peer);
    /// Frames are no longer recognised: messages of this direction may be missing from here on.
    fn lost(&mut self, direction: Direction);
    /// Something is wrong or odd.
    fn anomaly(&mut self, anomaly: Anomaly);
}
