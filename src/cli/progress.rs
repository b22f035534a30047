//! How far long work got, on stderr, if that is a terminal.

use crate::capture::packet::PacketSource;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Nothing is shown for work that is done within this time.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between two updates.
const INTERVAL: Duration = Duration::from_millis(100);

/// So many packets between two looks at the clock.
const PACKETS: u64 = 4096;

/// One line that is written over and over.
pub(crate) struct Progress {
    started: Instant,
    next: Instant,
    shown: bool,
    wanted: bool,
}

impl Progress {
    /// Nothing is shown yet, nor ever unless `wanted` and stderr is a terminal.
    pub(crate) fn new(wanted: bool) -> Self {
        let started = Instant::now();
        Self { started, next: started + PATIENCE, shown: false, wanted: wanted && stderr().is_terminal() }
    }

    /// `packets` were read.
    #[inline]
    pub(crate) fn update(&mut self, packets: u64, source: &dyn PacketSource) {
        if self.wanted && packets.is_multiple_of(PACKETS) {
            self.show(packets, source);
        }
    }

    fn show(&mut self, packets: u64, source: &dyn PacketSource) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        self.shown = true;
        let stats = source.stats();
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let seconds = (now - self.started).as_secs_f64();
        let mut line = format!("\r\x1b[K{:.1} MiB", mebibytes(stats.read_bytes));
        // Writing to a String cannot fail.
        if let Some(total) = stats.total_bytes.filter(|&total| total > 0) {
            let percent = stats.read_bytes * 100 / total;
            let _ = write!(line, " of {:.1} ({percent} %)", mebibytes(total));
        }
        let rate = mebibytes(stats.read_bytes) / seconds;
        let _ = write!(line, ", {packets} packets, {rate:.1} MiB/s");
        let _ = stderr().write_all(line.as_bytes());
    }

    /// The line disappears.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
    }
}
