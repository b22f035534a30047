//! What the headers of a chain of frames weigh: how much likelier their octets are as headers than as anything else, in bits.
//!
//! Headers are compared with what the same direction holds between them. Flags take one of few values, and mostly the same
//! one; lengths repeat, and are those that reach the end of a packet.

use super::excerpt::Excerpt;
use super::proof::STRUCTURE;
use super::{Found, Framing};

/// Numbers in tables have up to so many octets: of places that differ by a multiple of it octets are counted together.
const CLASSES: usize = 4;

/// Where there is little to count, an octet is taken for as rare as one in so many.
const FEW: f64 = 128.0;

/// No octet weighs more: one value of 256.
const OCTET: f64 = 8.0;

/// Flags that a frame can have (RFC 23, frame), all as likely before any was seen.
const FLAGS: f64 = 5.0;

/// A part that is followed by others is a delimiter once in so many.
const DELIMITER: f64 = 0.25;

/// Octets of one direction by value.
pub(super) struct Weight<'a> {
    excerpt: &'a Excerpt,
    /// By class, those between headers.
    others: [[u32; 256]; CLASSES],
    /// How many those are.
    totals: [u32; CLASSES],
    /// All, headers included.
    all: Seen,
    flags: Seen,
    lengths: Seen,
}

/// Values that were there before.
struct Seen {
    counts: [u32; 256],
    total: u32,
}

impl Seen {
    fn new() -> Self {
        Self { counts: [0; 256], total: 0 }
    }

    fn add(&mut self, octet: u8) {
        self.counts[usize::from(octet)] += 1;
        self.total += 1;
    }
}

impl<'a> Weight<'a> {
    /// For the headers of this chain.
    pub(super) fn new(excerpt: &'a Excerpt, chain: impl Iterator<Item = Found>) -> Self {
        let (others, totals) = ([[0; 256]; CLASSES], [0; CLASSES]);
        let [all, flags, lengths] = [(); 3].map(|()| Seen::new());
        let mut weight = Self { excerpt, others, totals, all, flags, lengths };
        for (_, run, offset) in excerpt.runs() {
            for (octet, class) in run.iter().zip((offset % CLASSES as u64) as usize..) {
                weight.all.add(*octet);
                weight.others[class % CLASSES][usize::from(*octet)] += 1;
                weight.totals[class % CLASSES] += 1;
            }
        }
        for frame in chain {
            for at in frame.at..frame.body {
                let (class, octet) = (weight.class(at), excerpt.octets()[at]);
                weight.others[class][usize::from(octet)] -= 1;
                weight.totals[class] -= 1;
            }
        }
        weight
    }

    fn class(&self, at: usize) -> usize {
        (self.excerpt.offset(at) % CLASSES as u64) as usize
    }

    /// How likely this octet is at this index, if it is no header's.
    fn otherwise(&self, at: usize, octet: u8) -> f64 {
        let class = self.class(at);
        let (count, total) = (f64::from(self.others[class][usize::from(octet)]), f64::from(self.totals[class]));
        let likely = (count + 1.0) / (total + FEW);
        // However few of these there are: what most octets are tells nothing, wherever it is.
        let share = f64::from(self.all.counts[usize::from(octet)]) / f64::from(self.all.total);
        if share > 0.5 { likely.max(share) } else { likely }
    }

    /// What these headers weigh together, each by what it has in common with those before it.
    pub(super) fn of(mut self, framing: Framing, chain: impl Iterator<Item = Found>) -> f64 {
        chain.map(|frame| self.header(framing, frame)).sum()
    }

    fn header(&mut self, framing: Framing, frame: Found) -> f64 {
        let Found { at, body, header, bits, end } = frame;
        if header.flags.command() || bits > STRUCTURE {
            return if bits < STRUCTURE { 0.0 } else { f64::from(bits) };
        }
        let octets = self.excerpt.octets();
        let (flags_at, length_at) = match framing {
            Framing::V1 => (body - 1, at),
            Framing::V2 | Framing::V3 => (at, at + 1),
        };
        let flags = octets[flags_at];
        let known = (f64::from(self.flags.counts[usize::from(flags)]) + 1.0) / (f64::from(self.flags.total) + FLAGS);
        let flags_weigh = weigh(known, self.otherwise(flags_at, flags));
        self.flags.add(flags);
        let ends = !header.flags.more() && self.excerpt.is_packet_end(end);
        if header.flags.long() {
            // The upper octets of the length are zero; in 1.0 the first octet says that they follow.
            let zeros = (at + 1..at + 5).map(|at| weigh(1.0, self.otherwise(at, 0))).sum::<f64>();
            return (flags_weigh + zeros).min(f64::from(STRUCTURE)) + if ends { OCTET } else { 0.0 };
        }
        if header.length == 0 && !header.flags.more() {
            return 0.0;
        }
        let length = octets[length_at];
        let otherwise = self.otherwise(length_at, length);
        let repeated = match self.lengths.total {
            0 => otherwise,
            total => f64::midpoint(otherwise, f64::from(self.lengths.counts[usize::from(length)]) / f64::from(total)),
        };
        self.lengths.add(length);
        let known = if ends {
            1.0
        } else if header.flags.more() && header.length == 0 {
            repeated.max(DELIMITER)
        } else {
            repeated
        };
        flags_weigh + weigh(known, otherwise)
    }
}

/// The weight of an octet that is so likely if it is a header's, and so likely otherwise.
fn weigh(header: f64, otherwise: f64) -> f64 {
    (header / otherwise).log2().min(OCTET)
}
