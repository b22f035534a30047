//! One direction of a stream cut into greeting and frames, in any version's grammar. Holds no more than a greeting or a
//! header.

use super::doubt::{Doubt, Verdict};
use super::probe::{Framing, Preamble};
use super::resync::{Boundary, Hunt, Piece, Proof, Shape, find, is_plausible};
use super::skim::{Tally, skim};
use super::wire::frame::{FrameFlags, FrameHeader, LARGEST_BODY};
use super::wire::greeting::{GREETING_LENGTH, Greeting, SHORT_GREETING_LENGTH, greeting, short_greeting};
use super::wire::http::Head;
use super::wire::websocket::Opcode;
use super::ws::oddity::Oddity;
use crate::base::chunk::{Chunk, Data, Position};
use crate::base::limits::Limits;
use std::cell::Cell;

/// What the framer finds, in order: `Greeting (Header Body* End | Frame | Messages)*`. After `Desync` octets are `Skipped`, until `Resync`.
///
/// Over WebSocket: `Upgrade (Header (Longer? Body*)* End | Control)*`, and also after `Resync` some are `Skipped`, until a
/// message begins.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The greeting, its octets, and where the last of them was found.
    Greeting(Greeting, &'a [u8], Position),
    /// Over WebSocket, a request or response instead; its octets, and where the last of them was found.
    Upgrade(&'a Head<'a>, &'a [u8], Position),
    /// A frame begins. If it is sent in fragments (WebSocket only), its length is still 0.
    Header(FrameHeader),
    /// A fragment makes it so many octets longer.
    Longer(u64),
    /// The next octets of its body.
    Body(Data<'a>),
    /// Its body is complete.
    End,
    /// A frame all of which lies in one piece: header and body.
    Frame(FrameHeader, &'a [u8]),
    /// Whole messages, where they are only counted ([`Framer::skim`]).
    Messages(Tally),
    /// A frame that is WebSocket's own, between two others or two fragments of one.
    Control(Control<'a>),
    /// Something is wrong with the WebSocket frame that begins here.
    Oddity(Oddity),
    /// From here on the boundaries of frames are not known.
    Desync(Desync),
    /// Octets that cannot be assigned to a frame, for all that is known by now.
    Skipped(u64),
    /// A question: may the peer mistake the length of a subscription ([`super::doubt`])? Asked where an empty frame may be one.
    MayMistakeLength(&'a Cell<bool>),
    /// Messages are recognised again. So many octets that were skipped are told of once more, as frames.
    Resync(u64),
}

/// A control frame of WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control<'a> {
    /// Which.
    pub opcode: Opcode,
    /// The payload: no more than 125 octets.
    pub octets: &'a [u8],
    /// Octets of it that are not in the capture.
    pub missing: u64,
    /// Where the last of them was found.
    pub end: Position,
}

/// Why synchronisation was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desync {
    /// The first octets are no greeting: what follows, if it is ZMTP at all, began earlier.
    Greeting,
    /// Octets of a greeting or header are not in the capture.
    Gap(u64),
    /// No frame begins where one was believed to, after a loss.
    Boundary,
    /// A length above 2^63 − 1.
    Length(u64),
    /// A length of 0, which ZMTP 1.0 does not allow.
    NoLength,
    /// What stands where a WebSocket frame has to be is none.
    Opcode(Opcode),
    /// A WebSocket message whose flags cannot be decoded.
    Undecodable,
}

/// Octets of the longest header of any version: 1.0 has one more than those since.
const LONGEST_HEADER: usize = 10;

/// Where an item was found: the packet, and the stream offset of its first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Where it began.
    pub position: Position,
    /// Offset of its first octet.
    pub offset: u64,
}

/// What a direction was in the middle of when no more came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished<'a> {
    /// Nothing, as far as that is known.
    Nothing,
    /// A greeting: what there is of it, and how long it should be.
    Greeting {
        /// What came.
        octets: &'a [u8],
        /// Octets of all of it.
        length: usize,
    },
    /// A frame header.
    Header {
        /// What came of it.
        octets: &'a [u8],
    },
    /// A body.
    Body {
        /// Octets of all of it.
        length: u64,
        /// Octets that never came.
        remaining: u64,
    },
}

#[derive(Debug)]
enum State {
    Greeting {
        octets: [u8; GREETING_LENGTH],
        have: usize,
        length: usize,
        at: At,
    },
    Header {
        octets: [u8; LONGEST_HEADER],
        have: usize,
        at: At,
    },
    Body {
        length: u64,
        remaining: u64,
        at: At,
    },
    Doubt(Box<Doubt>),
    /// In a frame of which it is not known whether a message begins with it, and too long to be kept until it is.
    Passing {
        remaining: u64,
        more: bool,
    },
    Lost(Hunt),
}

/// The framer of one direction.
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    state: State,
    /// How messages looked so far.
    shape: Shape,
    /// Boundaries were looked for, and may have been found where there are none.
    was_lost: bool,
    skims: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(Preamble::Greeting)
    }
}

