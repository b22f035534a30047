//! `{"type":"finding"}`.

use super::SCHEMA;
use super::bytes::Shown;
use crate::base::time::Timestamp;
use crate::correlate::findings::Finding;
use serde::Serialize;

/// One diagnosis.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the contract names and explains the fields
pub struct FindingModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub code: &'static str,
    pub severity: &'static str,
    pub ts: Option<Shown<Timestamp>>,
    pub conns: &'a [u32],
    pub packets: Vec<u64>,
    /// The file of each packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<u16>>,
    pub text: &'a str,
    pub spec: Option<&'static str>,
}

impl<'a> FindingModel<'a> {
    /// The row of `finding`.
    pub fn new(finding: &'a Finding, several_files: bool) -> Self {
        Self {
            r#type: "finding",
            schema: SCHEMA,
            code: finding.code,
            severity: finding.severity.name(),
            ts: finding.at.map(Shown),
            conns: &finding.conns,
            packets: finding.packets.iter().map(|packet| packet.number()).collect(),
            files: several_files.then(|| finding.packets.iter().map(|packet| packet.file()).collect()),
            text: &finding.text,
            spec: Some(finding.spec).filter(|spec| !spec.is_empty()),
        }
    }
}
