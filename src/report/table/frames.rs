//! Per-connection frame tables that read like a conversation.
//!
//! Rows are collected by connection, so that each connection is one table. The rows of all connections together are
//! bounded: when there are too many, what was collected is written, and the tables are continued later. Live, rows are
//! written as soon as their message is complete.

use super::connections::types;
use super::lines::{Cells, Column, Lines, fitting};
use super::messages::{identity, push_shown};
use super::stream::Time;
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::observer::{ConnectionRef, Observer};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::text::{preview, push_hex, push_preview};
use crate::base::time::Timestamp;
use crate::report::facts::CaptureFacts;
use crate::report::model::fields::{Fields, Value};
use crate::report::model::frame::{command_name, known_fields, shown_body};
use crate::report::model::message::Parties;
use crate::report::output::Output;
use crate::report::paint::{Tone, painted};
use crate::report::settings::Settings;
use crate::report::spread::spread;
use crate::report::view::View;
use crate::zmtp::event::{Frame, FrameKind, Message};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::greeting::Version;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;

/// Rows collected at once, of all connections together: some twenty MiB.
const COLLECTED: usize = 100_000;

/// Rows of one table that a thread measures or lays out.
const PIECE: usize = 512;

/// Rows laid out at once for each thread: some hundred KiB of text, which is worth a thread.
const LAID_OUT: usize = 2048;

/// The most characters of a body, where no terminal says how many there may be.
const WIDEST_BODY: usize = 200;

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
    /// The row at hand; live.
    cells: Cells,
    /// What is to be written next; kept for its memory.
    texts: Vec<String>,
}

/// The rows of one connection that are not written yet.
struct Conversation {
    client: Endpoint,
    server: Endpoint,
    start: Timestamp,
    rows: Vec<Row>,
    contents: Contents,
    continued: bool,
}

/// Some rows of one of the tables that are written at once.
struct Piece<'a> {
    table: usize,
    /// The table begins with it.
    is_first: bool,
    rows: &'a [Row],
}

/// What the last column of all rows is made of.
#[derive(Default)]
struct Contents {
    words: String,
    bodies: Vec<u8>,
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
    content: Content,
}