impl Framer {
    /// For a direction that begins so.
    pub fn new(preamble: Preamble) -> Self {
        let at = At { position: Position::default(), offset: 0 };
        let greeting = |length| State::Greeting { octets: [0; GREETING_LENGTH], have: 0, length, at };
        let (framing, state) = match preamble {
            Preamble::Greeting => (Framing::V3, greeting(GREETING_LENGTH)),
            Preamble::ShortGreeting(framing) => (framing, greeting(SHORT_GREETING_LENGTH)),
            Preamble::Frames => (Framing::V1, State::between_frames(at)),
            Preamble::Midstream(framing) => (framing, State::Lost(Hunt::new(Proof::Usual))),
        };
        let was_lost = matches!(preamble, Preamble::Midstream(_));
        Self { framing, state, shape: Shape::default(), was_lost, skims: false }
    }

    /// The next piece of the stream. `on` gets each item with where it began, except `Body` and `End`, whose position
    /// is that of the piece.
    pub fn push(&mut self, chunk: &Chunk<'_>, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let at = At { position: chunk.position, offset: chunk.offset };
        match chunk.data {
            Data::Bytes(bytes) => self.bytes(at, bytes, limits, on),
            Data::Gap(length) => self.gap(at, length, limits, on),
        }
    }

    /// Whether whole messages are only counted from here on.
    pub fn skim(&mut self, skims: bool) {
        self.skims = skims;
    }

    /// Octets held for the search for the next frame.
    pub fn held(&self) -> usize {
        if let State::Lost(hunt) = &self.state { hunt.held() } else { 0 }
    }

    /// Gives them up: the search goes on with what is still to come.
    pub fn release(&mut self) {
        if let State::Lost(hunt) = &mut self.state {
            *hunt = hunt.again();
        }
    }

    /// No more comes: what was in doubt is told.
    pub fn finish(&mut self, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        // Each pass takes a frame out of the doubt, so this ends.
        while matches!(self.state, State::Doubt(_)) {
            self.settle(limits, on);
        }
    }

    /// What is under way, and where it began.
    pub fn unfinished(&self) -> (Unfinished<'_>, Option<At>) {
        match &self.state {
            State::Greeting { octets, have, length, at } if *have > 0 => {
                (Unfinished::Greeting { octets: &octets[..*have], length: *length }, Some(*at))
            }
            State::Header { octets, have, at } if *have > 0 => {
                (Unfinished::Header { octets: &octets[..*have] }, Some(*at))
            }
            State::Body { length, remaining, at } => {
                (Unfinished::Body { length: *length, remaining: *remaining }, Some(*at))
            }
            State::Greeting { .. }
            | State::Header { .. }
            | State::Doubt(_)
            | State::Passing { .. }
            | State::Lost(_) => (Unfinished::Nothing, None),
        }
    }

