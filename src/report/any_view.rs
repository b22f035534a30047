//! The view that a command asks for, whichever it is.

use super::facts::{CaptureFacts, Counts};
use super::pictures::{PathPictures, TopologyView};
use super::records::Records;
use super::settings::{Format, Settings, ViewKind};
use super::table;
use super::view::View;
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::observer::{ConnectionRef, Interest, Observer};
use crate::correlate::findings::Finding;
use crate::correlate::path::Path;
use crate::zmtp::event::{Frame, Message};
use std::io::{self, Write};

/// Any view, and how much went through it.
pub struct AnyView {
    view: Box<dyn View>,
    counts: Counts,
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
            (Format::Table | Format::Dot | Format::Mermaid, ViewKind::Topology) => {
                Box::new(TopologyView::new(settings, out))
            }
            (_, ViewKind::Explanation) | (Format::Mermaid, ViewKind::Paths) => {
                Box::new(PathPictures::new(settings, out))
            }
            (_, kind) => Box::new(Records::new(kind, settings, out)),
        };
        Self { view, counts: Counts::default() }
    }

    /// How many results there were so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// See [`View::is_done`].
    pub fn is_done(&mut self) -> bool {
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
        self.view.message(connection, message, key);
    }

    fn path(&mut self, path: Path) {
        self.counts.paths += 1;
        self.view.path(path);
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        self.counts.connections += 1;
        self.counts.messages += connection.traffic.iter().map(|(_, traffic)| traffic.messages).sum::<u64>();
        self.view.connection(connection);
    }

    fn finding(&mut self, finding: &Finding) {
        self.view.finding(finding);
    }
}
