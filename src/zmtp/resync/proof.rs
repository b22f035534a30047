//! How much one header, and the chain of frames that begins with it, proves.

use super::Proof;
use super::candidates::{Candidates, Look};
use super::excerpt::Excerpt;
use crate::zmtp::probe::Framing;
use crate::zmtp::wire::command::{NAME_OCTETS, is_known_name};
use crate::zmtp::wire::frame::FrameHeader;
use crate::zmtp::wire::legacy;
use rustc_hash::{FxBuildHasher, FxHashMap};

/// A short frame's flags have 6 values of 256.
const FLAGS: u32 = 5;

/// The frames end where a packet ends.
const ENDS_WITH_PACKET: u32 = 8;

/// At most: the upper octets of a long frame's length are zero, or the name of a command is known. Enough anywhere in a stream of
/// ZMTP: chance needs 39 bits for a long header, though tables of numbers are not chance.
pub(super) const STRUCTURE: u32 = 26;

/// What it takes more where packets give no hint: there are that many more places to be wrong about.
const NO_HINT: u32 = 12;

/// No frame that is met in the middle of a stream is longer.
const LONGEST: u64 = 1 << 32;

/// How a MESSAGE of CURVE begins, which libzmq sends without the COMMAND flag.
const SEALED: &[u8] = b"\x07MESSAGE";

/// A long header has nine octets or ten, of which any can be there by chance. Of the length so many bits say nothing.
const FREE: u32 = 20;

/// Frames that a look usually follows, or fewer.
const CHAIN: usize = 28;

/// An excerpt that is read as frames.
pub(super) struct Reading<'a> {
    pub(super) framing: Framing,
    pub(super) excerpt: &'a Excerpt,
}

/// At which indices frames can begin, and the bits of proof that they do, found as they are asked for.
pub(super) struct Proofs<'r, 'a, 'c> {
    reading: &'r Reading<'a>,
    /// A message may be an empty frame.
    empties: bool,
    /// Of each index whose header another one has to follow.
    known: FxHashMap<usize, Option<u32>>,
    /// The frames of the chain that is being followed, each with its own bits.
    chain: Vec<(usize, u32)>,
    look: Look<'c>,
}

/// What the header at one index says.
enum Step {
    /// It is none.
    Refused,
    /// It proves so much, and nothing is known of what follows it.
    Last(u32),
    /// It proves so much, and the next one has to begin there.
    Next(u32, usize),
}

