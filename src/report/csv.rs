//! CSV (RFC 4180) rows of the contract's records. Fields of several values are joined with a space.

use super::model::Both;
use super::model::connection::{Connection, PeerModel};
use super::model::finding::FindingModel;
use super::model::frame::FrameModel;
use super::model::interface::InterfaceModel;
use super::model::message::MessageModel;
use super::model::path::PathModel;
use super::record::Record;
use std::fmt::{Display, Write as _};

/// One row under construction.
pub struct Row<'a> {
    line: &'a mut Vec<u8>,
    first: bool,
    /// The field being made; kept for its memory.
    field: String,
}

impl<'a> Row<'a> {
    /// A row at the end of `line`.
    pub fn new(line: &'a mut Vec<u8>) -> Self {
        Self { line, first: true, field: String::new() }
    }

    /// A row of names.
    pub fn header(mut self, names: &[&str]) {
        for name in names {
            self.field(name);
        }
        self.end();
    }

    /// The next field.
    pub fn field(&mut self, value: impl Display) {
        if !std::mem::take(&mut self.first) {
            self.line.push(b',');
        }
        self.field.clear();
        if write!(self.field, "{value}").is_err() {
            self.field.clear();
        }
        if !self.field.contains([',', '"', '\n', '\r']) {
            self.line.extend_from_slice(self.field.as_bytes());
            return;
        }
        self.line.push(b'"');
        for byte in self.field.bytes() {
            if byte == b'"' {
                self.line.push(b'"');
            }
            self.line.push(byte);
        }
        self.line.push(b'"');
    }

    /// The next field; empty for what is unknown.
    pub fn optional(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.field(value),
            None => self.field(""),
        }
    }

    /// The next field, of several values.
    pub fn list(&mut self, values: impl Iterator<Item = impl Display>) {
        let mut joined = String::new();
        for value in values {
            let space = if joined.is_empty() { "" } else { " " };
            if write!(joined, "{space}{value}").is_err() {
                break;
            }
        }
        self.field(joined);
    }

    /// The row is complete.
    pub fn end(self) {
        self.line.extend_from_slice(b"\r\n");
    }

    fn both(&mut self, values: &Both<u64>) {
        self.field(values.c2s);
        self.field(values.s2c);
    }
}

impl Record for Connection<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "conn",
        "community_id",
        "client",
        "server",
        "start",
        "end",
        "start_packet",
        "end_packet",
        "file",
        "end_reason",
        "ended_by",
        "midstream",
        "version",
        "mechanism",
        "handshake",
        "client_version",
        "client_socket_type",
        "client_identity",
        "server_version",
        "server_socket_type",
        "server_identity",
        "messages_c2s",
        "messages_s2c",
        "frames_c2s",
        "frames_s2c",
        "commands_c2s",
        "commands_s2c",
        "body_bytes_c2s",
        "body_bytes_s2c",
        "lost_bytes_c2s",
        "lost_bytes_s2c",
        "transport",
    ];

    fn csv(&self, row: &mut Row<'_>) {
        row.field(self.conn);
        row.optional(self.community_id.as_ref());
        row.field(self.client.0);
        row.field(self.server.0);
        row.field(self.start.0);
        row.field(self.end.0);
        row.field(self.start_packet);
        row.field(self.end_packet);
        row.optional(self.file);
        row.field(self.end_reason);
        row.optional(self.ended_by);
        row.field(self.midstream);
        row.optional(self.version.map(|version| version.0));
        row.optional(self.mechanism.map(|mechanism| mechanism.0));
        row.field(self.handshake);
        for peer in [&self.peers.client, &self.peers.server] {
            peer_fields(peer, row);
        }
        for counts in [&self.messages, &self.frames, &self.commands, &self.body_bytes, &self.lost_bytes] {
            row.both(counts);
        }
        row.field(self.transport);
    }
}

fn peer_fields(peer: &PeerModel<'_>, row: &mut Row<'_>) {
    row.optional(peer.version.map(|version| version.0));
    row.optional(peer.socket_type.as_ref());
    row.optional(peer.identity);
}

