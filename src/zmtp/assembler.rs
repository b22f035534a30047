//! One direction's frames put together: bodies of commands, parts of messages. Bodies are not kept, only their first
//! octets, their length and their hash; all of a command up to a limit.
//!
//! Invariant: a command between the parts of a message neither ends nor joins it (RFC 37 allows PING there, and libzmq
//! sends it).

use super::event::{Content, Part};
use super::framer::At;
use super::wire::frame::FrameHeader;
use crate::base::chunk::{Data, Position};
use crate::base::hash::{Pieces, hash};
use crate::base::limits::Limits;
use std::fmt;

/// First octets by which a part is recognised as a MESSAGE of CURVE or GSSAPI: their headers.
const LOOKED_AT: usize = 32;

/// Hash of a body that arrives in pieces; the same as that of the whole.
#[derive(Default)]
enum BodyHash {
    #[default]
    Empty,
    Whole(u64),
    Streaming(Box<Pieces>),
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyHash({:016x})", self.value())
    }
}

impl BodyHash {
    fn add(&mut self, bytes: &[u8], body_length: u64) {
        match self {
            Self::Empty if bytes.len() as u64 == body_length => *self = Self::Whole(hash(bytes)),
            Self::Streaming(pieces) => pieces.add(bytes),
            Self::Empty | Self::Whole(_) => {
                let mut pieces = Box::<Pieces>::default();
                pieces.add(bytes);
                *self = Self::Streaming(pieces);
            }
        }
    }

    /// How many octets there will be is not known: what was added so far must be nothing, or be kept open already.
    fn keep_open(&mut self) {
        if matches!(self, Self::Empty) {
            *self = Self::Streaming(Box::default());
        }
    }

    fn value(&self) -> u64 {
        match self {
            Self::Empty => hash(&[]),
            Self::Whole(hash) => *hash,
            Self::Streaming(pieces) => pieces.hash(),
        }
    }
}

/// The frame being received.
#[derive(Debug)]
struct OpenFrame {
    header: FrameHeader,
    /// Where its first octet was found, and its offset in the stream.
    at: At,
    /// Octets of the body that are not in the capture, so far.
    missing: u64,
    hash: BodyHash,
    /// Where its kept octets begin in the buffer of its kind.
    head_start: usize,
}

/// A frame that is complete.
#[derive(Clone, Copy, Debug)]
pub struct WholeFrame {
    /// Its header.
    pub header: FrameHeader,
    /// Where its first octet was found, and its offset in the stream.
    pub at: At,
    /// Octets of the body that are not in the capture.
    pub missing: u64,
    /// Hash of the others, if they were kept.
    hash: u64,
}

/// The message being received.
#[derive(Debug, Default)]
pub struct OpenMessage {
    /// Its parts so far, up to the limit.
    pub parts: Vec<Part>,
    /// First octets of the parts.
    pub heads: Vec<u8>,
    /// Its parts so far.
    pub part_count: u64,
    /// Octets of all parts so far.
    pub body_bytes: u64,
    /// Where its first octet was found.
    pub start: Position,
    /// Stream offset of its first octet.
    pub offset: u64,
    /// Memory was short: of its parts only the first is described.
    shortened: bool,
    /// What is wanted of its parts.
    content: Content,
    /// The latest place of any of its octets, or of any before it in this direction: TCP hands nothing on sooner.
    pub available: Option<Position>,
}

impl OpenMessage {
    /// An octet of it was found. (A gap is found when it is given up, long after its octets were sent: it does not count.)
    fn reach(&mut self, position: Position) {
        // Within a file the order of packets tells, so that one with a wrong time does not keep all after it waiting.
        let is_later = |latest: Position| {
            if latest.packet.file() == position.packet.file() {
                latest.packet < position.packet
            } else {
                (latest.at, latest.packet) < (position.at, position.packet)
            }
        };
        if self.available.is_none_or(is_later) {
            self.available = Some(position);
        }
    }

    /// Whether its parts have hashes.
    pub fn is_compared(&self) -> bool {
        self.content == Content::Compared
    }

    /// So many first octets are kept of each part.
    fn head_limit(&self, limits: &Limits) -> usize {
        if self.content == Content::Nothing { limits.head_bytes.min(LOOKED_AT) } else { limits.head_bytes }
    }

    /// Whether its next part is described.
    fn describes_next(&self, limits: &Limits) -> bool {
        self.parts.len() < limits.parts && !self.shortened
    }

    /// A part is complete; its kept octets begin at `head_start`.
    fn add(&mut self, part: &WholeFrame, head_start: usize, limits: &Limits) {
        self.part_count += 1;
        self.body_bytes += part.header.length;
        if self.describes_next(limits) {
            self.parts.push(Part {
                length: part.header.length,
                missing: part.missing,
                hash: part.hash,
                head: head_start..self.heads.len(),
            });
        }
    }
}

/// The frames and messages of one direction.
#[derive(Debug, Default)]
pub struct Assembler {
    frame: Option<OpenFrame>,
    /// Kept octets of the current command.
    command: Vec<u8>,
    message: OpenMessage,
    /// The same of messages that begin.
    content: Content,
}

impl Assembler {
    /// What is wanted of messages that begin from here on.
    pub fn want(&mut self, content: Content) {
        self.content = content;
    }

