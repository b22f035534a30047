//! What a peer did wrong or oddly, as data: a code, a severity, where, and what the specification says.

use crate::base::chunk::Position;
use crate::base::direction::Direction;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; works all the same.
    Note,
    /// Something was lost, or will fail with another implementation.
    Warning,
    /// The connection cannot work, or its bytes cannot be decoded.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One violation or oddity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Stable name, kebab-case.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Who sent it.
    pub direction: Direction,
    /// Where in the capture.
    pub position: Position,
    /// Where in the stream of that direction.
    pub offset: u64,
    /// What happened and what follows from it. May hold bytes from the wire only through [`crate::base::text`].
    pub text: String,
    /// The specification that speaks of it, as in `37/ZMTP`.
    pub spec: &'static str,
}