/// Where in [`Contents`] the last column of a row is.
enum Content {
    Words(Range<usize>),
    /// The first octets of the body.
    Body(Range<usize>),
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
            cells: Cells::default(),
            texts: vec![String::new()],
        }
    }

    /// Writes what was collected of one connection as rows among those of others.
    fn print_live(&mut self, conn: u32) {
        let Self { cells, texts, .. } = self;
        let text = &mut texts[0];
        let Some((lines, conversation)) = self.live.as_mut().zip(self.conversations.get_mut(&conn)) else { return };
        text.clear();
        if !std::mem::replace(&mut self.any, true) {
            lines.header(text);
        }
        self.collected -= conversation.rows.len();
        for row in &conversation.rows {
            let (from, to) = match row.direction {
                Direction::ClientToServer => (conversation.client, conversation.server),
                Direction::ServerToClient => (conversation.server, conversation.client),
            };
            cells.clear();
            cells.show(Time::OfDay(row.at), Some(Tone::Dim));
            cells.show(row.packet, Some(Tone::Dim));
            cells.show(conn, None);
            cells.show(format_args!("{from} → {to}"), None);
            row.kind_and_rest(cells);
            row.content(&conversation.contents, &self.settings, cells);
            lines.row(cells, text);
        }
        conversation.clear();
        self.output.write(&*text);
    }

    /// Writes what was collected of these connections, a table each.
    fn print(&mut self, conns: &[u32], facts: &str) {
        if self.settings.live {
            for &conn in conns {
                self.print_live(conn);
            }
            return;
        }
        let (settings, any) = (&self.settings, self.any);
        let tables: Vec<_> = conns.iter().filter_map(|conn| Some((conn, self.conversations.get(conn)?))).collect();
        let pieces = tables.iter().enumerate().flat_map(|(at, (_, conversation))| {
            let pieces = conversation.rows.chunks(PIECE).enumerate();
            pieces.map(move |(number, rows)| Piece { table: at, is_first: number == 0, rows })
        });
        let pieces: Vec<_> = pieces.collect();
        let rows: usize = pieces.iter().map(|piece| piece.rows.len()).sum();
        let threads = if rows < LAID_OUT { 1 } else { settings.threads() };

        let mut lines = vec![Lines::new(&COLUMNS, settings.width, settings.color); tables.len()];
        let mut measured = vec![Vec::new(); threads];
        spread(&pieces, &mut measured, |pieces, measured| {
            let mut cells = Cells::default();
            for piece in pieces {
                let mut lines = lines[piece.table].clone();
                for row in piece.rows {
                    row.cells(tables[piece.table].1.start, &mut cells);
                    lines.measure(&cells);
                }
                measured.push((piece.table, lines));
            }
        });
        for (table, measured) in measured.iter().flatten() {
            lines[*table].make_room_of(measured);
        }

        self.texts.resize_with(threads, String::new);
        let mut left = pieces.as_slice();
        while !left.is_empty() {
            let (mut count, mut rows) = (0, 0);
            while count < left.len() && rows < threads * LAID_OUT {
                rows += left[count].rows.len();
                count += 1;
            }
            let (pieces, rest) = left.split_at(count);
            spread(pieces, &mut self.texts, |pieces, text| {
                text.clear();
                let mut cells = Cells::default();
                for piece in pieces {
                    let ((&conn, conversation), mut lines) = (tables[piece.table], lines[piece.table].clone());
                    if piece.is_first {
                        text.push_str(if any || piece.table > 0 { "\n" } else { "" });
                        text.push_str(&title(conn, conversation, facts, settings));
                        lines.header(text);
                    }
                    for row in piece.rows {
                        row.cells(conversation.start, &mut cells);
                        row.content(&conversation.contents, settings, &mut cells);
                        lines.row(&cells, text);
                    }
                }
            });
            for text in &self.texts {
                self.output.write(text);
            }
            left = rest;
        }

        self.any |= rows > 0;
        self.collected -= rows;
        for conn in conns {
            if let Some(conversation) = self.conversations.get_mut(conn) {
                conversation.continued |= !conversation.rows.is_empty();
                conversation.clear();
            }
        }
    }

    fn print_all(&mut self) {
        let mut conns: Vec<_> = self.conversations.keys().copied().collect();
        conns.retain(|conn| !self.conversations[conn].rows.is_empty());
        self.print(&conns, "");
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
            contents: Contents::default(),
            continued: false,
        });
        let row = row(connection.peers[frame.direction], frame, &self.settings, &mut conversation.contents);
        conversation.rows.push(row);
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
        conversation.message(message, Parties::new(connection, message.direction).envelope_length(message));
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
        self.print(&[connection.conn], &facts);
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
    /// All rows are written.
    fn clear(&mut self) {
        self.rows.clear();
        self.contents.clear();
    }

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
                row.content = Content::Words(0..0);
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

