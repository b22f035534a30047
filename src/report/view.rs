//! What a command shows: an [`Observer`] that writes.

use super::records::Records;
use super::settings::{Format, Settings, ViewKind};
use super::table;
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::health::Health;
use crate::analyze::observer::{ConnectionRef, Interest, Observer};
use crate::base::time::{Duration, Timestamp};
use crate::capture::packet::SourceStats;
use crate::correlate::findings::Finding;
use crate::correlate::path::Path;
use crate::zmtp::event::{Frame, Message};
use std::io::{self, Write};

/// What is known about the capture as a whole when all of it was read.
#[derive(Clone, Debug, Default)]
pub struct CaptureFacts {
    /// What was seen and what was left out.
    pub health: Health,
    /// The files or the interface.
    pub source: SourceStats,
    /// Times of the earliest and the latest packet.
    pub span: Option<(Timestamp, Timestamp)>,
    /// It was not read to its end, by the user's wish.
    pub stopped: bool,
}

impl CaptureFacts {
    /// From the earliest packet to the latest.
    pub fn duration(&self) -> Option<Duration> {
        self.span.map(|(first, last)| last - first)
    }
}

/// Shows results as they come, the rest when there are no more. Observers cannot fail: the first error of writing is
/// kept, and given by the next [`View::flush`] or [`View::finish`].
pub trait View: Observer {
    /// Nothing that is still to come will be shown: the limit is reached, or nobody reads any more.
    fn is_done(&self) -> bool;

    /// What was shown reaches its reader now.
    fn flush(&mut self) -> io::Result<()>;

    /// No more results.
    fn finish(&mut self, capture: &CaptureFacts) -> io::Result<()>;
}

/// Any view.
pub struct AnyView(Box<dyn View>);

impl AnyView {
    /// The view of this kind, writing to `out`.
    pub fn new(kind: ViewKind, settings: Settings, out: Box<dyn Write>) -> Self {
        Self(match (settings.format, kind) {
            (Format::Table, ViewKind::Analyze) => Box::new(table::overview::OverviewTable::new(settings, out)),
            (Format::Table, ViewKind::Connections) => {
                Box::new(table::connections::ConnectionsTable::new(settings, out))
            }
            (Format::Table, ViewKind::Frames) => Box::new(table::frames::FramesTable::new(settings, out)),
            (Format::Table, ViewKind::Messages) => Box::new(table::messages::MessagesTable::new(settings, out)),
            (Format::Table, ViewKind::Paths) => Box::new(table::paths::PathsTable::new(settings, out)),
            (Format::Table, ViewKind::Findings) => Box::new(table::findings::FindingsTable::new(settings, out)),
            (_, kind) => Box::new(Records::new(kind, settings, out)),
        })
    }

    /// See [`View::is_done`].
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }

    /// See [`View::flush`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    /// See [`View::finish`].
    pub fn finish(&mut self, capture: &CaptureFacts) -> io::Result<()> {
        self.0.finish(capture)
    }
}

impl Observer for AnyView {
    fn interest(&self) -> Interest {
        self.0.interest()
    }

    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        self.0.frame(connection, frame);
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        self.0.message(connection, message, key);
    }

    fn path(&mut self, path: &Path) {
        self.0.path(path);
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        self.0.connection(connection);
    }

    fn finding(&mut self, finding: &Finding) {
        self.0.finding(finding);
    }
}

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

/// Whether a path touches one of the connections that are shown.
pub fn selects_path(settings: &Settings, path: &Path) -> bool {
    settings.conns.is_none() || path.hops().any(|hop| settings.selects(hop.conn))
}
