//! stdout and stderr.

use crate::base::text::preview;
use crate::capture::packet::SourceStats;
use std::io::{BufWriter, Write, stderr, stdout};

/// Output goes to the reader in pieces of this size, or when it is flushed.
const BUFFER: usize = 64 << 10;

/// stdout, locked and buffered.
pub(crate) fn data() -> Box<dyn Write> {
    Box::new(BufWriter::with_capacity(BUFFER, stdout().lock()))
}

/// A line on stderr. That stderr is closed is no reason to stop.
pub(crate) fn say(what: &str) {
    let _ = writeln!(stderr(), "zmtpscope: {what}");
}

/// What is wrong with the inputs, on stderr. Names and texts may come from files: they are made safe.
pub(crate) fn warn(stats: &SourceStats) {
    for input in &stats.inputs {
        let name = preview(input.name.as_bytes(), 200);
        for warning in &input.warnings {
            say(&format!("{name}: {}", preview(warning.as_bytes(), 1000)));
        }
        if let Some(dropped) = input.dropped.filter(|&dropped| dropped > 0) {
            say(&format!("{name}: {dropped} packets were dropped while capturing"));
        }
    }
}
