//! Pieces of one direction that arrived before the bytes in front of them.
//!
//! Invariant: the pieces do not overlap; of two copies of a byte the first that arrived is kept.

use crate::base::chunk::{Data, Position};
use std::collections::BTreeMap;

/// Bytes of memory that a piece takes beyond its own: its place in the order, its position, an allocation.
pub const OVERHEAD: usize = 96;

/// Content kept until its turn comes.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Copied bytes.
    Bytes(Box<[u8]>),
    /// Bytes known to have been sent but cut off by the snapshot length.
    Gap(u64),
}

impl Piece {
    /// As the content of a chunk.
    pub fn data(&self) -> Data<'_> {
        match self {
            Self::Bytes(bytes) => Data::Bytes(bytes),
            Self::Gap(length) => Data::Gap(*length),
        }
    }
}

/// The out-of-order store of one direction.
#[derive(Debug, Default)]
pub struct Pending {
    pieces: BTreeMap<u64, (Position, Piece)>,
    bytes: usize,
}

impl Pending {
    /// Keeps what of `data` is not kept already. Says whether bytes that are kept and new bytes for the same offsets
    /// differ.
    pub fn insert(&mut self, position: Position, mut offset: u64, mut data: Data<'_>) -> bool {
        let mut conflict = false;
        while data.length() > 0 {
            let end = offset + data.length();
            // The piece that covers `offset`, or else the first one after it.
            let covering = self
                .pieces
                .range(..=offset)
                .next_back()
                .filter(|(at, (_, piece))| **at + piece.data().length() > offset);
            let Some((&at, (_, piece))) = covering.or_else(|| self.pieces.range(offset..end).next()) else {
                self.keep(position, offset, data);
                return conflict;
            };
            let piece_end = at + piece.data().length();
            if at > offset {
                let (before, rest) = split(data, at - offset);
                self.keep(position, offset, before);
                (offset, data) = (at, rest);
                continue;
            }
            let shared = piece_end.min(end) - offset;
            let (overlap, rest) = split(data, shared);
            if let (Data::Bytes(new), Piece::Bytes(kept)) = (overlap, piece) {
                let from = (offset - at) as usize;
                conflict |= kept[from..from + new.len()] != *new;
            }
            (offset, data) = (offset + shared, rest);
        }
        conflict
    }

    /// Takes the first piece if it begins at or before `offset`.
    pub fn take_through(&mut self, offset: u64) -> Option<(u64, Position, Piece)> {
        let first = self.pieces.first_entry()?;
        if *first.key() > offset {
            return None;
        }
        let (at, (position, piece)) = first.remove_entry();
        if let Piece::Bytes(bytes) = &piece {
            self.bytes -= bytes.len();
        }
        Some((at, position, piece))
    }

    /// Offset of the first piece.
    pub fn first(&self) -> Option<u64> {
        self.pieces.first_key_value().map(|(at, _)| *at)
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Pieces held.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    fn keep(&mut self, position: Position, offset: u64, data: Data<'_>) {
        let piece = match data {
            Data::Bytes(bytes) => {
                self.bytes += bytes.len();
                Piece::Bytes(bytes.into())
            }
            Data::Gap(length) => Piece::Gap(length),
        };
        self.pieces.insert(offset, (position, piece));
    }
}

/// The first `length` bytes of the stream that `data` covers, and the rest.
pub fn split(data: Data<'_>, length: u64) -> (Data<'_>, Data<'_>) {
    match data {
        Data::Bytes(bytes) => {
            let (head, tail) = bytes.split_at(length as usize);
            (Data::Bytes(head), Data::Bytes(tail))
        }
        Data::Gap(all) => (Data::Gap(length), Data::Gap(all - length)),
    }
}
