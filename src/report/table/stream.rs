//! Rows written as they come: the table of a view whose results do not wait for each other.

use super::lines::{Cells, Column, Lines};
use crate::base::time::Timestamp;
use crate::report::output::Output;
use crate::report::settings::Settings;
use std::fmt;
use std::io::Write;

/// A table under way: its header comes with the first row, times count from there.
pub struct RowStream {
    output: Output,
    lines: Lines,
    /// Live, times are those of the day.
    live: bool,
    start: Option<Timestamp>,
    text: String,
    cells: Cells,
}

impl RowStream {
    /// Writes to `out`.
    pub fn new(columns: &'static [Column], settings: &Settings, out: Box<dyn Write>) -> Self {
        let lines = Lines::new(columns, settings.width, settings.color);
        let output = Output::new(out, settings.limit);
        Self { output, lines, live: settings.live, start: None, text: String::new(), cells: Cells::default() }
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

    /// Writes a row about something that was captured at `at`; `fill` gets the time as it is shown. Times count from `start` of
    /// the first row.
    pub fn row(&mut self, start: Timestamp, at: Timestamp, fill: impl FnOnce(&mut Cells, Time)) {
        self.text.clear();
        self.cells.clear();
        if self.start.is_none() {
            self.lines.header(&mut self.text);
        }
        let start = *self.start.get_or_insert(start);
        let time = if self.live { Time::OfDay(at) } else { Time::Since { start, at } };
        fill(&mut self.cells, time);
        self.lines.row(&self.cells, &mut self.text);
        self.output.row(&self.text);
    }
}

/// When something was captured, as it is shown.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    /// The time of the day.
    OfDay(Timestamp),
    /// Seconds and microseconds since `start`.
    Since {
        /// When time begins.
        start: Timestamp,
        /// The time.
        at: Timestamp,
    },
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OfDay(at) => f.write_str(&at.time_of_day()),
            Self::Since { start, at } => {
                let span = at - start;
                let sign = if span.0 < 0 { "-" } else { "" };
                let micros = span.0.unsigned_abs() / 1_000;
                write!(f, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
            }
        }
    }
}
