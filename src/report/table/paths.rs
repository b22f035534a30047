//! One line a path, as it comes.

use super::drawn::tone;
use super::lines::{Cell, Column};
use super::stream::RowStream;
use crate::analyze::observer::{Interest, Observer};
use crate::correlate::path::{Hop, Path, Status};
use crate::report::output::Output;
use crate::report::paint::Tone;
use crate::report::settings::Settings;
use crate::report::view::{View, selects_path};
use std::io::Write;

const COLUMNS: [Column; 8] = [
    Column::right("#", 3),
    Column::right("time", 9),
    Column::right("packet", 0),
    Column::left("status", 10),
    Column::right("latency", 8),
    Column::right("hops", 0),
    Column::right("conf.", 5),
    Column::left("route", 0),
];

/// Shows paths.
pub struct PathsTable {
    settings: Settings,
    stream: RowStream,
}

impl PathsTable {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self { stream: RowStream::new(&COLUMNS, &settings, out), settings }
    }
}

impl Observer for PathsTable {
    fn interest(&self) -> Interest {
        Interest::PATHS
    }

    fn path(&mut self, path: &Path) {
        if !selects_path(&self.settings, path) || self.stream.is_done() {
            return;
        }
        let begin = path.hops().next().map(|hop| hop.position).unwrap_or_default();
        self.stream.row(begin.at, begin.at, |time| {
            [
                Cell::from(path.number.to_string()),
                time.into(),
                Cell::toned(begin.packet.number.to_string(), Tone::Dim),
                Cell::toned(path.status.name(), tone(path.status)),
                path.latency.map(|latency| latency.to_string()).unwrap_or_default().into(),
                format!("{}+{}", path.request.len(), path.reply.len()).into(),
                format!("{:.3}", (path.confidence * 1000.0).floor() / 1000.0).into(),
                route(path).into(),
            ]
        });
    }
}

impl View for PathsTable {
    fn output(&mut self) -> &mut Output {
        self.stream.output()
    }
}

/// `127.0.0.1:50112 → 127.0.0.1:5555 ⇒ 127.0.0.1:5556 → 127.0.0.1:40022`: a double arrow goes through a node.
pub fn route(path: &Path) -> String {
    let (hops, mark): (&[Hop], _) = match path.status {
        Status::Unrequested => (&path.reply, "← "),
        _ => (&path.request, ""),
    };
    let legs: Vec<_> = hops.iter().map(|hop| format!("{} → {}", hop.source, hop.destination)).collect();
    format!("{mark}{}", legs.join(" ⇒ "))
}
