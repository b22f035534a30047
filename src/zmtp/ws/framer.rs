//! One direction of a WebSocket connection cut into the upgrade and the frames of ZMTP, as [`crate::zmtp::framer`] cuts
//! a stream of ZMTP's own. Holds no more than a head, a header or a control frame.
//!
//! Each binary message is one ZMTP frame; control frames may stand anywhere between. Where a frame cannot be decoded its
//! length still tells where the next one begins. But whether that begins a message, nothing says: what comes is passed
//! over up to the last part of a message.

use super::exchange::Upgrade;
use super::oddity::Oddity;
use super::resync::find;
use crate::base::chunk::{Chunk, Data, Position};
use crate::base::direction::Direction;
use crate::base::limits::Limits;
use crate::zmtp::framer::{At, Control, Desync, Item, Unfinished};
use crate::zmtp::resync::{Hunt, Piece, Proof};
use crate::zmtp::wire::frame::{FrameHeader, LARGEST_BODY};
use crate::zmtp::wire::http::{Parsed, Subprotocol, head};
use crate::zmtp::wire::websocket::{LONGEST_CONTROL, LONGEST_HEADER, Mask, Opcode, WsHeader, ZwsFlags, frame_header};

#[derive(Debug)]
enum State {
    /// HTTP that was there before; the upgrade begins at this offset.
    Before(u64),
    /// The upgrade, so far.
    Head {
        octets: Vec<u8>,
        at: At,
    },
    Header {
        octets: [u8; LONGEST_HEADER],
        have: usize,
        at: At,
    },
    /// The flag octet is to come: the first of a message's payload.
    Flags {
        header: WsHeader,
        at: At,
    },
    Payload(Payload),
    Lost(Hunt),
    /// There are no frames.
    Over,
}

#[derive(Debug)]
struct Payload {
    of: Of,
    left: u64,
    /// How many octets of it there were already.
    done: u64,
    mask: Option<Mask>,
    is_final: bool,
}

/// What a payload is.
#[derive(Debug)]
enum Of {
    /// The body of a ZMTP frame, or a fragment of it.
    Frame,
    /// A control frame: what of it is known.
    Control { opcode: Opcode, at: At, octets: Vec<u8>, missing: u64 },
    /// A message, or a fragment of one, that cannot be decoded.
    Passed,
    /// A control frame that cannot be one.
    Ignored,
}

/// The message that is being received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// None: the next frame begins one.
    None,
    /// A frame of ZMTP.
    Frame { ends_message: bool },
    /// Fragments so far were empty: its flags are still to come.
    WithoutFlags,
    /// One that cannot be decoded.
    Passed { ends_message: Option<bool> },
}

/// Which side of the WebSocket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Masks what it sends.
    Client,
    Server,
}

/// The framer of one direction.
#[derive(Debug)]
pub struct WsFramer {
    state: State,
    sender: Sender,
    /// What was agreed on; without, no frames follow the upgrade.
    agreed: Option<Subprotocol>,
    open: Open,
    /// The next message frame is known to begin a message, or to be the next part of one that was told.
    in_step: bool,
    /// Synchronisation was lost, and that frames are recognised again is not told yet.
    is_lost: bool,
    /// Frames were found again by their looks, not by what came before them.
    is_guess: bool,
    told: u16,
    clear: Vec<u8>,
}

impl WsFramer {
    /// For one direction of a connection that was upgraded so.
    pub fn new(direction: Direction, upgrade: &Upgrade) -> Self {
        let state = match upgrade.at[direction] {
            Some(at) => State::Before(at),
            None if upgrade.agreed.is_some() => State::Lost(Hunt::new(Proof::Usual)),
            None => State::Over,
        };
        let in_step = upgrade.at[direction].is_some();
        let sender = if direction == upgrade.client { Sender::Client } else { Sender::Server };
        Self {
            state,
            sender,
            agreed: upgrade.agreed,
            open: Open::None,
            in_step,
            is_lost: !in_step,
            is_guess: !in_step,
            told: 0,
            clear: Vec::new(),
        }
    }

    /// The next piece of the stream; items as from [`crate::zmtp::framer::Framer::push`].
    pub fn push(&mut self, chunk: &Chunk<'_>, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let at = At { position: chunk.position, offset: chunk.offset };
        match chunk.data {
            Data::Bytes(bytes) => self.bytes(at, bytes, limits, on),
            Data::Gap(length) => self.gap(at, length, on),
        }
    }

