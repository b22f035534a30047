//! A window over an input, refilled in large reads; packets borrow from it.
//!
//! Invariants: the bytes of a range handed out stay in place until the next [`Buffer::fill`]; with [`Buffer::keep`] that
//! goes on with other memory, and they stay until they are taken with [`Buffer::retire`]. Memory grows only as far as the
//! caller asks, which is at most [`super::MAX_CAPTURED`] and a header.

use super::compressed::{Compression, Decompressor};
use crate::capture::batch::OCTETS;
use std::io::{self, Cursor, ErrorKind, Read};
use std::ops::Range;

/// Space for one read. Reads below some 100 KiB cost time in system calls, buffers beyond the second-level cache cost
/// time in memory; between the two nothing is to be gained.
const CAPACITY: usize = OCTETS;

/// Bytes read and not yet consumed.
pub(super) struct Buffer {
    input: Input,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    consumed: u64,
    /// Whether a fill may wait for the input, and how many bytes the latest read gave.
    waits: bool,
    latest_read: usize,
    /// Whether ranges of `bytes` were handed out that are to stay.
    kept: bool,
    /// What the next fill goes on with, if they are.
    spare: Vec<u8>,
    /// Where they are since.
    retired: Option<Vec<u8>>,
}

/// Where the bytes come from.
enum Input {
    Plain(Box<dyn Read + Send>),
    Compressed(Decompressor),
}

impl Buffer {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self::of(Input::Plain(reader))
    }

    fn of(input: Input) -> Self {
        Self {
            input,
            bytes: vec![0; CAPACITY],
            start: 0,
            end: 0,
            consumed: 0,
            waits: true,
            latest_read: 0,
            kept: false,
            spare: Vec::new(),
            retired: None,
        }
    }

    /// The same input decompressed, what is in the window included.
    pub(super) fn decompressed(self, compression: Compression) -> Self {
        match self.input {
            Input::Plain(reader) => {
                let start = Cursor::new(self.bytes[self.start..self.end].to_vec());
                let decompressor = Decompressor::new(compression, Box::new(start.chain(reader)));
                Self::of(Input::Compressed(decompressor))
            }
            Input::Compressed(_) => self,
        }
    }

    /// How the input is compressed, if it is, and what is wrong with that.
    pub(super) fn compression(&self) -> Option<(Compression, Option<&str>)> {
        match &self.input {
            Input::Plain(_) => None,
            Input::Compressed(input) => Some((input.compression(), input.damage())),
        }
    }

    /// Bytes of the file that were read: compressed ones, where it is compressed.
    pub(super) fn read_bytes(&self) -> u64 {
        match &self.input {
            Input::Plain(_) => self.consumed,
            Input::Compressed(input) => input.read_bytes(),
        }
    }

    /// What is there, from the first byte not consumed on.
    pub(super) fn window(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Bytes that were consumed, after decompression.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether a fill reads on from here on; if not, it fails with [`ErrorKind::WouldBlock`] where more is wanted than is there,
    /// and nothing is changed.
    pub(super) fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// Whether a fill reads on.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// How many bytes the latest read gave.
    pub(super) fn latest_read(&self) -> usize {
        self.latest_read
    }

    /// Makes the window at least `wanted` bytes long; `false` if the input ends before.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.end - self.start >= wanted {
            return Ok(true);
        }
        if !self.waits {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.move_on();
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        while self.end < wanted {
            let space = &mut self.bytes[self.end..];
            let read = match &mut self.input {
                Input::Plain(reader) => reader.read(space),
                Input::Compressed(input) => input.read(space),
            };
            match read {
                Ok(0) => return Ok(false),
                Ok(count) => (self.end, self.latest_read) = (self.end + count, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// What is left in the window goes to the front, of other memory if what was handed out is to stay.
    fn move_on(&mut self) {
        let left = self.start..self.end;
        if std::mem::take(&mut self.kept) {
            let mut next = std::mem::take(&mut self.spare);
            if next.len() > CAPACITY {
                // A single huge packet must not hold memory for ever.
                next.truncate(CAPACITY);
                next.shrink_to_fit();
            }
            next.resize(CAPACITY.max(left.len()), 0);
            next[..left.len()].copy_from_slice(&self.bytes[left.clone()]);
            self.retired = Some(std::mem::replace(&mut self.bytes, next));
        } else {
            self.bytes.copy_within(left.clone(), 0);
        }
        (self.start, self.end) = (0, left.len());
    }

    /// Memory for later.
    pub(super) fn lend(&mut self, spare: Vec<u8>) {
        self.spare = spare;
    }

    /// What was handed out of the window stays until it is taken with [`Self::retire`].
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Whether what was handed out is no longer in this buffer.
    pub(super) fn has_retired(&self) -> bool {
        self.retired.is_some()
    }

    /// The memory that what was handed out is in.
    pub(super) fn retire(&mut self) -> Vec<u8> {
        if self.kept && self.retired.is_none() {
            self.move_on();
        }
        self.kept = false;
        self.retired.take().unwrap_or_default()
    }

    /// Consumes `count` bytes of the window and says where they stay until the next fill.
    pub(super) fn take(&mut self, count: usize) -> Range<usize> {
        let range = self.start..self.start + count;
        debug_assert!(range.end <= self.end, "only what was filled is consumed");
        self.start = range.end;
        self.consumed += count as u64;
        range
    }

    /// The bytes of a range from [`Self::take`].
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Consumes `count` bytes without keeping them; `false` if the input ends before. Always reads on.
    pub(super) fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        self.waits = true;
        while count > 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            let step = count.min(self.window().len() as u64);
            self.take(step as usize);
            count -= step;
        }
        Ok(true)
    }
}
