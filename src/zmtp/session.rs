//! Both directions of a ZMTP connection: greetings, handshake, frames, messages.

mod sealed;

use super::anomaly::{Anomaly, Severity};
use super::assembler::{Assembler, OpenFrame};
use super::curve::nonces::Nonces;
use super::curve::opening::Opening;
use super::event::{EventSink, Frame, FrameKind, Message};
use super::framer::{At, Desync, Framer, Item};
use super::handshake::{Handshake, Progress};
use super::keylog::KeyLog;
use super::peer::Peer;
use super::probe::{Framing, Preamble};
use super::wire::command::{self, Body, Command, Quirk};
use super::wire::frame::FrameFlags;
use super::wire::greeting::{Greeting, MechanismName, Version};
use super::wire::metadata::Metadata;
use super::wire::socket_type::SocketType;
use crate::base::chunk::{Chunk, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::base::text::preview;
use std::sync::Arc;

/// What one direction carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Whole application messages.
    pub messages: u64,
    /// Frames of those messages.
    pub frames: u64,
    /// Command frames.
    pub commands: u64,
    /// Octets of those messages' bodies.
    pub body_bytes: u64,
    /// Octets that could not be assigned to a frame.
    pub undecoded_bytes: u64,
    /// Messages begun and never completed, because octets are missing.
    pub broken_messages: u64,
}

#[derive(Debug, Default)]
struct Side {
    /// Before ZMTP 3.0 the first frame of a peer is its identity: it is still to come.
    identity_is_next: bool,
    assembler: Assembler,
    traffic: Traffic,
    nonces: Nonces,
    reserved_flags_told: bool,
}

/// One ZMTP connection.
#[derive(Debug, Default)]
pub struct Session {
    framers: PerDirection<Framer>,
    state: State,
}

/// Everything but the framers, which feed it.
#[derive(Debug, Default)]
struct State {
    sides: PerDirection<Side>,
    peers: PerDirection<Peer>,
    handshake: Handshake,
    /// Where there is a key log.
    opening: Option<Box<Opening>>,
}

impl Session {
    /// A connection that begins so in each direction, and whose CURVE boxes are opened where these keys do.
    pub fn new(preambles: PerDirection<Preamble>, keys: Option<&Arc<KeyLog>>) -> Self {
        let mut session = Self::default();
        session.state.opening = keys.map(|keys| Box::new(Opening::new(Arc::clone(keys))));
        for (direction, &preamble) in preambles.iter() {
            session.framers[direction] = Framer::new(preamble);
            session.state.sides[direction].identity_is_next =
                matches!(preamble, Preamble::Frames | Preamble::ShortGreeting(_));
            if matches!(preamble, Preamble::Frames | Preamble::Midstream { framing: Framing::V1, .. }) {
                session.state.peers[direction].version = Some(Version::V1_0);
            }
        }
        session
    }

    /// The next piece of one direction.
    pub fn chunk(&mut self, direction: Direction, chunk: &Chunk<'_>, limits: &Limits, sink: &mut impl EventSink) {
        let Self { framers, state } = self;
        framers[direction].push(chunk, limits, &mut |at, item| state.item(direction, at, &item, limits, sink));
    }

    /// What is known about the peer that sends in `direction`.
    pub fn peer(&self, direction: Direction) -> &Peer {
        &self.state.peers[direction]
    }

    /// What was carried in `direction` so far.
    pub fn traffic(&self, direction: Direction) -> Traffic {
        self.state.sides[direction].traffic
    }

    /// Whether encrypted traffic was opened; `None` if it is not encrypted.
    pub fn decrypted(&self) -> Option<bool> {
        let curve = self.mechanism() == Some(MechanismName::CURVE);
        curve.then(|| self.state.opening.as_ref().is_some_and(|opening| opening.is_open()))
    }

    /// How far the handshake got.
    pub fn handshake(&self) -> Progress {
        self.state.handshake.progress()
    }

    /// The version both speak: the lower of the two.
    pub fn version(&self) -> Option<Version> {
        let versions = Direction::BOTH.map(|direction| self.peer(direction).version);
        versions.into_iter().flatten().min()
    }

