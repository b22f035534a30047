//! How far long work got, on stderr, if that is a terminal.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Nothing is shown for work that is done within this time.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between two updates.
const INTERVAL: Duration = Duration::from_millis(100);

/// One line that is written over and over.
pub(crate) struct Progress {
    started: Instant,
    next: Instant,
    shown: bool,
    wanted: bool,
    /// Bytes there are to read, where known.
    total: Option<u64>,
}

impl Progress {
    /// Nothing is shown yet, nor ever unless `wanted` and stderr is a terminal. There are `total` bytes to read, if that
    /// is known.
    pub(crate) fn new(wanted: bool, total: Option<u64>) -> Self {
        let started = Instant::now();
        let wanted = wanted && stderr().is_terminal();
        Self { started, next: started + PATIENCE, shown: false, wanted, total }
    }

    /// So much was read.
    pub(crate) fn update(&mut self, packets: u64, bytes: u64) {
        if !self.wanted {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        self.shown = true;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let seconds = (now - self.started).as_secs_f64();
        let mut line = format!("\r\x1b[K{:.1} MiB", mebibytes(bytes));
        // Writing to a String cannot fail.
        if let Some(total) = self.total.filter(|&total| total > 0) {
            let percent = bytes * 100 / total;
            let _ = write!(line, " of {:.1} ({percent} %)", mebibytes(total));
        }
        let rate = mebibytes(bytes) / seconds;
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
