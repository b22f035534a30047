//! Findings, in words.

use super::lines::wrapped;
use crate::analyze::observer::{Interest, Observer};
use crate::base::chunk::PacketId;
use crate::correlate::findings::Finding;
use crate::report::facts::CaptureFacts;
use crate::report::gauge::Gauge;
use crate::report::paint::{Tone, painted};
use crate::report::settings::Settings;
use crate::report::view::View;
use crate::zmtp::anomaly::Severity;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Shows findings, one paragraph each.
pub struct FindingsTable {
    settings: Settings,
    out: Box<dyn Write>,
    gauge: Gauge,
    any: bool,
}

impl FindingsTable {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self { gauge: Gauge::new(settings.limit), settings, out, any: false }
    }
}

impl Observer for FindingsTable {
    fn interest(&self) -> Interest {
        Interest::PATHS
    }

    fn finding(&mut self, finding: &Finding) {
        let selected = self.settings.conns.is_none() || finding.conns.iter().any(|&conn| self.settings.selects(conn));
        if !selected || self.gauge.is_done() {
            return;
        }
        self.any = true;
        let text = paragraph(finding, &self.settings);
        let result = self.out.write_all(text.as_bytes());
        self.gauge.row(result);
    }
}

impl View for FindingsTable {
    fn is_done(&self) -> bool {
        self.gauge.is_done()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gauge.check()?;
        self.out.flush()
    }

    fn finish(&mut self, _capture: &CaptureFacts) -> io::Result<()> {
        self.gauge.check()?;
        if !self.any {
            self.out.write_all(b"nothing found\n")?;
        }
        self.out.flush()
    }
}

fn paragraph(finding: &Finding, settings: &Settings) -> String {
    let mut place = String::new();
    if !finding.conns.is_empty() {
        let _ = write!(place, ", connection {}", list(&finding.conns));
    }
    place.push_str(&packets(&finding.packets, settings.several_files));
    if let Some(at) = finding.at {
        let _ = write!(place, ", {}", at.time_of_day());
    }
    if !finding.spec.is_empty() {
        let _ = write!(place, ", {}", finding.spec);
    }
    let title = format!("{} {}{place}", finding.severity.name(), finding.code);
    let title = wrapped(&title, 0, settings.width);
    let text = wrapped(&finding.text, 2, settings.width);
    format!("{}\n{text}\n", painted(&title, tone(finding.severity), settings.color))
}

/// `, packet 9` or `, packets 9, 11`.
pub fn packets(packets: &[PacketId], several_files: bool) -> String {
    let names = packets.iter().map(|packet| {
        if several_files { format!("{} of file {}", packet.number, packet.file) } else { packet.number.to_string() }
    });
    match packets.len() {
        0 => String::new(),
        1 => format!(", packet {}", names.collect::<String>()),
        _ => format!(", packets {}", names.collect::<Vec<_>>().join(", ")),
    }
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(|number| format!("#{number}")).collect::<Vec<_>>().join(", ")
}

/// The colour of a severity.
pub fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warning,
        Severity::Note => Tone::Dim,
    }
}
