//! A path drawn hop by hop.

use super::lines::{Cells, Column, Lines, fitting};
use super::messages::identity;
use crate::base::time::Timestamp;
use crate::correlate::path::{Evidence, Hop, Path, Status, joined_to};
use crate::report::paint::{Tone, paint};
use crate::report::settings::Settings;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

const COLUMNS: [Column; 5] =
    [Column::right("", 9), Column::left("", 0), Column::left("", 0), Column::left("", 0), Column::left("", 0)];

/// The path as lines: a title, then each hop with the time since the one before, who, to whom, and how that is known.
pub fn drawn(path: &Path, settings: &Settings) -> String {
    let mut text = title(path, settings);
    let mut lines = Lines::new(&COLUMNS, settings.width, settings.color);
    let mut previous = None;
    let before = (0..).map(|at| joined_to(&path.request, at).filter(|_| path.is_one_way()));
    let rows: Vec<_> = path
        .request
        .iter()
        .zip(before)
        .map(|(hop, before)| (hop, before, "──▶", Tone::There))
        .chain(path.reply.iter().map(|hop| (hop, None, "◀──", Tone::Back)))
        .map(|(hop, before, arrow, tone)| {
            let previous = previous.replace(hop.position.at);
            row(hop, arrow, tone, before.map(|before| before.position.at).or(previous), settings)
        })
        .collect();
    for cells in &rows {
        lines.measure(cells);
    }
    for cells in &rows {
        lines.row(cells, &mut text);
    }
    text
}

/// `request #12 of 127.0.0.1:50112   complete, 183 µs, confidence 0.999`.
fn title(path: &Path, settings: &Settings) -> String {
    let left = match (path.request.first(), path.reply.last()) {
        (Some(first), _) => {
            let what = if path.is_one_way() { "message" } else { "request" };
            format!("path {}: {what} #{} of {}", path.number, first.ordinal, first.source)
        }
        (None, Some(last)) => format!("path {}: reply #{} to {}", path.number, last.ordinal, last.destination),
        (None, None) => format!("path {}", path.number),
    };
    let latency = path.latency.map(|latency| format!(", {latency}")).unwrap_or_default();
    let right = format!("{}{latency}, confidence {:.3}", path.status.name(), floor(path.confidence));
    let width = settings.width.unwrap_or(100);
    let gap = width.saturating_sub(left.width() + right.width());
    let mut text = String::new();
    if gap < 2 {
        paint(&mut text, &fitting(&left, width).0, Some(Tone::Strong), settings.color);
        text.push_str("\n  ");
        paint(&mut text, &fitting(&right, width.saturating_sub(2)).0, Some(tone(path.status)), settings.color);
    } else {
        paint(&mut text, &left, Some(Tone::Strong), settings.color);
        text.extend(std::iter::repeat_n(' ', gap));
        paint(&mut text, &right, Some(tone(path.status)), settings.color);
    }
    text.push('\n');
    text
}

/// Three digits, never rounded up: 0.9996 is not certain.
fn floor(confidence: f64) -> f64 {
    (confidence * 1000.0).floor() / 1000.0
}

fn row(hop: &Hop, arrow: &str, tone: Tone, previous: Option<Timestamp>, settings: &Settings) -> Cells {
    let step = hop.position.at - previous.unwrap_or(hop.position.at);
    let time = match previous {
        None => "0".to_owned(),
        Some(_) if step.0 < 0 => step.to_string(),
        Some(_) => format!("+{step}"),
    };
    // What travels to the right on a request travels to the left on its reply.
    let (left, right) = match tone {
        Tone::Back => (hop.destination, hop.source),
        _ => (hop.source, hop.destination),
    };
    let file = if settings.several_files { format!(" of file {}", hop.position.packet.file()) } else { String::new() };
    let place = format!("#{} message {}, packet {}{file}", hop.conn, hop.ordinal, hop.position.packet.number());
    let mut cells = Cells::default();
    cells.text(&time, Some(Tone::Dim));
    cells.show(left, None);
    cells.show(format_args!("{arrow} {right}"), Some(tone));
    cells.text(&known(hop), None);
    cells.text(&place, Some(Tone::Dim));
    cells
}

/// How the hop is known, and how surely.
fn known(hop: &Hop) -> String {
    let mut text = hop.evidence.name().to_owned();
    if let Some(bytes) = &hop.identity {
        text.push(' ');
        text.push_str(&identity(bytes));
    }
    if hop.evidence != Evidence::Origin && hop.confidence < 0.99 {
        let _ = write!(text, " ({:.3})", floor(hop.confidence));
    }
    text
}

/// The colour of a status.
pub fn tone(status: Status) -> Tone {
    match status {
        Status::Complete | Status::Delivered => Tone::Good,
        Status::Unanswered | Status::Unrequested => Tone::Warning,
        Status::Broken => Tone::Bad,
    }
}
