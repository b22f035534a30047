//! Pieces of one direction that arrived before the bytes in front of them.
//!
//! Invariant: the pieces do not overlap; of two copies of a byte the first that arrived is kept.

use crate::base::chunk::{Data, Position};
use std::collections::VecDeque;

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
    /// In the order of the stream, which is nearly always that in which they come: few of them are ever moved.
    pieces: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    offset: u64,
    position: Position,
    piece: Piece,
}

impl Kept {
    fn end(&self) -> u64 {
        self.offset + self.piece.data().length()
    }
}

impl Pending {
    /// Keeps what of `data` is not kept already. Says whether bytes that are kept and new bytes for the same offsets
    /// differ.
    pub fn insert(&mut self, position: Position, mut offset: u64, mut data: Data<'_>) -> bool {
        let mut conflict = false;
        // The first piece that ends after `offset`.
        let is_after = self.pieces.back().is_none_or(|last| last.end() <= offset);
        let mut number =
            if is_after { self.pieces.len() } else { self.pieces.partition_point(|kept| kept.end() <= offset) };
        while data.length() > 0 {
            let next = self.pieces.get(number);
            let before = next.map_or(u64::MAX, |next| next.offset).saturating_sub(offset).min(data.length());
            if before > 0 {
                let (fresh, rest) = split(data, before);
                self.keep(number, position, offset, fresh);
                (offset, data) = (offset + before, rest);
            } else if let Some(next) = next {
                let shared = (next.end() - offset).min(data.length());
                let (overlap, rest) = split(data, shared);
                if let (Data::Bytes(new), Piece::Bytes(kept)) = (overlap, &next.piece) {
                    let from = (offset - next.offset) as usize;
                    conflict |= kept[from..from + new.len()] != *new;
                }
                (offset, data) = (offset + shared, rest);
            }
            number += 1;
        }
        conflict
    }

    /// Takes the first piece if it begins at or before `offset`.
    pub fn take_through(&mut self, offset: u64) -> Option<(u64, Position, Piece)> {
        self.pieces.front().filter(|first| first.offset <= offset)?;
        let Kept { offset, position, piece } = self.pieces.pop_front()?;
        if let Piece::Bytes(bytes) = &piece {
            self.bytes -= bytes.len();
        }
        // There are many connections, and few of them lack anything at a time.
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
        Some((offset, position, piece))
    }

    /// Offset of the first piece.
    pub fn first(&self) -> Option<u64> {
        self.pieces.front().map(|first| first.offset)
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

    fn keep(&mut self, number: usize, position: Position, offset: u64, data: Data<'_>) {
        let piece = match data {
            Data::Bytes(bytes) => {
                self.bytes += bytes.len();
                Piece::Bytes(bytes.into())
            }
            Data::Gap(length) => Piece::Gap(length),
        };
        self.pieces.insert(number, Kept { offset, position, piece });
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
