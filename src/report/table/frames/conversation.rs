//! The rows of one connection: what each frame is, and how it is shown.

use crate::analyze::observer::Ends;
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::text::{preview, push_hex, push_preview};
use crate::base::time::Timestamp;
use crate::report::model::fields::{Fields, Value};
use crate::report::model::frame::{command_name, known_fields, shown_body};
use crate::report::paint::Tone;
use crate::report::settings::Settings;
use crate::report::table::lines::Cells;
use crate::report::table::messages::{identity, push_shown};
use crate::report::table::stream::Time;
use crate::zmtp::event::{Frame, FrameKind, Message};
use crate::zmtp::peer::Peer;
use std::fmt::Write as _;
use std::ops::Range;

/// The most characters of a body, where no terminal says how many there may be.
const WIDEST_BODY: usize = 200;

/// The rows of one connection that are not written yet.
pub(super) struct Conversation {
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    start: Timestamp,
    pub(super) rows: Vec<Row>,
    contents: Contents,
    /// Earlier ones were.
    pub(super) is_continued: bool,
}

/// What the last column of all rows is made of.
#[derive(Default)]
struct Contents {
    words: String,
    bodies: Vec<u8>,
}

pub(super) struct Row {
    pub(super) direction: Direction,
    pub(super) at: Timestamp,
    pub(super) packet: u64,
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

impl Conversation {
    pub(super) fn new(ends: &Ends) -> Self {
        Self {
            client: ends.client,
            server: ends.server,
            start: ends.first.at,
            rows: Vec::new(),
            contents: Contents::default(),
            is_continued: false,
        }
    }

    /// A frame that `sender` sent.
    pub(super) fn frame(&mut self, sender: &Peer, frame: &Frame<'_>, settings: &Settings) {
        self.rows.push(row(sender, frame, settings, &mut self.contents));
    }

    /// All rows are written.
    pub(super) fn clear(&mut self) {
        self.is_continued |= !self.rows.is_empty();
        self.rows.clear();
        self.contents.words.clear();
        self.contents.bodies.clear();
    }

    /// Says of the rows of `message`, which are the latest of their direction, what they turned out to be.
    pub(super) fn message(&mut self, message: &Message<'_>, envelope: usize) {
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

    /// One of the rows as one of the table of the connection, but for the last column.
    pub(super) fn cells(&self, row: &Row, cells: &mut Cells) {
        cells.clear();
        cells.show(Time::Since { start: self.start, at: row.at }, Some(Tone::Dim));
        cells.show(row.packet, Some(Tone::Dim));
        let arrow = match row.direction {
            Direction::ClientToServer => "→",
            Direction::ServerToClient => "←",
        };
        cells.text(arrow, Some(Tone::of(row.direction)));
        row.kind_and_rest(cells);
    }

    /// The last column of a row.
    pub(super) fn content(&self, row: &Row, settings: &Settings, cells: &mut Cells) {
        let text = cells.next(None);
        match &row.content {
            Content::Words(range) => text.push_str(&self.contents.words[range.clone()]),
            Content::Body(range) => {
                let room = settings.width.unwrap_or(WIDEST_BODY);
                push_shown(text, &self.contents.bodies[range.clone()], row.length, settings.payload, room);
            }
        }
    }
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
}

impl Row {
    /// The columns that all tables have, but for the last.
    pub(super) fn kind_and_rest(&self, cells: &mut Cells) {
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
}
