//! A row of the contract, and the formats for programs: jsonl, json, csv. Rows are written in the order in which they
//! come, when they are formatted.

use super::csv::Row;
use super::output::Output;
use super::scribes::Scribes;
use super::settings::{Format, Settings};
use super::sheet::Sheet;
use serde::Serialize;
use std::io;

/// A row of some view.
pub trait Record: Serialize {
    /// Names of the columns of its CSV form; none if it has no such form.
    const COLUMNS: &'static [&'static str] = &[];

    /// Writes its CSV form, a field for each column.
    fn csv(&self, _row: &mut Row<'_>) {}
}

/// Appends a row. What is for people or for drawing counts as jsonl.
pub fn format_row<R: Record>(record: &R, format: Format, text: &mut Vec<u8>) {
    match format {
        Format::Json => json(record, text),
        Format::Csv => {
            let mut row = Row::new(text);
            record.csv(&mut row);
            row.end();
        }
        Format::Jsonl | Format::Table | Format::Dot | Format::Mermaid => {
            json(record, text);
            text.push(b'\n');
        }
    }
}

fn json<R: Record>(record: &R, text: &mut Vec<u8>) {
    serde_json::to_writer(text, record).expect("memory takes all, and no record has a map whose keys are not strings");
}

/// Writes the rows of one view.
pub struct RecordWriter {
    output: Output,
    format: Format,
    /// The document's member that holds the rows.
    plural: &'static str,
    sheet: Sheet,
    scribes: Scribes,
}

impl RecordWriter {
    /// Ready for the first row.
    pub fn new(output: Output, settings: &Settings, plural: &'static str) -> Self {
        let scribes = Scribes::new(settings);
        Self { output, format: settings.format, plural, sheet: Sheet::default(), scribes }
    }

    /// Where rows go, which may be a sheet before.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether no further row is to be written.
    pub fn is_done(&self) -> bool {
        self.output.is_done()
    }

    /// One row.
    pub fn write<R: Record>(&mut self, record: &R) {
        let format = self.format;
        self.put::<R>(|sheet| sheet.record(record, format));
    }

    /// One row of this type, by putting it on a sheet.
    pub fn put<R: Record>(&mut self, put: impl FnOnce(&mut Sheet)) {
        if self.output.rows() == 0 {
            self.begin::<R>();
        }
        self.output.count_row();
        put(&mut self.sheet);
        if self.sheet.is_full() {
            self.scribes.take(&mut self.sheet, |text| self.output.write(text));
        }
    }

    /// No more rows; `R` is their type, should there have been none.
    pub fn finish<R: Record>(&mut self) {
        if self.output.rows() == 0 {
            self.begin::<R>();
        }
        self.catch_up();
        if self.format == Format::Json {
            self.output.write(b"\n]}\n");
        }
    }

    /// What was written reaches its reader now.
    ///
    /// # Errors
    /// The first that writing met with.
    pub fn flush(&mut self) -> io::Result<()> {
        self.catch_up();
        self.output.flush()
    }

    fn catch_up(&mut self) {
        self.scribes.catch_up(&mut self.sheet, |text| self.output.write(text));
    }

    /// What is before all rows.
    fn begin<R: Record>(&mut self) {
        match self.format {
            Format::Json => {
                self.sheet.set_first();
                self.output.write(format!("{{\"schema\":{},\"{}\":[\n", super::model::SCHEMA, self.plural));
            }
            Format::Csv => {
                let mut line = Vec::new();
                Row::new(&mut line).header(R::COLUMNS);
                self.output.write(line);
            }
            Format::Jsonl | Format::Table | Format::Dot | Format::Mermaid => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::path::PathModel;
    use crate::report::samples::{Paper, proxied};

    #[test]
    fn rows_of_all_kinds_stay_in_order_however_many_threads_format_them() {
        for (format, begin, between, end) in
            [(Format::Jsonl, "", "\n", "\n"), (Format::Json, "{\"schema\":1,\"paths\":[\n", ",\n", "\n]}\n")]
        {
            let numbers: Vec<u64> = (0..3_000).collect();
            let line =
                |&number: &u64| serde_json::to_string(&PathModel::new(&proxied(number, 0), false)).expect("memory");
            let expected = [begin, &numbers.iter().map(line).collect::<Vec<_>>().join(between), end].concat();
            for jobs in [0, 1, 2, 5] {
                let paper = Paper::default();
                let settings = Settings { format, jobs, ..Settings::default() };
                let mut writer = RecordWriter::new(Output::new(Box::new(paper.clone()), None), &settings, "paths");
                for &number in &numbers {
                    let path = proxied(number, 0);
                    // What is formatted at once is among what is not.
                    match number % 5 {
                        0 => writer.write(&PathModel::new(&path, false)),
                        _ => writer.put::<PathModel<'_>>(|sheet| sheet.path(path)),
                    }
                    if number == 1_000 {
                        writer.flush().expect("paper takes everything");
                        assert_eq!(
                            paper.text().lines().filter(|line| line.contains("path")).count(),
                            1_001 + usize::from(format == Format::Json)
                        );
                    }
                }
                writer.finish::<PathModel<'_>>();
                assert!(paper.text() == expected, "{jobs} jobs, {format:?}");
            }
        }
    }
}
