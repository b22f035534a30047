//! What is to be said about a stream, and what was said already.

use crate::base::direction::Direction;
use crate::zmtp::anomaly::{Anomaly, Severity};
use crate::zmtp::event::EventSink;
use crate::zmtp::framer::At;

/// Something to be said about what stands at a place that the caller knows.
pub(super) struct Remark {
    pub(super) code: &'static str,
    severity: Severity,
    text: String,
    spec: &'static str,
}

impl Remark {
    pub(super) fn new(code: &'static str, severity: Severity, text: impl Into<String>) -> Self {
        let spec = match code.split('-').next() {
            Some("curve") => "26/CURVEZMQ",
            Some("gssapi") => "38/ZMTP-GSSAPI",
            _ => "37/ZMTP",
        };
        Self { code, severity, text: text.into(), spec }
    }

    /// The specification that speaks of it, where it is another one.
    pub(super) fn by(self, spec: &'static str) -> Self {
        Self { spec, ..self }
    }
}

/// Says it of what stands at `at`.
pub(super) fn tell(remark: Remark, direction: Direction, at: At, sink: &mut impl EventSink) {
    let Remark { code, severity, text, spec } = remark;
    sink.anomaly(Anomaly { code, severity, direction, position: at.position, offset: at.offset, text, spec });
}

/// The codes of what is said once of a direction, however often it happens, and was.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<&'static str>);

impl Told {
    /// Whether it is the first time.
    pub(super) fn first(&mut self, code: &'static str) -> bool {
        let first = !self.0.contains(&code);
        if first {
            self.0.push(code);
        }
        first
    }
}
