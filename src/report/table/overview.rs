//! The overview: what was captured, who talks to whom, how requests fared, what is wrong.

use super::boxed::{colored, number, rendered, table};
use super::connections;
use super::drawn::drawn;
use super::findings::{packets, tone};
use super::lines::wrapped;
use super::topology::topology;
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::health::DatagramStats;
use crate::analyze::observer::{Interest, Observer};
use crate::base::time::Duration;
use crate::correlate::findings::Finding;
use crate::correlate::path::{Path, Status};
use crate::report::facts::CaptureFacts;
use crate::report::output::Output;
use crate::report::paint::{Tone, painted};
use crate::report::route::{Route, quantile};
use crate::report::settings::Settings;
use crate::report::summary::{LISTED, Summary};
use crate::report::view::{View, selects_finding, selects_path};
use comfy_table::{Cell, Color};
use std::fmt::Write as _;
use std::io::Write;

/// Routes shown with an example path.
const EXAMPLES: usize = 3;

/// Shows the overview.
pub struct OverviewTable {
    settings: Settings,
    output: Output,
    summary: Summary,
}

impl OverviewTable {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self { settings, output: Output::new(out, None), summary: Summary::default() }
    }
}

impl Observer for OverviewTable {
    fn interest(&self) -> Interest {
        Interest::PATHS
    }

    fn path(&mut self, path: Path) {
        if selects_path(&self.settings, &path) {
            self.summary.path(&path);
        }
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        if self.settings.selects(connection.conn) {
            self.summary.connection(connection);
        }
    }

    fn finding(&mut self, finding: &Finding) {
        if selects_finding(&self.settings, finding) {
            self.summary.finding(finding);
        }
    }
}

impl View for OverviewTable {
    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn conclude(&mut self, capture: &CaptureFacts) {
        let mut summary = std::mem::take(&mut self.summary);
        self.output.write(render(&mut summary, capture, &self.settings));
    }
}

/// The overview as text.
pub fn render(summary: &mut Summary, capture: &CaptureFacts, settings: &Settings) -> String {
    let graph = std::mem::take(&mut summary.topology).finish();
    let mut text = String::new();
    section("Capture", settings, &mut text);
    capture_facts(capture, summary.connections, settings, &mut text);
    section("Connections", settings, &mut text);
    connection_table(summary, settings, &mut text);
    if !graph.nodes.is_empty() {
        section("Topology", settings, &mut text);
        text.push_str(&topology(&graph, settings));
    }
    section("Requests and replies", settings, &mut text);
    routes(summary, settings, &mut text);
    section("Findings", settings, &mut text);
    findings(summary, settings, &mut text);
    text
}

fn section(title: &str, settings: &Settings, text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&painted(title, Tone::Strong, settings.color));
    text.push('\n');
}

fn line(words: &str, settings: &Settings, text: &mut String) {
    text.push_str(&wrapped(words, 2, settings.width));
    text.push('\n');
}

fn capture_facts(capture: &CaptureFacts, zmtp: u64, settings: &Settings, text: &mut String) {
    for (index, input) in capture.source.inputs.iter().enumerate() {
        let which = if settings.several_files { format!("file {index}: ") } else { String::new() };
        let filtered = if input.filtered > 0 { format!(", {} filtered out", input.filtered) } else { String::new() };
        let dropped = match input.dropped {
            Some(0) | None => String::new(),
            Some(dropped) => format!(", {dropped} DROPPED while capturing"),
        };
        let words = format!("{which}{}: {}, {} packets{filtered}{dropped}", input.name, input.format, input.packets);
        line(&words, settings, text);
        for warning in &input.warnings {
            line(&format!("warning: {warning}"), settings, text);
        }
        if let Some(clock) = capture.clocks.get(index) {
            text.push_str(&wrapped(&clock.text(), 4, settings.width));
            text.push('\n');
        }
    }
    let health = &capture.health;
    if let (Some((first, last)), Some(duration)) = (capture.span, capture.duration()) {
        line(&format!("{first} to {last}: {duration}"), settings, text);
    }
    let mut words = format!(
        "{} packets, {} bytes; {} TCP connections, {} of them ZMTP",
        health.packets,
        health.bytes,
        health.tcp_connections,
        zmtp.saturating_sub(health.datagrams.connections)
    );
    if health.datagrams.connections > 0 {
        let _ = write!(words, "; {} ZMTP senders in datagrams", health.datagrams.connections);
    }
    if health.other_connections > 0 {
        let _ = write!(words, "; {} others with {} bytes", health.other_connections, health.other_bytes);
    }
    line(&words, settings, text);
    let pgm = &health.datagrams;
    if pgm.pgm_data > 0 {
        let DatagramStats { pgm_data, pgm_repaired, pgm_repeated, pgm_spm, pgm_nak, .. } = pgm;
        let words = format!(
            "PGM: {pgm_data} data packets, {pgm_repaired} of them repairs, {pgm_repeated} once more; {pgm_nak} NAK and NCF, {pgm_spm} SPM"
        );
        line(&words, settings, text);
    }
    let blind = blind_spots(capture);
    if !blind.is_empty() {
        line(&format!("not used or not seen: {}", blind.join(", ")), settings, text);
    }
    if capture.stopped {
        line("reading was stopped before the end", settings, text);
    }
}

