//! The HTTP with which a connection begins (RFC 9112): where in it, if at all, is ZWS asked for and agreed upon?
//!
//! Other requests may come before, on a connection that is kept alive or through a proxy (CONNECT). Requests and
//! responses are told apart by their lengths, so that what a body holds is never taken for a head.

use super::resync::find;
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::zmtp::resync::{Excerpt, Proof};
use crate::zmtp::wire::http::{BodyLength, Head, Parsed, Start, Subprotocol, head, may_begin};
use httparse::{Status, parse_chunk_size};
use std::collections::VecDeque;

/// How a connection became one of WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// Who asked for it, and so masks what it sends.
    pub client: Direction,
    /// Stream offsets of the request and of its answer; `None` where the capture does not have it.
    pub at: PerDirection<Option<u64>>,
    /// What the server chose, or, where that was not seen, what the client prefers. `None` if it was refused, or never
    /// answered.
    pub agreed: Option<Subprotocol>,
}

impl Upgrade {
    /// Of a connection that is ZMTP for sure: WebSocket frames, whose beginning is not in the capture, if these octets
    /// of it are such. Frames alone do not tell which protocol they carry.
    pub fn unseen(excerpts: &PerDirection<Excerpt>) -> Option<Self> {
        let fits = |direction: Direction, masked| {
            let excerpt = &excerpts[direction];
            excerpt.is_empty() || find(excerpt, masked, Proof::Usual).is_some()
        };
        let any = excerpts.iter().any(|(_, excerpt)| !excerpt.is_empty());
        let client = Direction::BOTH.into_iter().find(|&client| fits(client, true) && fits(client.reverse(), false));
        let agreed = Some(Subprotocol { mechanism: None });
        client.filter(|_| any).map(|client| Self { client, at: PerDirection::default(), agreed })
    }
}

/// What is known by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may still come.
    Open,
    /// ZWS was asked for.
    Zws(Upgrade),
    /// Anything else.
    Other,
}

/// The HTTP of both directions.
#[derive(Debug, Default)]
pub struct Exchange {
    sides: PerDirection<Side>,
    /// Requests without an answer, oldest first.
    asked: VecDeque<Asked>,
    /// The latest request for ZWS, and where its answer is, if it was not the one hoped for.
    offer: Option<(Direction, u64, Subprotocol)>,
    refused: Option<u64>,
    outcome: Option<Outcome>,
}

#[derive(Debug, Default)]
struct Side {
    next: Next,
    /// What came last; so many octets of it are understood; the stream offset of the first that is not.
    octets: Vec<u8>,
    passed: usize,
    at: u64,
    /// How many of the others are known not to have the end of a head.
    searched: usize,
    /// Anything was seen, or is known to be missing.
    any: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Head,
    /// So many octets of a body; then, maybe, another chunk.
    Body {
        left: u64,
        chunked: bool,
    },
    ChunkLength,
    /// The fields after the last chunk.
    Trailer,
    /// Asked for ZWS: all that follows depends on the answer.
    Waiting,
    /// Not HTTP that can be followed.
    Stopped,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    has_answer_body: bool,
    /// Of those that ask for ZWS.
    is_offer: bool,
}

/// Octets of a chunk's length with its extensions, or of a trailer's field.
const LONGEST_LINE: usize = 4096;

/// Requests without an answer: pipelines are short.
const MOST_ASKED: usize = 64;

impl Exchange {
    /// Whether one of the directions can be HTTP, and none is known to be something else.
    pub fn may_begin(heads: &PerDirection<Vec<u8>>) -> bool {
        let http = |direction: Direction| may_begin(&heads[direction]);
        Direction::BOTH.into_iter().any(http)
            && Direction::BOTH.into_iter().all(|direction| heads[direction].is_empty() || http(direction))
    }

