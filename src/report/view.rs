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
    /// How much was found in it.
    pub counts: Counts,
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

/// Any view, and how much went through it.
pub struct AnyView {
    view: Box<dyn View>,
    counts: Counts,
}

/// How many results there were, shown or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// ZMTP connections.
    pub connections: u64,
    /// Messages.
    pub messages: u64,
    /// Paths, where they were asked for.
    pub paths: u64,
}

impl AnyView {
    /// The view of this kind, writing to `out`.
    pub fn new(kind: ViewKind, settings: Settings, out: Box<dyn Write>) -> Self {
        let view: Box<dyn View> = match (settings.format, kind) {
            (Format::Table, ViewKind::Analyze) => Box::new(table::overview::OverviewTable::new(settings, out)),
            (Format::Table, ViewKind::Connections) => {
                Box::new(table::connections::ConnectionsTable::new(settings, out))
            }
            (Format::Table, ViewKind::Frames) => Box::new(table::frames::FramesTable::new(settings, out)),
            (Format::Table, ViewKind::Messages) => Box::new(table::messages::MessagesTable::new(settings, out)),
            (Format::Table, ViewKind::Paths) => Box::new(table::paths::PathsTable::new(settings, out)),
            (Format::Table, ViewKind::Findings) => Box::new(table::findings::FindingsTable::new(settings, out)),
            (_, kind) => Box::new(Records::new(kind, settings, out)),
        };
        Self { view, counts: Counts::default() }
    }

    /// How many results there were so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// See [`View::is_done`].
    pub fn is_done(&self) -> bool {
        self.view.is_done()
    }

    /// See [`View::flush`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.view.flush()
    }

    /// See [`View::finish`].
    pub fn finish(&mut self, capture: &CaptureFacts) -> io::Result<()> {
        self.view.finish(capture)
    }
}

impl Observer for AnyView {
    fn interest(&self) -> Interest {
        self.view.interest()
    }

    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        self.view.frame(connection, frame);
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        self.counts.messages += 1;
        self.view.message(connection, message, key);
    }

    fn path(&mut self, path: &Path) {
        self.counts.paths += 1;
        self.view.path(path);
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        self.counts.connections += 1;
        self.view.connection(connection);
    }

    fn finding(&mut self, finding: &Finding) {
        self.view.finding(finding);
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