impl Proofs<'_, '_, '_> {
    /// Of one index: bits of proof that frames begin there, those of the frames that follow included; `None` if they cannot.
    pub(super) fn at(&mut self, index: usize) -> Option<u32> {
        let mut at = index;
        let mut bits = loop {
            let (run, offset) = self.reading.excerpt.place(at);
            if !can_begin(self.reading.framing, run) {
                break None;
            }
            if let Some(&known) = self.known.get(&at) {
                break known;
            }
            match self.reading.step(at, run, offset, self.empties) {
                Step::Refused => break None,
                Step::Last(bits) => break Some(bits),
                Step::Next(bits, next) => {
                    self.chain.push((at, bits));
                    at = next;
                }
            }
        };
        for (at, own) in self.chain.drain(..).rev() {
            bits = bits.map(|bits| bits.saturating_add(own));
            self.known.insert(at, bits);
        }
        bits
    }

    /// The first index from this one on at which frames can be believed to begin, and the proof.
    pub(super) fn next_believed(&mut self, from: usize, proof: Proof) -> Option<(usize, u32)> {
        let Reading { framing, excerpt } = *self.reading;
        let mut from = from;
        while let Some(at) = self.look.next(from, |from| first_possible(framing, excerpt.octets(), from)) {
            let bits = self.at(at);
            self.look.judge(from, at, bits.is_some());
            // Most octets have no proof at all, so whether a packet begins there is asked last.
            if let Some(bits) = bits.filter(|&bits| bits >= proof.bits())
                && (bits >= proof.bits() + NO_HINT || excerpt.is_packet(at))
                && !is_empty_end(framing, excerpt.run(at))
            {
                return Some((at, bits));
            }
            from = at + 1;
        }
        if excerpt.len() > from {
            self.look.judge(from, excerpt.len() - 1, false);
        }
        None
    }

    /// No more is asked for at this look.
    pub(super) fn end(self) {
        self.look.end();
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(framing: Framing, excerpt: &'a Excerpt) -> Self {
        Self { framing, excerpt }
    }

    /// `candidates` are what earlier looks at the excerpt left; `empties`: a message may be an empty frame.
    pub(super) fn proofs<'c>(&self, candidates: &'c mut Candidates, empties: bool) -> Proofs<'_, 'a, 'c> {
        let look = candidates.look(self.excerpt);
        let known = FxHashMap::with_capacity_and_hasher(CHAIN, FxBuildHasher);
        Proofs { reading: self, empties, known, chain: Vec::with_capacity(CHAIN), look }
    }

    /// Of the index at which `run` begins, which is at this offset.
    fn step(&self, at: usize, run: &[u8], offset: u64, empties: bool) -> Step {
        let Self { framing, excerpt } = self;
        let (body, header) = match framing.header(run) {
            Ok(found) => found,
            Err(error) if error.is_incomplete() => return Step::Last(0),
            Err(_) => return Step::Refused,
        };
        let Some(bits) = self.of_header(run, body, header) else { return Step::Refused };
        let header_length = run.len() - body.len();
        let next_offset = (offset + header_length as u64).saturating_add(header.length);
        let next = match usize::try_from(header.length).ok().filter(|&length| length < body.len()) {
            Some(length) => Some(at + header_length + length),
            None => excerpt.index(next_offset),
        };
        if let Some(next) = next.filter(|_| !empties && !header.flags.more())
            && is_empty_end(*framing, excerpt.run(next))
        {
            return Step::Refused;
        }
        let whole = !header.flags.more() && header.length > 0;
        let end = if whole && excerpt.is_packet_end(next_offset) { ENDS_WITH_PACKET } else { 0 };
        let bits = bits.saturating_add(end);
        next.map_or(Step::Last(bits), |next| Step::Next(bits, next))
    }

    /// The frames that follow each other from this index on.
    pub(super) fn frames(&self, start: usize) -> impl Iterator<Item = Found> + '_ {
        let mut next = Some(start);
        std::iter::from_fn(move || {
            let at = next.filter(|&at| at < self.excerpt.len())?;
            let run = self.excerpt.run(at);
            let (body, header) = self.framing.header(run).ok()?;
            let bits = self.of_header(run, body, header).unwrap_or(0);
            let body_at = at + run.len() - body.len();
            let end = (self.excerpt.offset(at) + (body_at - at) as u64).saturating_add(header.length);
            next = self.excerpt.index(end);
            Some(Found { at, body: body_at, header, bits: bits.max(FLAGS), end })
        })
    }

    /// The same without bodies.
    pub(super) fn headers(&self, start: usize) -> impl Iterator<Item = FrameHeader> + '_ {
        self.frames(start).map(|frame| frame.header)
    }

    /// What is known of a frame's body, and of what follows it.
    pub(super) fn body(&self, frame: Found) -> &'a [u8] {
        self.excerpt.run(frame.body)
    }

    /// Bits of proof in one header; `None` if there is none such. `rest` begins with it, `body` is what follows.
    fn of_header(&self, rest: &[u8], body: &[u8], header: FrameHeader) -> Option<u32> {
        let FrameHeader { flags, length } = header;
        let octets = &rest[..rest.len() - body.len()];
        if !is_plausible(self.framing, header, octets[octets.len() - 1]) || is_rest_of_greeting(rest) {
            return None;
        }
        if flags.command() {
            let cut = (body.len() as u64) < length.min(NAME_OCTETS as u64);
            return is_known_name(body).then_some(STRUCTURE).or(cut.then_some(0));
        }
        if is_sealed(self.framing, header, body) {
            return Some(2 * STRUCTURE);
        }
        Some(match (flags.long(), length) {
            // Among zeros and small numbers it may be anything.
            (true, _) => {
                let bits: u32 = octets.iter().map(|&octet| rarity(self.excerpt, octet)).sum();
                bits.saturating_sub(FREE).min(STRUCTURE)
            }
            // Runs of zeros look like this.
            (false, 0) if !flags.more() => 0,
            (false, _) => FLAGS,
        })
    }
}