/// What the results do not cover, in words.
fn blind_spots(capture: &CaptureFacts) -> Vec<String> {
    let health = &capture.health;
    let reassembly = &health.reassembly;
    let counts = [
        (health.fragments.given_up, "IP datagrams of which fragments are missing"),
        (health.fragments.overlapping, "IP fragments that overlap or contradict others"),
        (reassembly.lost_bytes, "bytes missing from the capture"),
        (health.datagrams.pgm_lost, "PGM data packets missing"),
        (reassembly.retransmitted, "retransmitted segments"),
        (reassembly.captured_twice, "segments that two files hold, used once"),
        (reassembly.out_of_order, "segments out of order"),
        (reassembly.conflicts, "retransmissions with other bytes"),
        (reassembly.out_of_window, "segments outside any window"),
        (reassembly.limit_gaps, "gaps assumed because a limit was reached"),
        (health.late_segments, "segments of connections that were over"),
        (health.evicted, "connections given up for want of room"),
        (health.half_open_evicted, "attempts to connect given up unanswered for want of room"),
        (health.judged_early, "connections judged by their first bytes for want of room"),
        (
            health.released_connections,
            "connections whose messages under way or metadata were given up for want of room",
        ),
        (health.connections_told_early, "connections told out of order for want of room"),
        (health.given_up_messages, "messages beyond the correlation window"),
        (health.anomalies_not_listed, "anomalies not listed"),
    ];
    let skipped = health.skipped.iter().map(|(reason, count)| format!("{count} packets {reason}"));
    skipped
        .chain(counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")))
        .collect()
}

fn connection_table(summary: &Summary, settings: &Settings, text: &mut String) {
    if summary.connections == 0 {
        line("none", settings, text);
        return;
    }
    if summary.connections <= LISTED as u64 {
        text.push_str(&connections::list(&summary.listed, settings));
        return;
    }
    let titles = ["connections", "server", "types", "protocol", "messages", "bytes", ""];
    let mut table = table(&titles, settings);
    for (key, group) in &summary.groups {
        let name = |name: &Option<std::borrow::Cow<'static, str>>| name.clone().unwrap_or("?".into());
        let failed = if group.failed > 0 { format!("{} handshakes failed", group.failed) } else { String::new() };
        table.add_row(vec![
            number(group.connections),
            Cell::new(key.server),
            Cell::new(format!("{} → {}", name(&key.client_type), name(&key.server_type))),
            Cell::new(connections::protocol(key.transport, key.version, key.mechanism())),
            number(format!("{} → {} ←", group.messages.c2s, group.messages.s2c)),
            number(group.body_bytes.c2s + group.body_bytes.s2c),
            colored(failed, Some(Color::Red)),
        ]);
    }
    text.push_str(&rendered(table, &[1], settings));
}

fn routes(summary: &mut Summary, settings: &Settings, text: &mut String) {
    let (routes, not_told_apart) = summary.routes();
    if routes.is_empty() {
        line("none", settings, text);
    }
    for (at, (route, client, worker)) in routes.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        let way = wrapped(&route.text(client.as_deref(), worker.as_deref()), 2, settings.width);
        text.push_str(&painted(&way, Tone::Strong, settings.color));
        text.push('\n');
        route_facts(route, settings, text);
        if let Some(example) = route.example.as_ref().filter(|_| at < EXAMPLES) {
            text.push('\n');
            let narrower = Settings { width: settings.width.map(|width| width.saturating_sub(4)), ..settings.clone() };
            for row in drawn(example, &narrower).lines() {
                text.push_str("    ");
                text.push_str(row);
                text.push('\n');
            }
        }
    }
    if not_told_apart > 0 {
        line(&format!("and {not_told_apart} paths on further routes"), settings, text);
    }
}

fn route_facts(route: &Route, settings: &Settings, text: &mut String) {
    let statuses = [Status::Complete, Status::Delivered, Status::Unanswered, Status::Broken, Status::Unrequested];
    let counts = statuses.iter().filter(|status| route.count(**status) > 0);
    let counts: Vec<_> = counts.map(|status| format!("{} {}", route.count(*status), status.name())).collect();
    let confidence = (route.confidence * 1000.0).floor() / 1000.0;
    let what = if route.is_one_way { "messages" } else { "requests" };
    let words = format!("{} {what}: {}; least confidence {confidence:.3}", route.paths(), counts.join(", "));
    line(&words, settings, text);
    let at = |share| quantile(&route.latency, share).unwrap_or_default();
    if !route.latency.is_empty() {
        let longest = Duration(route.latency.max() as i64);
        let words = format!("latency p50 {}, p90 {}, p99 {}, max {longest}", at(0.5), at(0.9), at(0.99));
        line(&words, settings, text);
    }
    let steps: Vec<_> =
        route.steps.iter().filter_map(|step| quantile(step, 0.5)).map(|step| step.to_string()).collect();
    if steps.len() > 1 {
        line(&format!("from hop to hop, p50: {}", steps.join(" │ ")), settings, text);
    }
}

fn findings(summary: &Summary, settings: &Settings, text: &mut String) {
    let groups = summary.findings();
    if groups.is_empty() {
        line("none", settings, text);
    }
    for group in groups {
        let more = if group.count as usize > group.packets.len() { ", …" } else { "" };
        let places = packets(&group.packets, settings.several_files);
        let title = format!("{} {} ×{}{places}{more}", group.severity.name(), group.code, group.count);
        let title = wrapped(&title, 2, settings.width);
        text.push_str(&painted(&title, tone(group.severity), settings.color));
        text.push('\n');
        text.push_str(&wrapped(&group.text, 4, settings.width));
        text.push('\n');
    }
}
