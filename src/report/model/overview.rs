//! The lines of `analyze`: `capture`, `connection_group`, `route`, `finding_group`.

use super::bytes::Shown;
use super::{Both, SCHEMA};
use crate::analyze::clocks::{ClockEvidence, FileClock, Origin};
use crate::analyze::health::DatagramStats;
use crate::base::endpoint::Endpoint;
use crate::base::time::Timestamp;
use crate::capture::packet::InputStats;
use crate::correlate::path::Status;
use crate::report::facts::CaptureFacts;
use crate::report::record::Record;
use crate::report::route::{Route, quantile};
use crate::report::summary::{FindingGroup, Group, GroupKey};
use crate::zmtp::wire::greeting::{MechanismName, Version};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was read, and what was left out of it.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the names say it; `Health` explains them
pub struct Capture<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub inputs: Vec<Input<'a>>,
    pub clock_offsets: Vec<ClockOffset>,
    pub start: Option<Shown<Timestamp>>,
    pub end: Option<Shown<Timestamp>>,
    pub duration_ns: Option<i64>,
    pub stopped: bool,
    pub packets: u64,
    pub bytes: u64,
    pub skipped: BTreeMap<String, u64>,
    pub fragments: Fragments,
    pub tcp_connections: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<Datagrams>,
    pub zmtp_connections: u64,
    pub other_connections: u64,
    pub other_bytes: u64,
    pub lost_bytes: u64,
    pub retransmitted: u64,
    pub captured_twice: u64,
    pub out_of_order: u64,
    pub conflicts: u64,
    pub out_of_window: u64,
    pub limit_gaps: u64,
    pub late_segments: u64,
    pub evicted: u64,
    pub half_open_evicted: u64,
    pub judged_early: u64,
    pub released_connections: u64,
    pub connections_told_early: u64,
    pub given_up_messages: u64,
    pub anomalies_not_listed: u64,
}

/// What came over UDP and PGM, where anything did.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)] // as in `DatagramStats`
pub struct Datagrams {
    pub connections: u64,
    pub radio: u64,
    pub dgram: u64,
    pub pgm_data: u64,
    pub pgm_repaired: u64,
    pub pgm_repeated: u64,
    pub pgm_lost: u64,
    pub pgm_spm: u64,
    pub pgm_nak: u64,
}

impl Datagrams {
    fn new(stats: &DatagramStats) -> Option<Self> {
        let DatagramStats {
            connections,
            radio,
            dgram,
            pgm_data,
            pgm_repaired,
            pgm_repeated,
            pgm_lost,
            pgm_spm,
            pgm_nak,
        } = *stats;
        let any = *stats != DatagramStats::default();
        any.then_some(Self {
            connections,
            radio,
            dgram,
            pgm_data,
            pgm_repaired,
            pgm_repeated,
            pgm_lost,
            pgm_spm,
            pgm_nak,
        })
    }
}

/// IP datagrams that came in fragments.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)] // as in `FragmentStats`
pub struct Fragments {
    pub reassembled: u64,
    pub given_up: u64,
    pub overlapping: u64,
}

/// One file or interface.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Input<'a> {
    pub name: &'a str,
    pub format: &'static str,
    pub packets: u64,
    pub filtered: u64,
    pub dropped: Option<u64>,
    pub warnings: &'a [String],
}

impl<'a> Input<'a> {
    fn new(input: &'a InputStats) -> Self {
        let InputStats { name, format, packets, filtered, dropped, warnings } = input;
        Self { name, format, packets: *packets, filtered: *filtered, dropped: *dropped, warnings }
    }
}

impl<'a> Capture<'a> {
    /// The line of `facts`.
    pub fn new(facts: &'a CaptureFacts, zmtp_connections: u64) -> Self {
        let health = &facts.health;
        Self {
            r#type: "capture",
            schema: SCHEMA,
            inputs: facts.source.inputs.iter().map(Input::new).collect(),
            clock_offsets: facts.clocks.iter().enumerate().map(ClockOffset::new).collect(),
            start: facts.span.map(|(first, _)| Shown(first)),
            end: facts.span.map(|(_, last)| Shown(last)),
            duration_ns: facts.duration().map(|duration| duration.0),
            stopped: facts.stopped,
            packets: health.packets,
            bytes: health.bytes,
            skipped: health.skipped.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
            fragments: Fragments {
                reassembled: health.fragments.reassembled,
                given_up: health.fragments.given_up,
                overlapping: health.fragments.overlapping,
            },
            tcp_connections: health.tcp_connections,
            datagrams: Datagrams::new(&health.datagrams),
            zmtp_connections,
            other_connections: health.other_connections,
            other_bytes: health.other_bytes,
            lost_bytes: health.reassembly.lost_bytes,
            retransmitted: health.reassembly.retransmitted,
            captured_twice: health.reassembly.captured_twice,
            out_of_order: health.reassembly.out_of_order,
            conflicts: health.reassembly.conflicts,
            out_of_window: health.reassembly.out_of_window,
            limit_gaps: health.reassembly.limit_gaps,
            late_segments: health.late_segments,
            evicted: health.evicted,
            half_open_evicted: health.half_open_evicted,
            judged_early: health.judged_early,
            released_connections: health.released_connections,
            connections_told_early: health.connections_told_early,
            given_up_messages: health.given_up_messages,
            anomalies_not_listed: health.anomalies_not_listed,
        }
    }
}

