//! One analysis: packets in, results to an observer, what was left out in [`Health`].
//!
//! `Dissection` is the part before the results; [`super::stages`] may run the two on different threads.

use super::accounts::Accounts;
use super::connection::ConnectionSummary;
use super::datagrams::Datagrams;
use super::diagnosis::diagnose;
use super::gate::{Decision, Gate, Held};
use super::health::Health;
use super::observer::{Ends, Observer};
use super::outlet::Outlet;
use super::refused::Refused;
use super::results::{Conclusion, Results};
use super::sink::{Sink, endpoints_hash};
use super::stray;
use crate::base::budget::Budget;
use crate::base::chunk::Chunk;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::base::transport::Transport;
use crate::capture::packet::Packet;
use crate::correlate::attention::{Attention, Way};
use crate::correlate::findings::Finding;
use crate::decap;
use crate::decap::datagram::Carried;
use crate::decap::fragments::{Fragments, Reassembled};
use crate::decap::segment::Skip;
use crate::flow::table::{End, EndReason, FlowInfo, FlowTable, StreamHandler};
use crate::zmtp::carrier::Beginning;
use crate::zmtp::keylog::KeyLog;
use crate::zmtp::probe::{Framing, Preamble};
use crate::zmtp::resync::LongFrames;
use crate::zmtp::session::Session;
use rustc_hash::FxHashMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// What the user wants to be different from the default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bounds.
    pub limits: Limits,
    /// Ports whose connections are ZMTP although their bytes do not say so: of either side in TCP, of the receiver in UDP
    /// and PGM.
    pub ports: Vec<u16>,
    /// UDP ports, of either side, whose datagrams are those of DGRAM sockets.
    pub dgram_ports: Vec<u16>,
    /// Keys that open CURVE connections. They may grow meanwhile.
    pub keys: Option<Arc<KeyLog>>,
}

impl Options {
    /// Whether the user said that what goes from one to the other is of DGRAM sockets.
    pub(super) fn is_dgram(&self, source: Endpoint, destination: Endpoint) -> bool {
        [source, destination].iter().any(|end| self.dgram_ports.contains(&end.port))
    }
}

/// An analysis under way, on the thread that feeds it.
pub struct Analyzer<O: Observer> {
    dissection: Dissection<Results<O>>,
}

impl<O: Observer> Analyzer<O> {
    /// Ready for the first packet.
    pub fn new(options: Options, observer: O) -> Self {
        let results = Results::new(&options.limits, observer);
        Self { dissection: Dissection::new(options, results) }
    }

    /// The next packet, in the order of the capture.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.dissection.packet(packet);
    }

    /// Time passes without a packet (live): paths that are complete are reported.
    pub fn tick(&mut self, now: Timestamp) {
        self.dissection.tick(now);
    }

    /// What receives the results.
    pub fn observer(&mut self) -> &mut O {
        &mut self.dissection.outlet().observer
    }

    /// Counts so far.
    pub fn health(&self) -> &Health {
        &self.dissection.engine.health
    }

    /// What it holds now.
    pub fn accounts(&self) -> Accounts {
        Accounts { summaries: self.dissection.engine.outlet.summaries(), ..self.dissection.accounts() }
    }

    /// No more packets: everything that is still open ends.
    pub fn finish(self) -> (O, Health) {
        let (results, conclusion) = self.dissection.finish();
        results.finish(conclusion)
    }
}

/// Packets → what sessions tell.
pub(super) struct Dissection<T: Outlet> {
    fragments: Fragments,
    table: FlowTable<Stream<T>>,
    engine: Engine<T>,
}

impl<T: Outlet> Dissection<T> {
    pub(super) fn new(options: Options, outlet: T) -> Self {
        Self {
            fragments: Fragments::new(&options.limits),
            table: FlowTable::new(&options.limits),
            engine: Engine {
                gate: Gate::new(&options.limits),
                datagrams: Datagrams::new(&options.limits),
                attention: outlet.interest().paths.then(|| Attention::new(&options.limits)),
                outlet,
                open: FxHashMap::default(),
                left: FxHashMap::default(),
                refused: Refused::default(),
                health: Health::default(),
                conns: 0,
                held: Budget::new(options.limits.session_total_bytes),
                now: Timestamp(i64::MIN),
                options,
            },
        }
    }

