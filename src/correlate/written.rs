//! Messages written down by hand, for the tests of this layer.

use crate::base::chunk::Position;
use crate::base::direction::Direction;
use crate::base::hash::hash;
use crate::zmtp::event::{Message, Part};

/// The parts of a message, all of them whole and kept.
pub(super) struct Written {
    heads: Vec<u8>,
    parts: Vec<Part>,
}

impl Written {
    /// With these parts.
    pub(super) fn new(parts: &[&[u8]]) -> Self {
        let mut heads = Vec::new();
        let part = |part: &&[u8]| {
            let start = heads.len();
            heads.extend_from_slice(part);
            Part { length: part.len() as u64, missing: 0, hash: hash(part), head: start..heads.len() }
        };
        let parts = parts.iter().map(part).collect();
        Self { heads, parts }
    }

    /// The message, in one packet.
    pub(super) fn message(&self, direction: Direction, ordinal: u64, offset: u64, position: Position) -> Message<'_> {
        Message {
            direction,
            ordinal,
            offset,
            start: position,
            end: position,
            available: position,
            parts: &self.parts,
            part_count: self.parts.len() as u64,
            heads: &self.heads,
            encrypted: false,
            is_compared: true,
        }
    }
}