/// What was added to the times of one of several files.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)] // `FileClock` explains them
pub struct ClockOffset {
    pub file: usize,
    pub offset_ns: i64,
    pub uncertainty_ns: Option<i64>,
    /// `reference`, `given`, `packets`, `messages` or `unknown`.
    pub origin: &'static str,
    /// The file that it was compared with, and by how many packets or messages.
    pub with_file: Option<usize>,
    pub samples: Option<u64>,
}

impl ClockOffset {
    fn new((file, clock): (usize, &FileClock)) -> Self {
        let one = |origin| Self {
            file,
            offset_ns: clock.offset.0,
            uncertainty_ns: None,
            origin,
            with_file: None,
            samples: None,
        };
        match clock.origin {
            Origin::Reference => one("reference"),
            Origin::Given => one("given"),
            Origin::Unknown => one("unknown"),
            Origin::Estimated { with, uncertainty, evidence, samples } => Self {
                uncertainty_ns: Some(uncertainty.0),
                with_file: Some(with),
                samples: Some(samples),
                ..one(match evidence {
                    ClockEvidence::Packets => "packets",
                    ClockEvidence::Messages => "messages",
                })
            },
        }
    }
}

/// Connections to the same server of the same kind.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as in a connection
pub struct ConnectionGroup<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub transport: &'static str,
    pub server: Shown<Endpoint>,
    pub client_type: Option<&'a str>,
    pub server_type: Option<&'a str>,
    pub version: Option<Shown<Version>>,
    pub mechanism: Option<Shown<MechanismName>>,
    pub connections: u64,
    /// Of these, connections whose handshake failed.
    pub failed: u64,
    pub messages: Both<u64>,
    pub body_bytes: Both<u64>,
    pub lost_bytes: u64,
}

impl<'a> ConnectionGroup<'a> {
    /// The line of a group.
    pub fn new(key: &'a GroupKey, group: &Group) -> Self {
        Self {
            r#type: "connection_group",
            schema: SCHEMA,
            transport: key.transport.name(),
            server: Shown(key.server),
            client_type: key.client_type.as_deref(),
            server_type: key.server_type.as_deref(),
            version: key.version.map(Shown),
            mechanism: key.mechanism().map(Shown),
            connections: group.connections,
            failed: group.failed,
            messages: Both::of(&group.messages, |count| *count),
            body_bytes: Both::of(&group.body_bytes, |count| *count),
            lost_bytes: group.lost_bytes,
        }
    }
}

/// Paths that took the same way.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct RouteModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    /// The way in words.
    pub text: String,
    /// The connections on the way of a request: who accepted each, and which way the request goes on it.
    pub legs: Vec<LegModel>,
    /// Connections on which requests began.
    pub clients: usize,
    pub client_type: Option<&'a str>,
    /// Connections on which requests ended.
    pub workers: usize,
    pub worker_type: Option<&'a str>,
    pub paths: u64,
    pub complete: u64,
    pub delivered: u64,
    pub unanswered: u64,
    pub broken: u64,
    pub unrequested: u64,
    pub latency_ns: Option<Latency>,
    /// Median time from each hop to the next, along the request and back.
    pub step_p50_ns: Vec<i64>,
    /// The least of any path.
    pub confidence: f64,
}

/// A leg of a route.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct LegModel {
    pub server: Shown<Endpoint>,
    pub dir: &'static str,
}

/// Latency of the complete paths.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Latency {
    pub min: i64,
    pub p50: i64,
    pub p90: i64,
    pub p99: i64,
    pub max: i64,
}

impl<'a> RouteModel<'a> {
    /// The line of a route.
    pub fn new(route: &Route, client_type: Option<&'a str>, worker_type: Option<&'a str>) -> Self {
        let at = |share| quantile(&route.latency, share).unwrap_or_default().0;
        let known = !route.latency.is_empty();
        let leg =
            |leg: &crate::report::route::Leg| LegModel { server: Shown(leg.server), dir: leg.direction.abbreviation() };
        Self {
            r#type: "route",
            schema: SCHEMA,
            text: route.text(client_type, worker_type),
            legs: route.legs.iter().map(leg).collect(),
            clients: route.clients.len(),
            client_type,
            workers: route.workers.len(),
            worker_type,
            paths: route.paths(),
            complete: route.count(Status::Complete),
            delivered: route.count(Status::Delivered),
            unanswered: route.count(Status::Unanswered),
            broken: route.count(Status::Broken),
            unrequested: route.count(Status::Unrequested),
            latency_ns: known.then(|| Latency {
                min: route.latency.min() as i64,
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                max: route.latency.max() as i64,
            }),
            step_p50_ns: route.steps.iter().filter_map(|step| quantile(step, 0.5)).map(|step| step.0).collect(),
            confidence: route.confidence,
        }
    }
}

/// Findings of the same code.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct FindingGroupModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub code: &'static str,
    pub severity: &'static str,
    pub count: u64,
    /// Connections of the first ones.
    pub conns: &'a [u32],
    /// Packets of the first ones.
    pub packets: Vec<u64>,
    /// The text of the first.
    pub text: &'a str,
}

impl<'a> FindingGroupModel<'a> {
    /// The line of a group.
    pub fn new(group: &'a FindingGroup) -> Self {
        Self {
            r#type: "finding_group",
            schema: SCHEMA,
            code: group.code,
            severity: group.severity.name(),
            count: group.count,
            conns: &group.conns,
            packets: group.packets.iter().map(|packet| packet.number()).collect(),
            text: &group.text,
        }
    }
}

// The overview has no CSV form: its lines have different columns.
impl Record for Capture<'_> {}
impl Record for ConnectionGroup<'_> {}
impl Record for RouteModel<'_> {}
impl Record for FindingGroupModel<'_> {}
