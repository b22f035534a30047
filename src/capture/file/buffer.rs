//! A window over an input, refilled in large reads; packets borrow from it.
//!
//! Invariants: the bytes of a range handed out stay in place until the next [`Buffer::fill`]; memory grows only as far
//! as the caller asks, which is at most [`super::MAX_CAPTURED`] and a header.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// Space for one read. Reads below some 100 KiB cost time in system calls, buffers beyond the second-level cache cost
/// time in memory; between the two nothing is to be gained.
const CAPACITY: usize = 512 << 10;

/// Bytes read and not yet consumed.
pub(super) struct Buffer {
    reader: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    consumed: u64,
}

impl Buffer {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, bytes: vec![0; CAPACITY], start: 0, end: 0, consumed: 0 }
    }

    /// What is there, from the first byte not consumed on.
    pub(super) fn window(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Bytes of the input that were consumed.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Makes the window at least `wanted` bytes long; `false` if the input ends before.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.end - self.start >= wanted {
            return Ok(true);
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        while self.end < wanted {
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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

    /// Consumes `count` bytes without keeping them; `false` if the input ends before.
    pub(super) fn skip(&mut self, mut count: u64) -> io::Result<bool> {
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
