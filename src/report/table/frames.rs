//! Per-connection frame tables that read like a conversation.
//!
//! Rows are collected by connection, so that each connection is one table. The rows of all connections together are
//! bounded: when there are too many, what was collected is written, and the tables are continued later. Live, rows are
//! written as soon as their message is complete.

use super::connections::types;
use super::lines::{Cell, Column, Lines, fitting};
use super::messages::{identity, shown};
use super::stream::since;
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::observer::{ConnectionRef, Observer};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::text::preview;
use crate::base::time::Timestamp;
use crate::report::facts::CaptureFacts;
use crate::report::model::fields::{Fields, Value};
use crate::report::model::frame::{command_name, known_fields, shown_body};
use crate::report::model::message::envelope_length;
use crate::report::output::Output;
use crate::report::paint::{Tone, painted};
use crate::report::settings::Settings;
use crate::report::view::View;
use crate::zmtp::event::{Frame, FrameKind, Message};
use crate::zmtp::wire::greeting::Version;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

/// Rows collected at once, of all connections together: some ten MiB.
const COLLECTED: usize = 100_000;

const COLUMNS: [Column; 8] = [
    Column::right("time", 8),
    Column::right("packet", 0),
    Column::left("", 1),
    Column::left("kind", 8),
    Column::left("flags", 0),
    Column::right("length", 0),
    Column::left("what", 0),
    Column::left("content", 0),
];

/// Live, rows of different connections are mixed.
const LIVE_COLUMNS: [Column; 9] = [
    Column::right("time", 15),
    Column::right("packet", 0),
    Column::right("#", 1),
    Column::left("route", 33),
    Column::left("kind", 8),
    Column::left("flags", 0),
    Column::right("length", 0),
    Column::left("what", 16),
    Column::left("content", 0),
];

/// Shows frames.
pub struct FramesTable {
    settings: Settings,
    output: Output,
    conversations: BTreeMap<u32, Conversation>,
    collected: usize,
    any: bool,
    /// Live, all rows are of one table.
    live: Option<Lines>,
}

/// The rows of one connection that are not written yet.
struct Conversation {
    client: Endpoint,
    server: Endpoint,
    start: Timestamp,
    rows: Vec<Row>,
    continued: bool,
}

struct Row {
    direction: Direction,
    at: Timestamp,
    packet: u64,
    kind: &'static str,
    more: bool,
    long: bool,
    length: u64,
    missing: u64,
    what: What,
    content: String,
}

/// What a row is, beyond its kind.
enum What {
    Words(String),
    Part { ordinal: u64, part: u64, of: Option<u64> },
    Delimiter,
    Identity(Box<[u8]>),
}

impl FramesTable {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self {
            output: Output::new(out, settings.limit),
            live: settings.live.then(|| Lines::new(&LIVE_COLUMNS, settings.width, settings.color)),
            settings,
            conversations: BTreeMap::new(),
            collected: 0,
            any: false,
        }
    }

    /// Writes what was collected of one connection as rows among those of others.
    fn print_live(&mut self, conn: u32) {
        let Some((lines, conversation)) = self.live.as_mut().zip(self.conversations.get_mut(&conn)) else { return };
        let mut text = String::new();
        if !std::mem::replace(&mut self.any, true) {
            lines.header(&mut text);
        }
        self.collected -= conversation.rows.len();
        for row in conversation.rows.drain(..) {
            let (client, server) = (conversation.client, conversation.server);
            let route = match row.direction {
                Direction::ClientToServer => format!("{client} → {server}"),
                Direction::ServerToClient => format!("{server} → {client}"),
            };
            let time = Cell::toned(row.at.time_of_day(), Tone::Dim);
            let [_, packet, _, kind, flags, length, what, content] = row.cells(conversation.start);
            let cells = [time, packet, conn.to_string().into(), route.into(), kind, flags, length, what, content];
            lines.row(&cells, &mut text);
        }
        self.output.write(text);
    }

    /// Writes what was collected of one connection as its table.
    fn print(&mut self, conn: u32, facts: &str) {
        if self.settings.live {
            self.print_live(conn);
            return;
        }
        let Some(conversation) = self.conversations.get_mut(&conn) else { return };
        if conversation.rows.is_empty() {
            return;
        }
        let mut text = String::new();
        if std::mem::replace(&mut self.any, true) {
            text.push('\n');
        }
        text.push_str(&title(conn, conversation, facts, &self.settings));
        let mut lines = Lines::new(&COLUMNS, self.settings.width, self.settings.color);
        let rows: Vec<_> = conversation.rows.drain(..).map(|row| row.cells(conversation.start)).collect();
        self.collected -= rows.len();
        for cells in &rows {
            lines.measure(cells);
        }
        lines.header(&mut text);
        for cells in &rows {
            lines.row(cells, &mut text);
        }
        conversation.continued = true;
        self.output.write(text);
    }

    fn print_all(&mut self) {
        let conns: Vec<_> = self.conversations.keys().copied().collect();
        for conn in conns {
            self.print(conn, "");
        }
    }
}

