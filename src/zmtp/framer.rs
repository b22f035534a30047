//! One direction of a stream cut into greeting and frames. Holds no more than a greeting or a header.

use super::wire::frame::{FrameHeader, LARGEST_BODY, LONGEST_HEADER, frame_header};
use super::wire::greeting::{GREETING_LENGTH, Greeting, greeting};
use crate::base::chunk::{Chunk, Data, Position};

/// What the framer finds, in order: `Greeting (Header Body* End)*`, ended by `Desync`, after which all is `Skipped`.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The 64 octets of the greeting, and where the last of them was found.
    Greeting(Greeting, &'a [u8; GREETING_LENGTH], Position),
    /// A frame begins.
    Header(FrameHeader),
    /// The next octets of its body.
    Body(Data<'a>),
    /// Its body is complete.
    End,
    /// From here on the boundaries of frames are not known.
    Desync(Desync),
    /// Octets that cannot be assigned to a frame.
    Skipped(u64),
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
}

/// Where an item was found: the packet, and the stream offset of its first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Where it began.
    pub position: Position,
    /// Offset of its first octet.
    pub offset: u64,
}

#[derive(Debug)]
enum State {
    Greeting { octets: [u8; GREETING_LENGTH], have: usize, at: At },
    Header { octets: [u8; LONGEST_HEADER], have: usize, at: At },
    Body { remaining: u64 },
    Lost,
}

/// The framer of one direction.
#[derive(Debug)]
pub struct Framer {
    state: State,
}

impl Default for Framer {
    /// Expects a greeting.
    fn default() -> Self {
        let at = At { position: Position::default(), offset: 0 };
        Self { state: State::Greeting { octets: [0; GREETING_LENGTH], have: 0, at } }
    }
}

impl Framer {
    /// The next piece of the stream. `on` gets each item with where it began, except `Body` and `End`, whose position
    /// is that of the piece.
    pub fn push(&mut self, chunk: &Chunk<'_>, on: &mut impl FnMut(At, Item<'_>)) {
        match chunk.data {
            Data::Bytes(bytes) => self.bytes(chunk, bytes, on),
            Data::Gap(length) => self.gap(chunk, length, on),
        }
    }

    fn bytes(&mut self, chunk: &Chunk<'_>, mut bytes: &[u8], on: &mut impl FnMut(At, Item<'_>)) {
        let end = chunk.offset + bytes.len() as u64;
        while !bytes.is_empty() {
            let here = At { position: chunk.position, offset: end - bytes.len() as u64 };
            match &mut self.state {
                State::Greeting { octets, have, at } => {
                    if *have == 0 {
                        *at = here;
                    }
                    let taken = bytes.len().min(GREETING_LENGTH - *have);
                    octets[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                    *have += taken;
                    bytes = &bytes[taken..];
                    if *have == GREETING_LENGTH {
                        if let Ok((_, parsed)) = greeting(octets) {
                            on(*at, Item::Greeting(parsed, octets, here.position));
                            self.state = State::between_frames(here);
                        } else {
                            on(*at, Item::Desync(Desync::Greeting));
                            on(*at, Item::Skipped(GREETING_LENGTH as u64));
                            self.state = State::Lost;
                        }
                    }
                }
                State::Header { octets, have, at } if *have == 0 => {
                    if let Ok((rest, header)) = frame_header(bytes) {
                        bytes = rest;
                        self.begin(here, header, on);
                    } else {
                        octets[..bytes.len()].copy_from_slice(bytes);
                        *have = bytes.len();
                        *at = here;
                        bytes = &[];
                    }
                }
                // A header that straddles pieces: octet by octet, until it is whole.
                State::Header { octets, have, at } => {
                    octets[*have] = bytes[0];
                    *have += 1;
                    bytes = &bytes[1..];
                    if let Ok((_, header)) = frame_header(&octets[..*have]) {
                        let at = *at;
                        self.begin(at, header, on);
                    }
                }
                State::Body { remaining } => {
                    let taken = (*remaining).min(bytes.len() as u64);
                    let (body, rest) = bytes.split_at(taken as usize);
                    bytes = rest;
                    *remaining -= taken;
                    on(here, Item::Body(Data::Bytes(body)));
                    self.end_if_complete(here, on);
                }
                State::Lost => {
                    on(here, Item::Skipped(bytes.len() as u64));
                    return;
                }
            }
        }
    }

    fn gap(&mut self, chunk: &Chunk<'_>, mut length: u64, on: &mut impl FnMut(At, Item<'_>)) {
        let mut here = At { position: chunk.position, offset: chunk.offset };
        if let State::Body { remaining } = &mut self.state {
            let taken = (*remaining).min(length);
            *remaining -= taken;
            length -= taken;
            on(here, Item::Body(Data::Gap(taken)));
            here.offset += taken;
            self.end_if_complete(here, on);
        }
        if length > 0 && !matches!(self.state, State::Lost) {
            self.state = State::Lost;
            on(here, Item::Desync(Desync::Gap(length)));
        }
    }

    fn begin(&mut self, at: At, header: FrameHeader, on: &mut impl FnMut(At, Item<'_>)) {
        if header.length > LARGEST_BODY {
            self.state = State::Lost;
            on(at, Item::Desync(Desync::Length(header.length)));
            return;
        }
        self.state = State::Body { remaining: header.length };
        on(at, Item::Header(header));
        self.end_if_complete(at, on);
    }

    fn end_if_complete(&mut self, at: At, on: &mut impl FnMut(At, Item<'_>)) {
        if matches!(self.state, State::Body { remaining: 0 }) {
            self.state = State::between_frames(at);
            on(at, Item::End);
        }
    }
}

impl State {
    fn between_frames(at: At) -> Self {
        Self::Header { octets: [0; LONGEST_HEADER], have: 0, at }
    }
}
