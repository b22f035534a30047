//! A session whose CURVE frames are held, opened and passed on as if they had been sent in clear; and what is told of those
//! that stay closed.
//!
//! Invariant: MORE is inside the boxes, so after frames that were lost or stay closed no one knows where the next message
//! begins. What is opened then is told as cut parts, up to the first that ends a message.

use super::remark::{Remark, tell};
use super::words::introduction_from;
use super::{Closed, State, frame};
use crate::base::chunk::{Data, Position};
use crate::base::direction::Direction;
use crate::base::limits::Limits;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::assembler::WholeFrame;
use crate::zmtp::curve::nonces::Oddity;
use crate::zmtp::curve::opening::{Failed, Held, Introduction};
use crate::zmtp::event::{EventSink, FrameKind, Seal};
use crate::zmtp::framer::{At, Item};
use crate::zmtp::wire::frame::{FrameFlags, FrameHeader};
use crate::zmtp::wire::greeting::MechanismName;
use crate::zmtp::wire::gssapi::Wrapped;
use crate::zmtp::wire::metadata::metadata;

impl State {
    /// What the opening does with an item. Says whether nothing else is to be done with it.
    pub(super) fn sealed(
        &mut self,
        direction: Direction,
        at: At,
        item: &Item<'_>,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) -> bool {
        let Some(opening) = &mut self.opening else { return false };
        if let Some(at) = opening.given_up[direction].take() {
            let text =
                "a frame stays closed: what was held of it was given up, as all connections together held too much";
            self.tell_closed(direction, "curve-not-opened", text.to_owned(), at, sink);
        }
        let Some(opening) = &mut self.opening else { return false };
        match *item {
            Item::Header(header) => {
                let late = opening.look_again(limits);
                let held = opening.hold(direction, header, at, limits);
                let too_long = opening.has_key() && !held;
                let any_closed = Direction::BOTH.iter().any(|&side| self.sides[side].traffic.messages > 0);
                if any_closed && !late.is_empty() {
                    let text = "the key came while the connection was under way: what was sent before stays closed, and \
                                the first message of each side is left out, as it may lack parts";
                    tell(Remark::new("curve-opened-late", Severity::Note, text), direction, at, sink);
                }
                for introduction in late {
                    self.introduce_late(&introduction, at, sink);
                }
                if too_long {
                    let text = format!(
                        "a frame of {} bytes stays closed: no more than {} are held to be opened",
                        header.length, limits.sealed_bytes
                    );
                    self.stay_closed(direction, "curve-too-long", text, at, sink);
                }
                false
            }
            // It may have to be held.
            Item::Frame(header, body) => {
                self.item(direction, at, &Item::Header(header), limits, sink);
                if !body.is_empty() {
                    self.item(direction, at, &Item::Body(Data::Bytes(body)), limits, sink);
                }
                self.item(direction, at, &Item::End, limits, sink);
                true
            }
            Item::Body(Data::Bytes(bytes)) => opening.more(direction, bytes, at.position),
            Item::Body(Data::Gap(_)) => {
                if let Some(held) = opening.held[direction].take() {
                    let text = "a frame of which bytes are missing cannot be opened";
                    let at = held.at;
                    self.stay_closed(direction, "curve-not-opened", text.to_owned(), at, sink);
                    self.as_sent(direction, held, limits);
                }
                false
            }
            Item::Longer(length) => {
                if let Some(held) = opening.lengthen(direction, length, limits) {
                    let text =
                        format!("a frame of more than {} bytes stays closed: no more are held", limits.sealed_bytes);
                    self.stay_closed(direction, "curve-too-long", text, held.at, sink);
                    self.as_sent(direction, held, limits);
                }
                false
            }
            Item::End => match opening.held[direction].take() {
                Some(held) => {
                    self.whole(direction, held, at.position, limits, sink);
                    true
                }
                None => false,
            },
            Item::Desync(_) => {
                opening.held[direction] = None;
                false
            }
            Item::Greeting(..)
            | Item::Messages(_)
            | Item::MayMistakeLength(_)
            | Item::Upgrade(..)
            | Item::Control(_)
            | Item::Oddity(_)
            | Item::Skipped(_)
            | Item::Resync(_) => false,
        }
    }

    /// A held frame is whole.
    fn whole(
        &mut self,
        direction: Direction,
        mut held: Held,
        end: Position,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        let Some(opening) = &mut self.opening else { return };
        match opening.open(direction, &mut held) {
            Ok(opened) => {
                let long = held.header.flags.long();
                let flags = FrameFlags::of(opened.more, long, opened.command);
                let content = &held.bytes[opened.content];
                let header = FrameHeader { flags, length: content.len() as u64 };
                let assembler = &mut self.sides[direction].assembler;
                assembler.begin(header, held.at);
                assembler.body(Data::Bytes(content), held.reached, limits);
                opening.recycle(held.bytes);
                self.end_frame(direction, end, Some(opened.nonce), limits, sink);
            }
            Err(why) => {
                if why == Failed::Sealed {
                    let text = "a MESSAGE does not open with the key of this connection: it was damaged or changed, or \
                                the key is another's";
                    self.stay_closed(direction, "curve-not-opened", text.to_owned(), held.at, sink);
                }
                self.as_sent(direction, held, limits);
                self.end_frame(direction, end, None, limits, sink);
            }
        }
    }