    /// The next packet, in the order of the capture.
    pub(super) fn packet(&mut self, packet: &Packet<'_>) {
        let engine = &mut self.engine;
        engine.health.packets += 1;
        engine.health.bytes += packet.bytes.len() as u64;
        engine.now = engine.now.max(packet.at);
        match decap::carried(packet) {
            Ok(Carried::Tcp(segment)) => self.table.segment(&segment, packet.position(), engine),
            Ok(carried) => engine.datagram(&carried, 1, packet.position(), &mut || self.table.claim_id()),
            Err(Skip::Fragment) => self.fragment(packet),
            Err(reason) => *engine.health.skipped.entry(reason).or_default() += 1,
        }
    }

    /// A fragment of a datagram. What it carries, if it is the last, stands where this packet does.
    #[cold]
    fn fragment(&mut self, packet: &Packet<'_>) {
        let engine = &mut self.engine;
        match self.fragments.packet(packet) {
            Reassembled::Waiting => {}
            Reassembled::Segment(segment) => self.table.segment(&segment, packet.position(), engine),
            Reassembled::Datagram(carried, packets) => {
                engine.datagram(&carried, packets, packet.position(), &mut || self.table.claim_id());
            }
            Reassembled::Skipped(reason, packets) => *engine.health.skipped.entry(reason).or_default() += packets,
        }
    }

    /// Time passes without a packet.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.engine.now = self.engine.now.max(now);
        self.engine.tick_datagrams();
        self.engine.pass_gate();
        self.engine.outlet.tick(now);
    }

    /// What is told of all connections goes there.
    pub(super) fn outlet(&mut self) -> &mut T {
        &mut self.engine.outlet
    }

    /// What it holds now, but for summaries.
    fn accounts(&self) -> Accounts {
        let Engine { gate, datagrams, held, .. } = &self.engine;
        Accounts {
            pending: self.table.pending(),
            undecided: gate.undecided(),
            datagrams: datagrams.held(),
            sessions: held.held(),
            summaries: 0,
        }
    }

    /// No more packets: everything that is still open ends.
    pub(super) fn finish(mut self) -> (T, Conclusion) {
        let engine = &mut self.engine;
        self.table.finish(engine);
        engine.finish_datagrams();
        engine.now = Timestamp(i64::MAX);
        engine.pass_gate();
        engine.close_datagrams();
        let stats = self.table.stats();
        let health = &mut engine.health;
        health.fragments = self.fragments.finish();
        if health.fragments.given_up_packets > 0 {
            *health.skipped.entry(Skip::Fragment).or_default() += health.fragments.given_up_packets;
        }
        health.tcp_connections = stats.flows;
        health.evicted += stats.evicted;
        health.half_open_evicted = stats.half_open_evicted;
        health.judged_early = engine.gate.judged_early();
        health.late_segments = stats.late_segments;
        let Engine { outlet, health, refused, .. } = self.engine;
        (outlet, Conclusion { health, refused })
    }
}

/// The stream handler of every connection: what it carries is with the engine, under the connection's number.
struct Stream<T> {
    /// It carried nothing yet, and only its seat at the gate is kept.
    silent: bool,
    engine: PhantomData<fn(T)>,
}

impl<T: Outlet> StreamHandler for Stream<T> {
    type Context = Engine<T>;

    fn open(flow: &FlowInfo, engine: &mut Engine<T>) -> Self {
        let ports = &engine.options.ports;
        let is_zmtp = ports.contains(&flow.server.port) || ports.contains(&flow.client.port);
        engine.gate.open(flow, is_zmtp);
        Self { silent: !is_zmtp, engine: PhantomData }
    }

    fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: Chunk<'_>, engine: &mut Engine<T>) {
        if std::mem::take(&mut self.silent) {
            engine.gate.seat(flow);
        }
        engine.chunk(flow, direction, &chunk);
    }

    fn end(self, flow: &FlowInfo, end: End, engine: &mut Engine<T>) {
        if self.silent {
            engine.end_silent(flow, end);
        } else {
            engine.end(flow, end);
        }
    }
}

