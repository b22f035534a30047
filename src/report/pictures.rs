//! The views that are text but no table: a topology, sequence diagrams, a path in words.

use super::diagram::{dot, mermaid, sequence::sequence};
use super::explain::explained;
use super::facts::CaptureFacts;
use super::gauge::Gauge;
use super::settings::{Format, Settings};
use super::table;
use super::table::lines::wrapped;
use super::topology::Topology;
use super::view::{View, selects_path};
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::observer::{Interest, Observer};
use crate::correlate::path::Path;
use std::io::{self, Write};

/// Shows the topology, when everything is known.
pub struct TopologyView {
    settings: Settings,
    out: Box<dyn Write>,
    topology: Topology,
}

impl TopologyView {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self { settings, out, topology: Topology::default() }
    }
}

impl Observer for TopologyView {
    fn interest(&self) -> Interest {
        Interest { paths: true }
    }

    fn path(&mut self, path: &Path) {
        if selects_path(&self.settings, path) {
            self.topology.path(path);
        }
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        if self.settings.selects(connection.conn) {
            self.topology.connection(connection);
        }
    }
}

impl View for TopologyView {
    fn is_done(&self) -> bool {
        false
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, _capture: &CaptureFacts) -> io::Result<()> {
        let graph = std::mem::take(&mut self.topology).finish();
        let text = match self.settings.format {
            Format::Dot => dot::topology(&graph),
            Format::Mermaid => mermaid::topology(&graph),
            _ => table::topology::topology(&graph, &self.settings),
        };
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// Shows paths one by one: as sequence diagrams, or in words.
pub struct PathPictures {
    settings: Settings,
    out: Box<dyn Write>,
    gauge: Gauge,
    /// More than one is wanted: Markdown.
    several: bool,
    any: bool,
}

impl PathPictures {
    /// Writes to `out`: one path, unless the settings ask for more.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        let limit = settings.limit.unwrap_or(1);
        Self { gauge: Gauge::new(Some(limit)), several: limit > 1, settings, out, any: false }
    }

    fn text(&self, path: &Path) -> String {
        match (self.settings.format, self.several) {
            (Format::Mermaid, true) => format!("```mermaid\n{}```\n\n", sequence(path)),
            (Format::Mermaid, false) => sequence(path),
            _ => explained(path).iter().fold(String::new(), |text, paragraph| {
                let indent = if text.is_empty() { 0 } else { 2 };
                text + &wrapped(paragraph, indent, self.settings.width) + "\n"
            }),
        }
    }
}

impl Observer for PathPictures {
    fn interest(&self) -> Interest {
        Interest { paths: true }
    }

    fn explains(&self) -> Option<u64> {
        self.settings.path.filter(|_| self.settings.format == Format::Table)
    }

    fn path(&mut self, path: &Path) {
        if !selects_path(&self.settings, path) || self.gauge.is_done() {
            return;
        }
        self.any = true;
        let text = self.text(path);
        let result = self.out.write_all(text.as_bytes());
        self.gauge.row(result);
    }
}

impl View for PathPictures {
    fn is_done(&self) -> bool {
        self.gauge.is_done()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gauge.check()?;
        self.out.flush()
    }

    fn finish(&mut self, _capture: &CaptureFacts) -> io::Result<()> {
        self.gauge.check()?;
        if !self.any && self.settings.format != Format::Mermaid {
            self.out.write_all(b"no such path\n")?;
        }
        self.out.flush()
    }
}
