//! Both directions of a ZMTP connection: greetings, handshake, frames, messages.

mod conduct;
mod introductions;
mod mechanism;
mod remark;
mod sealed;
mod websocket;
mod words;

use super::anomaly::Severity;
use super::assembler::{Assembler, WholeFrame};
use super::carrier::{Beginning, Carrier};
use super::curve::likely::{Heartbeats, MESSAGE_OVERHEAD};
use super::curve::nonces::{Nonces, Tally};
use super::curve::opening::{Opening, Want};
use super::doubt::MISTAKEN_LENGTH;
use super::event::{Content, EventSink, Frame, FrameKind, Message, Seal};
use super::framer::{At, Desync, Item};
use super::handshake::{Handshake, Progress, Step};
use super::keylog::{KeyLog, Public};
use super::peer::Peer;
use super::probe::{Framing, Preamble};
use super::wire::command;
use super::wire::frame::{FrameFlags, FrameHeader};
use super::wire::greeting::{MechanismName, Version};
use super::wire::socket_type::SocketType;
use crate::base::chunk::{Chunk, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use mechanism::Sealing;
use remark::{Remark, Told, tell};
use std::sync::Arc;
use words::lacks_delimiter;

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
    /// Frame boundaries were not known all the time.
    lost: bool,
    /// Frames before the next one were lost, or stayed closed: what is opened next may be in the middle of a message.
    start_lost: bool,
    told: Told,
}

/// One ZMTP connection.
#[derive(Debug, Default)]
pub struct Session {
    carriers: PerDirection<Carrier>,
    state: State,
}

/// Everything but the framers, which feed it. (They do not differ in what they feed.)
#[derive(Debug, Default)]
struct State {
    sides: PerDirection<Side>,
    peers: PerDirection<Peer>,
    handshake: Handshake,
    /// Over WebSocket: whose part of the upgrade was seen.
    upgraded: PerDirection<bool>,
    /// Where there is a key log.
    opening: Option<Box<Opening>>,
    /// The mechanism that frames show, where no greeting was seen.
    inferred: Option<MechanismName>,
    client_transient: Option<Public>,
    heartbeats: Heartbeats,
    any_closed: bool,
    /// A message came no sooner than it may, and so do those after it.
    in_place: PerDirection<bool>,
}

/// Why messages stay closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No key opens them; what the key log lacks, if there is one.
    Curve(Option<Want>),
    /// Nothing opens them.
    Gssapi,
}

/// What a CURVE connection shows without any key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveFacts {
    /// The client's transient public key C', from HELLO: made for this connection, and so a name of it.
    pub client_transient: Option<Public>,
    /// The short nonces of each direction.
    pub nonces: PerDirection<Tally>,
}

impl Session {
    /// A connection that begins so in each direction, and whose CURVE boxes are opened where these keys do.
    pub fn new(beginning: impl Into<Beginning>, keys: Option<&Arc<KeyLog>>) -> Self {
        let beginning = beginning.into();
        let carriers = PerDirection::from_fn(|direction| Carrier::new(direction, &beginning));
        let mut session = Self { carriers, state: State::default() };
        session.state.opening = keys.map(|keys| Box::new(Opening::new(Arc::clone(keys))));
        let preambles = match beginning {
            Beginning::Own(preambles) => preambles,
            Beginning::WebSocket(upgrade) => {
                session.state.begin_websocket(&upgrade);
                return session;
            }
        };
        for (direction, &preamble) in preambles.iter() {
            session.state.sides[direction].identity_is_next =
                matches!(preamble, Preamble::Frames | Preamble::ShortGreeting(_));
            session.state.sides[direction].start_lost = matches!(preamble, Preamble::Midstream(_));
            if matches!(preamble, Preamble::Frames | Preamble::Midstream(Framing::V1)) {
                session.state.peers[direction].version = Some(Version::V1_0);
            }
        }
        session
    }

