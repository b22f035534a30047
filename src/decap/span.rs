//! A part of a packet: what was captured of it, and how long it was on the wire.

use super::segment::Skip;

/// Invariant: `bytes` is not longer than `wire`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    bytes: &'a [u8],
    wire: usize,
}

impl<'a> Span<'a> {
    /// `bytes`, of something that was `wire` bytes long.
    pub(super) fn new(bytes: &'a [u8], wire: usize) -> Self {
        let bytes = &bytes[..bytes.len().min(wire)];
        Self { bytes, wire }
    }

    /// What was captured.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How long it was on the wire.
    pub(super) fn wire(self) -> usize {
        self.wire
    }

    /// How many bytes were not captured.
    pub(super) fn cut(self) -> usize {
        self.wire - self.bytes.len()
    }

    /// The same start with the length that a header field tells.
    pub(super) fn with_length(self, length: usize) -> Self {
        Self::new(self.bytes, length)
    }

    /// What follows a header of `length` bytes.
    pub(super) fn after(self, length: usize) -> Result<Self, Skip> {
        match self.bytes.get(length..) {
            Some(bytes) => Ok(Self::new(bytes, self.wire - length)),
            None => Err(self.lacks(length)),
        }
    }

    /// Why `length` bytes of header are not there.
    pub(super) fn lacks(self, length: usize) -> Skip {
        if self.wire >= length { Skip::Cut } else { Skip::Malformed }
    }

    /// The field of `N` bytes at `at`.
    pub(super) fn field<const N: usize>(self, at: usize) -> Result<[u8; N], Skip> {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or_else(|| self.lacks(at + N))
    }

    /// The 16-bit field at `at`, in network byte order.
    pub(super) fn u16(self, at: usize) -> Result<u16, Skip> {
        self.field(at).map(u16::from_be_bytes)
    }
}
