//! How much one header, and the chain of frames that begins with it, proves.

use super::Proof;
use super::excerpt::Excerpt;
use crate::zmtp::probe::Framing;
use crate::zmtp::wire::command::{NAME_OCTETS, is_known_name};
use crate::zmtp::wire::frame::FrameHeader;
use crate::zmtp::wire::legacy;

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
    /// Bits of each octet, by how many there are of it.
    rarity: [u8; 256],
}

impl<'a> Reading<'a> {
    pub(super) fn new(framing: Framing, excerpt: &'a Excerpt) -> Self {
        let mut counts = [1_usize; 256];
        excerpt.octets().iter().for_each(|&octet| counts[usize::from(octet)] += 1);
        let rarity = counts.map(|count| ((excerpt.len() + 256) / count).ilog2() as u8);
        Self { framing, excerpt, rarity }
    }

    /// For each index: bits of proof that frames begin there, `None` if they cannot. Each builds on the one of the next
    /// frame, so they are found from the end. `empties`: a message may be an empty frame.
    pub(super) fn proofs(&self, empties: bool) -> Vec<Option<u32>> {
        let Self { framing, excerpt, .. } = *self;
        let mut proofs: Vec<Option<u32>> = vec![Some(0); excerpt.len() + 1];
        for (start, run, offset) in excerpt.runs().rev() {
            for within in (0..run.len()).rev() {
                let rest = &run[within..];
                let at = start + within;
                if !can_begin(framing, rest[0]) {
                    proofs[at] = None;
                    continue;
                }
                proofs[at] = match framing.header(rest) {
                    Ok((body, header)) => self.of_header(rest, body, header).and_then(|bits| {
                        let body_at = within + rest.len() - body.len();
                        let next_offset = (offset + body_at as u64).saturating_add(header.length);
                        let next = match usize::try_from(header.length).ok().filter(|&length| length < body.len()) {
                            Some(length) => Some(start + body_at + length),
                            None => excerpt.index(next_offset),
                        };
                        if let Some(next) = next.filter(|_| !empties && !header.flags.more())
                            && is_empty_end(framing, excerpt.run(next))
                        {
                            return None;
                        }
                        let whole = !header.flags.more() && header.length > 0;
                        let end = if whole && excerpt.is_packet_end(next_offset) { ENDS_WITH_PACKET } else { 0 };
                        let rest = next.map_or(Some(0), |next| proofs[next])?;
                        Some(bits.saturating_add(end).saturating_add(rest))
                    }),
                    Err(error) => error.is_incomplete().then_some(0),
                };
            }
        }
        proofs
    }

    /// The index and the proof, if frames can be believed to begin there.
    pub(super) fn believed(&self, proofs: &[Option<u32>], at: usize, proof: Proof) -> Option<(usize, u32)> {
        // Most octets have no proof at all, so whether a packet begins there is asked last.
        let bits = proofs[at].filter(|&bits| bits >= proof.bits())?;
        let needed = proof.bits() + if self.excerpt.is_packet(at) { 0 } else { NO_HINT };
        if bits < needed || is_empty_end(self.framing, self.excerpt.run(at)) {
            return None;
        }
        Some((at, bits))
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
                let bits: u32 = octets.iter().map(|&octet| u32::from(self.rarity[usize::from(octet)])).sum();
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

/// Whether a frame can begin with this octet: a quick look that most octets fail.
fn can_begin(framing: Framing, octet: u8) -> bool {
    match framing {
        Framing::V1 => octet != 0,
        Framing::V2 | Framing::V3 => octet < 8,
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
