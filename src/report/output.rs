//! Where a view writes, and how much it still may.

use std::io::{self, Write};

/// Writes, counts rows up to the limit, and keeps the first error: observers cannot fail.
pub struct Output {
    out: Box<dyn Write>,
    limit: Option<u64>,
    rows: u64,
    error: Option<io::Error>,
}

impl Output {
    /// Writes so many rows to `out`, or any number.
    pub fn new(out: Box<dyn Write>, limit: Option<u64>) -> Self {
        Self { out, limit, rows: 0, error: None }
    }

    /// Whether no further row is to be written.
    pub fn is_done(&self) -> bool {
        self.error.is_some() || self.limit.is_some_and(|limit| self.rows >= limit)
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// A row counts, although it is written later.
    pub fn count_row(&mut self) {
        self.rows += 1;
    }

    /// Writes a row.
    pub fn row(&mut self, row: impl AsRef<[u8]>) {
        self.count_row();
        self.write(row);
    }

    /// Writes what is no row. After an error nothing is written any more.
    pub fn write(&mut self, octets: impl AsRef<[u8]>) {
        if self.error.is_none() {
            self.error = self.out.write_all(octets.as_ref()).err();
        }
    }

    /// What was written reaches its reader now.
    ///
    /// # Errors
    /// The first that writing met with.
    pub fn flush(&mut self) -> io::Result<()> {
        self.error.take().map_or_else(|| self.out.flush(), Err)
    }
}
