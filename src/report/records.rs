//! The views for programs: every result becomes a row of the contract.

use super::facts::CaptureFacts;
use super::model::connection::Connection;
use super::model::finding::FindingModel;
use super::model::frame::FrameModel;
use super::model::message::MessageModel;
use super::model::overview::{Capture, ConnectionGroup, FindingGroupModel, RouteModel};
use super::model::path::PathModel;
use super::model::topology::{self, TopologyLine};
use super::output::Output;
use super::record::RecordWriter;
use super::settings::{Settings, ViewKind};
use super::summary::Summary;
use super::topology::Topology;
use super::view::{View, selects_finding, selects_path};
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::observer::{ConnectionRef, Interest, Observer};
use crate::correlate::findings::Finding;
use crate::correlate::path::Path;
use crate::zmtp::event::{Frame, Message};
use std::io::{self, Write};

/// A view in jsonl, json or csv.
pub struct Records {
    kind: ViewKind,
    settings: Settings,
    writer: RecordWriter,
    /// The overview has no rows before the end.
    summary: Option<Summary>,
    topology: Option<Topology>,
}

impl Records {
    /// A view of this kind, writing to `out`.
    pub fn new(kind: ViewKind, settings: Settings, out: Box<dyn Write>) -> Self {
        // The overview is one, and a topology too: neither is cut.
        let limit = settings.limit.filter(|_| !matches!(kind, ViewKind::Analyze | ViewKind::Topology));
        let plural = match kind {
            ViewKind::Analyze => "overview",
            ViewKind::Connections => "connections",
            ViewKind::Frames => "frames",
            ViewKind::Messages => "messages",
            ViewKind::Paths | ViewKind::Explanation => "paths",
            ViewKind::Topology => "topology",
            ViewKind::Findings => "findings",
        };
        Self {
            kind,
            writer: RecordWriter::new(Output::new(out, limit), &settings, plural),
            topology: (kind == ViewKind::Topology).then(Topology::default),
            summary: (kind == ViewKind::Analyze).then(Summary::default),
            settings,
        }
    }

    fn wants(&self, kind: ViewKind, conn: u32) -> bool {
        self.kind == kind && self.settings.selects(conn) && !self.writer.is_done()
    }
}

impl Observer for Records {
    fn interest(&self) -> Interest {
        match self.kind {
            ViewKind::Connections => Interest::NOTHING_ELSE,
            ViewKind::Frames => Interest { frames: true, ..Interest::NOTHING_ELSE },
            ViewKind::Messages => Interest { messages: true, ..Interest::NOTHING_ELSE },
            _ => Interest::PATHS,
        }
    }

    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        if self.wants(ViewKind::Frames, connection.conn) {
            self.writer.put::<FrameModel<'_>>(|sheet| sheet.frame(connection, frame, &self.settings));
        }
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        if self.wants(ViewKind::Messages, connection.conn) {
            self.writer.put::<MessageModel<'_>>(|sheet| sheet.message(connection, message, key));
        }
    }

    fn path(&mut self, path: Path) {
        if !selects_path(&self.settings, &path) {
            return;
        }
        if let Some(summary) = &mut self.summary {
            summary.path(&path);
        } else if let Some(topology) = &mut self.topology {
            topology.path(&path);
        } else if self.kind == ViewKind::Paths && !self.writer.is_done() {
            self.writer.put::<PathModel<'_>>(|sheet| sheet.path(path));
        }
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        if let Some(summary) = &mut self.summary {
            if self.settings.selects(connection.conn) {
                summary.connection(connection);
            }
        } else if let Some(topology) = &mut self.topology {
            if self.settings.selects(connection.conn) {
                topology.connection(connection);
            }
        } else if self.wants(ViewKind::Connections, connection.conn) {
            self.writer.write(&Connection::new(connection, self.settings.several_files));
        }
    }

    fn finding(&mut self, finding: &Finding) {
        if !selects_finding(&self.settings, finding) {
            return;
        }
        if let Some(summary) = &mut self.summary {
            summary.finding(finding);
        } else if self.kind == ViewKind::Findings && !self.writer.is_done() {
            self.writer.write(&FindingModel::new(finding, self.settings.several_files));
        }
    }
}

impl View for Records {
    fn output(&mut self) -> &mut Output {
        self.writer.output()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn conclude(&mut self, capture: &CaptureFacts) {
        match self.kind {
            ViewKind::Analyze => {
                let summary = self.summary.take().unwrap_or_default();
                write_overview(summary, capture, &mut self.writer);
            }
            ViewKind::Connections => self.writer.finish::<Connection<'_>>(),
            ViewKind::Frames => self.writer.finish::<FrameModel<'_>>(),
            ViewKind::Messages => self.writer.finish::<MessageModel<'_>>(),
            ViewKind::Paths | ViewKind::Explanation => self.writer.finish::<PathModel<'_>>(),
            ViewKind::Topology => {
                let graph = self.topology.take().unwrap_or_default().finish();
                for line in topology::lines(&graph) {
                    self.writer.write(&line);
                }
                self.writer.finish::<TopologyLine<'_>>();
            }
            ViewKind::Findings => self.writer.finish::<FindingModel<'_>>(),
        }
    }
}

fn write_overview(mut summary: Summary, capture: &CaptureFacts, writer: &mut RecordWriter) {
    writer.write(&Capture::new(capture, summary.connections));
    for (key, group) in &summary.groups {
        writer.write(&ConnectionGroup::new(key, group));
    }
    let (routes, _) = summary.routes();
    for (route, client, worker) in &routes {
        writer.write(&RouteModel::new(route, client.as_deref(), worker.as_deref()));
    }
    for group in summary.findings() {
        writer.write(&FindingGroupModel::new(group));
    }
    writer.finish::<Capture<'_>>();
}
