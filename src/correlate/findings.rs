//! What is wrong or odd, in words, with what it rests on.

use crate::base::chunk::PacketId;
use crate::base::time::Timestamp;
use crate::zmtp::anomaly::Severity;

/// A diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name, kebab-case.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// When it showed; `None` for what concerns the capture as a whole.
    pub at: Option<Timestamp>,
    /// Numbers of the connections concerned.
    pub conns: Vec<u32>,
    /// Packets that show it.
    pub packets: Vec<PacketId>,
    /// What happened, and what to do. Safe to print.
    pub text: String,
    /// The specification that speaks of it, as in `37/ZMTP`; empty where none does.
    pub spec: &'static str,
}