    /// The mechanism: what the client offers, or the server where the client was not heard. Whether both offer the same
    /// is an anomaly's matter.
    pub fn mechanism(&self) -> Option<MechanismName> {
        Direction::BOTH.into_iter().find_map(|direction| self.peer(direction).mechanism())
    }
}

impl State {
    fn item(&mut self, direction: Direction, at: At, item: &Item<'_>, limits: &Limits, sink: &mut impl EventSink) {
        if self.sealed(direction, at, item, limits, sink) {
            return;
        }
        let side = &mut self.sides[direction];
        match *item {
            Item::Header(header) => {
                side.assembler.begin(header, at.position, at.offset);
                let reserved = header.flags.reserved();
                if reserved != 0 && !std::mem::replace(&mut side.reserved_flags_told, true) {
                    let text = format!(
                        "frame flags {:#04x}: bits {reserved:#04x} are reserved and must be zero",
                        header.flags.0
                    );
                    tell(Remark::new("reserved-flags", Severity::Warning, text), direction, at, sink);
                }
            }
            Item::Body(data) => side.assembler.body(data, at.position, limits),
            Item::End => self.frame_end(direction, at.position, None, limits, sink),
            Item::Greeting(parsed, octets, end) => self.greeting(direction, at, end, parsed, octets, sink),
            Item::Skipped(length) => side.traffic.undecoded_bytes += length,
            Item::Resync(recovered) => {
                let skipped = side.traffic.undecoded_bytes.saturating_sub(recovered);
                side.traffic.undecoded_bytes = skipped;
                let text = format!(
                    "frames are recognised again; {skipped} bytes of this direction could not be decoded so far"
                );
                tell(Remark::new("resync", Severity::Note, text), direction, at, sink);
            }
            Item::Desync(why) => {
                side.identity_is_next = false;
                side.traffic.broken_messages += u64::from(side.assembler.abandon());
                sink.lost(direction);
                let remark = match why {
                    // Only where the other side's greeting, or the user, says that this is ZMTP.
                    Desync::Greeting => {
                        let text = "the stream does not begin with a greeting, and so cannot be decoded";
                        Remark::new("greeting", Severity::Error, text)
                    }
                    Desync::Gap(length) => {
                        let text =
                            format!("{length} bytes are not in the capture, and with them where the next frame begins");
                        Remark::new("sync-lost", Severity::Warning, text)
                    }
                    Desync::Boundary => {
                        let text =
                            "no frame begins where one was expected after a loss, so what came last may be wrong";
                        Remark::new("sync-lost", Severity::Warning, text)
                    }
                    Desync::NoLength => {
                        let text = "a frame of length 0, which ZMTP 1.0 does not have: not ZMTP from here on";
                        Remark::new("frame-length", Severity::Error, text)
                    }
                    Desync::Length(length) => {
                        let text = format!("a frame claims {length} bytes, more than 2^63-1: not ZMTP from here on");
                        Remark::new("frame-length", Severity::Error, text)
                    }
                };
                tell(remark, direction, at, sink);
            }
        }
    }

    fn greeting(
        &mut self,
        direction: Direction,
        at: At,
        end: Position,
        parsed: Greeting,
        octets: &[u8],
        sink: &mut impl EventSink,
    ) {
        let peer = &mut self.peers[direction];
        peer.greeting = Some(parsed);
        peer.version = Some(parsed.version);
        peer.socket_type = parsed.socket_type;
        sink.frame(
            self.peers.as_ref(),
            &Frame {
                direction,
                offset: at.offset,
                start: at.position,
                end,
                flags: FrameFlags::default(),
                length: octets.len() as u64,
                missing: 0,
                head: octets,
                kind: FrameKind::Greeting(&parsed),
            },
        );
        if !parsed.filler_is_zero {
            let text = "the greeting's filler, octets 33 to 63, is not all zero";
            tell(Remark::new("greeting-filler", Severity::Note, text), direction, at, sink);
        }
        if let (Some(this), Some(other)) = (parsed.mechanism, self.peers[direction.reverse()].mechanism())
            && this != other
        {
            let text = format!(
                "one side offers {other}, the other {this}: they must be the same, and libzmq closes the connection without a word"
            );
            tell(Remark::new("mechanism-mismatch", Severity::Error, text), direction, at, sink);
        }
    }

