//! How much a view still writes.

use std::io;

/// Counts rows up to the limit, and keeps the first error.
#[derive(Debug, Default)]
pub struct Gauge {
    limit: Option<u64>,
    rows: u64,
    error: Option<io::Error>,
}

impl Gauge {
    /// For so many rows, or any number.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, rows: 0, error: None }
    }

    /// Whether no further row is to be written.
    pub fn is_done(&self) -> bool {
        self.error.is_some() || self.limit.is_some_and(|limit| self.rows >= limit)
    }

    /// One row was written, or not.
    pub fn row(&mut self, result: io::Result<()>) {
        self.rows += 1;
        self.note(result);
    }

    /// Something was written, or not.
    pub fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    /// The first error, if there was one.
    pub fn check(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}