    /// The next piece of one direction.
    pub fn chunk(&mut self, direction: Direction, chunk: &Chunk<'_>, limits: &Limits, sink: &mut impl EventSink) {
        let Self { carriers, state } = self;
        let side = &mut state.sides[direction];
        let own = if side.identity_is_next { Content::Shown } else { Content::Nothing };
        let content = sink.content(direction).max(own);
        side.assembler.want(content);
        carriers[direction].skim(content == Content::Nothing && state.takes_messages_as_they_are(direction));
        carriers[direction].push(chunk, limits, &mut |at, item| state.item(direction, at, &item, limits, sink));
    }

    /// No more comes: what waited for more is told.
    pub fn finish(&mut self, limits: &Limits, sink: &mut impl EventSink) {
        let Self { carriers, state } = self;
        for direction in Direction::BOTH {
            carriers[direction].finish(limits, &mut |at, item| state.item(direction, at, &item, limits, sink));
        }
    }

    /// The connection was closed, all of it is in the capture, and its last packet was there. After [`Self::finish`].
    pub fn closed(&mut self, position: Position, sink: &mut impl EventSink) {
        let Self { carriers, state } = self;
        for direction in Direction::BOTH {
            let (unfinished, at) = carriers[direction].unfinished();
            let at = at.unwrap_or(At { position, offset: 0 });
            state.closed_within(direction, &unfinished, at, sink);
        }
    }

    /// Octets held: of messages under way, of sealed frames, of what is searched for the next frame, of metadata.
    pub fn held(&self) -> usize {
        let Self { carriers, state } = self;
        let of = |direction| {
            carriers[direction].held() + state.sides[direction].assembler.held() + state.peers[direction].held()
        };
        let sealed = state.opening.as_ref().map_or(0, |opening| opening.memory());
        of(Direction::ClientToServer) + of(Direction::ServerToClient) + sealed
    }

    /// Memory is short: gives up what is held, so that less will be known about what is under way, and about peers that
    /// said more of themselves than is usual.
    pub fn release(&mut self, limits: &Limits) {
        for direction in Direction::BOTH {
            self.state.give_up_sealed(direction, limits);
            self.carriers[direction].release();
            self.state.sides[direction].assembler.release();
            self.state.peers[direction].release();
        }
        if let Some(opening) = &mut self.state.opening {
            opening.release();
        }
    }

    /// What is known about the peer that sends in `direction`.
    pub fn peer(&self, direction: Direction) -> &Peer {
        &self.state.peers[direction]
    }

    /// Whether frames come over WebSocket.
    pub fn is_websocket(&self) -> bool {
        matches!(self.carriers.c2s, Carrier::WebSocket(_))
    }