impl Observer for FramesTable {
    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        if !self.settings.selects(connection.conn) || self.output.is_done() {
            return;
        }
        let conversation = self.conversations.entry(connection.conn).or_insert_with(|| Conversation {
            client: connection.ends.client,
            server: connection.ends.server,
            start: connection.ends.first.at,
            rows: Vec::new(),
            continued: false,
        });
        conversation.rows.push(row(connection, frame, &self.settings));
        self.collected += 1;
        self.output.count_row();
        let whole = !matches!(frame.kind, FrameKind::Part { .. });
        if self.settings.live && whole {
            self.print_live(connection.conn);
        } else if self.collected >= COLLECTED {
            self.print_all();
        }
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, _key: u64) {
        let Some(conversation) = self.conversations.get_mut(&connection.conn) else { return };
        conversation.message(message, envelope_length(connection, message));
        if self.settings.live {
            self.print_live(connection.conn);
        }
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        let mut facts = types(&connection.peers);
        if let Some(version) = connection.version {
            let name = if matches!(version, Version::Zmtp { .. }) { "ZMTP " } else { "" };
            let _ = write!(facts, ", {name}{version}");
        }
        if let Some(mechanism) = connection.mechanism {
            let _ = write!(facts, ", {mechanism}");
        }
        self.print(connection.conn, &facts);
    }
}

impl View for FramesTable {
    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn conclude(&mut self, _capture: &CaptureFacts) {
        self.print_all();
    }
}

impl Conversation {
    /// Says of the rows of `message`, which are the latest of their direction, what they turned out to be.
    fn message(&mut self, message: &Message<'_>, envelope: usize) {
        let of_message = self.rows.iter_mut().rev().filter(|row| row.direction == message.direction);
        for row in of_message {
            let What::Part { ordinal, part, of } = &mut row.what else {
                if matches!(row.kind, "command" | "control") {
                    continue;
                }
                break;
            };
            if *ordinal != message.ordinal {
                break;
            }
            let number = *part as usize;
            *of = Some(message.part_count);
            if number < envelope {
                let head = message.head(&message.parts[number]);
                row.what = if head.is_empty() { What::Delimiter } else { What::Identity(head.into()) };
                row.content.clear();
            }
            if number == 0 {
                break;
            }
        }
    }
}

/// `connection 3: 127.0.0.1:50112 → 127.0.0.1:5555, REQ → ROUTER, ZMTP 3.1, NULL`.
fn title(conn: u32, conversation: &Conversation, facts: &str, settings: &Settings) -> String {
    let Conversation { client, server, continued, .. } = conversation;
    let comma = if facts.is_empty() { "" } else { ", " };
    let again = if *continued { " (continued)" } else { "" };
    let words = format!("connection {conn}: {client} → {server}{comma}{facts}{again}");
    let words = fitting(&words, settings.width.unwrap_or(usize::MAX)).0;
    format!("{}\n", painted(&words, Tone::Strong, settings.color))
}

