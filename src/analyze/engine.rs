//! One analysis: packets in, results to an observer, what was left out in [`Health`].

use super::connection::ConnectionSummary;
use super::gate::{Decision, Gate};
use super::health::Health;
use super::observer::{ConnectionRef, Observer};
use crate::base::chunk::Chunk;
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::capture::packet::Packet;
use crate::correlate::correlator::Correlator;
use crate::correlate::findings::Finding;
use crate::decap;
use crate::decap::fragments::{Fragments, Reassembled};
use crate::decap::segment::Skip;
use crate::flow::table::{End, FlowInfo, FlowTable, StreamHandler};
use crate::zmtp::anomaly::Anomaly;
use crate::zmtp::event::{EventSink, Frame, Message};
use crate::zmtp::keylog::KeyLog;
use crate::zmtp::peer::Peer;
use crate::zmtp::probe::Preamble;
use crate::zmtp::session::Session;
use rustc_hash::FxHashMap;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What the user wants to be different from the default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bounds.
    pub limits: Limits,
    /// TCP ports whose connections are ZMTP although their bytes do not say so.
    pub ports: Vec<u16>,
    /// Keys that open CURVE connections. They may grow meanwhile.
    pub keys: Option<Arc<KeyLog>>,
}

/// An analysis under way.
pub struct Analyzer<O: Observer> {
    fragments: Fragments,
    table: FlowTable<Stream<O>>,
    engine: Engine<O>,
}

impl<O: Observer> Analyzer<O> {
    /// Ready for the first packet.
    pub fn new(options: Options, observer: O) -> Self {
        let correlator = observer.interest().paths.then(|| Correlator::new(&options.limits));
        Self {
            fragments: Fragments::new(&options.limits),
            table: FlowTable::new(&options.limits),
            engine: Engine {
                observer,
                correlator,
                gate: Gate::default(),
                open: FxHashMap::default(),
                ended: Vec::new(),
                findings: Vec::new(),
                health: Health::default(),
                conns: 0,
                now: Timestamp(i64::MIN),
                options,
            },
        }
    }

    /// The next packet, in the order of the capture.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let engine = &mut self.engine;
        engine.health.packets += 1;
        engine.health.bytes += packet.bytes.len() as u64;
        engine.now = engine.now.max(packet.at);
        match decap::segment(packet) {
            Ok(segment) => self.table.segment(&segment, packet.position(), engine),
            Err(Skip::Fragment) => self.fragment(packet),
            Err(reason) => *engine.health.skipped.entry(reason).or_default() += 1,
        }
    }

    /// A fragment of a datagram. The segment, if it is the last, stands where this packet does.
    #[cold]
    fn fragment(&mut self, packet: &Packet<'_>) {
        let engine = &mut self.engine;
        match self.fragments.packet(packet) {
            Reassembled::Waiting => {}
            Reassembled::Segment(segment) => self.table.segment(&segment, packet.position(), engine),
            Reassembled::Skipped(reason, packets) => *engine.health.skipped.entry(reason).or_default() += packets,
        }
    }

    /// Time passes without a packet (live): paths that are complete are reported.
    pub fn tick(&mut self, now: Timestamp) {
        self.engine.now = self.engine.now.max(now);
        self.engine.pass_gate();
        if let Some(correlator) = &mut self.engine.correlator {
            correlator.tick(now, &mut |path| self.engine.observer.path(path));
        }
    }

    /// What receives the results.
    pub fn observer(&mut self) -> &mut O {
        &mut self.engine.observer
    }

    /// Counts so far.
    pub fn health(&self) -> &Health {
        &self.engine.health
    }

    /// No more packets: everything that is still open ends.
    pub fn finish(mut self) -> (O, Health) {
        let engine = &mut self.engine;
        self.table.finish(engine);
        engine.now = Timestamp(i64::MAX);
        engine.gate.finish();
        engine.pass_gate();
        let mut given_up = 0;
        if let Some(correlator) = &mut engine.correlator {
            correlator.finish(&mut |path| engine.observer.path(path));
            given_up = correlator.given_up();
        }
        engine.ended.sort_unstable_by_key(|summary| summary.conn);
        for summary in &engine.ended {
            engine.observer.connection(summary);
        }
        for finding in &engine.findings {
            engine.observer.finding(finding);
        }
        let stats = self.table.stats();
        let health = &mut engine.health;
        health.fragments = self.fragments.finish();
        if health.fragments.given_up_packets > 0 {
            *health.skipped.entry(Skip::Fragment).or_default() += health.fragments.given_up_packets;
        }
        health.given_up_messages = given_up;
        health.tcp_connections = stats.flows;
        health.evicted = stats.evicted;
        health.late_segments = stats.late_segments;
        (self.engine.observer, self.engine.health)
    }
}