    /// What is under way. A fragmented frame is as long as its fragment.
    pub fn unfinished(&self) -> Unfinished<'_> {
        match &self.state {
            State::Header { octets, have, .. } if *have > 0 => Unfinished::Header { octets: &octets[..*have] },
            State::Flags { header, .. } => Unfinished::Body { length: header.length, remaining: header.length },
            State::Payload(Payload { of: Of::Frame, left, done, .. }) => {
                Unfinished::Body { length: left + done, remaining: *left }
            }
            _ => Unfinished::Nothing,
        }
    }

    /// Octets held.
    pub fn held(&self) -> usize {
        let state = match &self.state {
            State::Lost(hunt) => hunt.held(),
            State::Head { octets, .. } => octets.capacity(),
            _ => 0,
        };
        state + self.clear.capacity()
    }

    /// Gives them up, but for the head of an upgrade: the search goes on with what is still to come.
    pub fn release(&mut self) {
        self.clear = Vec::new();
        if let State::Lost(hunt) = &mut self.state {
            *hunt = hunt.again();
        }
    }

    fn bytes(&mut self, at: At, mut bytes: &[u8], limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let end = at.offset + bytes.len() as u64;
        while !bytes.is_empty() {
            let here = At { position: at.position, offset: end - bytes.len() as u64 };
            match &mut self.state {
                State::Over => return,
                State::Before(upgrade) => {
                    let before = upgrade.saturating_sub(here.offset).min(bytes.len() as u64);
                    bytes = &bytes[before as usize..];
                    if !bytes.is_empty() {
                        let at = At { offset: here.offset + before, ..here };
                        self.state = State::Head { octets: Vec::new(), at };
                    }
                }
                State::Head { octets, at } => {
                    let from = octets.len();
                    octets.extend_from_slice(bytes);
                    let searched = from.saturating_sub(3);
                    match octets[searched..].windows(4).position(|four| four == b"\r\n\r\n") {
                        Some(end) => {
                            octets.truncate(searched + end + 4);
                            bytes = &bytes[octets.len() - from..];
                            let (octets, at) = (std::mem::take(octets), *at);
                            self.upgraded(&octets, at, here.position, on);
                        }
                        None if octets.len() > limits.http_head_bytes => {
                            let at = *at;
                            self.lose(at, Desync::Greeting, Proof::Strong, on);
                            return;
                        }
                        None => return,
                    }
                }
                State::Header { octets, have, at } => {
                    if *have == 0 {
                        *at = here;
                    }
                    // Octet by octet only where a header straddles pieces.
                    let taken = if *have == 0 { bytes.len().min(LONGEST_HEADER) } else { 1 };
                    octets[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                    let at = *at;
                    *have += taken;
                    if let Ok((rest, header)) = frame_header(&octets[..*have]) {
                        bytes = &bytes[taken - rest.len()..];
                        self.begin(at, here, header, on);
                    } else {
                        debug_assert!(*have < LONGEST_HEADER, "the longest header is whole");
                        bytes = &bytes[taken..];
                    }
                }
                State::Flags { header, at } => {
                    let (header, at, first) = (*header, *at, bytes[0]);
                    bytes = &bytes[1..];
                    let flags = ZwsFlags(header.mask.map_or(first, |mask| mask.first(first)));
                    self.flags(at, header, flags, here, on);
                }
                State::Payload(payload) => {
                    let taken = payload.left.min(bytes.len() as u64);
                    let (piece, rest) = bytes.split_at(taken as usize);
                    bytes = rest;
                    let clear = match payload.mask {
                        Some(mask) if !matches!(payload.of, Of::Passed | Of::Ignored) => {
                            self.clear.clear();
                            mask.remove(payload.done, piece, &mut self.clear);
                            &self.clear[..]
                        }
                        _ => piece,
                    };
                    match &mut payload.of {
                        Of::Frame => on(here, Item::Body(Data::Bytes(clear))),
                        // No more than 125 octets.
                        Of::Control { octets, .. } => octets.extend_from_slice(clear),
                        Of::Passed => on(here, Item::Skipped(taken)),
                        Of::Ignored => {}
                    }
                    payload.left -= taken;
                    payload.done += taken;
                    self.end_if_complete(here, on);
                }
                State::Lost(hunt) => {
                    on(here, Item::Skipped(bytes.len() as u64));
                    hunt.keep(here.offset, here.position, bytes, limits.resync_bytes);
                    let masks = self.sender == Sender::Client;
                    if let Some(at) = hunt.look(|excerpt, _, proof| find(excerpt, masks, proof)) {
                        self.resume(at, limits, on);
                    }
                    return;
                }
            }
        }
    }

    /// The head that upgrades, or does not, is whole.
    fn upgraded(&mut self, octets: &[u8], at: At, end: Position, on: &mut impl FnMut(At, Item<'_>)) {
        let Parsed::Head(head, _) = head(octets) else {
            self.lose(at, Desync::Greeting, Proof::Strong, on);
            return;
        };
        self.state = if self.agreed.is_some() { State::between(at) } else { State::Over };
        on(at, Item::Upgrade(&head, octets, end));
    }

    /// The header that began at `at` is whole, with what stands at `end`: a frame without a payload ends there.
    fn begin(&mut self, at: At, end: At, header: WsHeader, on: &mut impl FnMut(At, Item<'_>)) {
        let WsHeader { is_final, reserved, opcode, mask, length, is_shortest } = header;
        let malformed = if length > LARGEST_BODY {
            Some(Desync::Length(length))
        } else if opcode.name().is_none() {
            Some(Desync::Opcode(opcode))
        } else {
            None
        };
        let mut odd = [None; 3];
        odd[0] = (mask.is_some() != (self.sender == Sender::Client)).then_some(Oddity::Mask);
        odd[1] = (!is_shortest).then_some(Oddity::Length(length));
        odd[2] = if reserved != 0 {
            Some(Oddity::Reserved(reserved))
        } else if opcode.is_control() {
            (!is_final || length > LONGEST_CONTROL).then_some(Oddity::Control(opcode))
        } else if (opcode == Opcode::CONTINUATION) == (self.open == Open::None) {
            Some(Oddity::OutOfPlace(opcode))
        } else if opcode == Opcode::TEXT {
            Some(Oddity::Text)
        } else if is_final && length == 0 && matches!(self.open, Open::None | Open::WithoutFlags) {
            Some(Oddity::Empty)
        } else {
            None
        };
        let guessed_wrong = self.is_guess && odd.iter().any(Option::is_some);
        if let Some(why) = malformed.or(guessed_wrong.then_some(Desync::Opcode(opcode))) {
            self.lose(at, why, Proof::Strong, on);
            return;
        }
        for oddity in odd.into_iter().flatten() {
            self.tell(oddity, at, on);
        }
        if !is_final && !opcode.is_control() {
            self.tell(Oddity::Fragmented, at, on);
        }
        let payload = |of| State::Payload(Payload { of, left: length, done: 0, mask, is_final });
        let is_decoded = odd[2].is_none();
        if opcode.is_control() && is_decoded {
            let octets = Vec::new();
            self.state = payload(Of::Control { opcode, at, octets, missing: 0 });
        } else if opcode.is_control() {
            self.state = payload(Of::Ignored);
        } else if !is_decoded {
            // What is no binary message takes nothing from the messages around it, unless it stands within one.
            let harmless = opcode != Opcode::BINARY || odd[2] == Some(Oddity::Empty);
            let why = (!harmless || self.open != Open::None).then_some(Desync::Undecodable);
            self.pass(header, why, at, on);
        } else {
            self.state = match self.open {
                Open::None | Open::WithoutFlags if length == 0 => {
                    self.open = Open::WithoutFlags;
                    State::between(at)
                }
                Open::None | Open::WithoutFlags => State::Flags { header, at },
                Open::Frame { .. } => {
                    on(at, Item::Longer(length));
                    payload(Of::Frame)
                }
                Open::Passed { .. } => payload(Of::Passed),
            };
        }
        self.end_if_complete(end, on);
    }

    /// The flag octet of a message, which begins or goes on with the frame at `at`.
    fn flags(&mut self, at: At, header: WsHeader, flags: ZwsFlags, here: At, on: &mut impl FnMut(At, Item<'_>)) {
        let WsHeader { is_final, mask, length, .. } = header;
        let frame_flags = flags.frame_flags();
        if flags.reserved() != 0 {
            if self.is_guess {
                self.lose(at, Desync::Opcode(header.opcode), Proof::Strong, on);
                return;
            }
            self.tell(Oddity::Flags(flags.0), at, on);
        }
        let ends_message = !frame_flags.more() && !frame_flags.command();
        let body = length - 1;
        let of = if self.in_step || frame_flags.command() {
            self.open = Open::Frame { ends_message };
            let known = if is_final { body } else { 0 };
            on(at, Item::Header(FrameHeader { flags: frame_flags, length: known }));
            if !is_final {
                on(at, Item::Longer(body));
            }
            Of::Frame
        } else {
            self.open = Open::Passed { ends_message: Some(ends_message) };
            on(at, Item::Skipped(here.offset + 1 - at.offset));
            Of::Passed
        };
        self.state = State::Payload(Payload { of, left: body, done: 1, mask, is_final });
        self.end_if_complete(here, on);
    }

    /// A data frame that cannot be decoded. `why` if a message is lost with it, so that where the next one begins is not
    /// known any more.
    fn pass(&mut self, header: WsHeader, why: Option<Desync>, at: At, on: &mut impl FnMut(At, Item<'_>)) {
        let WsHeader { is_final, mask, length, .. } = header;
        if let Some(why) = why
            && std::mem::take(&mut self.in_step)
        {
            self.is_lost = true;
            on(at, Item::Desync(why));
        }
        self.open = Open::Passed { ends_message: None };
        self.state = State::Payload(Payload { of: Of::Passed, left: length, done: 0, mask, is_final });
    }

    fn end_if_complete(&mut self, at: At, on: &mut impl FnMut(At, Item<'_>)) {
        let State::Payload(payload) = &mut self.state else { return };
        if payload.left > 0 {
            return;
        }
        let is_final = payload.is_final;
        match &mut payload.of {
            Of::Control { opcode, at: start, octets, missing } => {
                let (opcode, octets, missing) = (*opcode, std::mem::take(octets), *missing);
                let control = Control { opcode, octets: &octets, missing, end: at.position };
                on(*start, Item::Control(control));
            }
            Of::Ignored => {}
            Of::Frame | Of::Passed if !is_final => {}
            Of::Frame => {
                on(at, Item::End);
                self.open = Open::None;
            }
            Of::Passed => {
                if let Open::Passed { ends_message: Some(true) } = self.open
                    && !std::mem::replace(&mut self.in_step, true)
                    && std::mem::take(&mut self.is_lost)
                {
                    on(at, Item::Resync(0));
                }
                self.open = Open::None;
            }
        }
        self.state = State::between(at);
    }

    fn gap(&mut self, mut here: At, mut length: u64, on: &mut impl FnMut(At, Item<'_>)) {
        loop {
            match &mut self.state {
                State::Over => return,
                State::Before(upgrade) if here.offset + length <= *upgrade => return,
                State::Payload(payload) => {
                    let taken = payload.left.min(length);
                    match &mut payload.of {
                        Of::Frame => on(here, Item::Body(Data::Gap(taken))),
                        Of::Control { missing, .. } => *missing += taken,
                        Of::Passed | Of::Ignored => {}
                    }
                    payload.left -= taken;
                    payload.done += taken;
                    length -= taken;
                    here.offset += taken;
                    self.end_if_complete(here, on);
                }
                State::Flags { header, at } => {
                    let (header, at) = (*header, *at);
                    self.pass(header, Some(Desync::Gap(length)), at, on);
                    on(at, Item::Skipped(here.offset - at.offset));
                }
                // What was skipped before does not go on after the gap.
                State::Lost(hunt) => {
                    *hunt = hunt.again();
                    return;
                }
                State::Before(_) | State::Head { .. } | State::Header { .. } => {
                    self.lose(here, Desync::Gap(length), Proof::Usual, on);
                    return;
                }
            }
            if length == 0 {
                return;
            }
        }
    }

    fn lose(&mut self, at: At, why: Desync, proof: Proof, on: &mut impl FnMut(At, Item<'_>)) {
        (self.state, self.open) = (State::Lost(Hunt::new(proof)), Open::None);
        (self.in_step, self.is_lost, self.is_guess) = (false, true, true);
        on(at, Item::Desync(why));
    }

    /// Frames begin at this place in what was skipped: from there on it is read again.
    fn resume(&mut self, boundary: usize, limits: &Limits, on: &mut impl FnMut(At, Item<'_>)) {
        let first = At { position: Position::default(), offset: 0 };
        let State::Lost(hunt) = std::mem::replace(&mut self.state, State::between(first)) else { return };
        let recovered = hunt.excerpt().len() - boundary;
        for Piece { offset, position, octets } in hunt.excerpt().pieces(boundary) {
            let at = At { position, offset };
            if std::mem::take(&mut self.is_lost) {
                on(at, Item::Resync(recovered as u64));
            }
            self.bytes(at, octets, limits, on);
        }
    }

    fn tell(&mut self, oddity: Oddity, at: At, on: &mut impl FnMut(At, Item<'_>)) {
        if self.told & oddity.bit() == 0 {
            self.told |= oddity.bit();
            on(at, Item::Oddity(oddity));
        }
    }
}

impl State {
    fn between(at: At) -> Self {
        Self::Header { octets: [0; LONGEST_HEADER], have: 0, at }
    }
}
