//! Rows that wait to be formatted: what they show, copied, so that any thread can do it.
//!
//! Invariants: a row is formatted by what is on the sheet and by the settings alone, so it does not matter who does it and when.
//! A sheet is full after so many rows or octets, and its memory is used again.

use super::model::frame::FrameModel;
use super::model::message::{MessageModel, Parties};
use super::model::path::PathModel;
use super::record::{Record, format_row};
use super::settings::{Format, Settings};
use crate::analyze::observer::ConnectionRef;
use crate::correlate::path::Path;
use crate::zmtp::event::{Frame, Message, Part};
use crate::zmtp::peer::Peer;

/// So many rows, or octets of their content, are enough: what is made of them stays in a processor's cache.
const ROWS: usize = 256;
const OCTETS: usize = 128 << 10;

/// A row without what it borrows; its octets and parts are on the sheet, in the order of the rows.
#[derive(Debug)]
enum Draft {
    /// It had to be formatted at once.
    Formatted {
        octets: usize,
    },
    Frame {
        conn: u32,
        frame: Frame<'static>,
        octets: usize,
    },
    Message {
        parties: Parties,
        message: Message<'static>,
        key: u64,
        parts: usize,
        octets: usize,
    },
    Path(Path),
}

/// Some rows, one after the other.
#[derive(Debug, Default)]
pub struct Sheet {
    drafts: Vec<Draft>,
    octets: Vec<u8>,
    parts: Vec<Part>,
    /// Nothing is before its first row in a document.
    is_first: bool,
    text: Vec<u8>,
}

impl Sheet {
    /// Whether it is to be formatted before more is put on it.
    pub fn is_full(&self) -> bool {
        self.drafts.len() >= ROWS || self.octets.len() >= OCTETS
    }

    /// It is the first of a document.
    pub fn set_first(&mut self) {
        self.is_first = true;
    }

    /// A row of any kind.
    pub fn record<R: Record>(&mut self, record: &R, format: Format) {
        let before = self.octets.len();
        format_row(record, format, &mut self.octets);
        self.drafts.push(Draft::Formatted { octets: self.octets.len() - before });
    }

    /// A frame.
    pub fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>, settings: &Settings) {
        let conn = connection.conn;
        let Some(without) = frame.without_body() else {
            // Greetings and commands, which are few.
            let sender = connection.peers[frame.direction];
            return self.record(&FrameModel::new(conn, sender, frame, settings), settings.format);
        };
        self.octets.extend_from_slice(frame.head);
        self.drafts.push(Draft::Frame { conn, frame: without, octets: frame.head.len() });
    }

    /// A message, and its key.
    pub fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        self.octets.extend_from_slice(message.heads);
        self.parts.extend_from_slice(message.parts);
        self.drafts.push(Draft::Message {
            parties: Parties::new(connection, message.direction),
            message: message.without_parts(),
            key,
            parts: message.parts.len(),
            octets: message.heads.len(),
        });
    }

    /// A path.
    pub fn path(&mut self, path: Path) {
        self.drafts.push(Draft::Path(path));
    }

    /// Formats all rows, as [`Self::text`] has them then.
    pub fn format(&mut self, settings: &Settings) {
        let (mut octets, mut parts) = (self.octets.as_slice(), self.parts.as_slice());
        let (format, text) = (settings.format, &mut self.text);
        // Of what is put on a sheet as a frame, nothing depends on who sent it.
        let anyone = Peer::default();
        let mut is_first = self.is_first;
        for draft in &self.drafts {
            if format == Format::Json && !std::mem::take(&mut is_first) {
                text.extend_from_slice(b",\n");
            }
            match draft {
                Draft::Formatted { octets: count } => text.extend_from_slice(take(&mut octets, *count)),
                Draft::Frame { conn, frame, octets: count } => {
                    let frame = Frame { head: take(&mut octets, *count), ..*frame };
                    format_row(&FrameModel::new(*conn, &anyone, &frame, settings), format, text);
                }
                Draft::Message { parties, message, key, parts: part_count, octets: count } => {
                    let message =
                        Message { parts: take(&mut parts, *part_count), heads: take(&mut octets, *count), ..*message };
                    format_row(&MessageModel::new(parties, &message, *key, settings), format, text);
                }
                Draft::Path(path) => format_row(&PathModel::new(path, settings.several_files), format, text),
            }
        }
    }

    /// What came of the rows.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// It is blank again.
    pub fn clear(&mut self) {
        self.drafts.clear();
        self.octets.clear();
        self.parts.clear();
        self.text.clear();
        self.is_first = false;
    }
}

/// The first `count` of what is left.
fn take<'a, T>(left: &mut &'a [T], count: usize) -> &'a [T] {
    let (taken, rest) = left.split_at(count);
    *left = rest;
    taken
}