/// The stream handler of every connection: what it carries is with the engine, under the connection's number.
struct Stream<O>(PhantomData<O>);

impl<O: Observer> StreamHandler for Stream<O> {
    type Context = Engine<O>;

    fn open(flow: &FlowInfo, engine: &mut Engine<O>) -> Self {
        let ports = &engine.options.ports;
        engine.gate.open(flow, ports.contains(&flow.server.port) || ports.contains(&flow.client.port));
        Self(PhantomData)
    }

    fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: Chunk<'_>, engine: &mut Engine<O>) {
        engine.chunk(flow, direction, &chunk);
    }

    fn end(self, flow: &FlowInfo, end: End, engine: &mut Engine<O>) {
        engine.end(flow, end);
    }
}

/// A ZMTP connection under way.
struct OpenConnection {
    conn: u32,
    session: Session,
    /// Hash of sender and receiver of each direction: the part of a message's key that is the same for all of them.
    endpoints_hash: PerDirection<u64>,
}

/// What all connections share.
struct Engine<O> {
    options: Options,
    observer: O,
    correlator: Option<Correlator>,
    gate: Gate,
    /// By number of the TCP connection.
    open: FxHashMap<u64, OpenConnection>,
    ended: Vec<ConnectionSummary>,
    findings: Vec<Finding>,
    health: Health,
    /// How many connections have a number.
    conns: u32,
    /// The latest time that any packet had.
    now: Timestamp,
}

impl<O: Observer> Engine<O> {
    fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: &Chunk<'_>) {
        if self.open.contains_key(&flow.id) {
            self.dissect(flow, direction, chunk);
        } else if self.gate.holds(flow.id) {
            self.gate.chunk(flow, direction, chunk, &self.options.limits);
            self.pass_gate();
        } else {
            self.health.other_bytes += chunk.data.length();
        }
    }

    fn end(&mut self, flow: &FlowInfo, end: End) {
        for direction in Direction::BOTH {
            self.health.add(flow.stats[direction]);
        }
        if let Some(connection) = self.open.remove(&flow.id) {
            self.close(&connection, flow, end);
        } else if self.gate.holds(flow.id) {
            self.gate.end(flow, end);
            self.pass_gate();
        }
    }

    /// Numbers and opens the connections whose turn it is.
    fn pass_gate(&mut self) {
        while let Some(decision) = self.gate.next(self.now, &self.options.limits) {
            let (held, preambles) = match decision {
                Decision::Open(held, preambles) => (held, preambles),
                Decision::Leave(held) => {
                    self.health.other_connections += 1;
                    self.health.other_bytes += held.bytes();
                    continue;
                }
            };
            let flow = held.flow;
            let conn = self.conns;
            self.conns += 1;
            if let Some(correlator) = &mut self.correlator {
                correlator.connection(conn, flow.client, flow.server, flow.first.at);
                if preambles.iter().any(|(_, preamble)| matches!(preamble, Preamble::Midstream { .. })) {
                    correlator.incomplete(conn);
                }
            }
            let endpoints_hash = PerDirection::from_fn(|direction| endpoints_hash(&flow, direction));
            let session = Session::new(preambles, self.options.keys.as_ref());
            self.open.insert(flow.id, OpenConnection { conn, session, endpoints_hash });
            for chunk in &held.chunks {
                self.dissect(&flow, chunk.direction, &chunk.chunk());
            }
            if let Some(end) = held.end
                && let Some(connection) = self.open.remove(&flow.id)
            {
                self.close(&connection, &flow, end);
            }
        }
    }

    fn dissect(&mut self, flow: &FlowInfo, direction: Direction, chunk: &Chunk<'_>) {
        let Some(connection) = self.open.get_mut(&flow.id) else { return };
        let OpenConnection { conn, session, endpoints_hash } = connection;
        let mut sink = Sink {
            conn: *conn,
            flow,
            endpoints_hash,
            observer: &mut self.observer,
            correlator: self.correlator.as_mut(),
            findings: &mut self.findings,
            health: &mut self.health,
            limits: &self.options.limits,
        };
        session.chunk(direction, chunk, &self.options.limits, &mut sink);
    }

    fn close(&mut self, connection: &OpenConnection, flow: &FlowInfo, end: End) {
        let by_server = end.by == Some(Direction::ServerToClient);
        if let Some(correlator) = &mut self.correlator {
            correlator.ended(connection.conn, flow.last.at, by_server);
        }
        self.ended.push(ConnectionSummary::new(connection.conn, flow, end, &connection.session));
    }
}

