//! Rows written as they come: the table of a view whose results do not wait for each other.

use super::lines::{Cell, Column, Lines};
use crate::base::time::Timestamp;
use crate::report::output::Output;
use crate::report::settings::Settings;
use std::io::Write;

/// A table under way: its header comes with the first row, times count from there.
pub struct RowStream {
    output: Output,
    lines: Lines,
    /// Live, times are those of the day.
    live: bool,
    start: Option<Timestamp>,
    text: String,
}

impl RowStream {
    /// Writes to `out`.
    pub fn new(columns: &'static [Column], settings: &Settings, out: Box<dyn Write>) -> Self {
        let lines = Lines::new(columns, settings.width, settings.color);
        let output = Output::new(out, settings.limit);
        Self { output, lines, live: settings.live, start: None, text: String::new() }
    }

    /// Where rows go.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether no further row will be written.
    pub fn is_done(&self) -> bool {
        self.output.is_done()
    }

    /// The most characters that the last column can show.
    pub fn widest(&self) -> usize {
        self.lines.widest()
    }

    /// Writes a row about something that was captured at `at`; `cells` gets the time as it is shown. Times count from
    /// `start` of the first row.
    pub fn row<const N: usize>(&mut self, start: Timestamp, at: Timestamp, cells: impl FnOnce(String) -> [Cell; N]) {
        self.text.clear();
        if self.start.is_none() {
            self.lines.header(&mut self.text);
        }
        let start = *self.start.get_or_insert(start);
        let time = if self.live { at.time_of_day() } else { since(start, at) };
        self.lines.row(&cells(time), &mut self.text);
        self.output.row(&self.text);
    }
}

/// Seconds and microseconds since `start`.
pub fn since(start: Timestamp, at: Timestamp) -> String {
    let span = at - start;
    let sign = if span.0 < 0 { "-" } else { "" };
    let micros = span.0.unsigned_abs() / 1_000;
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
