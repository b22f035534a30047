//! The table of connections.

use super::boxed::{colored, number, rendered, table};
use crate::analyze::connection::{ConnectionSummary, HandshakeOutcome};
use crate::analyze::observer::{Interest, Observer};
use crate::base::direction::PerDirection;
use crate::base::transport::Transport;
use crate::flow::table::EndReason;
use crate::report::facts::CaptureFacts;
use crate::report::model::connection::{end_reason, handshake, side, socket_type};
use crate::report::output::Output;
use crate::report::settings::Settings;
use crate::report::view::View;
use crate::zmtp::peer::Peer;
use crate::zmtp::session::Traffic;
use crate::zmtp::wire::greeting::{MechanismName, Version};
use comfy_table::{Cell, Color};
use std::fmt::Write as _;
use std::io::Write;

/// Rows of one table; a capture with more connections gets another one.
const BATCH: usize = 10_000;

const TITLES: [&str; 9] = ["#", "client", "server", "types", "protocol", "messages", "bytes", "duration", "end"];

/// Columns that hold endpoints.
const ENDPOINTS: [usize; 2] = [1, 2];

/// Shows connections.
pub struct ConnectionsTable {
    settings: Settings,
    output: Output,
    table: comfy_table::Table,
}

impl ConnectionsTable {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        let output = Output::new(out, settings.limit);
        Self { table: table(&TITLES, &settings), settings, output }
    }

    fn print(&mut self) {
        let full = std::mem::replace(&mut self.table, table(&TITLES, &self.settings));
        self.output.write(rendered(full, &ENDPOINTS, &self.settings));
    }
}

impl Observer for ConnectionsTable {
    fn interest(&self) -> Interest {
        Interest::NOTHING_ELSE
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        if !self.settings.selects(connection.conn) || self.output.is_done() {
            return;
        }
        self.table.add_row(row(connection));
        self.output.count_row();
        if self.table.row_count() >= BATCH {
            self.print();
        }
    }
}

impl View for ConnectionsTable {
    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn conclude(&mut self, _capture: &CaptureFacts) {
        self.print();
    }
}

/// The table of these connections.
pub fn list(connections: &[ConnectionSummary], settings: &Settings) -> String {
    let mut table = table(&TITLES, settings);
    table.add_rows(connections.iter().map(row));
    rendered(table, &ENDPOINTS, settings)
}

fn row(connection: &ConnectionSummary) -> Vec<Cell> {
    let ConnectionSummary { traffic, handshake: outcome, .. } = connection;
    let bytes = |traffic: &Traffic| traffic.body_bytes;
    vec![
        number(connection.conn),
        Cell::new(connection.client),
        Cell::new(connection.server),
        Cell::new(types(&connection.peers)),
        Cell::new(protocol(connection.transport, connection.version, connection.mechanism)),
        number(format!("{} → {} ←", traffic.c2s.messages, traffic.s2c.messages)),
        number(bytes(&traffic.c2s) + bytes(&traffic.s2c)),
        number(connection.last.at - connection.start.at),
        colored(ending(connection), (*outcome == HandshakeOutcome::Failed).then_some(Color::Red)),
    ]
}

/// `3.1 NULL`; in datagrams, where there is no mechanism, `1.0 over pgm`.
pub fn protocol(transport: Transport, version: Option<Version>, mechanism: Option<MechanismName>) -> String {
    if transport.is_one_way() {
        let version = version.map_or(String::new(), |version| format!("{version} "));
        return format!("{version}over {transport}");
    }
    let version = version.map_or("?".to_owned(), |version| version.to_string());
    format!("{version} {}", mechanism.map_or("?".to_owned(), |mechanism| mechanism.to_string()))
}

/// `REQ → ROUTER`.
pub fn types(peers: &PerDirection<Peer>) -> String {
    let name = |peer| socket_type(peer).unwrap_or("?".into());
    format!("{} → {}", name(&peers.c2s), name(&peers.s2c))
}

/// How it ended, and what went wrong before.
fn ending(connection: &ConnectionSummary) -> String {
    if connection.transport.is_one_way() && connection.end.reason == EndReason::Open {
        // Datagrams have no end that could be seen.
        return if connection.midstream { "begins before the capture".to_owned() } else { String::new() };
    }
    let mut text = end_reason(connection.end.reason).to_owned();
    if let Some(by) = connection.end.by {
        text.push_str(" by ");
        text.push_str(side(by));
    }
    if connection.end.reason == EndReason::Open {
        "still open".clone_into(&mut text);
    }
    match connection.handshake {
        HandshakeOutcome::Complete => {}
        HandshakeOutcome::Unseen => text.push_str(", begins before the capture"),
        outcome => {
            text.push_str(", handshake ");
            text.push_str(handshake(outcome));
        }
    }
    let lost = connection.lost_bytes.c2s + connection.lost_bytes.s2c;
    if lost > 0 {
        let _ = write!(text, ", {lost} bytes lost");
    }
    text
}