/// Sender and receiver as one number; with the TCP sequence number of a message's first byte it makes the message's
/// key, whatever capture it is in.
fn endpoints_hash(flow: &FlowInfo, direction: Direction) -> u64 {
    let mut bytes = Vec::with_capacity(36);
    for endpoint in [flow.sender(direction), flow.receiver(direction)] {
        match endpoint.ip {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
        bytes.extend(endpoint.port.to_be_bytes());
    }
    xxh3_64(&bytes)
}

/// Gives what one session tells to the observer and the correlator.
struct Sink<'a, O> {
    conn: u32,
    flow: &'a FlowInfo,
    endpoints_hash: &'a PerDirection<u64>,
    observer: &'a mut O,
    correlator: Option<&'a mut Correlator>,
    findings: &'a mut Vec<Finding>,
    health: &'a mut Health,
    limits: &'a Limits,
}

impl<O: Observer> EventSink for Sink<'_, O> {
    fn frame(&mut self, peers: PerDirection<&Peer>, frame: &Frame<'_>) {
        self.observer.frame(&ConnectionRef { conn: self.conn, flow: self.flow, peers }, frame);
    }

    fn message(&mut self, peers: PerDirection<&Peer>, message: &Message<'_>) {
        let base = self.flow.base[message.direction].unwrap_or_default();
        let sequence = base.wrapping_add(message.offset as u32);
        let key = xxh3_64_with_seed(&sequence.to_be_bytes(), self.endpoints_hash[message.direction]);
        self.observer.message(&ConnectionRef { conn: self.conn, flow: self.flow, peers }, message, key);
        if let Some(correlator) = &mut self.correlator {
            correlator.message(self.conn, key, message, &mut |path| self.observer.path(path));
        }
    }

    fn peer(&mut self, direction: Direction, peer: &Peer) {
        if let Some(correlator) = &mut self.correlator {
            correlator.peer(self.conn, direction, peer);
        }
    }

    fn lost(&mut self, _: Direction) {
        if let Some(correlator) = &mut self.correlator {
            correlator.incomplete(self.conn);
        }
    }

    fn anomaly(&mut self, anomaly: Anomaly) {
        if self.findings.len() >= self.limits.anomalies {
            self.health.anomalies_not_listed += 1;
            return;
        }
        self.findings.push(Finding {
            code: anomaly.code,
            severity: anomaly.severity,
            at: Some(anomaly.position.at),
            conns: vec![self.conn],
            packets: vec![anomaly.position.packet],
            text: anomaly.text,
            spec: anomaly.spec,
        });
    }
}
