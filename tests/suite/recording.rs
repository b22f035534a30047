//! Everything that an analysis tells, kept as values that can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use zmtpscope::analyze::connection::{ConnectionSummary, HandshakeOutcome};
use zmtpscope::analyze::engine::Analyzer;
use zmtpscope::analyze::health::Health;
use zmtpscope::analyze::observer::{ConnectionRef, Ends, Interest, Observer};
use zmtpscope::base::chunk::Position;
use zmtpscope::base::direction::{Direction, PerDirection};
use zmtpscope::base::endpoint::Endpoint;
use zmtpscope::base::time::Timestamp;
use zmtpscope::correlate::findings::Finding;
use zmtpscope::correlate::path::Path;
use zmtpscope::flow::table::End;
use zmtpscope::zmtp::event::{Frame, Message, Part};
use zmtpscope::zmtp::session::{CurveFacts, Traffic};

/// One direction of one connection: sender and receiver. No fixture uses a pair of endpoints twice.
pub type Stream = (Endpoint, Endpoint);

/// What an analysis told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    pub streams: BTreeMap<Stream, StreamRecord>,
    pub connections: Vec<ConnectionRecord>,
    pub paths: Vec<Path>,
    pub findings: Vec<Finding>,
    pub health: Health,
}

/// What one direction of a connection carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRecord {
    pub frames: Vec<FrameRecord>,
    pub messages: Vec<MessageRecord>,
}

/// A greeting or frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRecord {
    pub offset: u64,
    pub start: Position,
    pub end: Position,
    pub flags: u8,
    pub length: u64,
    pub missing: u64,
    pub head: Vec<u8>,
    /// All that was decoded, as the library's own `Debug` shows it.
    pub kind: String,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    pub key: u64,
    pub ordinal: u64,
    pub offset: u64,
    pub start: Position,
    pub end: Position,
    pub available: Position,
    pub parts: Vec<Part>,
    pub part_count: u64,
    pub heads: Vec<u8>,
    pub encrypted: bool,
}

impl MessageRecord {
    /// The first octets of each part.
    pub fn part_heads(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| &self.heads[part.head.clone()])
    }

    /// Whether octets of it are not in the capture.
    pub fn is_damaged(&self) -> bool {
        self.parts.iter().any(|part| part.missing > 0)
    }
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRecord {
    pub conn: u32,
    pub client: Endpoint,
    pub server: Endpoint,
    pub start: Position,
    pub last: Position,
    pub end: End,
    pub midstream: bool,
    pub version: Option<String>,
    pub mechanism: Option<String>,
    pub decrypted: Option<bool>,
    pub curve: Option<CurveFacts>,
    pub handshake: HandshakeOutcome,
    pub peers: PerDirection<PeerRecord>,
    pub traffic: PerDirection<Traffic>,
    pub lost_bytes: PerDirection<u64>,
}

/// One side of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerRecord {
    pub version: Option<String>,
    pub socket_type: Option<String>,
    pub identity: Option<Vec<u8>>,
    pub properties: Vec<(Vec<u8>, Vec<u8>)>,
    pub introduced: Option<Position>,
}

impl Recording {
    /// Ends an analysis.
    pub fn of(analyzer: Analyzer<Recorder>) -> Self {
        let (recorder, health) = analyzer.finish();
        Self { health, ..recorder.recording }
    }

    /// The same with every position changed by `map`.
    pub fn with_positions(mut self, map: impl Fn(Position) -> Position) -> Self {
        for stream in self.streams.values_mut() {
            for frame in &mut stream.frames {
                (frame.start, frame.end) = (map(frame.start), map(frame.end));
            }
            for message in &mut stream.messages {
                (message.start, message.end) = (map(message.start), map(message.end));
                message.available = map(message.available);
            }
        }
        for connection in &mut self.connections {
            (connection.start, connection.last) = (map(connection.start), map(connection.last));
            for direction in Direction::BOTH {
                let introduced = &mut connection.peers[direction].introduced;
                *introduced = introduced.map(&map);
            }
        }
        for hop in self.paths.iter_mut().flat_map(|path| path.request.iter_mut().chain(&mut path.reply)) {
            hop.position = map(hop.position);
        }
        for finding in &mut self.findings {
            for packet in &mut finding.packets {
                *packet = map(Position { packet: *packet, at: Timestamp(0) }).packet;
            }
        }
        self
    }

    /// The same without the last packet of each connection, which may be one that carries nothing.
    pub fn without_last_packets(mut self) -> Self {
        for connection in &mut self.connections {
            connection.last = Position::default();
        }
        self
    }

