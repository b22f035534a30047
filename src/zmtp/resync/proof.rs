//! How much one header, and the chain of frames that begins with it, proves.

use super::Proof;
use super::excerpt::Excerpt;
use crate::zmtp::probe::Framing;
use crate::zmtp::wire::command::{NAME_OCTETS, is_known_name};
use crate::zmtp::wire::frame::FrameHeader;
use crate::zmtp::wire::legacy;
use std::cell::OnceCell;

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

/// An excerpt that is read as frames.
pub(super) struct Reading<'a> {
    pub(super) framing: Framing,
    pub(super) excerpt: &'a Excerpt,
    /// Bits of each octet, by how many there are of it: counted when they are first asked for.
    rarity: OnceCell<[u8; 256]>,
}

/// At which indices frames can begin, and the bits of proof that they do.
pub(super) struct Proofs {
    /// One more than the bits of each index; 0 where none can begin, as most are: that memory is not even written.
    bits: Vec<u32>,
    /// Where they can begin, the last index first.
    possible: Vec<usize>,
}

impl Proofs {
    /// Of one index.
    pub(super) fn at(&self, index: usize) -> Option<u32> {
        self.bits[index].checked_sub(1)
    }

    /// All indices at which frames can begin, in order.
    pub(super) fn possible(&self) -> impl Iterator<Item = usize> + '_ {
        self.possible.iter().rev().copied()
    }

    fn set(&mut self, index: usize, bits: u32) {
        self.bits[index] = bits.saturating_add(1);
        self.possible.push(index);
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(framing: Framing, excerpt: &'a Excerpt) -> Self {
        Self { framing, excerpt, rarity: OnceCell::new() }
    }

    /// For each index at which frames can begin: bits of proof that they do. Each builds on the one of the next frame, so they
    /// are found from the end. `empties`: a message may be an empty frame.
    pub(super) fn proofs(&self, empties: bool) -> Proofs {
        let mut proofs = Proofs { bits: vec![0; self.excerpt.len()], possible: Vec::new() };
        for (start, run, offset) in self.excerpt.runs().rev() {
            let mut within = run.len();
            while let Some(before) = last_possible(self.framing, &run[..within]) {
                within = before;
                if let Some(bits) = self.proof(&proofs, (start, run, offset), within, empties) {
                    proofs.set(start + within, bits);
                }
            }
        }
        proofs
    }

    /// Bits of proof that frames begin at this octet of a run, which is told with its index and offset; `None` if they cannot.
    fn proof(
        &self,
        proofs: &Proofs,
        (start, run, offset): (usize, &[u8], u64),
        within: usize,
        empties: bool,
    ) -> Option<u32> {
        let Self { framing, excerpt, .. } = self;
        let rest = &run[within..];
        let (body, header) = match framing.header(rest) {
            Ok(found) => found,
            Err(error) => return error.is_incomplete().then_some(0),
        };
        let bits = self.of_header(rest, body, header)?;
        let body_at = within + rest.len() - body.len();
        let next_offset = (offset + body_at as u64).saturating_add(header.length);
        let next = match usize::try_from(header.length).ok().filter(|&length| length < body.len()) {
            Some(length) => Some(start + body_at + length),
            None => excerpt.index(next_offset),
        };
        if let Some(next) = next.filter(|_| !empties && !header.flags.more())
            && is_empty_end(*framing, excerpt.run(next))
        {
            return None;
        }
        let whole = !header.flags.more() && header.length > 0;
        let end = if whole && excerpt.is_packet_end(next_offset) { ENDS_WITH_PACKET } else { 0 };
        let rest = next.map_or(Some(0), |next| proofs.at(next))?;
        Some(bits.saturating_add(end).saturating_add(rest))
    }

    /// The proof, if frames can be believed to begin at an index.
    pub(super) fn believed(&self, proofs: &Proofs, at: usize, proof: Proof) -> Option<u32> {
        // Most octets have no proof at all, so whether a packet begins there is asked last.
        let bits = proofs.at(at).filter(|&bits| bits >= proof.bits())?;
        let needed = proof.bits() + if self.excerpt.is_packet(at) { 0 } else { NO_HINT };
        (bits >= needed && !is_empty_end(self.framing, self.excerpt.run(at))).then_some(bits)
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
                let rarity = self.rarity.get_or_init(|| rarity(self.excerpt.octets()));
                let bits: u32 = octets.iter().map(|&octet| u32::from(rarity[usize::from(octet)])).sum();
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

/// Bits of each octet, by how many there are of it.
fn rarity(octets: &[u8]) -> [u8; 256] {
    let mut counts = [1_usize; 256];
    for &octet in octets {
        counts[usize::from(octet)] += 1;
    }
    counts.map(|count| ((octets.len() + 256) / count).ilog2() as u8)
}

/// The last of these octets with which a frame can begin: a quick look that most fail.
fn last_possible(framing: Framing, octets: &[u8]) -> Option<usize> {
    match framing {
        Framing::V1 => octets.iter().rposition(|&octet| octet != 0),
        Framing::V2 | Framing::V3 => {
            // Eight at once, where none has flags that are not reserved.
            const ONES: u64 = u64::MAX / 0xFF;
            let mut rest = octets;
            while let Some((before, word)) = rest.split_last_chunk() {
                let reserved = u64::from_le_bytes(*word) & (0xF8 * ONES);
                let has_none = reserved.wrapping_sub(ONES) & !reserved & (0x80 * ONES) == 0;
                if !has_none {
                    break;
                }
                rest = before;
            }
            rest.iter().rposition(|&octet| octet < 8)
        }
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
