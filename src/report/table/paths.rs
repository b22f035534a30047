//! One line a path, as it comes.

use super::drawn::tone;
use super::lines::Column;
use super::stream::RowStream;
use crate::analyze::observer::{Interest, Observer};
use crate::correlate::path::{Hop, Path, Status};
use crate::report::output::Output;
use crate::report::paint::Tone;
use crate::report::settings::Settings;
use crate::report::view::{View, selects_path};
use std::fmt::Write as _;
use std::io::Write;

/// Legs of a route that are shown: a publication may have thousands of ends.
const LEGS: usize = 16;

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

    fn path(&mut self, path: Path) {
        if !selects_path(&self.settings, &path) || self.stream.is_done() {
            return;
        }
        let begin = path.hops().next().map(|hop| hop.position).unwrap_or_default();
        self.stream.row(begin.at, begin.at, |cells, time| {
            cells.show(path.number, None);
            cells.show(time, None);
            cells.show(begin.packet.number(), Some(Tone::Dim));
            cells.text(path.status.name(), Some(tone(path.status)));
            let latency = cells.next(None);
            if let Some(span) = path.latency {
                let _ = write!(latency, "{span}");
            }
            cells.show(format_args!("{}+{}", path.request.len(), path.reply.len()), None);
            cells.show(format_args!("{:.3}", (path.confidence * 1000.0).floor() / 1000.0), None);
            cells.text(&route(&path), None);
        });
    }
}

impl View for PathsTable {
    fn output(&mut self) -> &mut Output {
        self.stream.output()
    }
}

/// `127.0.0.1:50112 → 127.0.0.1:5555 ⇒ 127.0.0.1:5556 → 127.0.0.1:40022`: a double arrow goes through a node, and what
/// follows a comma left a node that the message had come to before.
pub fn route(path: &Path) -> String {
    let (hops, mark): (&[Hop], _) = match path.status {
        Status::Unrequested => (&path.reply, "← "),
        _ => (&path.request, ""),
    };
    let mut text = mark.to_owned();
    for (at, hop) in hops.iter().enumerate().take(LEGS) {
        // A comma goes back to where the message was passed on before.
        text.push_str(if at == 0 {
            ""
        } else if hop.after.is_none() {
            " ⇒ "
        } else {
            ", "
        });
        // Writing to a String cannot fail.
        let _ = write!(text, "{} → {}", hop.source, hop.destination);
    }
    if hops.len() > LEGS {
        let _ = write!(text, ", and {} more", hops.len() - LEGS);
    }
    text
}
