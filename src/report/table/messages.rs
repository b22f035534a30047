//! One line a message, as it comes.

use super::lines::Column;
use super::stream::RowStream;
use crate::analyze::observer::{ConnectionRef, Interest, Observer};
use crate::base::text::{hex, preview, push_hex, push_preview};
use crate::report::model::message::Parties;
use crate::report::output::Output;
use crate::report::paint::Tone;
use crate::report::settings::{Payload, Settings};
use crate::report::view::View;
use crate::zmtp::event::{Message, Part};
use std::fmt::Write as _;
use std::io::Write;

const COLUMNS: [Column; 8] = [
    Column::right("time", 9),
    Column::right("packet", 0),
    Column::right("#", 1),
    Column::left("route", 33),
    Column::left("role", 7),
    Column::right("parts", 0),
    Column::right("bytes", 0),
    Column::left("content", 0),
];

/// Shows messages.
pub struct MessagesTable {
    settings: Settings,
    stream: RowStream,
}

impl MessagesTable {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self { stream: RowStream::new(&COLUMNS, &settings, out), settings }
    }
}

impl Observer for MessagesTable {
    fn interest(&self) -> Interest {
        Interest { messages: true, ..Interest::NOTHING_ELSE }
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, _key: u64) {
        if !self.settings.selects(connection.conn) || self.stream.is_done() {
            return;
        }
        let bytes: u64 = message.parts.iter().map(|part| part.length).sum();
        let width = self.stream.widest();
        let parties = Parties::new(connection, message.direction);
        self.stream.row(connection.ends.first.at, message.end.at, |cells, time| {
            cells.show(time, None);
            cells.show(message.end.packet.number(), Some(Tone::Dim));
            cells.show(parties.conn, None);
            cells.show(format_args!("{} → {}", parties.source, parties.destination), Some(Tone::of(message.direction)));
            cells.text(parties.role(message).unwrap_or(""), None);
            cells.show(message.part_count, None);
            cells.show(bytes, None);
            push_content(cells.next(None), &parties, message, &self.settings, width);
        });
    }
}

impl View for MessagesTable {
    fn output(&mut self) -> &mut Output {
        self.stream.output()
    }
}

/// Appends the parts one after the other: the envelope in brackets, then the bodies.
fn push_content(text: &mut String, parties: &Parties, message: &Message<'_>, settings: &Settings, width: usize) {
    if message.encrypted {
        text.push_str("(encrypted)");
        return;
    }
    let begin = text.len();
    let envelope = parties.envelope_length(message);
    if envelope > 0 {
        let parts: Vec<_> = message.parts[..envelope].iter().map(|part| identity(message.head(part))).collect();
        let _ = write!(text, "[{}]", parts.join(" "));
    }
    for part in &message.parts[envelope..] {
        let room = width.saturating_sub(text[begin..].chars().count() + 1);
        if room == 0 || settings.payload == Payload::None {
            break;
        }
        if text.len() > begin {
            text.push(' ');
        }
        push_body(text, message, part, settings, room);
    }
}

fn push_body(text: &mut String, message: &Message<'_>, part: &Part, settings: &Settings, room: usize) {
    let head = message.head(part);
    let head = &head[..head.len().min(settings.part_body())];
    if part.length == 0 {
        text.push_str("''");
    } else {
        push_shown(text, head, part.length, settings.payload, room);
    }
}

/// Appends the first bytes of a body of `length`, in at most `room` columns or so.
pub fn push_shown(text: &mut String, head: &[u8], length: u64, payload: Payload, room: usize) {
    let before = text.len();
    match payload {
        Payload::None => return,
        Payload::Hex => push_hex(text, &head[..head.len().min(room / 2)]),
        Payload::Text => push_preview(text, head, room),
    }
    if (head.len() as u64) < length && !text[before..].ends_with('…') {
        text.push('…');
    }
}

/// An identity: text where it is text, hexadecimal otherwise, `''` for the delimiter.
pub fn identity(bytes: &[u8]) -> String {
    match crate::base::text::printable(bytes) {
        _ if bytes.is_empty() => "''".to_owned(),
        Some(text) => preview(text.as_bytes(), 64),
        None => preview(hex(bytes).as_bytes(), 64),
    }
}
