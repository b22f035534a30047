//! One direction of a stream cut into greeting and frames, in any version's grammar. Holds no more than a greeting or a
//! header.

use super::doubt::{Doubt, Verdict};
use super::probe::{Framing, Preamble};
use super::resync::{Boundary, Proof, find};
use super::wire::frame::{FrameFlags, FrameHeader, LARGEST_BODY};
use super::wire::greeting::{GREETING_LENGTH, Greeting, SHORT_GREETING_LENGTH, greeting, short_greeting};
use super::wire::http::Head;
use super::wire::websocket::Opcode;
use super::ws::oddity::Oddity;
use crate::base::chunk::{Chunk, Data, Position};
use crate::base::limits::Limits;
use std::cell::Cell;

/// What the framer finds, in order: `Greeting (Header Body* End)*`. After `Desync` octets are `Skipped`, until `Resync`.
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
    Greeting { octets: [u8; GREETING_LENGTH], have: usize, length: usize, at: At },
    Header { octets: [u8; LONGEST_HEADER], have: usize, at: At },
    Body { length: u64, remaining: u64, at: At },
    Doubt(Box<Doubt>),
    Lost(Hunt),
}

/// The search for the next frame.
#[derive(Debug)]
pub(super) struct Hunt {
    proof: Proof,
    /// What was skipped last, without a gap.
    octets: Vec<u8>,
    /// The packets of `octets`: where each begins in them, and in the stream.
    packets: Vec<(usize, At)>,
    /// How many octets there were at the last look.
    looked: usize,
}

impl Hunt {
    pub(super) fn new(proof: Proof) -> Self {
        Self { proof, octets: Vec::new(), packets: Vec::new(), looked: 0 }
    }

    /// The same from its beginning.
    pub(super) fn again(&self) -> Self {
        Self::new(self.proof)
    }

    /// Octets of memory.
    pub(super) fn held(&self) -> usize {
        self.octets.capacity()
    }

    /// How many octets are kept.
    pub(super) fn length(&self) -> usize {
        self.octets.len()
    }

    /// What is kept from an offset on, packet by packet.
    pub(super) fn pieces(&self, from: usize) -> impl Iterator<Item = (At, &[u8])> {
        let ends = self.packets.iter().skip(1).map(|(start, _)| *start).chain([self.octets.len()]);
        let pieces = self.packets.iter().zip(ends).filter(move |(_, end)| *end > from);
        pieces.map(move |(&(start, at), end)| {
            let passed = from.saturating_sub(start);
            (At { offset: at.offset + passed as u64, ..at }, &self.octets[start + passed..end])
        })
    }

    /// Keeps octets for a later look; the oldest packets go when there are too many.
    pub(super) fn keep(&mut self, at: At, bytes: &[u8], limit: usize) {
        if self.octets.len() + bytes.len() > limit {
            self.octets.clear();
            self.packets.clear();
            self.looked = 0;
        }
        self.packets.push((self.octets.len(), at));
        self.octets.extend_from_slice(&bytes[..bytes.len().min(limit)]);
    }

    /// Looks for a boundary: each time while there is little to look at, then each time that it has grown by a quarter.
    pub(super) fn look<T>(&mut self, find: impl FnOnce(&[u8], &[usize], Proof) -> Option<T>) -> Option<T> {
        if self.octets.len() > OFTEN && self.octets.len() < self.looked + self.looked / 4 {
            return None;
        }
        self.looked = self.octets.len();
        let packets: Vec<usize> = self.packets.iter().map(|(start, _)| *start).collect();
        find(&self.octets, &packets, self.proof)
    }
}

/// So many octets are looked at each time that there are more.
const OFTEN: usize = 4096;

