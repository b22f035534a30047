//! A row of the contract, and the formats for programs: jsonl, json, csv. Rows are written as they come.

use super::csv::Row;
use super::settings::Format;
use serde::Serialize;
use std::io::{self, Write};

/// A row of some view.
pub trait Record: Serialize {
    /// Names of the columns of its CSV form; none if it has no such form.
    const COLUMNS: &'static [&'static str] = &[];

    /// Writes its CSV form, a field for each column.
    fn csv(&self, _row: &mut Row<'_>) {}
}

/// Writes the rows of one view.
pub struct RecordWriter {
    out: Box<dyn Write>,
    format: Format,
    /// The document's member that holds the rows.
    plural: &'static str,
    /// The row being made; kept for its memory.
    line: Vec<u8>,
    written: u64,
}

impl RecordWriter {
    /// Ready for the first row. What is for people or for drawing counts as jsonl.
    pub fn new(out: Box<dyn Write>, format: Format, plural: &'static str) -> Self {
        Self { out, format, plural, line: Vec::new(), written: 0 }
    }

    /// Rows so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// One row.
    pub fn write<R: Record>(&mut self, record: &R) -> io::Result<()> {
        self.line.clear();
        match self.format {
            Format::Json => {
                self.begin_document();
                serde_json::to_writer(&mut self.line, record)?;
            }
            Format::Csv => {
                if self.written == 0 {
                    Row::new(&mut self.line).header(R::COLUMNS);
                }
                let mut row = Row::new(&mut self.line);
                record.csv(&mut row);
                row.end();
            }
            Format::Jsonl | Format::Table | Format::Dot | Format::Mermaid => {
                serde_json::to_writer(&mut self.line, record)?;
                self.line.push(b'\n');
            }
        }
        self.written += 1;
        self.out.write_all(&self.line)
    }

    /// What was written reaches its reader now.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// No more rows; `R` is their type, should there have been none.
    pub fn finish<R: Record>(&mut self) -> io::Result<()> {
        self.line.clear();
        match self.format {
            Format::Json => {
                if self.written == 0 {
                    self.begin_document();
                }
                self.line.extend_from_slice(b"\n]}\n");
            }
            Format::Csv if self.written == 0 => Row::new(&mut self.line).header(R::COLUMNS),
            _ => {}
        }
        self.out.write_all(&self.line)?;
        self.out.flush()
    }

    fn begin_document(&mut self) {
        if self.written == 0 {
            let start = format!("{{\"schema\":{},\"{}\":[\n", super::model::SCHEMA, self.plural);
            self.line.extend_from_slice(start.as_bytes());
        } else {
            self.line.extend_from_slice(b",\n");
        }
    }
}