    /// Whether the peer that sends in `direction` was seen to begin.
    pub fn is_greeted(&self, direction: Direction) -> bool {
        self.state.peers[direction].greeting.is_some() || self.state.upgraded[direction]
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

    /// What is known of CURVE without keys; `None` if the connection is not encrypted with it.
    pub fn curve(&self) -> Option<CurveFacts> {
        let State { client_transient, sides, .. } = &self.state;
        (self.mechanism() == Some(MechanismName::CURVE)).then(|| CurveFacts {
            client_transient: *client_transient,
            nonces: PerDirection::from_fn(|direction| sides[direction].nonces.tally()),
        })
    }

    /// Why messages stay closed; `None` if none does for want of a key.
    pub fn unopened(&self, limits: &Limits) -> Option<Closed> {
        self.state.unopened(limits)
    }

    /// The last command of the handshake that each side sent.
    pub fn steps(&self) -> PerDirection<Step> {
        self.state.handshake.steps()
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

    /// The mechanism: what the client offers, or the server where the client was not heard, or what the frames show where
    /// no greeting was seen. Whether both offer the same is an anomaly's matter.
    pub fn mechanism(&self) -> Option<MechanismName> {
        let offered = Direction::BOTH.into_iter().find_map(|direction| self.peer(direction).mechanism());
        offered.copied().or(self.state.inferred)
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
                side.assembler.begin(header, at);
                self.header(direction, at, header, sink);
            }
            Item::MayMistakeLength(answer) => {
                let subscriber = matches!(self.peers[direction].socket_type, Some(SocketType::SUB | SocketType::XSUB));
                let other = self.peers[direction.reverse()].version;
                let old = other.is_some_and(|version| Version::V1_0 < version && version < Version::V3_1);
                answer.set(subscriber && old && !side.identity_is_next);
            }
            Item::Longer(length) => side.assembler.lengthen(length),
            Item::Body(data) => side.assembler.body(data, at.position, limits),
            Item::End => self.end_frame(direction, at.position, None, limits, sink),
            Item::Frame(header, body) => {
                self.header(direction, at, header, sink);
                let ended = self.sides[direction].assembler.whole(header, at, body, limits);
                self.frame_end(direction, &ended, at.position, None, limits, sink);
            }
            Item::Messages(tally) => {
                side.assembler.pass(at.position);
                side.traffic.messages += tally.messages;
                side.traffic.frames += tally.frames;
                side.traffic.body_bytes += tally.body_bytes;
            }
            Item::Greeting(parsed, octets, end) => self.greeting(direction, at, end, parsed, octets, sink),
            Item::Upgrade(head, octets, end) => self.upgrade(direction, at, end, head, octets, sink),
            Item::Control(control) => self.control(direction, at, &control, sink),
            Item::Oddity(oddity) => tell(websocket::remark(oddity), direction, at, sink),
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
                side.lost = true;
                side.start_lost = true;
                side.nonces.gap();
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
                    Desync::Opcode(opcode) => {
                        let text = format!(
                            "a frame of kind {:#x} where one of WebSocket has to be: not WebSocket from here on",
                            opcode.0
                        );
                        Remark::new("ws-opcode", Severity::Error, text).by("RFC 6455")
                    }
                    Desync::Undecodable => {
                        let text = "a message cannot be decoded, so the next one is known only after its last part";
                        Remark::new("sync-lost", Severity::Warning, text)
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

    /// What a header says by itself.
    #[inline]
    fn header(&mut self, direction: Direction, at: At, header: FrameHeader, sink: &mut impl EventSink) {
        if header.length == MISTAKEN_LENGTH || header.flags.reserved() != 0 {
            self.odd_header(direction, at, header, sink);
        }
    }

    #[cold]
    fn odd_header(&mut self, direction: Direction, at: At, header: FrameHeader, sink: &mut impl EventSink) {
        if header.length == MISTAKEN_LENGTH && !header.flags.long() {
            let text = "a subscription to a topic of 255 bytes has a length of 8 octets without the LONG flag, as \
                        libzmq 4.3.3 and later send it to peers of ZMTP 3.0 and 2.0: the peer takes it for empty \
                        messages, and cannot read what follows";
            tell(Remark::new("topic-255", Severity::Error, text), direction, at, sink);
        }
        let reserved = header.flags.reserved();
        if reserved != 0 && self.sides[direction].told.first("reserved-flags") {
            let text =
                format!("frame flags {:#04x}: bits {reserved:#04x} are reserved and must be zero", header.flags.0);
            tell(Remark::new("reserved-flags", Severity::Warning, text), direction, at, sink);
        }
    }

    /// What the assembler has of a frame is all.
    fn end_frame(
        &mut self,
        direction: Direction,
        end: Position,
        opened: Option<u64>,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        if let Some(ended) = self.sides[direction].assembler.end(limits) {
            self.frame_end(direction, &ended, end, opened, limits, sink);
        }
    }

    /// A frame is complete. `opened` is the nonce of the CURVE MESSAGE that it was in.
    fn frame_end(
        &mut self,
        direction: Direction,
        ended: &WholeFrame,
        end: Position,
        opened: Option<u64>,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        if let Some(nonce) = opened {
            self.nonce(direction, nonce, ended.at, sink);
        }
        if ended.header.flags.command() {
            // RFC 37 asks for the COMMAND flag on a CURVE MESSAGE, which libzmq does not set: a message all the same.
            let curve = opened.is_none() && self.mechanism(direction) == Some(&MechanismName::CURVE);
            let side = &mut self.sides[direction];
            if !curve || command::curve_message(side.assembler.command()).is_none() {
                self.command(direction, ended, end, opened.is_some(), limits, sink);
            } else {
                let ended = side.assembler.as_part(*ended, end, limits);
                self.part(direction, &ended, end, None, sink);
            }
            return;
        }
        let side = &mut self.sides[direction];
        if std::mem::take(&mut side.identity_is_next) {
            self.identity(direction, ended, end, sink);
            return;
        }
        if let Some(nonce) = opened
            && side.start_lost
        {
            self.cut_part(direction, ended, end, nonce, sink);
            return;
        }
        self.part(direction, ended, end, opened, sink);
    }

    /// A part of a message, or what may be one: without the key no one knows what a CURVE MESSAGE holds.
    fn part(
        &mut self,
        direction: Direction,
        ended: &WholeFrame,
        end: Position,
        opened: Option<u64>,
        sink: &mut impl EventSink,
    ) {
        let sealing = self.sealing(direction, ended);
        let side = &mut self.sides[direction];
        let message = side.assembler.message();
        let described = message.parts.last().filter(|_| message.parts.len() as u64 == message.part_count);
        let head = described.map_or(&[][..], |part| &message.heads[part.head.clone()]);
        let seal = match (opened, sealing) {
            (Some(nonce), _) => Seal::Opened { nonce },
            (None, Some(Sealing::Curve)) => command::curve_message(head).map_or(Seal::Clear, |sealed| {
                let content = ended.header.length.saturating_sub(MESSAGE_OVERHEAD);
                let likely = self.heartbeats.frame(direction, content);
                Seal::Curve { nonce: sealed.nonce, content, likely }
            }),
            (None, Some(Sealing::Gssapi)) => {
                command::gssapi_message(head, ended.header.length).map_or(Seal::Clear, Seal::Gssapi)
            }
            (None, None) => Seal::Clear,
        };
        let closed = opened.is_none() && sealing == Some(Sealing::Curve);
        let is_sealed = (closed && described.is_some() && ended.missing == 0).then(|| seal.is_closed());
        let kind = FrameKind::Part { ordinal: side.traffic.messages, part: message.part_count - 1, seal };
        sink.frame(self.peers.as_ref(), &frame(direction, ended, end, head, kind));
        let lacks = (!ended.header.flags.more() && !seal.is_closed())
            .then(|| self.peers[direction.reverse()].socket_type.and_then(|to| lacks_delimiter(to, message)))
            .flatten();
        if !ended.header.flags.more() {
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
                    encrypted: seal.is_closed(),
                    is_compared: message.is_compared(),
                },
            );
            side.traffic.messages += 1;
            side.traffic.frames += message.part_count;
            side.traffic.body_bytes += message.body_bytes;
            side.assembler.clear_message();
        }
        if let Some(text) = lacks
            && side.told.first("delimiter-missing")
        {
            tell(Remark::new("delimiter-missing", Severity::Error, text).by("28/REQREP"), direction, ended.at, sink);
        }
        self.message_in_place(direction, ended, is_sealed, sink);
        if closed || seal.is_closed() {
            self.stays_closed(direction, seal, ended.at, sink);
        }
    }
}

fn frame<'a>(
    direction: Direction,
    ended: &WholeFrame,
    end: Position,
    head: &'a [u8],
    kind: FrameKind<'a>,
) -> Frame<'a> {
    Frame {
        direction,
        offset: ended.at.offset,
        start: ended.at.position,
        end,
        flags: ended.header.flags,
        length: ended.header.length,
        missing: ended.missing,
        head,
        kind,
    }
}

/// What is no frame of ZMTP, but shown among them.
fn frame_row<'a>(direction: Direction, at: At, end: Position, octets: &'a [u8], kind: FrameKind<'a>) -> Frame<'a> {
    Frame {
        direction,
        offset: at.offset,
        start: at.position,
        end,
        flags: FrameFlags::default(),
        length: octets.len() as u64,
        missing: 0,
        head: octets,
        kind,
    }
}
