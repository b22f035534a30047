//! Whether a stream whose beginning is not known is ZMTP.
//!
//! Frames that fit one after the other are weighed against chance, in bits: a header counts by how much likelier its octets
//! are in a header than among the other octets of the direction, so that tables of small numbers, where everything fits,
//! prove nothing. Packets that are too short to have been cut by TCP, and yet lie inside of one frame, speak against it.
//!
//! What has an explanation that is as good is waited for while more can come: short frames that are all messages of their
//! own are the same octets as 16-bit lengths, the commonest framing of all, and long ones alone are as 64-bit lengths
//! behind a type. Where both sides send nothing but the former, what they say decides: text is believed, other content is
//! not (DNS over TCP, ISO 8583, RTP as RFC 4571 has it).

use super::excerpt::Excerpt;
use super::proof::{Reading, STRUCTURE};
use super::weight::Weight;
use super::{Proof, SHORTEST_CUT};
use crate::base::direction::{Direction, PerDirection};
use crate::zmtp::probe::Framing;

/// A direction that has so many octets and no frames in them speaks against ZMTP.
const TELLING: usize = 512;

/// Where packets are longer than the shortest that can be cut, those of less than that can not: every link that carries
/// IPv6 carries 1280 octets.
const CUT_AT_LEAST: usize = 1220;

/// libzmq writes 8192 octets at a time: behind so many packets that were cut there may be what remained of a write.
const CUTS: usize = 4;

/// A write that begins and ends inside of a frame: so many bits against it. Senders write headers with bodies, and bodies
/// that are longer than their buffers whole.
const INSIDE: f64 = 8.0;

/// What one direction of 1.0 has to prove more where the other says nothing: any octet but zero can be its first.
const ALONE: f64 = 20.0;

/// What is asked for more of frames that other framings explain as well, while more can come: some ten messages.
const PATIENCE: f64 = 160.0;

/// Shorter bodies are text by chance too often.
const SHORTEST_TEXT: usize = 4;

/// What is known of a stream whose beginning is not.
#[derive(Clone, Copy, Debug)]
pub struct Middle<'a> {
    /// What each direction carried since its last gap.
    pub excerpts: &'a PerDirection<Excerpt>,
    /// One direction carried nothing, not even what is not in the capture.
    pub one_way: bool,
    /// No more will come.
    pub is_final: bool,
}

/// What one direction says.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// For ZMTP; against it if negative.
    bits: f64,
    /// Frames follow each other up to its end.
    found: bool,
    /// Short frames, other than such as 16-bit lengths explain.
    parts: bool,
    short: bool,
    long: bool,
    /// Bodies are text.
    is_text: bool,
}

/// Whether a stream whose beginning is not known is ZMTP, and with which frames.
pub fn recognise(middle: Middle<'_>) -> Option<Framing> {
    let Middle { excerpts, one_way, is_final } = middle;
    [Framing::V3, Framing::V1].into_iter().find(|&framing| {
        let evidence = PerDirection::from_fn(|direction| weigh(framing, &excerpts[direction]));
        let any = |of: fn(&Evidence) -> bool| evidence.iter().any(|(_, evidence)| of(evidence));
        let contradicted = |direction: Direction| !evidence[direction].found && excerpts[direction].len() >= TELLING;
        let both = evidence.c2s.found && evidence.s2c.found;
        let is_16_bit = !any(|evidence| evidence.parts || evidence.long);
        let is_64_bit = !any(|evidence| evidence.parts || evidence.short);
        let is_text = any(|evidence| evidence.is_text);
        let mut needed = f64::from(Proof::Strong.bits());
        if framing == Framing::V1 && !both {
            needed += ALONE;
        }
        if (is_16_bit && !is_text || is_64_bit) && !is_final {
            needed += PATIENCE;
        }
        evidence.c2s.bits + evidence.s2c.bits >= needed
            && !Direction::BOTH.into_iter().any(contradicted)
            // 1.0 has nothing that others do not have.
            && (framing != Framing::V1 || both || one_way && !is_16_bit)
            && (!is_16_bit || is_text || one_way)
    })
}

/// What the first chain of frames says.
fn weigh(framing: Framing, excerpt: &Excerpt) -> Evidence {
    let reading = Reading::new(framing, excerpt);
    let proofs = reading.proofs(true);
    let first = (0..excerpt.len()).find_map(|at| reading.believed(&proofs, at, Proof::Usual));
    let Some((start, _)) = first else {
        let possible = |offset| excerpt.index(offset).is_none_or(|index| proofs[index].is_some());
        return Evidence { bits: -INSIDE * inside(excerpt, possible), ..Evidence::default() };
    };
    // The first frame of the chain may be there by chance, and only lead to those that are real.
    let chance = usize::from(!excerpt.is_packet(start));
    let chain = || reading.frames(start).skip(chance);
    let mut boundaries = chain().map(|frame| excerpt.offset(frame.at)).chain(chain().last().map(|frame| frame.end));
    let mut next = boundaries.next();
    let is_boundary = |offset| {
        while next.is_some_and(|boundary| boundary < offset) {
            next = boundaries.next();
        }
        next == Some(offset)
    };
    let against = INSIDE * inside(excerpt, is_boundary);
    let mut evidence = Evidence {
        bits: Weight::new(excerpt, chain()).of(framing, chain()) - against,
        found: true,
        ..Evidence::default()
    };
    let (mut octets, mut text) = (0, 0);
    for frame in chain() {
        let known = reading.body(frame);
        let body = &known[..known.len().min(frame.header.length.try_into().unwrap_or(usize::MAX))];
        if body.len() >= SHORTEST_TEXT {
            octets += body.len();
            text += if is_text(body) { body.len() } else { 0 };
        }
        let proves_itself = frame.bits > STRUCTURE || frame.header.flags.command();
        evidence.parts |= proves_itself || frame.header.flags.more() && !frame.header.flags.long();
        evidence.long |= frame.header.flags.long();
        evidence.short |= !frame.header.flags.long() && frame.header.length > 0;
    }
    evidence.is_text = text > octets / 4;
    evidence
}

/// How many packets lie inside of a frame and are too short to have been cut there, but for the ends of long writes. Asked
/// with ascending offsets.
fn inside(excerpt: &Excerpt, mut is_boundary: impl FnMut(u64) -> bool) -> f64 {
    let longest = excerpt.pieces(0).map(|piece| piece.octets.len()).max().unwrap_or(0);
    let shortest_cut = longest.clamp(SHORTEST_CUT as usize, CUT_AT_LEAST);
    let (short, cut): (Vec<_>, Vec<_>) = excerpt.pieces(0).partition(|piece| piece.octets.len() < shortest_cut);
    let within = short.iter().filter(|piece| {
        let begins = is_boundary(piece.offset);
        let ends = is_boundary(piece.offset + piece.octets.len() as u64);
        !begins && !ends
    });
    within.count().saturating_sub(cut.len() / CUTS) as f64
}

/// Whether this is UTF-8 without control characters, as far as it is known.
fn is_text(body: &[u8]) -> bool {
    let control = body.iter().any(|octet| octet.is_ascii_control() && !octet.is_ascii_whitespace());
    // An error without a length is a character that is cut.
    !control && std::str::from_utf8(body).err().is_none_or(|error| error.error_len().is_none())
}