    /// The next octets of one direction, which begin at this offset of it.
    pub fn bytes(&mut self, direction: Direction, offset: u64, bytes: &[u8], limits: &Limits) {
        let side = &mut self.sides[direction];
        side.any = true;
        side.octets.drain(..std::mem::take(&mut side.passed));
        if side.octets.is_empty() {
            side.at = offset;
        }
        side.octets.extend_from_slice(bytes);
        // What one side says may be what the other was waiting for.
        while self.advance(direction, false, limits) || self.advance(direction.reverse(), false, limits) {}
    }

    /// So many octets of one direction are not in the capture.
    pub fn gap(&mut self, direction: Direction, length: u64) {
        let side = &mut self.sides[direction];
        side.any = true;
        side.next = match side.next {
            Next::Body { left, chunked } if side.rest().is_empty() && left >= length => {
                Next::Body { left: left - length, chunked }
            }
            _ => Next::Stopped,
        };
    }

    /// Octets of memory that it takes.
    pub fn memory(&self) -> usize {
        let octets: usize = self.sides.iter().map(|(_, side)| side.octets.capacity()).sum();
        size_of::<Self>() + octets + self.asked.capacity() * size_of::<Asked>()
    }

    /// What is known. `is_final`: no more will come.
    pub fn outcome(&mut self, is_final: bool, limits: &Limits) -> Outcome {
        if is_final {
            while Direction::BOTH.into_iter().any(|direction| self.advance(direction, true, limits)) {}
        }
        match self.outcome {
            Some(outcome) => outcome,
            None if is_final || self.stopped() => self.without_agreement(),
            None => Outcome::Open,
        }
    }

    /// Nothing that comes can change anything.
    fn stopped(&self) -> bool {
        let stopped = |direction: Direction| self.sides[direction].next == Next::Stopped;
        match self.offer {
            Some((client, ..)) => stopped(client.reverse()),
            None => Direction::BOTH.into_iter().all(stopped),
        }
    }

    fn without_agreement(&self) -> Outcome {
        let Some((client, at, preferred)) = self.offer else { return Outcome::Other };
        let server = client.reverse();
        // Where there is no answer in the capture, what the client sent after its request tells that there was one.
        let unseen = self.refused.is_none()
            && (self.sides[server].next == Next::Stopped
                || !self.sides[server].any && !self.sides[client].rest().is_empty());
        let mut upgrade = Upgrade { client, at: PerDirection::default(), agreed: unseen.then_some(preferred) };
        (upgrade.at[client], upgrade.at[server]) = (Some(at), self.refused);
        Outcome::Zws(upgrade)
    }

    /// Goes one step on in one direction; whether it could.
    fn advance(&mut self, direction: Direction, is_final: bool, limits: &Limits) -> bool {
        if self.outcome.is_some() {
            return false;
        }
        let side = &mut self.sides[direction];
        if side.rest().is_empty() {
            return false;
        }
        match side.next {
            Next::Waiting => false,
            Next::Stopped => {
                side.take(side.rest().len());
                false
            }
            Next::Body { left, chunked } => {
                let taken = left.min(side.rest().len() as u64);
                side.take(taken as usize);
                side.next = match (left - taken, chunked) {
                    (0, true) => Next::ChunkLength,
                    (0, false) => Next::Head,
                    (left, chunked) => Next::Body { left, chunked },
                };
                true
            }
            Next::ChunkLength => match parse_chunk_size(side.rest()) {
                Ok(Status::Complete((length, octets))) => {
                    side.take(length);
                    let left = octets.saturating_add(2);
                    side.next = if octets == 0 { Next::Trailer } else { Next::Body { left, chunked: true } };
                    true
                }
                Ok(Status::Partial) if side.rest().len() <= LONGEST_LINE => false,
                _ => side.stop(),
            },
            Next::Trailer => {
                let Some(end) = side.rest().windows(2).position(|two| two == b"\r\n") else {
                    return side.rest().len() > LONGEST_LINE && side.stop();
                };
                side.take(end + 2);
                if end == 0 {
                    side.next = Next::Head;
                }
                true
            }
            Next::Head => self.head(direction, is_final, limits),
        }
    }

