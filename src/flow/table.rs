//! All TCP connections of a capture: created, fed, closed, given up.

use super::key::{FlowKey, FlowSet, Flows};
use super::patience::Patience;
use super::reassembly::ReassemblyStats;
use super::roles::Listeners;
use super::tracked::{Flow, HalfOpen, is_attempt};
use crate::base::budget::Budget;
use crate::base::chunk::{Chunk, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::transport::Transport;
use crate::decap::segment::Segment;

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Both sides sent FIN.
    Fin,
    /// One side sent RST.
    Reset,
    /// Still open when the capture ended, or when its endpoints were used for a new connection.
    Open,
    /// Given up after a long silence, to make room.
    Idle,
    /// Given up while it was alive, to make room.
    Evicted,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// The side whose FIN or RST came first, named by its sending direction.
    pub by: Option<Direction>,
}

/// What is known about a connection without looking at its bytes. Of datagrams: sender and receiver are client and server.
#[derive(Clone, Copy, Debug)]
pub struct FlowInfo {
    /// What carries it.
    pub transport: Transport,
    /// Counts connections by their first packet, from 0.
    pub id: u64,
    /// The side that opened the connection.
    pub client: Endpoint,
    /// The side that accepted it.
    pub server: Endpoint,
    /// First packet.
    pub first: Position,
    /// Latest packet.
    pub last: Position,
    /// Whether the capture holds the opening SYN of the client.
    pub syn: bool,
    /// Whether offset 0 of each direction is known to be its first byte: by a SYN of that side, or by an acknowledgement of it.
    pub begins: PerDirection<bool>,
    /// Of which directions the capture holds a packet.
    pub heard: PerDirection<bool>,
    /// What the other side acknowledged of each direction: the first and the latest number.
    pub acknowledged: PerDirection<Option<(u32, u32)>>,
    /// TCP sequence number of offset 0 of each direction, where known.
    pub base: PerDirection<Option<u32>>,
    /// What happened to the segments of each direction.
    pub stats: PerDirection<ReassemblyStats>,
}

impl FlowInfo {
    /// The endpoint that sends in `direction`.
    pub fn sender(&self, direction: Direction) -> Endpoint {
        match direction {
            Direction::ClientToServer => self.client,
            Direction::ServerToClient => self.server,
        }
    }

    /// The only direction that is in the capture, where the other one is known to have carried something: of that there is no
    /// packet, and the acknowledgements of it advance. How many octets, is [`Self::acknowledged_octets`] of the other.
    pub fn only(&self) -> Option<Direction> {
        let is_only = |direction: &Direction| {
            let other = direction.reverse();
            // A FIN takes a number too, and is nothing carried.
            self.heard[*direction] && !self.heard[other] && self.acknowledged_octets(other) > 1
        };
        Direction::BOTH.into_iter().find(is_only)
    }

    /// By how much the acknowledgements of `direction` advanced: its octets and its FIN.
    pub fn acknowledged_octets(&self, direction: Direction) -> u64 {
        let advance = |(first, latest): (u32, u32)| latest.wrapping_sub(first).cast_signed();
        self.acknowledged[direction].map_or(0, |range| u64::try_from(advance(range)).unwrap_or(0))
    }

    /// The endpoint that receives in `direction`.
    pub fn receiver(&self, direction: Direction) -> Endpoint {
        self.sender(direction.reverse())
    }
}

/// Receives the bytes of one connection. `Context` is whatever all of them share.
pub trait StreamHandler {
    /// What the handlers of all connections share.
    type Context;

    /// A connection appeared.
    fn open(flow: &FlowInfo, context: &mut Self::Context) -> Self;

    /// The next piece of one direction.
    fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: Chunk<'_>, context: &mut Self::Context);

    /// The connection is over; nothing follows.
    fn end(self, flow: &FlowInfo, end: End, context: &mut Self::Context);
}

/// Counts of the table itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Connections seen.
    pub flows: u64,
    /// Given up because there were too many at once.
    pub evicted: u64,
    /// Attempts to connect that were given up unanswered, because there were too many at once.
    pub half_open_evicted: u64,
    /// Segments with data of connections that were over: late retransmissions.
    pub late_segments: u64,
}