fn row(connection: &ConnectionRef<'_>, frame: &Frame<'_>, settings: &Settings) -> Row {
    let (kind, what, content) = match &frame.kind {
        FrameKind::Greeting(greeting) => {
            ("greeting", What::Words(format!("ZMTP {}", greeting.version)), fields(&Fields::Greeting(greeting)))
        }
        FrameKind::Upgrade(head) => {
            let known = Fields::Upgrade { head, show_secrets: settings.show_secrets };
            ("greeting", What::Words("WebSocket".to_owned()), fields(&known))
        }
        FrameKind::Control(opcode) => {
            let known = Fields::of_control(*opcode, frame.head).map(|known| fields(&known));
            let content = known.unwrap_or_else(|| body(connection, frame, settings));
            ("control", What::Words(opcode.name().unwrap_or("?").to_owned()), content)
        }
        FrameKind::Command(None) => ("command", What::Words("no name".to_owned()), body(connection, frame, settings)),
        FrameKind::Command(Some(command)) => {
            let name = command_name(connection, frame, settings);
            let name = What::Words(name.map_or_else(|| "?".to_owned(), |name| preview(name, 32)));
            match known_fields(connection, frame, command, settings) {
                Some(known) => ("command", name, fields(&known)),
                None => ("command", name, String::new()),
            }
        }
        FrameKind::Identity => {
            let what = if frame.length == 0 { "anonymous" } else { "identity" };
            ("identity", What::Words(what.to_owned()), body(connection, frame, settings))
        }
        FrameKind::Part { ordinal, part, seal } => {
            let what = What::Part { ordinal: *ordinal, part: *part, of: None };
            let content = if seal.is_closed() {
                format!("encrypted, {}", fields(&Fields::Seal(*seal)))
            } else {
                body(connection, frame, settings)
            };
            ("message", what, content)
        }
        FrameKind::CutPart { .. } => {
            ("message", What::Words("of a cut message".to_owned()), body(connection, frame, settings))
        }
    };
    Row {
        direction: frame.direction,
        at: frame.end.at,
        packet: frame.end.packet.number(),
        kind,
        more: frame.flags.more(),
        long: frame.flags.long(),
        length: frame.length,
        missing: frame.missing,
        what,
        content,
    }
}

fn body(connection: &ConnectionRef<'_>, frame: &Frame<'_>, settings: &Settings) -> String {
    let Some(head) = shown_body(connection, frame, settings) else { return String::new() };
    shown(head, frame.length, settings.payload, settings.width.unwrap_or(200))
}

/// `Socket-Type=REQ Identity=…`.
fn fields(fields: &Fields<'_>) -> String {
    let mut text = String::new();
    fields.each(|name, value| {
        if matches!((name, value), ("Identity", Value::Bytes(b"")) | ("identity_length", Value::Number(0))) {
            return;
        }
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{}=", preview(name.as_bytes(), 64));
        match value {
            Value::Bytes(bytes) => text.push_str(&identity(bytes)),
            Value::Hex(bytes) => text.push_str(&crate::base::text::hex(bytes)),
            Value::Text(words) => text.push_str(words),
            Value::Number(number) => {
                let _ = write!(text, "{number}");
            }
        }
    });
    text
}

impl Row {
    fn cells(self, start: Timestamp) -> [Cell; 8] {
        let (arrow, tone) = match self.direction {
            Direction::ClientToServer => ("→", Tone::There),
            Direction::ServerToClient => ("←", Tone::Back),
        };
        let flags = match (self.more, self.long) {
            (true, true) => "MORE LONG",
            (true, false) => "MORE",
            (false, true) => "LONG",
            (false, false) => "",
        };
        let mut what = match self.what {
            What::Words(words) => words,
            What::Part { ordinal, part, of: Some(of) } => format!("part {}/{of} of #{ordinal}", part + 1),
            What::Part { ordinal, part, of: None } => format!("part {}/… of #{ordinal}", part + 1),
            What::Delimiter => "delimiter".to_owned(),
            What::Identity(bytes) => format!("identity {}", identity(&bytes)),
        };
        if self.missing > 0 {
            let _ = write!(what, ", {} bytes missing", self.missing);
        }
        [
            Cell::toned(since(start, self.at), Tone::Dim),
            Cell::toned(self.packet.to_string(), Tone::Dim),
            Cell::toned(arrow, tone),
            Cell::toned(self.kind, tone),
            flags.into(),
            self.length.to_string().into(),
            what.into(),
            self.content.into(),
        ]
    }
}
