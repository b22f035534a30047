//! A session whose CURVE frames are held, opened and passed on as if they had been sent in clear.

use super::{Remark, State, introduction_from, tell};
use crate::base::chunk::{Data, Position};
use crate::base::direction::Direction;
use crate::base::limits::Limits;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::curve::nonces::Oddity;
use crate::zmtp::curve::opening::{Closed, Held, Introduction, Want};
use crate::zmtp::event::EventSink;
use crate::zmtp::framer::{At, Item};
use crate::zmtp::wire::frame::{FrameFlags, FrameHeader};
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
        match *item {
            Item::Header(header) => {
                let late = opening.look_again(limits);
                let held = opening.hold(direction, header, at, limits);
                let too_long = opening.has_key() && !held;
                let any_closed = Direction::BOTH.iter().any(|&side| self.sides[side].traffic.messages > 0);
                if any_closed && !late.is_empty() {
                    let text = "the key came while the connection was under way: what was sent before stays closed, and \
                                the first message of each side may lack parts";
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
                    self.closed(direction, "curve-too-long", text, at, sink);
                }
                false
            }
            Item::Body(Data::Bytes(bytes)) => opening.more(direction, bytes, at.position),
            Item::Body(Data::Gap(_)) => {
                if let Some(held) = opening.held[direction].take() {
                    let text = "a frame of which bytes are missing cannot be opened";
                    let at = held.at;
                    self.closed(direction, "curve-not-opened", text.to_owned(), at, sink);
                    self.as_sent(direction, held, limits);
                }
                false
            }
            Item::Longer(length) => {
                if let Some(held) = opening.lengthen(direction, length, limits) {
                    let text =
                        format!("a frame of more than {} bytes stays closed: no more are held", limits.sealed_bytes);
                    self.closed(direction, "curve-too-long", text, held.at, sink);
                    self.as_sent(direction, held, limits);
                    // More of it comes.
                    self.sides[direction].assembler.lengthen(0);
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
                assembler.begin(header, held.at.position, held.at.offset);
                assembler.body(Data::Bytes(content), held.reached, limits);
                opening.recycle(held.bytes);
                self.frame_end(direction, end, Some(opened.nonce), limits, sink);
            }
            Err(why) => {
                if why == Closed::Sealed {
                    let text = "a MESSAGE does not open with the key of this connection: it was damaged or changed, or \
                                the key is another's";
                    self.closed(direction, "curve-not-opened", text.to_owned(), held.at, sink);
                }
                self.as_sent(direction, held, limits);
                self.frame_end(direction, end, None, limits, sink);
            }
        }
    }

    /// A frame stays closed, so that a message of which parts were opened has no known end. Told once per direction.
    fn closed(&mut self, direction: Direction, code: &'static str, text: String, at: At, sink: &mut impl EventSink) {
        let side = &mut self.sides[direction];
        if side.assembler.message().part_count > 0 {
            side.traffic.broken_messages += u64::from(side.assembler.abandon());
        }
        let Some(opening) = &mut self.opening else { return };
        if !std::mem::replace(&mut opening.told[direction], true) {
            tell(Remark::new(code, Severity::Warning, text), direction, at, sink);
        }
    }

    /// What was held of a frame goes on as it was sent.
    fn as_sent(&mut self, direction: Direction, held: Held, limits: &Limits) {
        let assembler = &mut self.sides[direction].assembler;
        assembler.begin(held.header, held.at.position, held.at.offset);
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

    /// A message frame under CURVE went by unopened; its nonce where it is a MESSAGE.
    pub(super) fn stays_closed(
        &mut self,
        direction: Direction,
        nonce: Option<u64>,
        at: At,
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        match nonce {
            Some(nonce) => self.nonce(direction, nonce, at, sink),
            None => self.sides[direction].nonces.unknown(),
        }
        self.tell_want(direction, at, limits, sink);
    }

    /// Says once why the messages of this connection stay closed, although there is a key log.
    fn tell_want(&mut self, direction: Direction, at: At, limits: &Limits, sink: &mut impl EventSink) {
        let Some(opening) = self.opening.as_mut().filter(|opening| !opening.has_key()) else { return };
        if std::mem::replace(&mut opening.told_want, true) {
            return;
        }
        let text = match opening.want(limits) {
            Want::LongTermOnly => {
                "the key log has the server's long-term key, and no transient key of this connection: \
                                   long-term keys cannot open traffic (forward secrecy)"
                    .to_owned()
            }
            Want::NoKey => "the key log has no key of this connection; it takes the secret of one transient key of \
                            either side, or the session key: long-term keys cannot open traffic (forward secrecy)"
                .to_owned(),
            Want::Limit(tried) => format!("{tried} keys of the key log were tried, and no more of them will be"),
        };
        tell(Remark::new("curve-no-key", Severity::Note, text), direction, at, sink);
    }

    /// Looks at the nonce of a CURVE command, opened or not.
    pub(super) fn nonce(&mut self, direction: Direction, nonce: u64, at: At, sink: &mut impl EventSink) {
        let remark = match self.sides[direction].nonces.next(nonce) {
            None => return,
            Some(Oddity::NotAbove { before }) => {
                let text =
                    format!("nonce {nonce} after {before}, where it must increase: a replay, or a mistaken peer");
                Remark::new("curve-nonce", Severity::Warning, text)
            }
            Some(Oddity::Skipped { count }) => {
                let text = format!("nonce {nonce} comes {count} too early: frames before it are missing here");
                Remark::new("curve-nonce", Severity::Note, text)
            }
        };
        tell(remark, direction, at, sink);
    }
}