    /// A part was opened whose message may have begun before it.
    pub(super) fn cut_part(
        &mut self,
        direction: Direction,
        ended: &WholeFrame,
        end: Position,
        nonce: u64,
        sink: &mut impl EventSink,
    ) {
        let assembler = &mut self.sides[direction].assembler;
        let message = assembler.message();
        let head = message.parts.last().map_or(&[][..], |part| &message.heads[part.head.clone()]);
        sink.frame(self.peers.as_ref(), &frame(direction, ended, end, head, FrameKind::CutPart { nonce }));
        assembler.clear_message();
        if !ended.header.flags.more() {
            let side = &mut self.sides[direction];
            side.start_lost = false;
            side.traffic.broken_messages += 1;
        }
    }

    /// A frame stays closed, so that a message of which parts were opened has no known end. Told once per direction.
    fn stay_closed(
        &mut self,
        direction: Direction,
        code: &'static str,
        text: String,
        at: At,
        sink: &mut impl EventSink,
    ) {
        self.break_message(direction);
        self.tell_closed(direction, code, text, at, sink);
    }

    /// Memory is short: a frame that is held stays closed. That is told with what comes next in its direction.
    pub(super) fn give_up_sealed(&mut self, direction: Direction, limits: &Limits) {
        let Some(opening) = &mut self.opening else { return };
        let Some(held) = opening.held[direction].take() else { return };
        opening.given_up[direction] = Some(held.at);
        self.break_message(direction);
        self.as_sent(direction, held, limits);
    }

    /// A message of which parts were opened has no known end.
    fn break_message(&mut self, direction: Direction) {
        let side = &mut self.sides[direction];
        if side.assembler.message().part_count > 0 {
            side.traffic.broken_messages += u64::from(side.assembler.abandon());
        }
    }

    fn tell_closed(
        &mut self,
        direction: Direction,
        code: &'static str,
        text: String,
        at: At,
        sink: &mut impl EventSink,
    ) {
        let Some(opening) = &mut self.opening else { return };
        if !std::mem::replace(&mut opening.told[direction], true) {
            tell(Remark::new(code, Severity::Warning, text), direction, at, sink);
        }
    }

    /// What was held of a frame goes on as it was sent. More of it may come, fragments included.
    fn as_sent(&mut self, direction: Direction, held: Held, limits: &Limits) {
        let assembler = &mut self.sides[direction].assembler;
        let length = held.header.length;
        assembler.begin(FrameHeader { length: 0, ..held.header }, held.at);
        assembler.lengthen(length);
        if !held.bytes.is_empty() {
            assembler.body(Data::Bytes(&held.bytes), held.reached, limits);
        }
        if let Some(opening) = &mut self.opening {
            opening.recycle(held.bytes);
        }
    }

    /// A peer whose INITIATE or READY was sent before its key was known.
    pub(super) fn introduce_late(&mut self, introduction: &Introduction, at: At, sink: &mut impl EventSink) {
        let direction = introduction.direction;
        let parsed = metadata(introduction.metadata());
        let peer = introduction_from(&parsed, &self.peers[direction], at.position);
        self.peers[direction] = peer;
        sink.peer(direction, &self.peers[direction]);
        if let Some(remark) = self.type_mismatch(direction) {
            tell(remark, direction, at, sink);
        }
    }

    /// A message frame under CURVE or GSSAPI went by unopened.
    pub(super) fn stays_closed(&mut self, direction: Direction, seal: Seal, at: At, sink: &mut impl EventSink) {
        let side = &mut self.sides[direction];
        side.start_lost = true;
        match seal {
            Seal::Curve { nonce, .. } | Seal::Opened { nonce } => self.nonce(direction, nonce, at, sink),
            Seal::Gssapi(Wrapped { sequence: Some(sequence), .. }) => self.nonce(direction, sequence, at, sink),
            Seal::Gssapi(_) | Seal::Clear => side.nonces.unread(),
        }
        self.any_closed |= seal.is_closed();
    }

    /// Why messages of this connection stay closed; `None` if none does for want of a key.
    pub(super) fn unopened(&self, limits: &Limits) -> Option<Closed> {
        let has_key = self.opening.as_ref().is_some_and(|opening| opening.has_key());
        if has_key || !self.any_closed {
            return None;
        }
        let gssapi = self.mechanism(Direction::ClientToServer) == Some(&MechanismName::GSSAPI);
        let want = || self.opening.as_ref().map(|opening| opening.want(limits));
        Some(if gssapi { Closed::Gssapi } else { Closed::Curve(want()) })
    }

    /// Looks at the nonce of a CURVE command, opened or not, or at the number of a token of Kerberos.
    pub(super) fn nonce(&mut self, direction: Direction, nonce: u64, at: At, sink: &mut impl EventSink) {
        let gssapi = self.mechanism(direction) == Some(&MechanismName::GSSAPI);
        let what = if gssapi { "sequence number" } else { "nonce" };
        let (code, severity, text) = match self.sides[direction].nonces.next(nonce) {
            None => return,
            Some(Oddity::NotAbove { before }) => (
                "nonce",
                Severity::Warning,
                format!("{what} {nonce} after {before}, where it must increase: a replay, or a mistaken peer"),
            ),
            Some(Oddity::Skipped { count }) => (
                "nonce",
                Severity::Warning,
                format!(
                    "{what} {nonce} leaves out {count}, though no byte is missing: frames were taken out on the way, or \
                     the peer does not count one by one"
                ),
            ),
            Some(Oddity::Lost { count }) => (
                "frames-lost",
                Severity::Note,
                format!("{count} encrypted frames were lost with the missing bytes, as {what} {nonce} tells"),
            ),
        };
        let code = match (gssapi, code) {
            (true, "nonce") => "gssapi-sequence",
            (true, _) => "gssapi-frames-lost",
            (false, "nonce") => "curve-nonce",
            (false, _) => "curve-frames-lost",
        };
        tell(Remark::new(code, severity, text), direction, at, sink);
    }
}