/// The framer of one direction.
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    state: State,
    /// How the latest message began, and whether the next frame begins one.
    like: Option<FrameHeader>,
    at_message: bool,
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
        Self { framing, state, like: None, at_message: true }
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
            State::Greeting { .. } | State::Header { .. } | State::Doubt(_) | State::Lost(_) => {
                (Unfinished::Nothing, None)
            }
        }
    }

    fn bytes(&mut self, at: At, mut bytes: &[u8], limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let end = at.offset + bytes.len() as u64;
        while !bytes.is_empty() {
            let here = At { position: at.position, offset: end - bytes.len() as u64 };
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
                            hunt.keep(*at, octets, limits.resync_bytes);
                            self.state = State::Lost(hunt);
                        }
                    }
                }
                State::Header { octets, have, at } if *have == 0 => match header(self.framing, bytes) {
                    Parsed::Header(_, header) if in_doubt(self.framing, header, here, on) => {
                        self.state = State::Doubt(Box::default());
                    }
                    Parsed::Header(rest, header) => {
                        bytes = rest;
                        self.begin(here, here, header, on);
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
                        Parsed::Header(_, header) => self.begin(at, here, header, on),
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
                            self.begin(at, here, FrameHeader { flags: FrameFlags::default(), length }, on);
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
                State::Lost(hunt) => {
                    on(here, Item::Skipped(bytes.len() as u64));
                    hunt.keep(here, bytes, limits.resync_bytes);
                    let (framing, like) = (self.framing, self.like);
                    let looked = hunt.look(|octets, packets, proof| find(framing, octets, packets, proof, like));
                    if let Some(boundary) = looked {
                        self.resume(boundary, limits, on);
                    }
                    return;
                }
            }
        }
    }

    /// Frames begin at a place in what was skipped: from there on it is read again.
    fn resume(&mut self, boundary: Boundary, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let first = At { position: Position::default(), offset: 0 };
        let State::Lost(hunt) = std::mem::replace(&mut self.state, State::between_frames(first)) else { return };
        self.at_message = true;
        let recovered = (hunt.length() - boundary.at) as u64;
        let mut told = false;
        for (at, octets) in hunt.pieces(boundary.at) {
            if !std::mem::replace(&mut told, true) {
                on(at, Item::Resync(recovered));
            }
            self.bytes(at, octets, limits, on);
        }
    }

    /// What was in doubt is frames as they stand: the first is empty, and in doubt no more.
    fn settle(&mut self, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let first = At { position: Position::default(), offset: 0 };
        let State::Doubt(doubt) = std::mem::replace(&mut self.state, State::between_frames(first)) else { return };
        let end = doubt.octets().nth(1).map_or(doubt.begin(), |(at, _)| at);
        self.begin(doubt.begin(), end, FrameHeader { flags: FrameFlags::default(), length: 0 }, on);
        for (at, octet) in doubt.octets().skip(2) {
            self.bytes(at, &[octet], limits, on);
        }
    }

    fn gap(&mut self, mut here: At, mut length: u64, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        // Each pass takes a frame out of the doubt, so this ends.
        while matches!(self.state, State::Doubt(_)) {
            self.settle(limits, on);
        }
        if let State::Body { remaining, .. } = &mut self.state {
            let taken = (*remaining).min(length);
            *remaining -= taken;
            length -= taken;
            on(here, Item::Body(Data::Gap(taken)));
            here.offset += taken;
            self.end_if_complete(here, on);
        }
        if length == 0 {
            return;
        }
        match &mut self.state {
            // What was skipped before does not go on after the gap.
            State::Lost(hunt) => *hunt = hunt.again(),
            _ => self.lose(here, Desync::Gap(length), on),
        }
    }

    fn lose(&mut self, at: At, why: Desync, on: &mut impl FnMut(At, Item<'_>)) {
        let proof = if matches!(why, Desync::Gap(_)) { Proof::Usual } else { Proof::Strong };
        self.state = State::Lost(Hunt::new(proof));
        on(at, Item::Desync(why));
    }

    /// The header that began at `at` is whole, with what stands at `end`: an empty frame ends there.
    fn begin(&mut self, at: At, end: At, header: FrameHeader, on: &mut impl FnMut(At, Item<'_>)) {
        if header.length > LARGEST_BODY {
            self.lose(at, Desync::Length(header.length), on);
            return;
        }
        if !header.flags.command() && std::mem::replace(&mut self.at_message, !header.flags.more()) {
            self.like = Some(header);
        }
        self.state = State::Body { length: header.length, remaining: header.length, at };
        on(at, Item::Header(header));
        self.end_if_complete(end, on);
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
