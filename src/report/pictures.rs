//! The views that are text but no table: a topology, sequence diagrams, a path in words.

use super::diagram::{dot, mermaid, sequence::sequence};
use super::explain::explained;
use super::facts::CaptureFacts;
use super::output::Output;
use super::settings::{Format, Settings};
use super::table;
use super::table::lines::wrapped;
use super::topology::Topology;
use super::view::{View, selects_path};
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::observer::{Interest, Observer};
use crate::correlate::path::Path;
use std::io::Write;

/// Shows the topology, when everything is known.
pub struct TopologyView {
    settings: Settings,
    output: Output,
    topology: Topology,
}

impl TopologyView {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self { settings, output: Output::new(out, None), topology: Topology::default() }
    }
}

impl Observer for TopologyView {
    fn interest(&self) -> Interest {
        Interest::PATHS
    }

    fn path(&mut self, path: Path) {
        if selects_path(&self.settings, &path) {
            self.topology.path(&path);
        }
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        if self.settings.selects(connection.conn) {
            self.topology.connection(connection);
        }
    }
}

impl View for TopologyView {
    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn conclude(&mut self, _capture: &CaptureFacts) {
        let graph = std::mem::take(&mut self.topology).finish();
        self.output.write(match self.settings.format {
            Format::Dot => dot::topology(&graph),
            Format::Mermaid => mermaid::topology(&graph),
            _ => table::topology::topology(&graph, &self.settings),
        });
    }
}

/// Shows paths one by one: as sequence diagrams, or in words.
pub struct PathPictures {
    settings: Settings,
    output: Output,
    /// More than one is wanted: Markdown.
    several: bool,
}

impl PathPictures {
    /// Writes to `out`: one path, unless the settings ask for more.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        let limit = settings.limit.unwrap_or(1);
        Self { output: Output::new(out, Some(limit)), several: limit > 1, settings }
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
        let explained = self.settings.path.filter(|_| self.settings.format == Format::Table);
        Interest { explained, ..Interest::PATHS }
    }

    fn path(&mut self, path: Path) {
        if selects_path(&self.settings, &path) && !self.output.is_done() {
            self.output.row(self.text(&path));
        }
    }
}

impl View for PathPictures {
    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn conclude(&mut self, _capture: &CaptureFacts) {
        if self.output.rows() == 0 && self.settings.format != Format::Mermaid {
            self.output.write("no such path\n");
        }
    }
}