/// A ZMTP connection under way.
struct OpenConnection {
    conn: u32,
    ends: Ends,
    session: Session,
    way: Way,
    /// Hash of sender and receiver of each direction: the part of a message's key that is the same for all of them.
    endpoints_hash: PerDirection<u64>,
    /// How often each kind of anomaly was reported.
    told: FxHashMap<&'static str, usize>,
    /// Octets that its session held after its latest piece, and the count of packets then.
    held: usize,
    heard: u64,
}

/// A session that holds no more than so many octets is left alone: a first part, and buffers.
const WORTH_RELEASING: usize = 1024;

/// What all connections share.
pub(super) struct Engine<T> {
    pub(super) options: Options,
    pub(super) outlet: T,
    pub(super) gate: Gate,
    pub(super) datagrams: Datagrams,
    /// Where paths are wanted.
    attention: Option<Attention>,
    /// By number of the TCP connection.
    open: FxHashMap<u64, Box<OpenConnection>>,
    /// Those that began before the capture and were not recognised by what could be held of them.
    left: FxHashMap<u64, Box<PerDirection<LongFrames>>>,
    refused: Refused,
    pub(super) health: Health,
    /// How many connections have a number.
    pub(super) conns: u32,
    /// Octets that all sessions hold.
    held: Budget,
    /// The latest time that any packet had.
    pub(super) now: Timestamp,
}

