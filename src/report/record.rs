//! A row of the contract, and the formats for programs: jsonl, json, csv. Rows are written as they come.

use super::csv::Row;
use super::output::Output;
use super::settings::Format;
use serde::Serialize;

/// A row of some view.
pub trait Record: Serialize {
    /// Names of the columns of its CSV form; none if it has no such form.
    const COLUMNS: &'static [&'static str] = &[];

    /// Writes its CSV form, a field for each column.
    fn csv(&self, _row: &mut Row<'_>) {}
}

/// Writes the rows of one view.
pub struct RecordWriter {
    output: Output,
    format: Format,
    /// The document's member that holds the rows.
    plural: &'static str,
    /// The row being made; kept for its memory.
    line: Vec<u8>,
}

impl RecordWriter {
    /// Ready for the first row. What is for people or for drawing counts as jsonl.
    pub fn new(output: Output, format: Format, plural: &'static str) -> Self {
        Self { output, format, plural, line: Vec::new() }
    }

    /// Where rows go.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// One row.
    pub fn write<R: Record>(&mut self, record: &R) {
        self.line.clear();
        match self.format {
            Format::Json => {
                self.begin_document();
                json(record, &mut self.line);
            }
            Format::Csv => {
                if self.output.rows() == 0 {
                    Row::new(&mut self.line).header(R::COLUMNS);
                }
                let mut row = Row::new(&mut self.line);
                record.csv(&mut row);
                row.end();
            }
            Format::Jsonl | Format::Table | Format::Dot | Format::Mermaid => {
                json(record, &mut self.line);
                self.line.push(b'\n');
            }
        }
        self.output.row(&self.line);
    }

    /// No more rows; `R` is their type, should there have been none.
    pub fn finish<R: Record>(&mut self) {
        self.line.clear();
        match self.format {
            Format::Json => {
                if self.output.rows() == 0 {
                    self.begin_document();
                }
                self.line.extend_from_slice(b"\n]}\n");
            }
            Format::Csv if self.output.rows() == 0 => Row::new(&mut self.line).header(R::COLUMNS),
            _ => {}
        }
        self.output.write(&self.line);
    }

    fn begin_document(&mut self) {
        if self.output.rows() == 0 {
            let start = format!("{{\"schema\":{},\"{}\":[\n", super::model::SCHEMA, self.plural);
            self.line.extend_from_slice(start.as_bytes());
        } else {
            self.line.extend_from_slice(b",\n");
        }
    }
}

fn json<R: Record>(record: &R, line: &mut Vec<u8>) {
    serde_json::to_writer(line, record).expect("memory takes all, and no record has a map whose keys are not strings");
}
