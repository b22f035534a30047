//! A mistake of libzmq 4.3.3 and later: a subscription to a topic of exactly 255 octets, sent to a peer of ZMTP 3.0 or 2.0.
//!
//! ```text
//! flags without LONG   length (8)                 01 or 00   topic
//! 00                   00 00 00 00 00 00 01 00    01         255 octets
//! ```
//!
//! Whether the length has 8 octets is decided by the message, 256 octets long; the LONG flag by the topic. A peer takes this
//! for empty frames, and loses its way in what follows. Only a SUB or XSUB sends it, so only from one, and only towards such
//! peers, an empty frame is held back until the octets behind it tell: the nine above are no frames that libzmq would
//! write there, since a SUB has no messages to send.

use super::framer::At;
use crate::base::chunk::Position;

/// Flags and length.
const MISTAKEN: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 1, 0];

/// Octets of the message: what is wanted or cancelled, and the topic.
pub const MISTAKEN_LENGTH: u64 = 256;

/// Octets that may be a mistaken header, or frames.
#[derive(Debug)]
pub struct Doubt {
    octets: [u8; MISTAKEN.len() + 1],
    places: [At; MISTAKEN.len() + 1],
    have: usize,
}

impl Default for Doubt {
    fn default() -> Self {
        let nowhere = At { position: Position::default(), offset: 0 };
        Self { octets: [0; MISTAKEN.len() + 1], places: [nowhere; MISTAKEN.len() + 1], have: 0 }
    }
}

/// What the octets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More of them will tell.
    Open,
    /// Frames as they stand.
    Frames,
    /// A subscription with a mistaken length.
    Topic {
        /// Where it begins.
        at: At,
        /// Octets of its body.
        length: u64,
        /// The first of them, which told.
        first: u8,
    },
}

impl Doubt {
    /// The next octet.
    pub fn next(&mut self, at: At, octet: u8) -> Verdict {
        (self.octets[self.have], self.places[self.have]) = (octet, at);
        self.have += 1;
        match MISTAKEN.get(self.have - 1) {
            Some(&expected) if expected == octet => Verdict::Open,
            None if octet <= 1 => Verdict::Topic { at: self.begin(), length: MISTAKEN_LENGTH, first: octet },
            _ => Verdict::Frames,
        }
    }

    /// Where they begin.
    pub fn begin(&self) -> At {
        self.places[0]
    }

    /// The octets, and where each was found.
    pub fn octets(&self) -> impl Iterator<Item = (At, u8)> + '_ {
        self.places.iter().copied().zip(self.octets).take(self.have)
    }
}