impl<T: Outlet> Engine<T> {
    fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: &Chunk<'_>) {
        if self.open.contains_key(&flow.id) {
            self.dissect(flow, direction, chunk);
        } else if self.gate.holds(flow.id) {
            self.gate.chunk(flow, direction, chunk, &self.options.limits);
            self.pass_gate();
        } else if self.left.get_mut(&flow.id).is_some_and(|frames| frames[direction].push(chunk)) {
            self.take_up(flow);
            self.dissect(flow, direction, chunk);
        } else {
            if chunk.offset == 0 {
                self.tell_stray(stray::answer(flow, direction, chunk));
            }
            self.health.other_bytes += chunk.data.length();
        }
    }

    /// A connection that was left alone is ZMTP after all, as far as can be told from its middle.
    fn take_up(&mut self, flow: &FlowInfo) {
        self.left.remove(&flow.id);
        self.health.other_connections -= 1;
        let middle = Preamble::Midstream(Framing::V3);
        self.number(flow, Beginning::Own(PerDirection { c2s: middle, s2c: middle }));
    }

    fn end(&mut self, flow: &FlowInfo, end: End) {
        self.refused.ended(flow, end, &self.options.limits);
        self.left.remove(&flow.id);
        for direction in Direction::BOTH {
            self.health.add(flow.stats[direction]);
        }
        if let Some(connection) = self.open.remove(&flow.id) {
            self.close(connection, flow, end);
        } else if self.gate.holds(flow.id) {
            self.gate.end(flow, end, &self.options.limits);
            self.pass_gate();
        }
    }

    /// A connection is over that carried nothing.
    fn end_silent(&mut self, flow: &FlowInfo, end: End) {
        self.gate.leave(flow.id);
        self.health.other_connections += 1;
        self.end(flow, end);
        self.pass_gate();
    }

    /// Numbers and opens the connections whose turn it is.
    pub(super) fn pass_gate(&mut self) {
        while let Some(decision) = self.gate.next(self.now, &self.options.limits) {
            let (held, beginning) = match decision {
                Decision::Open(held, beginning) => (held, beginning),
                Decision::Datagrams(held) => {
                    self.open_datagrams(&held.flow);
                    continue;
                }
                Decision::Leave(held) if held.flow.transport != Transport::Tcp => continue,
                Decision::Leave(held) => {
                    self.health.other_connections += 1;
                    self.health.other_bytes += held.bytes();
                    self.tell_stray(stray::left(&held));
                    self.leave(&held);
                    continue;
                }
            };
            let flow = held.flow;
            self.number(&flow, beginning);
            for chunk in &held.chunks {
                self.dissect(&flow, chunk.direction, &chunk.chunk());
            }
            if let Some(end) = held.end
                && let Some(connection) = self.open.remove(&flow.id)
            {
                self.close(connection, &flow, end);
            }
        }
    }

    /// A connection gets its number.
    fn number(&mut self, flow: &FlowInfo, beginning: Beginning) {
        let conn = self.conns;
        self.conns += 1;
        let ends = Ends::from(flow);
        self.outlet.connection(conn, &ends);
        // Without a SYN, what looks like its beginning may not be.
        if beginning.is_midstream() || !flow.syn || flow.only().is_some() {
            for direction in Direction::BOTH {
                self.outlet.incomplete(conn, direction);
            }
        }
        let connection = OpenConnection {
            conn,
            ends,
            session: Session::new(beginning, self.options.keys.as_ref()),
            way: Way::default(),
            endpoints_hash: PerDirection::from_fn(|direction| endpoints_hash(flow, direction)),
            told: FxHashMap::default(),
            held: 0,
            heard: self.health.packets,
        };
        self.open.insert(flow.id, Box::new(connection));
    }

    /// A connection is not known to be ZMTP. If the capture began in its middle it may be, with bodies too long to tell.
    fn leave(&mut self, held: &Held) {
        if held.flow.syn || held.end.is_some() {
            return;
        }
        let mut frames = PerDirection::<LongFrames>::default();
        // What has enough of them already was looked at as a whole, and something else spoke against it.
        if !held.chunks.iter().any(|chunk| frames[chunk.direction].push(&chunk.chunk())) {
            self.left.insert(held.flow.id, Box::new(frames));
        }
    }

    /// A connection that is not ZMTP touched one that is.
    fn tell_stray(&mut self, finding: Option<Finding>) {
        if let Some(finding) = finding {
            self.outlet.finding(finding);
        }
    }

    fn dissect(&mut self, flow: &FlowInfo, direction: Direction, chunk: &Chunk<'_>) {
        let Some(connection) = self.open.get_mut(&flow.id) else { return };
        connection.heard = self.health.packets;
        let mut sink = Sink {
            conn: connection.conn,
            ends: &connection.ends,
            flow,
            endpoints_hash: &connection.endpoints_hash,
            told: &mut connection.told,
            outlet: &mut self.outlet,
            joins: self.datagrams.joins(),
            attention: self.attention.as_mut().zip(Some(&mut connection.way)),
            health: &mut self.health,
            limits: &self.options.limits,
        };
        let session = &mut connection.session;
        session.chunk(direction, chunk, &self.options.limits, &mut sink);
        let held = session.held();
        self.held.change(std::mem::replace(&mut connection.held, held), held);
        if self.held.is_exceeded() {
            self.release();
        }
    }

    /// All sessions together hold too much.
    #[cold]
    fn release(&mut self) {
        let limits = &self.options.limits;
        let worth: Vec<_> = self.open.values_mut().filter(|connection| connection.held > WORTH_RELEASING).collect();
        self.health.released_connections += self.held.relieve(
            worth,
            |connection| (connection.heard, connection.conn),
            |connection| {
                connection.session.release(limits);
                let held = connection.session.held();
                (std::mem::replace(&mut connection.held, held), held)
            },
        );
    }

    fn close(&mut self, mut connection: Box<OpenConnection>, flow: &FlowInfo, end: End) {
        self.held.change(connection.held, 0);
        let all_seen = flow.syn
            && flow.only().is_none()
            && Direction::BOTH.iter().all(|&direction| flow.stats[direction].lost_bytes == 0);
        let mut sink = Sink {
            conn: connection.conn,
            ends: &connection.ends,
            flow,
            endpoints_hash: &connection.endpoints_hash,
            told: &mut connection.told,
            outlet: &mut self.outlet,
            joins: self.datagrams.joins(),
            attention: self.attention.as_mut().zip(Some(&mut connection.way)),
            health: &mut self.health,
            limits: &self.options.limits,
        };
        connection.session.finish(&self.options.limits, &mut sink);
        if matches!(end.reason, EndReason::Fin | EndReason::Reset) && all_seen {
            connection.session.closed(flow.last, &mut sink);
        }
        if let Some(attention) = &mut self.attention {
            attention.ended(&connection.way, PerDirection::from_fn(|direction| connection.ends.sender(direction)));
        }
        if let Some(only) = flow.only() {
            self.outlet.incomplete(connection.conn, only.reverse());
        }
        let limits = &self.options.limits;
        let summary = ConnectionSummary::new(connection.conn, flow, end, &connection.session, limits);
        for finding in diagnose(&summary, limits) {
            self.outlet.finding(finding);
        }
        self.outlet.closed(summary);
    }
}