    /// A frame begins.
    pub fn begin(&mut self, header: FrameHeader, at: At) {
        let head_start = self.make_room(header, at);
        self.frame = Some(OpenFrame { header, at, missing: 0, hash: BodyHash::default(), head_start });
    }

    /// Where the kept octets of a frame that begins are to be.
    fn make_room(&mut self, header: FrameHeader, at: At) -> usize {
        if header.flags.command() {
            self.command.clear();
            return 0;
        }
        if self.message.part_count == 0 {
            self.message.start = at.position;
            self.message.offset = at.offset;
            self.message.content = self.content;
        }
        self.message.reach(at.position);
        self.message.heads.len()
    }

    /// Whole messages that are none of its business, the last octet of which is there.
    pub fn pass(&mut self, position: Position) {
        self.message.reach(position);
    }

    /// A fragment makes the frame, which began with a length of 0, so many octets longer.
    pub fn lengthen(&mut self, length: u64) {
        if let Some(frame) = &mut self.frame {
            frame.header.length = frame.header.length.saturating_add(length);
            frame.hash.keep_open();
        }
    }

    /// The next octets of its body.
    pub fn body(&mut self, data: Data<'_>, position: Position, limits: &Limits) {
        let Some(frame) = &mut self.frame else { return };
        let is_command = frame.header.flags.command();
        if !is_command && matches!(data, Data::Bytes(_)) {
            self.message.reach(position);
        }
        match data {
            Data::Gap(length) => frame.missing += length,
            Data::Bytes(bytes) => {
                let (head_limit, is_compared) = (self.message.head_limit(limits), self.message.is_compared());
                let (kept, limit) = if is_command {
                    (&mut self.command, limits.command_bytes)
                } else if self.message.describes_next(limits) {
                    (&mut self.message.heads, head_limit)
                } else {
                    return;
                };
                if is_command || is_compared {
                    frame.hash.add(bytes, frame.header.length);
                }
                // What follows a gap is not at its place, and so not part of the head.
                if frame.missing == 0 {
                    let room = limit.saturating_sub(kept.len() - frame.head_start);
                    kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
                }
            }
        }
    }

    /// The frame is complete: a part is added to its message, a command is left for [`Self::command`].
    pub fn end(&mut self, limits: &Limits) -> Option<WholeFrame> {
        let OpenFrame { header, at, missing, hash, head_start } = self.frame.take()?;
        let frame = WholeFrame { header, at, missing, hash: hash.value() };
        if !header.flags.command() {
            self.message.add(&frame, head_start, limits);
        }
        Some(frame)
    }

    /// The same as a beginning, all of the body at once, and the end.
    pub fn whole(&mut self, header: FrameHeader, at: At, body: &[u8], limits: &Limits) -> WholeFrame {
        let head_start = self.make_room(header, at);
        let mut frame = WholeFrame { header, at, missing: 0, hash: 0 };
        if header.flags.command() {
            frame.hash = hash(body);
            self.command.extend_from_slice(&body[..body.len().min(limits.command_bytes)]);
        } else {
            if self.message.describes_next(limits) {
                if self.message.is_compared() {
                    frame.hash = hash(body);
                }
                let limit = self.message.head_limit(limits);
                self.message.heads.extend_from_slice(&body[..body.len().min(limit)]);
            }
            self.message.add(&frame, head_start, limits);
        }
        frame
    }

    /// The command that just ended is a part of a message after all. Gives it back as that.
    pub fn as_part(&mut self, command: WholeFrame, end: Position, limits: &Limits) -> WholeFrame {
        let header = FrameHeader { flags: command.header.flags.without_command(), ..command.header };
        let part = WholeFrame { header, ..command };
        let head_start = self.make_room(header, command.at);
        if self.message.describes_next(limits) {
            let kept = self.command.len().min(self.message.head_limit(limits));
            self.message.heads.extend_from_slice(&self.command[..kept]);
        }
        self.message.reach(end);
        self.message.add(&part, head_start, limits);
        part
    }

    /// Kept octets of the command that just ended.
    pub fn command(&self) -> &[u8] {
        &self.command
    }

    /// The message so far.
    pub fn message(&self) -> &OpenMessage {
        &self.message
    }

    /// Octets held, buffers for reuse included.
    pub fn held(&self) -> usize {
        let parts = self.message.parts.capacity() * size_of::<Part>();
        self.command.capacity() + self.message.heads.capacity() + parts
    }

    /// Gives up what is held, but for the first part of a message under way.
    pub fn release(&mut self) {
        let Self { frame, command, message, .. } = self;
        if frame.as_ref().is_none_or(|frame| !frame.header.flags.command()) {
            command.clear();
        }
        if message.parts.len() > 1 {
            message.parts.truncate(1);
            message.heads.truncate(message.parts[0].head.end);
            message.shortened = true;
        }
        command.shrink_to_fit();
        message.parts.shrink_to_fit();
        message.heads.shrink_to_fit();
    }

    /// The message is complete, or given up: the next part begins a new one. Buffers are kept for reuse.
    pub fn clear_message(&mut self) {
        self.message.parts.clear();
        self.message.heads.clear();
        self.message.part_count = 0;
        self.message.body_bytes = 0;
        self.message.shortened = false;
    }

    /// Synchronisation was lost: what is under way will never be complete. Says whether anything was.
    pub fn abandon(&mut self) -> bool {
        let underway = self.frame.take().is_some() || self.message.part_count > 0;
        self.clear_message();
        underway
    }
}