impl Record for FrameModel<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "conn",
        "dir",
        "ts",
        "packet",
        "file",
        "offset",
        "kind",
        "name",
        "ordinal",
        "part",
        "more",
        "long",
        "length",
        "missing",
        "encrypted",
        "hex",
        "text",
    ];

    fn csv(&self, row: &mut Row<'_>) {
        row.field(self.conn);
        row.field(self.dir);
        row.field(self.ts.0);
        row.field(self.packet);
        row.optional(self.file);
        row.field(self.offset);
        row.field(self.kind);
        row.optional(self.name.as_ref());
        row.optional(self.ordinal);
        row.optional(self.part);
        row.field(self.more);
        row.field(self.long);
        row.field(self.length);
        row.field(self.missing);
        row.field(self.encrypted);
        row.optional(self.hex);
        row.optional(self.text);
    }
}

impl Record for MessageModel<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "key",
        "conn",
        "src",
        "dst",
        "dir",
        "ordinal",
        "start",
        "ts",
        "start_packet",
        "packet",
        "file",
        "encrypted",
        "role",
        "parts",
        "lengths",
        "envelope",
        "bodies_hex",
    ];

    fn csv(&self, row: &mut Row<'_>) {
        row.field(self.key);
        row.field(self.conn);
        row.field(self.src.0);
        row.field(self.dst.0);
        row.field(self.dir);
        row.field(self.ordinal);
        row.field(self.start.0);
        row.field(self.ts.0);
        row.field(self.start_packet);
        row.field(self.packet);
        row.optional(self.file);
        row.field(self.encrypted);
        row.optional(self.role);
        row.field(self.parts.count());
        row.list(self.parts.lengths());
        row.list(self.envelope.hex().map(or_dash));
        row.list(self.parts.bodies().map(or_dash));
    }
}

/// Something to see where there is nothing: an empty part among others.
fn or_dash(value: impl Display) -> String {
    let text = value.to_string();
    if text.is_empty() { "-".to_owned() } else { text }
}

impl Record for PathModel<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "path",
        "status",
        "pattern",
        "start",
        "packet",
        "src",
        "dst",
        "request_hops",
        "reply_hops",
        "latency_ns",
        "confidence",
        "request",
        "reply",
    ];

    fn csv(&self, row: &mut Row<'_>) {
        let (request, reply) = (self.request.hops(), self.reply.hops());
        let first = request.first().or(reply.first());
        let last = request.last();
        row.field(self.path);
        row.field(self.status);
        row.optional(self.pattern);
        row.optional(first.map(|hop| hop.position.at));
        row.optional(first.map(|hop| hop.position.packet.number()));
        row.optional(request.first().map(|hop| hop.source));
        row.optional(last.map(|hop| hop.destination));
        row.field(request.len());
        row.field(reply.len());
        row.optional(self.latency_ns);
        row.field(self.confidence);
        for hops in [request, reply] {
            row.list(hops.iter().map(|hop| format!("{}:{}:{}", hop.conn, hop.direction.abbreviation(), hop.ordinal)));
        }
    }
}

impl Record for FindingModel<'_> {
    const COLUMNS: &'static [&'static str] = &["code", "severity", "ts", "conns", "packets", "text", "spec"];

    fn csv(&self, row: &mut Row<'_>) {
        row.field(self.code);
        row.field(self.severity);
        row.optional(self.ts.map(|ts| ts.0));
        row.list(self.conns.iter());
        row.list(self.packets.iter());
        row.field(self.text);
        row.optional(self.spec);
    }
}

impl Record for InterfaceModel<'_> {
    const COLUMNS: &'static [&'static str] =
        &["name", "description", "addresses", "up", "running", "loopback", "link", "link_name", "usable", "reason"];

    fn csv(&self, row: &mut Row<'_>) {
        row.field(self.name);
        row.optional(self.description);
        row.list(self.addresses.iter().map(|address| address.0));
        row.field(self.up);
        row.field(self.running);
        row.field(self.loopback);
        row.optional(self.link);
        row.optional(self.link_name);
        row.field(self.usable);
        row.optional(self.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_separators_are_quoted() {
        let mut line = Vec::new();
        let mut row = Row::new(&mut line);
        row.field("plain");
        row.field("a,b");
        row.field("say \"hi\"");
        row.optional(None::<u8>);
        row.end();
        assert_eq!(line, b"plain,\"a,b\",\"say \"\"hi\"\"\",\r\n");
    }
}