/// A header and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) at: usize,
    /// Index of its body; where that is not known, of nothing.
    pub(super) body: usize,
    pub(super) header: FrameHeader,
    pub(super) bits: u32,
    /// Offset of what follows it.
    pub(super) end: u64,
}

/// Bits of an octet, by how many there are of it.
fn rarity(excerpt: &Excerpt, octet: u8) -> u32 {
    ((excerpt.len() + 256) / (excerpt.count(octet) + 1)).ilog2()
}

/// The index of the first of these octets, from one on, with which a frame can begin: a quick look that most fail.
fn first_possible(framing: Framing, octets: &[u8], from: usize) -> Option<usize> {
    let octets_from = octets.get(from..)?;
    let first = match framing {
        Framing::V1 => octets_from.iter().position(|&octet| octet != 0),
        Framing::V2 | Framing::V3 => {
            // Eight at once, where none has flags that are not reserved.
            const ONES: u64 = u64::MAX / 0xFF;
            let mut rest = octets_from;
            while let Some((word, after)) = rest.split_first_chunk() {
                let reserved = u64::from_le_bytes(*word) & (0xF8 * ONES);
                let has_none = reserved.wrapping_sub(ONES) & !reserved & (0x80 * ONES) == 0;
                if !has_none {
                    break;
                }
                rest = after;
            }
            rest.iter().position(|&octet| octet < 8).map(|at| octets_from.len() - rest.len() + at)
        }
    };
    first.map(|first| from + first)
}

/// Whether a frame can begin with these octets: another quick look, that most fail of those that pass the first.
fn can_begin(framing: Framing, octets: &[u8]) -> bool {
    let is_short_enough = || octets.iter().skip(1).take(3).all(|&octet| octet == 0);
    match (framing, octets.first()) {
        (Framing::V1, Some(&flags)) => flags != 0,
        (Framing::V2 | Framing::V3, Some(0 | 1)) | (Framing::V3, Some(4)) => true,
        (Framing::V2 | Framing::V3, Some(2 | 3)) | (Framing::V3, Some(6)) => is_short_enough(),
        (Framing::V2 | Framing::V3, Some(_)) | (_, None) => false,
    }
}

/// Whether a header can be one in the middle of a stream. `flags_octet` is the flags as they were sent.
pub fn is_plausible(framing: Framing, header: FrameHeader, flags_octet: u8) -> bool {
    let FrameHeader { flags, length } = header;
    let possible = match framing {
        Framing::V1 => legacy::is_plausible_flags(flags_octet) && (!flags.long() || length >= 254),
        Framing::V2 => flags.reserved() == 0 && !flags.command() && (!flags.long() || length > 255),
        Framing::V3 => flags.reserved() == 0 && (!flags.long() || length > 255),
    };
    possible && length <= LONGEST && !(flags.command() && flags.more())
}

/// Whether the minor version of a greeting and its mechanism (RFC 23, greeting) are taken for a header: its first packet may
/// be lost alone.
fn is_rest_of_greeting(rest: &[u8]) -> bool {
    let mechanisms: [&[u8]; 4] = [b"NULL\0\0\0\0", b"PLAIN\0\0\0", b"CURVE\0\0\0", b"GSSAPI\0\0"];
    rest.get(1..).is_some_and(|rest| mechanisms.iter().any(|mechanism| rest.starts_with(mechanism)))
}

/// An empty frame that ends a message proves nothing, since zeros look like it; alone, it is no message that many send.
fn is_empty_end(framing: Framing, run: &[u8]) -> bool {
    framing.header(run).is_ok_and(|(_, header)| header.length == 0 && !header.flags.more() && !header.flags.command())
}

/// Whether a frame is a MESSAGE of CURVE: each is a message of its own.
pub(super) fn is_sealed(framing: Framing, header: FrameHeader, body: &[u8]) -> bool {
    framing == Framing::V3 && !header.flags.more() && header.length >= 33 && body.starts_with(SEALED)
}