    /// A frame is complete. `opened` is the nonce of the CURVE MESSAGE that it was in.
    fn frame_end(
        &mut self,
        direction: Direction,
        end: Position,
        opened: Option<u64>,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        let side = &mut self.sides[direction];
        let Some(open) = side.assembler.end(limits) else { return };
        let at = At { position: open.start, offset: open.offset };
        if let Some(nonce) = opened {
            self.nonce(direction, nonce, at, sink);
        }
        if open.header.flags.command() {
            self.command(direction, &open, end, opened.is_some(), limits, sink);
            return;
        }
        let side = &mut self.sides[direction];
        if std::mem::take(&mut side.identity_is_next) {
            self.identity(direction, &open, end, sink);
            return;
        }
        let mechanism = self.peers[direction].mechanism();
        let closed = opened.is_none() && mechanism == Some(MechanismName::CURVE);
        let message = side.assembler.message();
        let described = message.parts.last().filter(|_| message.parts.len() as u64 == message.part_count);
        let head = described.map_or(&[][..], |part| &message.heads[part.head.clone()]);
        let sealed = command::curve_message(head).filter(|_| closed);
        let kind = FrameKind::Part {
            ordinal: side.traffic.messages,
            part: message.part_count - 1,
            nonce: opened.or(sealed.map(|sealed| sealed.nonce)),
            opened: opened.is_some(),
        };
        let closed_nonce = sealed.map(|sealed| sealed.nonce);
        sink.frame(self.peers.as_ref(), &frame(direction, &open, end, head, kind));
        if !open.header.flags.more() {
            sink.message(
                self.peers.as_ref(),
                &Message {
                    direction,
                    ordinal: side.traffic.messages,
                    offset: message.offset,
                    start: message.start,
                    end,
                    available: message.available.unwrap_or(end),
                    parts: &message.parts,
                    part_count: message.part_count,
                    heads: &message.heads,
                    encrypted: closed_nonce.is_some(),
                },
            );
            side.traffic.messages += 1;
            side.traffic.frames += message.part_count;
            side.traffic.body_bytes += message.body_bytes;
            side.assembler.clear_message();
        }
        if closed {
            self.stays_closed(direction, closed_nonce, at, limits, sink);
        }
    }

    /// The first frame of a peer before ZMTP 3.0.
    fn identity(&mut self, direction: Direction, open: &OpenFrame, end: Position, sink: &mut impl EventSink) {
        let side = &mut self.sides[direction];
        let octets = &side.assembler.message().heads;
        sink.frame(self.peers.as_ref(), &frame(direction, open, end, octets, FrameKind::Identity));
        let peer = &mut self.peers[direction];
        // A hole in it leaves it unknown.
        peer.identity = (open.missing == 0).then(|| octets.as_slice().into());
        peer.introduced = Some(end);
        side.assembler.clear_message();
        self.handshake.identity(direction);
        sink.peer(direction, &self.peers[direction]);
        if let Some(remark) = self.type_mismatch(direction) {
            tell(remark, direction, At { position: open.start, offset: open.offset }, sink);
        }
    }