    /// The same without what depends on the packet with which a gap was given up: patience is counted in packets, so it is
    /// another one where packets come in other pieces or another order.
    pub fn without_gap_proofs(mut self) -> Self {
        let damaged: BTreeSet<u64> = self.messages().filter(|(_, m)| m.is_damaged()).map(|(_, m)| m.key).collect();
        for stream in self.streams.values_mut() {
            for frame in stream.frames.iter_mut().filter(|frame| frame.missing > 0) {
                frame.end = Position::default();
            }
            for message in stream.messages.iter_mut().filter(|message| message.is_damaged()) {
                message.end = Position::default();
            }
        }
        for path in &mut self.paths {
            for hop in path.request.iter_mut().chain(&mut path.reply).filter(|hop| damaged.contains(&hop.key)) {
                hop.position = Position::default();
                path.latency = None;
            }
        }
        for finding in self.findings.iter_mut().filter(|finding| finding.code == "sync-lost") {
            (finding.at, finding.packets) = (None, Vec::new());
        }
        self.findings.sort_by_key(|finding| (finding.conns.clone(), finding.code, finding.text.clone()));
        self.without_last_packets()
    }

    /// All messages, with their stream.
    pub fn messages(&self) -> impl Iterator<Item = (Stream, &MessageRecord)> {
        self.streams.iter().flat_map(|(stream, record)| record.messages.iter().map(|message| (*stream, message)))
    }

    /// All frames.
    pub fn frames(&self) -> impl Iterator<Item = &FrameRecord> {
        self.streams.values().flat_map(|record| &record.frames)
    }

    /// Asserts that both hold the same frames, messages, connections, paths and findings; says where they first differ.
    pub fn assert_same(&self, other: &Self, what: &str) {
        let streams = |recording: &Self| recording.streams.keys().copied().collect::<Vec<_>>();
        assert_eq!(streams(self), streams(other), "{what}: other connections");
        for (stream, record) in &self.streams {
            let what = format!("{what}: {} to {}", stream.0, stream.1);
            assert_same_list(&record.frames, &other.streams[stream].frames, &format!("{what}: frame"));
            assert_same_list(&record.messages, &other.streams[stream].messages, &format!("{what}: message"));
        }
        assert_same_list(&self.connections, &other.connections, &format!("{what}: connection"));
        assert_same_list(&self.paths, &other.paths, &format!("{what}: path"));
        assert_same_list(&self.findings, &other.findings, &format!("{what}: finding"));
    }
}

fn assert_same_list<T: PartialEq + Debug>(expected: &[T], found: &[T], what: &str) {
    for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(expected, found, "{what} {number}");
    }
    assert_eq!(expected.len(), found.len(), "{what}: count");
}

/// An observer that keeps all it is told.
#[derive(Default)]
pub struct Recorder {
    recording: Recording,
}

impl Recorder {
    fn stream(&mut self, ends: &Ends, direction: Direction) -> &mut StreamRecord {
        self.recording.streams.entry((ends.sender(direction), ends.receiver(direction))).or_default()
    }
}

impl Observer for Recorder {
    fn interest(&self) -> Interest {
        Interest { paths: true, ..Interest::default() }
    }

    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>) {
        self.stream(connection.ends, frame.direction).frames.push(FrameRecord {
            offset: frame.offset,
            start: frame.start,
            end: frame.end,
            flags: frame.flags.0,
            length: frame.length,
            missing: frame.missing,
            head: frame.head.to_vec(),
            kind: format!("{:?}", frame.kind),
        });
    }

    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64) {
        self.stream(connection.ends, message.direction).messages.push(MessageRecord {
            key,
            ordinal: message.ordinal,
            offset: message.offset,
            start: message.start,
            end: message.end,
            available: message.available,
            parts: message.parts.to_vec(),
            part_count: message.part_count,
            heads: message.heads.to_vec(),
            encrypted: message.encrypted,
        });
    }

    fn path(&mut self, path: Path) {
        self.recording.paths.push(path);
    }

    fn connection(&mut self, summary: &ConnectionSummary) {
        self.recording.connections.push(ConnectionRecord {
            conn: summary.conn,
            client: summary.client,
            server: summary.server,
            start: summary.start,
            last: summary.last,
            end: summary.end,
            midstream: summary.midstream,
            version: summary.version.map(|version| version.to_string()),
            mechanism: summary.mechanism.map(|mechanism| mechanism.to_string()),
            decrypted: summary.decrypted,
            curve: summary.curve,
            handshake: summary.handshake,
            peers: PerDirection::from_fn(|direction| {
                let peer = &summary.peers[direction];
                PeerRecord {
                    version: peer.version.map(|version| version.to_string()),
                    socket_type: peer.socket_type.map(|socket_type| socket_type.to_string()),
                    identity: peer.identity.as_deref().map(<[u8]>::to_vec),
                    properties: peer.properties.iter().map(|p| (p.name.to_vec(), p.value.to_vec())).collect(),
                    introduced: peer.introduced,
                }
            }),
            traffic: summary.traffic,
            lost_bytes: summary.lost_bytes,
        });
    }

    fn finding(&mut self, finding: &Finding) {
        self.recording.findings.push(finding.clone());
    }
}