/// The connections of one analysis. Each is kept as what its state needs: an attempt to connect is some hundred octets
/// until it is answered, and one that is over is its key.
pub struct FlowTable<H: StreamHandler> {
    open: Flows<Box<Flow<H>>>,
    /// Nothing but a SYN was seen of them.
    half_open: Flows<HalfOpen<H>>,
    /// Late packets of these are recognised and ignored.
    over: FlowSet,
    listeners: Listeners,
    limits: Limits,
    patience: Patience,
    stats: TableStats,
    /// Number of the next connection.
    next_id: u64,
    /// Segments so far: what tells how long a connection is silent.
    clock: u64,
    /// Bytes of memory that wait in all reassemblers.
    pending: Budget,
}

impl<H: StreamHandler> FlowTable<H> {
    /// An empty table.
    pub fn new(limits: &Limits) -> Self {
        Self {
            open: Flows::default(),
            half_open: Flows::default(),
            over: FlowSet::default(),
            listeners: Listeners::new(limits.connections),
            limits: limits.clone(),
            patience: Patience::new(limits),
            stats: TableStats::default(),
            next_id: 0,
            clock: 0,
            pending: Budget::new(limits.pending_total_bytes),
        }
    }

    /// A number for a connection that is not TCP's.
    pub fn claim_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Counts so far.
    pub fn stats(&self) -> TableStats {
        self.stats
    }

    /// Octets of memory of what waits for earlier bytes.
    pub fn pending(&self) -> usize {
        self.pending.held()
    }

    /// One segment, in the order of the capture.
    pub fn segment(&mut self, segment: &Segment<'_>, position: Position, context: &mut H::Context) {
        let key = FlowKey::of(segment);
        self.clock += 1;
        if let Some(flow) = self.open.get_mut(&key)
            && !flow.is_replaced_by(segment)
        {
            let before = flow.pending();
            flow.segment(segment, position, self.clock, &self.limits, &mut self.patience, context);
            self.pending.change(before, flow.pending());
            if flow.is_over() {
                self.open.remove(&key);
                self.bury(key);
            } else if self.pending.is_exceeded() {
                self.relieve(position, context);
            }
            return;
        }
        self.rare(key, segment, position, context);
    }

    /// A segment that is not of an open connection: it begins one, answers an attempt to, or comes too late.
    fn rare(&mut self, key: FlowKey, segment: &Segment<'_>, position: Position, context: &mut H::Context) {
        if let Some(old) = self.open.remove(&key) {
            self.pending.change(old.pending(), 0);
            old.close(End { reason: EndReason::Open, by: None }, context);
        }
        let begins = segment.flags.syn && !segment.flags.ack;
        if self.over.contains(&key) {
            if !begins {
                self.stats.late_segments += u64::from(!segment.payload.is_empty());
                return;
            }
            self.over.remove(&key);
        }
        if let Some(attempt) = self.half_open.get_mut(&key)
            && attempt.is_repeated_by(key, segment)
        {
            attempt.repeated(position, self.clock);
            return;
        }
        let flow = match self.half_open.remove(&key) {
            Some(attempt) if !(begins && attempt.is_replaced_by(key, segment)) => {
                attempt.answered(key, &self.limits, &mut self.patience, context)
            }
            replaced => {
                if let Some(old) = replaced {
                    old.close(key, EndReason::Open, context);
                }
                let info = first_sight(segment, position, self.next_id, &mut self.listeners);
                self.next_id += 1;
                self.stats.flows += 1;
                if is_attempt(segment) {
                    self.make_room_for_attempt(position, context);
                    let handler = H::open(&info, context);
                    self.half_open.insert(key, HalfOpen::new(key, &info, segment.sequence, self.clock, handler));
                    return;
                }
                Flow::new(&info, H::open(&info, context))
            }
        };
        self.make_room(position, context);
        let flow = self.open.entry(key).insert_entry(Box::new(flow)).into_mut();
        flow.segment(segment, position, self.clock, &self.limits, &mut self.patience, context);
        self.pending.change(0, flow.pending());
        if flow.is_over() {
            self.open.remove(&key);
            self.bury(key);
        }
    }

