//! How long bytes are awaited that the peer has and the capture has not.
//!
//! Taps and multi-queue cards hand on packets in another order than they came; other captures just lack some. Which it is
//! shows, so that where waiting never helps it is soon given up: what waits behind a hole is copied, and late for everybody.

use crate::base::limits::Limits;
use crate::base::time::Duration;

/// So often waiting must have been in vain.
const OFTEN: u32 = 4;

/// Then no more packets are awaited than so many times what ever helped, or so few.
const TIMES: u32 = 4;
const LEAST: u32 = 8;

/// What all connections of a capture share.
#[derive(Debug)]
pub struct Patience {
    most: u32,
    time: Duration,
    /// How often nothing came.
    in_vain: u32,
    /// After how many packets it came at the latest.
    longest: u32,
}

impl Patience {
    /// Nothing was awaited yet.
    pub fn new(limits: &Limits) -> Self {
        Self { most: limits.gap_patience_packets, time: limits.gap_patience, in_vain: 0, longest: 0 }
    }

    /// Whether it is time to give up after so many packets and so long.
    pub fn is_over(&self, packets: u32, time: Duration) -> bool {
        packets >= self.packets() || time >= self.time
    }

    fn packets(&self) -> u32 {
        if self.in_vain < OFTEN { self.most } else { self.longest.saturating_mul(TIMES).max(LEAST).min(self.most) }
    }

    /// Waiting helped, after so many packets.
    pub fn helped(&mut self, packets: u32) {
        self.longest = self.longest.max(packets);
    }

    /// Nothing came.
    pub fn was_in_vain(&mut self) {
        self.in_vain = self.in_vain.saturating_add(1);
    }

    /// It came after all.
    pub fn was_too_short(&mut self) {
        self.longest = self.most;
    }
}
