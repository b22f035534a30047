//! One direction of a TCP connection: segments in any order → contiguous chunks.
//!
//! Sequence numbers are 32 bits and wrap (RFC 9293 section 3.4); inside, a byte has a 64-bit offset from the first
//! byte of the stream. A segment's offset is the one nearest to what is expected next.

use super::patience::Patience;
use super::pending::{OVERHEAD, Pending, split};
use crate::base::chunk::{Chunk, Data, Position};
use crate::base::hash::hash;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use std::ops::Range;

/// A segment further ahead than the largest window that TCP can offer (RFC 7323 section 2.3) is not of this stream.
const LARGEST_WINDOW: i64 = 1 << 30;

/// How many delivered segments are remembered to compare retransmissions with.
const REMEMBERED: usize = 8;

/// What a segment carries.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Sequence number of the first byte.
    pub sequence: u32,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Bytes after them that were sent and not captured.
    pub cut: u32,
    /// Whether the FIN follows.
    pub fin: bool,
}

/// What happened to the segments of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyStats {
    /// Bytes handed on.
    pub bytes: u64,
    /// Bytes handed on as gaps.
    pub lost_bytes: u64,
    /// Segments whose bytes had all been seen before, in the same file.
    pub retransmitted: u64,
    /// Segments whose bytes had all been seen before, in another file: captured at both ends, most likely.
    pub captured_twice: u64,
    /// Segments that arrived before the bytes in front of them.
    pub out_of_order: u64,
    /// Segments that gave other bytes for offsets that had been seen.
    pub conflicts: u64,
    /// Segments outside any possible window.
    pub out_of_window: u64,
    /// Gaps declared because a limit was reached, not because of evidence.
    pub limit_gaps: u64,
}

/// The peer acknowledged bytes that have not been seen: a hole, if they do not turn up soon.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    /// Offset up to which the peer had acknowledged when this was noticed.
    acknowledged: u64,
    /// Packets of the connection since then.
    packets: u32,
    since: Timestamp,
}

/// A segment that was handed on whole: its range and the hash of its bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Delivered {
    offset: u64,
    length: usize,
    hash: u64,
}

/// Reassembly of one direction.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Sequence number of offset 0, once known.
    base: Option<u32>,
    /// Offset of the next byte to hand on.
    next: u64,
    pending: Pending,
    /// Largest acknowledgement of the peer, as an offset.
    acknowledged: u64,
    evidence: Option<Evidence>,
    /// The latest bytes that were awaited in vain.
    given_up: Range<u64>,
    /// Offset at which the direction ends: its FIN.
    end: Option<u64>,
    recent: [Delivered; REMEMBERED],
    /// The file that gave the latest bytes.
    file: u16,
    stats: ReassemblyStats,
}

impl Reassembler {
    /// The SYN: the stream begins at the sequence number after it. Whether it does, as far as it was seen already.
    pub fn start(&mut self, syn_sequence: u32) -> bool {
        let first = syn_sequence.wrapping_add(1);
        *self.base.get_or_insert(first) == first
    }

    /// Sequence number of the stream's first byte, where known.
    pub fn base(&self) -> Option<u32> {
        self.base
    }

    /// What happened so far.
    pub fn stats(&self) -> ReassemblyStats {
        self.stats
    }

    /// Whether all bytes up to the FIN were handed on.
    pub fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Whether the FIN was seen; bytes before it may be missing.
    pub fn fin_seen(&self) -> bool {
        self.end.is_some()
    }

