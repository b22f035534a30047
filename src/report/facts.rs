//! What is known about a capture as a whole when all of it was read.

use crate::analyze::clocks::FileClock;
use crate::analyze::health::Health;
use crate::base::time::{Duration, Timestamp};
use crate::capture::packet::SourceStats;

/// What is known about the capture as a whole when all of it was read.
#[derive(Clone, Debug, Default)]
pub struct CaptureFacts {
    /// What was seen and what was left out.
    pub health: Health,
    /// The files or the interface.
    pub source: SourceStats,
    /// The clock of each of several files.
    pub clocks: Vec<FileClock>,
    /// Times of the earliest and the latest packet.
    pub span: Option<(Timestamp, Timestamp)>,
    /// It was not read to its end, by the user's wish.
    pub stopped: bool,
    /// How much was found in it.
    pub counts: Counts,
}

impl CaptureFacts {
    /// From the earliest packet to the latest.
    pub fn duration(&self) -> Option<Duration> {
        self.span.map(|(first, last)| last - first)
    }
}

/// How many results there were, shown or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// ZMTP connections.
    pub connections: u64,
    /// Messages.
    pub messages: u64,
    /// Paths, where they were asked for.
    pub paths: u64,
}
