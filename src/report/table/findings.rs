//! Findings, in words.

use super::lines::wrapped;
use crate::analyze::observer::{Interest, Observer};
use crate::base::chunk::PacketId;
use crate::correlate::findings::Finding;
use crate::report::facts::CaptureFacts;
use crate::report::output::Output;
use crate::report::paint::{Tone, painted};
use crate::report::settings::Settings;
use crate::report::view::{View, selects_finding};
use crate::zmtp::anomaly::Severity;
use std::fmt::Write as _;
use std::io::Write;

/// Shows findings, one paragraph each.
pub struct FindingsTable {
    settings: Settings,
    output: Output,
}

impl FindingsTable {
    /// Writes to `out`.
    pub fn new(settings: Settings, out: Box<dyn Write>) -> Self {
        Self { output: Output::new(out, settings.limit), settings }
    }
}

impl Observer for FindingsTable {
    fn interest(&self) -> Interest {
        Interest::PATHS
    }

    fn finding(&mut self, finding: &Finding) {
        if selects_finding(&self.settings, finding) && !self.output.is_done() {
            self.output.row(paragraph(finding, &self.settings));
        }
    }
}

impl View for FindingsTable {
    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn conclude(&mut self, _capture: &CaptureFacts) {
        if self.output.rows() == 0 {
            self.output.write("nothing found\n");
        }
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
        if several_files {
            format!("{} of file {}", packet.number(), packet.file())
        } else {
            packet.number().to_string()
        }
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