    /// A segment.
    pub fn segment(
        &mut self,
        position: Position,
        payload: Payload<'_>,
        limits: &Limits,
        patience: &mut Patience,
        on: &mut impl FnMut(Chunk<'_>),
    ) {
        let Payload { sequence, bytes: payload, cut, fin } = payload;
        if payload.is_empty() && cut == 0 && !fin {
            return;
        }
        let base = *self.base.get_or_insert(sequence);
        let ahead = self.relative(base, sequence);
        if ahead.abs() > LARGEST_WINDOW {
            self.stats.out_of_window += 1;
            return;
        }
        let Some(offset) = self.next.checked_add_signed(ahead) else {
            // Bytes from before the point where the capture joined the stream.
            self.stats.retransmitted += 1;
            return;
        };
        let payload_end = offset + payload.len() as u64;
        let end = payload_end + u64::from(cut);
        if fin && self.end.is_none() {
            self.end = Some(end);
            // The FIN takes a number too, and was acknowledged in a packet that overtook it: no byte of the stream.
            self.acknowledged = self.acknowledged.min(end);
            if let Some(evidence) = &mut self.evidence {
                evidence.acknowledged = evidence.acknowledged.min(end);
            }
        }
        if end <= self.next {
            if end > offset {
                if offset < self.given_up.end && end > self.given_up.start {
                    patience.was_too_short();
                }
                self.repeated(position);
                self.compare_with_delivered(offset, payload);
            }
            return;
        }
        if ahead <= 0 && self.pending.is_empty() {
            // The common case: nothing waits, and this continues the stream. Handed on without a copy.
            self.remember(offset, payload);
            self.file = position.packet.file();
            let fresh = &payload[((self.next - offset) as usize).min(payload.len())..];
            self.hand_on(position, Data::Bytes(fresh), on);
            self.hand_on(position, Data::Gap(end - self.next), on);
            self.notice_help(patience);
            return;
        }
        let before = self.next.saturating_sub(offset).min(end - offset);
        let held = (self.pending.bytes(), self.pending.len());
        let mut conflict = false;
        for (at, data) in [(offset, Data::Bytes(payload)), (payload_end, Data::Gap(u64::from(cut)))] {
            let seen = (offset + before).saturating_sub(at).min(data.length());
            conflict |= self.pending.insert(position, at + seen, split(data, seen).1);
        }
        self.stats.conflicts += u64::from(conflict);
        if end > offset && held == (self.pending.bytes(), self.pending.len()) {
            self.repeated(position);
        } else if ahead > 0 {
            self.stats.out_of_order += 1;
        }
        self.drain(on);
        self.notice_help(patience);
        self.lose_patience(position, patience, on);
        while self.pending.bytes() > limits.pending_bytes || self.pending.len() > limits.pending_segments {
            self.stats.limit_gaps += 1;
            self.skip_to_pending(position, on);
        }
    }

    /// The peer acknowledged all bytes before `sequence`, in a packet of this connection; called for each one. What it
    /// has and the capture has not becomes a gap once `patience` is used up.
    pub fn acknowledgement(
        &mut self,
        position: Position,
        sequence: u32,
        patience: &mut Patience,
        on: &mut impl FnMut(Chunk<'_>),
    ) {
        let Some(base) = self.base else { return };
        let ahead = self.relative(base, sequence);
        if ahead.abs() > LARGEST_WINDOW {
            return;
        }
        if let Some(offset) = self.next.checked_add_signed(ahead) {
            // The FIN takes a sequence number of its own, which is no byte of the stream.
            let offset = self.end.map_or(offset, |end| offset.min(end));
            self.acknowledged = self.acknowledged.max(offset);
        }
        if self.acknowledged > self.next {
            let acknowledged = self.acknowledged;
            self.evidence.get_or_insert(Evidence { acknowledged, packets: 0, since: position.at });
            self.lose_patience(position, patience, on);
        }
    }

    /// What was awaited came, if it did.
    fn notice_help(&mut self, patience: &mut Patience) {
        if let Some(evidence) = self.evidence.take_if(|evidence| evidence.acknowledged <= self.next) {
            patience.helped(evidence.packets);
        }
    }

    /// One more packet of the connection, of either direction, in which what is known to be missing did not come.
    fn lose_patience(&mut self, position: Position, patience: &mut Patience, on: &mut impl FnMut(Chunk<'_>)) {
        let Some(evidence) = &mut self.evidence else { return };
        evidence.packets += 1;
        let Evidence { acknowledged, packets, since } = *evidence;
        if patience.is_over(packets, position.at - since) {
            patience.was_in_vain();
            self.evidence = None;
            self.given_up = self.next..acknowledged;
            self.give_up_before(acknowledged, position, on);
        }
    }

    /// The connection ended: whatever waits is handed on, with gaps where bytes never came.
    pub fn finish(&mut self, position: Position, on: &mut impl FnMut(Chunk<'_>)) {
        while !self.pending.is_empty() {
            self.skip_to_pending(position, on);
        }
        let end = self.end.unwrap_or(0).max(self.acknowledged);
        self.give_up_before(end, position, on);
    }

    /// Bytes of memory of what waits for earlier bytes, nearly.
    pub fn pending(&self) -> usize {
        self.pending.bytes() + self.pending.len() * OVERHEAD
    }

    /// Memory is short: what waits is handed on, with gaps where bytes did not come in time.
    pub fn give_up(&mut self, position: Position, on: &mut impl FnMut(Chunk<'_>)) {
        while !self.pending.is_empty() {
            self.stats.limit_gaps += 1;
            self.skip_to_pending(position, on);
        }
    }

    /// Signed distance of `sequence` from the next expected byte.
    fn relative(&self, base: u32, sequence: u32) -> i64 {
        let expected = base.wrapping_add(self.next as u32);
        i64::from(sequence.wrapping_sub(expected) as i32)
    }

    fn give_up_before(&mut self, offset: u64, position: Position, on: &mut impl FnMut(Chunk<'_>)) {
        while self.next < offset {
            let hole_end = self.pending.first().map_or(offset, |first| first.min(offset));
            self.hand_on(position, Data::Gap(hole_end - self.next), on);
            self.drain(on);
        }
    }

    fn skip_to_pending(&mut self, position: Position, on: &mut impl FnMut(Chunk<'_>)) {
        if let Some(first) = self.pending.first() {
            self.hand_on(position, Data::Gap(first - self.next), on);
            self.drain(on);
            self.evidence.take_if(|evidence| evidence.acknowledged <= self.next);
        }
    }

    fn drain(&mut self, on: &mut impl FnMut(Chunk<'_>)) {
        while let Some((offset, position, piece)) = self.pending.take_through(self.next) {
            debug_assert_eq!(offset, self.next, "kept pieces never reach back before what was handed on");
            self.hand_on(position, piece.data(), on);
        }
    }

    fn hand_on(&mut self, position: Position, data: Data<'_>, on: &mut impl FnMut(Chunk<'_>)) {
        let length = data.length();
        if length == 0 {
            return;
        }
        match data {
            Data::Bytes(_) => self.stats.bytes += length,
            Data::Gap(_) => self.stats.lost_bytes += length,
        }
        let offset = self.next;
        self.next += length;
        on(Chunk { position, offset, data });
    }

    /// A segment brought nothing new.
    fn repeated(&mut self, position: Position) {
        if position.packet.file() == self.file {
            self.stats.retransmitted += 1;
        } else {
            self.stats.captured_twice += 1;
        }
    }

    fn remember(&mut self, offset: u64, payload: &[u8]) {
        self.recent.rotate_right(1);
        self.recent[0] = Delivered { offset, length: payload.len(), hash: hash(payload) };
    }

    fn compare_with_delivered(&mut self, offset: u64, payload: &[u8]) {
        let same_range = |d: &&Delivered| d.offset == offset && d.length == payload.len();
        if let Some(first) = self.recent.iter().find(same_range)
            && first.hash != hash(payload)
        {
            self.stats.conflicts += 1;
        }
    }
}