    /// A head is to come, or there.
    fn head(&mut self, direction: Direction, is_final: bool, limits: &Limits) -> bool {
        let other_is_mute = self.sides[direction.reverse()].next == Next::Stopped;
        let side = &mut self.sides[direction];
        let is_response = side.rest().starts_with(b"HTTP/");
        if is_response && self.asked.is_empty() && !is_final && !other_is_mute {
            // What it answers is still to come.
            return false;
        }
        let from = side.searched.saturating_sub(3);
        let end = side.rest()[from..].windows(4).any(|four| four == b"\r\n\r\n");
        side.searched = side.rest().len();
        if !end {
            let fits = side.searched <= limits.http_head_bytes;
            return if fits && may_begin(side.rest()) { false } else { side.stop() };
        }
        let octets = std::mem::take(&mut side.octets);
        let next = match head(&octets[side.passed..]) {
            Parsed::Head(head, length) => match head.start {
                Start::Request { method, .. } => Some((self.request(direction, method, &head), length)),
                Start::Response { status, .. } => Some((self.response(direction, status, &head), length)),
            },
            Parsed::Incomplete | Parsed::Other => None,
        };
        let side = &mut self.sides[direction];
        side.octets = octets;
        let Some((next, length)) = next else { return side.stop() };
        side.take(length);
        side.next = next;
        true
    }

    fn request(&mut self, direction: Direction, method: &str, head: &Head<'_>) -> Next {
        let offered = head.zws().next().filter(|_| head.is_websocket && method == "GET");
        if self.asked.len() >= MOST_ASKED {
            return Next::Stopped;
        }
        let has_answer_body = !matches!(method, "HEAD" | "CONNECT");
        self.asked.push_back(Asked { has_answer_body, is_offer: offered.is_some() });
        if let Some(preferred) = offered {
            self.offer = Some((direction, self.sides[direction].at, preferred));
            self.refused = None;
            return Next::Waiting;
        }
        after(head.body, Next::Head)
    }

    fn response(&mut self, direction: Direction, status: u16, head: &Head<'_>) -> Next {
        let at = self.sides[direction].at;
        if status == 101 {
            let client = direction.reverse();
            let request = self.offer.filter(|(from, ..)| *from == client).map(|(_, at, _)| at);
            let mut upgrade = Upgrade { client, at: PerDirection::default(), agreed: head.zws().next() };
            (upgrade.at[client], upgrade.at[direction]) = (request, Some(at));
            let is_zws = head.is_websocket && upgrade.agreed.is_some();
            // A server that names no subprotocol has not accepted the one that it was asked for.
            let names_none = head.subprotocols.is_empty() && request.is_some();
            self.outcome = Some(if is_zws || names_none { Outcome::Zws(upgrade) } else { Outcome::Other });
            return Next::Stopped;
        }
        if (100..200).contains(&status) {
            return Next::Head;
        }
        let asked = self.asked.pop_front().unwrap_or(Asked { has_answer_body: true, is_offer: false });
        if asked.is_offer {
            self.refused = Some(at);
            self.sides[direction.reverse()].next = Next::Head;
        }
        if !asked.has_answer_body || matches!(status, 204 | 304) {
            return Next::Head;
        }
        after(head.body, Next::Stopped)
    }
}

impl Side {
    /// What is not yet understood.
    fn rest(&self) -> &[u8] {
        &self.octets[self.passed..]
    }

    fn take(&mut self, length: usize) {
        self.passed += length;
        self.at += length as u64;
        self.searched = 0;
    }

    fn stop(&mut self) -> bool {
        self.next = Next::Stopped;
        self.take(self.rest().len());
        true
    }
}

/// What comes after a head with such a body.
fn after(body: BodyLength, unsaid: Next) -> Next {
    match body {
        BodyLength::Octets(0) => Next::Head,
        BodyLength::Octets(left) => Next::Body { left, chunked: false },
        BodyLength::Chunked => Next::ChunkLength,
        BodyLength::Unsaid => unsaid,
    }
}