    /// A command is complete. `opened` if it was in a CURVE MESSAGE.
    fn command(
        &mut self,
        direction: Direction,
        open: &OpenFrame,
        end: Position,
        opened: bool,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        let side = &mut self.sides[direction];
        side.traffic.commands += 1;
        let mechanism = self.peers[direction].mechanism().unwrap_or(MechanismName::NULL);
        let body = side.assembler.command();
        let whole = body.len() as u64 == open.header.length;
        let mut parsed = if whole { command::command(body, mechanism) } else { None };
        let nonce = parsed.as_ref().filter(|_| !opened).and_then(Command::curve_nonce);
        let introductions = match (&mut self.opening, &parsed) {
            (Some(opening), Some(parsed)) if !opened => opening.handshake(direction, parsed, limits),
            _ => Vec::new(),
        };
        let (now, late): (Vec<_>, Vec<_>) = introductions.iter().partition(|one| one.direction == direction);
        if let (Some(parsed), Some(introduction)) = (&mut parsed, now.first()) {
            parsed.body = introduction.body();
        }
        sink.frame(self.peers.as_ref(), &frame(direction, open, end, body, FrameKind::Command(parsed.as_ref())));

        let mut found = Vec::new();
        let mut introduced = None;
        if let Some(parsed) = &parsed {
            self.handshake.command(direction, parsed.name, mechanism);
            introduced = introduction(parsed, &self.peers[direction], end);
            remarks(parsed, &mut found);
        } else if whole {
            found.push(Remark::new("malformed-command", Severity::Warning, "a command that holds no whole name"));
        }
        if open.header.flags.more() {
            found.push(Remark::new(
                "command-more",
                Severity::Warning,
                "a command has the MORE flag, which must be zero",
            ));
        }
        if let Some(peer) = introduced {
            self.peers[direction] = peer;
            sink.peer(direction, &self.peers[direction]);
            found.extend(self.type_mismatch(direction));
        }
        let at = At { position: open.start, offset: open.offset };
        for introduction in late {
            self.introduce_late(introduction, At { position: end, ..at }, sink);
        }
        if let Some(nonce) = nonce {
            self.nonce(direction, nonce, at, sink);
        }
        for remark in found {
            tell(remark, direction, at, sink);
        }
    }

    /// What the socket types say, once both peers are known.
    fn type_mismatch(&self, direction: Direction) -> Option<Remark> {
        let this = self.peers[direction].socket_type?;
        let other = self.peers[direction.reverse()].socket_type?;
        let text = || {
            format!("{this} cannot talk to {other}: libzmq closes the connection, and does not retry if it opened it")
        };
        (!this.may_talk_to(other)).then(|| Remark::new("socket-type-mismatch", Severity::Error, text()))
    }
}

/// Something to be said about what stands at a place that the caller knows.
struct Remark {
    code: &'static str,
    severity: Severity,
    text: String,
}

impl Remark {
    fn new(code: &'static str, severity: Severity, text: impl Into<String>) -> Self {
        Self { code, severity, text: text.into() }
    }
}

fn tell(remark: Remark, direction: Direction, at: At, sink: &mut impl EventSink) {
    let Remark { code, severity, text } = remark;
    sink.anomaly(Anomaly {
        code,
        severity,
        direction,
        position: at.position,
        offset: at.offset,
        text,
        spec: if code.starts_with("curve-") { "26/CURVEZMQ" } else { "37/ZMTP" },
    });
}

fn frame<'a>(direction: Direction, open: &OpenFrame, end: Position, head: &'a [u8], kind: FrameKind<'a>) -> Frame<'a> {
    Frame {
        direction,
        offset: open.offset,
        start: open.start,
        end,
        flags: open.header.flags,
        length: open.header.length,
        missing: open.missing,
        head,
        kind,
    }
}

/// The peer as a command introduces it: READY or INITIATE with its metadata.
fn introduction(command: &Command<'_>, known: &Peer, position: Position) -> Option<Peer> {
    match &command.body {
        Body::Metadata(metadata) | Body::CurveOpened { metadata, .. } => {
            Some(introduction_from(metadata, known, position))
        }
        _ => None,
    }
}

fn introduction_from(metadata: &Metadata<'_>, known: &Peer, position: Position) -> Peer {
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
fn remarks(command: &Command<'_>, found: &mut Vec<Remark>) {
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
    if command.quirk == Some(Quirk::CaretRror) {
        let text = "ERROR is misspelt ^RROR, as libzmq 4.3.0 and later do under PLAIN; other implementations will not understand it";
        found.push(Remark::new("caret-rror", Severity::Note, text));
    }
}
