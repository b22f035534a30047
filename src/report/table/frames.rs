//! Per-connection frame tables that read like a conversation.
//!
//! Rows are collected by connection, so that each connection is one table. The rows of all connections together are
//! bounded: when there are too many, what was collected is written, and the tables are continued later. Live, rows are
//! written as soon as their message is complete.

mod conversation;

use super::connections::types;
use super::lines::{Cells, Column, Lines, fitting};
use super::stream::Time;
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::observer::{ConnectionRef, Observer};
use crate::base::direction::Direction;
use crate::report::facts::CaptureFacts;
use crate::report::model::message::Parties;
use crate::report::output::Output;
use crate::report::paint::{Tone, painted};
use crate::report::settings::Settings;
use crate::report::spread::spread;
use crate::report::view::View;
use crate::zmtp::event::{Frame, FrameKind, Message};
use crate::zmtp::wire::greeting::Version;
use conversation::{Conversation, Row};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

/// Rows collected at once, of all connections together: some twenty MiB.
const COLLECTED: usize = 100_000;

/// Rows of one table that a thread measures or lays out.
const PIECE: usize = 512;

/// Rows laid out at once for each thread: some hundred KiB of text, which is worth a thread.
const LAID_OUT: usize = 2048;

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

/// Some rows of one of the tables that are written at once.
struct Piece<'a> {
    table: usize,
    /// The table begins with it.
    is_first: bool,
    rows: &'a [Row],
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
            conversation.content(row, &self.settings, cells);
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
        let settings = &self.settings;
        let tables: Vec<_> = conns.iter().filter_map(|conn| Some((*conn, self.conversations.get(conn)?))).collect();
        let pieces = tables.iter().enumerate().flat_map(|(table, (_, conversation))| {
            let pieces = conversation.rows.chunks(PIECE).enumerate();
            pieces.map(move |(number, rows)| Piece { table, is_first: number == 0, rows })
        });
        let pieces: Vec<_> = pieces.collect();
        let rows: usize = pieces.iter().map(|piece| piece.rows.len()).sum();
        let threads = if rows < LAID_OUT { 1 } else { settings.threads() };
        let lines = measured(&tables, &pieces, threads, settings);
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
                for piece in pieces {
                    let (conn, conversation) = tables[piece.table];
                    let mut lines = lines[piece.table].clone();
                    if piece.is_first {
                        text.push_str(if self.any || piece.table > 0 { "\n" } else { "" });
                        text.push_str(&title(conn, conversation, facts, settings));
                        lines.header(text);
                    }
                    lay_out(piece.rows, conversation, settings, &mut lines, text);
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

/// Lines with room for all rows of each table.
fn measured(tables: &[(u32, &Conversation)], pieces: &[Piece<'_>], threads: usize, settings: &Settings) -> Vec<Lines> {
    let mut lines = vec![Lines::new(&COLUMNS, settings.width, settings.color); tables.len()];
    let mut measured = vec![Vec::new(); threads];
    spread(pieces, &mut measured, |pieces, measured| {
        let mut cells = Cells::default();
        for piece in pieces {
            let mut lines = lines[piece.table].clone();
            for row in piece.rows {
                tables[piece.table].1.cells(row, &mut cells);
                lines.measure(&cells);
            }
            measured.push((piece.table, lines));
        }
    });
    for (table, measured) in measured.iter().flatten() {
        lines[*table].make_room_of(measured);
    }
    lines
}

/// Appends rows of the table of their connection.
fn lay_out(rows: &[Row], conversation: &Conversation, settings: &Settings, lines: &mut Lines, text: &mut String) {
    let mut cells = Cells::default();
    for row in rows {
        conversation.cells(row, &mut cells);
        conversation.content(row, settings, &mut cells);
        lines.row(&cells, text);
    }
}

impl Observer for FramesTable {
    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        if !self.settings.selects(connection.conn) || self.output.is_done() {
            return;
        }
        let new = || Conversation::new(connection.ends);
        let conversation = self.conversations.entry(connection.conn).or_insert_with(new);
        conversation.frame(connection.peers[frame.direction], frame, &self.settings);
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
        self.conversations.remove(&connection.conn);
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

/// `connection 3: 127.0.0.1:50112 → 127.0.0.1:5555, REQ → ROUTER, ZMTP 3.1, NULL`.
fn title(conn: u32, conversation: &Conversation, facts: &str, settings: &Settings) -> String {
    let Conversation { client, server, is_continued, .. } = conversation;
    let comma = if facts.is_empty() { "" } else { ", " };
    let again = if *is_continued { " (continued)" } else { "" };
    let words = format!("connection {conn}: {client} → {server}{comma}{facts}{again}");
    let words = fitting(&words, settings.width.unwrap_or(usize::MAX)).0;
    format!("{}\n", painted(&words, Tone::Strong, settings.color))
}
