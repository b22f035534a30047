//! `{"type":"path"}`.

use super::SCHEMA;
use super::bytes::{Hex, Key, Shown};
use crate::base::endpoint::Endpoint;
use crate::base::time::Timestamp;
use crate::correlate::path::{Hop, Path, Pattern};
use serde::{Serialize, Serializer};

/// One request with all its hops and replies.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the contract names and explains the fields
pub struct PathModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub path: u64,
    pub status: &'static str,
    pub pattern: Option<&'static str>,
    pub request: Hops<'a>,
    pub reply: Hops<'a>,
    pub latency_ns: Option<i64>,
    pub confidence: f64,
}

/// Hops as an array.
#[derive(Clone, Copy, Debug)]
pub struct Hops<'a> {
    hops: &'a [Hop],
    several_files: bool,
}

#[derive(Serialize)]
struct HopModel<'a> {
    key: Key,
    conn: u32,
    src: Shown<Endpoint>,
    dst: Shown<Endpoint>,
    dir: &'static str,
    ordinal: u64,
    ts: Shown<Timestamp>,
    packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<u16>,
    identity: Option<Hex<'a>>,
    evidence: &'static str,
    confidence: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<usize>,
}

impl<'a> PathModel<'a> {
    /// The row of `path`.
    pub fn new(path: &'a Path, several_files: bool) -> Self {
        Self {
            r#type: "path",
            schema: SCHEMA,
            path: path.number,
            status: path.status.name(),
            pattern: path.pattern.map(Pattern::name),
            request: Hops { hops: &path.request, several_files },
            reply: Hops { hops: &path.reply, several_files },
            latency_ns: path.latency.map(|latency| latency.0),
            confidence: path.confidence,
        }
    }
}

impl<'a> Hops<'a> {
    /// The hops themselves.
    pub fn hops(&self) -> &'a [Hop] {
        self.hops
    }
}

impl Serialize for Hops<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.hops.iter().map(|hop| HopModel {
            key: Key(hop.key),
            conn: hop.conn,
            src: Shown(hop.source),
            dst: Shown(hop.destination),
            dir: hop.direction.abbreviation(),
            ordinal: hop.ordinal,
            ts: Shown(hop.position.at),
            packet: hop.position.packet.number(),
            file: self.several_files.then_some(hop.position.packet.file()),
            identity: hop.identity.as_deref().map(Hex),
            evidence: hop.evidence.name(),
            confidence: hop.confidence,
            after: hop.after,
        }))
    }
}