    /// A connection is over. All that are remembered as such are forgotten at once when they are too many.
    fn bury(&mut self, key: FlowKey) {
        if self.over.len() >= self.limits.connections {
            self.over.clear();
        }
        self.over.insert(key);
    }

    /// Too much waits in all connections together.
    #[cold]
    fn relieve(&mut self, position: Position, context: &mut H::Context) {
        let waiting: Vec<_> = self.open.values_mut().filter(|flow| flow.pending() > 0).collect();
        self.pending.relieve(
            waiting,
            |flow| flow.heard(),
            |flow| {
                let before = flow.pending();
                flow.give_up(position, context);
                (before, flow.pending())
            },
        );
    }

    /// The capture is over: every open connection ends, in the order in which they began.
    pub fn finish(&mut self, context: &mut H::Context) {
        let mut attempts: Vec<_> = self.half_open.drain().collect();
        attempts.sort_unstable_by_key(|(_, attempt)| attempt.id());
        let mut open: Vec<_> = self.open.drain().map(|(_, flow)| flow).collect();
        open.sort_unstable_by_key(|flow| flow.info().id);
        let mut attempts = attempts.into_iter().peekable();
        for flow in open {
            while let Some((key, attempt)) = attempts.next_if(|(_, attempt)| attempt.id() < flow.info().id) {
                attempt.close(key, EndReason::Open, context);
            }
            let by = flow.fin_by();
            flow.close(End { reason: EndReason::Open, by }, context);
        }
        attempts.for_each(|(key, attempt)| attempt.close(key, EndReason::Open, context));
    }

    /// Makes room for one more connection: those silent longest go, an eighth of all at a time, so that the cost per
    /// connection stays constant.
    fn make_room(&mut self, position: Position, context: &mut H::Context) {
        for (_, key) in
            silent_longest(self.open.iter().map(|(key, flow)| (flow.heard(), *key)), self.limits.connections)
        {
            let Some(flow) = self.open.remove(&key) else { continue };
            self.pending.change(flow.pending(), 0);
            let idle = position.at - flow.info().last.at > self.limits.idle;
            self.stats.evicted += u64::from(!idle);
            let reason = if idle { EndReason::Idle } else { EndReason::Evicted };
            flow.close(End { reason, by: None }, context);
        }
    }

    /// The same for one more attempt to connect: a flood of them pushes out no connection.
    fn make_room_for_attempt(&mut self, position: Position, context: &mut H::Context) {
        let attempts = self.half_open.iter().map(|(key, attempt)| (attempt.heard(), *key));
        for (_, key) in silent_longest(attempts, self.limits.half_open) {
            let Some(attempt) = self.half_open.remove(&key) else { continue };
            let idle = position.at - attempt.last().at > self.limits.idle;
            self.stats.half_open_evicted += u64::from(!idle);
            attempt.close(key, if idle { EndReason::Idle } else { EndReason::Evicted }, context);
        }
    }
}

/// Those that have to go if there is to be one more: none, or an eighth.
fn silent_longest(all: impl ExactSizeIterator<Item = (u64, FlowKey)>, limit: usize) -> Vec<(u64, FlowKey)> {
    if all.len() < limit {
        return Vec::new();
    }
    let excess = (all.len() + (limit / 8).max(1)).saturating_sub(limit);
    let mut by_age: Vec<_> = all.collect();
    by_age.sort_unstable_by_key(|(heard, _)| *heard);
    by_age.truncate(excess);
    by_age
}

fn first_sight(segment: &Segment<'_>, position: Position, id: u64, listeners: &mut Listeners) -> FlowInfo {
    let (mut client, mut server) = (segment.source, segment.destination);
    if !listeners.source_is_client(segment) {
        (client, server) = (server, client);
    }
    FlowInfo {
        transport: Transport::Tcp,
        id,
        client,
        server,
        first: position,
        last: position,
        syn: segment.flags.syn && !segment.flags.ack,
        begins: PerDirection::default(),
        heard: PerDirection::default(),
        acknowledged: PerDirection::default(),
        base: PerDirection::default(),
        stats: PerDirection::default(),
    }
}