/// The row of a frame; what its last column is made of is added to `contents`.
fn row(sender: &Peer, frame: &Frame<'_>, settings: &Settings, contents: &mut Contents) -> Row {
    let body = |contents: &mut Contents| contents.body(shown_body(sender, frame, settings));
    let (kind, what, content) = match &frame.kind {
        FrameKind::Greeting(greeting) => {
            let what = format!("ZMTP {}", greeting.version);
            ("greeting", What::Words(what), contents.fields("", &Fields::Greeting(greeting)))
        }
        FrameKind::Upgrade(head) => {
            let fields = Fields::Upgrade { head, show_secrets: settings.show_secrets };
            ("greeting", What::Words("WebSocket".to_owned()), contents.fields("", &fields))
        }
        FrameKind::Control(opcode) => {
            let fields = Fields::of_control(*opcode, frame.head);
            let content = match fields {
                Some(fields) => contents.fields("", &fields),
                None => body(contents),
            };
            ("control", What::Words(opcode.name().unwrap_or("?").to_owned()), content)
        }
        FrameKind::Command(None) => ("command", What::Words("no name".to_owned()), body(contents)),
        FrameKind::Command(Some(command)) => {
            let fields = known_fields(sender, command, settings);
            let content = fields.map_or(Content::Words(0..0), |fields| contents.fields("", &fields));
            let name = command_name(sender, frame, settings);
            ("command", What::Words(name.map_or_else(|| "?".to_owned(), |name| preview(name, 32))), content)
        }
        FrameKind::Identity => {
            let what = if frame.length == 0 { "anonymous" } else { "identity" };
            ("identity", What::Words(what.to_owned()), body(contents))
        }
        FrameKind::Part { ordinal, part, seal } => {
            let content =
                if seal.is_closed() { contents.fields("encrypted, ", &Fields::Seal(*seal)) } else { body(contents) };
            ("message", What::Part { ordinal: *ordinal, part: *part, of: None }, content)
        }
        FrameKind::CutPart { .. } => ("message", What::Words("of a cut message".to_owned()), body(contents)),
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

impl Contents {
    /// The leading octets of a body, where any are shown.
    fn body(&mut self, shown: Option<&[u8]>) -> Content {
        let Some(shown) = shown else { return Content::Words(0..0) };
        let begin = self.bodies.len();
        self.bodies.extend_from_slice(shown);
        Content::Body(begin..self.bodies.len())
    }

    /// `Socket-Type=REQ Identity=…`, and something before.
    fn fields(&mut self, before: &str, fields: &Fields<'_>) -> Content {
        let text = &mut self.words;
        let begin = text.len();
        text.push_str(before);
        let mut space = "";
        fields.each(|name, value| {
            if matches!((name, value), ("Identity", Value::Bytes(b"")) | ("identity_length", Value::Number(0))) {
                return;
            }
            text.push_str(std::mem::replace(&mut space, " "));
            push_preview(text, name.as_bytes(), 64);
            text.push('=');
            match value {
                Value::Bytes(bytes) => text.push_str(&identity(bytes)),
                Value::Hex(bytes) => push_hex(text, bytes),
                Value::Text(words) => text.push_str(words),
                Value::Number(number) => {
                    let _ = write!(text, "{number}");
                }
            }
        });
        Content::Words(begin..text.len())
    }

    fn clear(&mut self) {
        self.words.clear();
        self.bodies.clear();
    }
}

impl Row {
    /// As a row of the table of its connection, but for the last column.
    fn cells(&self, start: Timestamp, cells: &mut Cells) {
        cells.clear();
        cells.show(Time::Since { start, at: self.at }, Some(Tone::Dim));
        cells.show(self.packet, Some(Tone::Dim));
        let arrow = match self.direction {
            Direction::ClientToServer => "→",
            Direction::ServerToClient => "←",
        };
        cells.text(arrow, Some(Tone::of(self.direction)));
        self.kind_and_rest(cells);
    }

    /// The columns that all tables have, but for the last.
    fn kind_and_rest(&self, cells: &mut Cells) {
        cells.text(self.kind, Some(Tone::of(self.direction)));
        let flags = match (self.more, self.long) {
            (true, true) => "MORE LONG",
            (true, false) => "MORE",
            (false, true) => "LONG",
            (false, false) => "",
        };
        cells.text(flags, None);
        cells.show(self.length, None);
        let text = cells.next(None);
        // Writing to a String cannot fail.
        let _ = match &self.what {
            What::Words(words) => write!(text, "{words}"),
            What::Part { ordinal, part, of: Some(of) } => write!(text, "part {}/{of} of #{ordinal}", part + 1),
            What::Part { ordinal, part, of: None } => write!(text, "part {}/… of #{ordinal}", part + 1),
            What::Delimiter => write!(text, "delimiter"),
            What::Identity(bytes) => write!(text, "identity {}", identity(bytes)),
        };
        if self.missing > 0 {
            let _ = write!(text, ", {} bytes missing", self.missing);
        }
    }

    /// The last column.
    fn content(&self, contents: &Contents, settings: &Settings, cells: &mut Cells) {
        let text = cells.next(None);
        match &self.content {
            Content::Words(range) => text.push_str(&contents.words[range.clone()]),
            Content::Body(range) => {
                let room = settings.width.unwrap_or(WIDEST_BODY);
                push_shown(text, &contents.bodies[range.clone()], self.length, settings.payload, room);
            }
        }
    }
}