    fn bytes(&mut self, at: At, mut bytes: &[u8], limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let whole = bytes.len() as u64;
        let end = at.offset + whole;
        let mut here = at;
        while !bytes.is_empty() {
            here.offset = end - bytes.len() as u64;
            if self.skims && matches!(self.state, State::Header { have: 0, .. }) && self.shape.is_between_messages() {
                let begins_packet = bytes.len() as u64 == whole;
                let (tally, rest) = skim(self.framing, bytes, &mut self.shape, begins_packet);
                if tally.messages > 0 {
                    on(here, Item::Messages(tally));
                    bytes = rest;
                    continue;
                }
            }
            match &mut self.state {
                State::Greeting { octets, have, length, at } => {
                    if *have == 0 {
                        *at = here;
                    }
                    let taken = bytes.len().min(*length - *have);
                    octets[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                    *have += taken;
                    bytes = &bytes[taken..];
                    if have == length {
                        let octets = &octets[..*length];
                        let parse = if *length == GREETING_LENGTH { greeting } else { short_greeting };
                        if let Ok((_, parsed)) = parse(octets) {
                            on(*at, Item::Greeting(parsed, octets, here.position));
                            self.state = State::between_frames(here);
                        } else {
                            on(*at, Item::Desync(Desync::Greeting));
                            on(*at, Item::Skipped(*length as u64));
                            let mut hunt = Hunt::new(Proof::Strong);
                            hunt.keep(at.offset, at.position, octets, limits.resync_bytes);
                            self.state = State::Lost(hunt);
                        }
                    }
                }
                State::Header { octets, have, at } if *have == 0 => match header(self.framing, bytes) {
                    Parsed::Header(_, header) if in_doubt(self.framing, header, here, on) => {
                        self.state = State::Doubt(Box::default());
                    }
                    Parsed::Header(rest, header) => {
                        let flags = bytes[bytes.len() - rest.len() - 1];
                        if self.was_lost && !is_plausible(self.framing, header, flags) {
                            self.lose(here, Desync::Boundary, on);
                            continue;
                        }
                        let begins_packet = bytes.len() as u64 == whole;
                        bytes = rest;
                        if header.length > rest.len() as u64 {
                            self.begin(here, here, header, begins_packet, on);
                            continue;
                        }
                        let (body, rest) = rest.split_at(header.length as usize);
                        bytes = rest;
                        self.shape(header, begins_packet);
                        on(here, Item::Frame(header, body));
                    }
                    Parsed::Incomplete => {
                        octets[..bytes.len()].copy_from_slice(bytes);
                        *have = bytes.len();
                        *at = here;
                        bytes = &[];
                    }
                    Parsed::NoLength => self.lose(here, Desync::NoLength, on),
                },
                // A header that straddles pieces: octet by octet, until it is whole.
                State::Header { octets, have, at } => {
                    octets[*have] = bytes[0];
                    *have += 1;
                    bytes = &bytes[1..];
                    let at = *at;
                    match header(self.framing, &octets[..*have]) {
                        Parsed::Header(_, header) if in_doubt(self.framing, header, at, on) => {
                            let mut doubt = Box::<Doubt>::default();
                            doubt.next(at, 0);
                            doubt.next(here, 0);
                            self.state = State::Doubt(doubt);
                        }
                        Parsed::Header(_, header) => self.begin(at, here, header, false, on),
                        Parsed::Incomplete => {}
                        Parsed::NoLength => self.lose(at, Desync::NoLength, on),
                    }
                }
                State::Doubt(doubt) => {
                    let verdict = doubt.next(here, bytes[0]);
                    bytes = &bytes[1..];
                    match verdict {
                        Verdict::Open => {}
                        Verdict::Frames => self.settle(limits, on),
                        Verdict::Topic { at, length, first } => {
                            self.begin(at, here, FrameHeader { flags: FrameFlags::default(), length }, false, on);
                            self.bytes(here, &[first], limits, on);
                        }
                    }
                }
                State::Body { remaining, .. } => {
                    let taken = (*remaining).min(bytes.len() as u64);
                    let (body, rest) = bytes.split_at(taken as usize);
                    bytes = rest;
                    *remaining -= taken;
                    on(here, Item::Body(Data::Bytes(body)));
                    self.end_if_complete(here, on);
                }
                State::Passing { remaining, more } => {
                    let passed = (*remaining).min(bytes.len() as u64);
                    *remaining -= passed;
                    on(here, Item::Skipped(passed));
                    bytes = &bytes[passed as usize..];
                    let (done, more) = (*remaining == 0, *more);
                    if done {
                        let here = At { offset: here.offset + passed, ..here };
                        self.passed(more, here, on);
                    }
                }
                State::Lost(hunt) => {
                    on(here, Item::Skipped(bytes.len() as u64));
                    hunt.keep(here.offset, here.position, bytes, limits.resync_bytes);
                    if let Some(boundary) = hunt
                        .look(|excerpt, candidates, proof| find(self.framing, excerpt, candidates, proof, &self.shape))
                    {
                        self.resume(boundary, limits, on);
                    }
                    return;
                }
            }
        }
    }

    /// Frames begin at a place in what was skipped: from there on it is read again.
    fn resume(&mut self, boundary: Boundary, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let State::Lost(hunt) = &mut self.state else { return };
        if !boundary.begins_message {
            self.pass_long_body(boundary, limits);
            return;
        }
        let excerpt = std::mem::replace(hunt, hunt.again()).into_excerpt();
        let first = At { position: Position::default(), offset: excerpt.offset(boundary.at) };
        self.state = State::between_frames(first);
        self.was_lost = true;
        let recovered = (excerpt.len() - boundary.at) as u64;
        let mut next = None;
        for Piece { offset, position, octets } in excerpt.pieces(boundary.at) {
            let at = At { position, offset };
            match next {
                None => on(at, Item::Resync(recovered)),
                Some(next) if next < offset => self.gap(At { position, offset: next }, offset - next, limits, on),
                Some(_) => {}
            }
            next = Some(offset + octets.len() as u64);
            self.bytes(at, octets, limits, on);
        }
    }

    /// At the end of a frame that is under way it goes on, without what is kept, if that is not about to be known anyway.
    fn pass_long_body(&mut self, boundary: Boundary, limits: &Limits) {
        let State::Lost(hunt) = &self.state else { return };
        let excerpt = hunt.excerpt();
        let rest = excerpt.run(boundary.at);
        if let (Ok((body, header)), Some(known)) = (self.framing.header(rest), excerpt.end()) {
            let body_at = excerpt.offset(boundary.at) + (rest.len() - body.len()) as u64;
            let remaining = body_at.saturating_add(header.length).saturating_sub(known);
            if remaining > limits.resync_bytes as u64 / 2 {
                self.state = State::Passing { remaining, more: header.flags.more() || header.flags.command() };
            }
        }
    }

    /// What was in doubt is frames as they stand: the first is empty, and in doubt no more.
    fn settle(&mut self, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let first = At { position: Position::default(), offset: 0 };
        let State::Doubt(doubt) = std::mem::replace(&mut self.state, State::between_frames(first)) else { return };
        let end = doubt.octets().nth(1).map_or(doubt.begin(), |(at, _)| at);
        self.begin(doubt.begin(), end, FrameHeader { flags: FrameFlags::default(), length: 0 }, false, on);
        for (at, octet) in doubt.octets().skip(2) {
            self.bytes(at, &[octet], limits, on);
        }
    }

    /// A frame that was passed over is complete. After the last part of a message another one begins.
    fn passed(&mut self, more: bool, at: At, on: &mut impl FnMut(At, Item<'_>)) {
        if more {
            self.state = State::Lost(Hunt::new(Proof::Usual));
        } else {
            self.was_lost = true;
            self.state = State::between_frames(at);
            on(at, Item::Resync(0));
        }
    }

    fn gap(&mut self, mut here: At, mut length: u64, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        self.finish(limits, on);
        match &mut self.state {
            State::Body { remaining, .. } => {
                let taken = (*remaining).min(length);
                *remaining -= taken;
                length -= taken;
                on(here, Item::Body(Data::Gap(taken)));
                here.offset += taken;
                self.end_if_complete(here, on);
            }
            State::Passing { remaining, more } => {
                let taken = (*remaining).min(length);
                *remaining -= taken;
                length -= taken;
                here.offset += taken;
                if *remaining == 0 {
                    let more = *more;
                    self.passed(more, here, on);
                }
            }
            _ => {}
        }
        if length == 0 {
            return;
        }
        match &mut self.state {
            // Frames that are under way may end behind the gap.
            State::Lost(hunt) => {
                let looked =
                    hunt.look(|excerpt, candidates, proof| find(self.framing, excerpt, candidates, proof, &self.shape));
                if let Some(boundary) = looked {
                    self.resume(boundary, limits, on);
                    if !matches!(self.state, State::Lost(_)) {
                        self.gap(here, length, limits, on);
                    }
                }
            }
            _ => self.lose(here, Desync::Gap(length), on),
        }
    }

    fn lose(&mut self, at: At, why: Desync, on: &mut impl FnMut(At, Item<'_>)) {
        let proof = if matches!(why, Desync::Gap(_) | Desync::Boundary) { Proof::Usual } else { Proof::Strong };
        self.state = State::Lost(Hunt::new(proof));
        self.shape.interrupt();
        on(at, Item::Desync(why));
    }

    /// The header that began at `at` is whole, with what stands at `end`: an empty frame ends there.
    fn begin(&mut self, at: At, end: At, header: FrameHeader, begins_packet: bool, on: &mut impl FnMut(At, Item<'_>)) {
        if header.length > LARGEST_BODY {
            self.lose(at, Desync::Length(header.length), on);
            return;
        }
        self.shape(header, begins_packet);
        self.state = State::Body { length: header.length, remaining: header.length, at };
        on(at, Item::Header(header));
        self.end_if_complete(end, on);
    }

    /// A frame begins: how messages look is learnt from it.
    fn shape(&mut self, header: FrameHeader, begins_packet: bool) {
        if !header.flags.command() {
            self.shape.frame(header, begins_packet);
        }
    }

    fn end_if_complete(&mut self, at: At, on: &mut impl FnMut(At, Item<'_>)) {
        if matches!(self.state, State::Body { remaining: 0, .. }) {
            self.state = State::between_frames(at);
            on(at, Item::End);
        }
    }
}

/// Whether an empty frame may be the beginning of a length that is mistaken.
fn in_doubt(framing: Framing, header: FrameHeader, at: At, on: &mut impl FnMut(At, Item<'_>)) -> bool {
    let answer = Cell::new(false);
    if header.is_empty_message() && framing != Framing::V1 {
        on(at, Item::MayMistakeLength(&answer));
    }
    answer.get()
}

impl State {
    fn between_frames(at: At) -> Self {
        Self::Header { octets: [0; LONGEST_HEADER], have: 0, at }
    }
}

/// What the octets of a header say so far.
enum Parsed<'a> {
    /// It is whole, and this follows it.
    Header(&'a [u8], FrameHeader),
    /// More octets are needed.
    Incomplete,
    /// It cannot be one.
    NoLength,
}

fn header(framing: Framing, octets: &[u8]) -> Parsed<'_> {
    match framing.header(octets) {
        Ok((rest, header)) if framing == Framing::V2 => {
            Parsed::Header(rest, FrameHeader { flags: header.flags.without_command(), ..header })
        }
        Ok((rest, header)) => Parsed::Header(rest, header),
        Err(nom::Err::Incomplete(_)) => Parsed::Incomplete,
        Err(_) => Parsed::NoLength,
    }
}
