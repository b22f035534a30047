//! All TCP connections of a capture: created, fed, closed, given up.

use super::key::FlowKey;
use super::reassembly::{Payload, Reassembler, ReassemblyStats};
use super::roles::Listeners;
use crate::base::chunk::{Chunk, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::transport::Transport;
use crate::decap::segment::Segment;
use rustc_hash::FxHashMap;

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

struct Flow<H> {
    info: FlowInfo,
    reassemblers: PerDirection<Reassembler>,
    /// Who sent the first FIN.
    fin_by: Option<Direction>,
    /// `None` once the connection is over: late packets of it are then recognised and ignored.
    handler: Option<H>,
}

/// Counts of the table itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Connections seen.
    pub flows: u64,
    /// Given up because there were too many at once.
    pub evicted: u64,
    /// Segments with data of connections that were over: late retransmissions.
    pub late_segments: u64,
}

/// The connections of one analysis.
pub struct FlowTable<H: StreamHandler> {
    flows: FxHashMap<FlowKey, Flow<H>>,
    listeners: Listeners,
    limits: Limits,
    stats: TableStats,
    /// Number of the next connection.
    next_id: u64,
    /// Bytes that wait in all reassemblers.
    pending_bytes: usize,
}

impl<H: StreamHandler> FlowTable<H> {
    /// An empty table.
    pub fn new(limits: &Limits) -> Self {
        Self {
            flows: FxHashMap::default(),
            listeners: Listeners::new(limits.connections),
            limits: limits.clone(),
            stats: TableStats::default(),
            next_id: 0,
            pending_bytes: 0,
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

    /// One segment, in the order of the capture.
    pub fn segment(&mut self, segment: &Segment<'_>, position: Position, context: &mut H::Context) {
        let key = FlowKey::of(segment);
        if self.flows.get(&key).is_some_and(|flow| flow.is_replaced_by(segment)) {
            let old = self.flows.remove(&key).expect("it was just looked up");
            self.pending_bytes -= old.pending_bytes();
            old.close(End { reason: EndReason::Open, by: None }, context);
        }
        if !self.flows.contains_key(&key) {
            self.make_room(position, context);
        }
        let flow = self.flows.entry(key).or_insert_with(|| {
            let info = first_sight(segment, position, self.next_id, &mut self.listeners);
            self.next_id += 1;
            self.stats.flows += 1;
            let handler = H::open(&info, context);
            Flow { info, reassemblers: PerDirection::default(), fin_by: None, handler: Some(handler) }
        });
        if flow.handler.is_none() {
            self.stats.late_segments += u64::from(!segment.payload.is_empty());
            return;
        }
        let before = flow.pending_bytes();
        flow.segment(segment, position, &self.limits, context);
        self.pending_bytes = self.pending_bytes - before + flow.pending_bytes();
        if self.pending_bytes > self.limits.pending_total_bytes {
            self.relieve(position, context);
        }
    }

    /// Too much waits in all connections together: those silent longest give up what they wait for, until an eighth is
    /// free, so that the cost per byte stays constant.
    #[cold]
    fn relieve(&mut self, position: Position, context: &mut H::Context) {
        let waiting = self.flows.values_mut().filter(|flow| flow.pending_bytes() > 0);
        let mut by_age: Vec<_> = waiting.collect();
        by_age.sort_unstable_by_key(|flow| (flow.info.last.at, flow.info.id));
        for flow in by_age {
            if self.pending_bytes <= self.limits.pending_total_bytes / 8 * 7 {
                break;
            }
            self.pending_bytes -= flow.pending_bytes();
            flow.give_up(position, context);
        }
    }

    /// The capture is over: every open connection ends, in the order in which they began.
    pub fn finish(&mut self, context: &mut H::Context) {
        let mut open: Vec<_> = self.flows.drain().map(|(_, flow)| flow).filter(|flow| flow.handler.is_some()).collect();
        open.sort_unstable_by_key(|flow| flow.info.id);
        for flow in open {
            let by = flow.fin_by;
            flow.close(End { reason: EndReason::Open, by }, context);
        }
    }

    /// Makes room for one more connection: those that are over go first, then those idle longest, an eighth of all at
    /// a time, so that the cost per connection stays constant.
    fn make_room(&mut self, position: Position, context: &mut H::Context) {
        if self.flows.len() < self.limits.connections {
            return;
        }
        self.flows.retain(|_, flow| flow.handler.is_some());
        let excess = (self.flows.len() + (self.limits.connections / 8).max(1)).saturating_sub(self.limits.connections);
        if excess == 0 {
            return;
        }
        let mut by_age: Vec<_> = self.flows.iter().map(|(key, flow)| (flow.info.last.at, flow.info.id, *key)).collect();
        by_age.sort_unstable_by_key(|(at, id, _)| (*at, *id));
        for (last, _, key) in by_age.into_iter().take(excess) {
            let flow = self.flows.remove(&key).expect("the key was listed from the map");
            self.pending_bytes -= flow.pending_bytes();
            let idle = position.at - last > self.limits.idle;
            self.stats.evicted += u64::from(!idle);
            let reason = if idle { EndReason::Idle } else { EndReason::Evicted };
            flow.close(End { reason, by: None }, context);
        }
    }
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
        heard: PerDirection::default(),
        acknowledged: PerDirection::default(),
        base: PerDirection::default(),
        stats: PerDirection::default(),
    }
}

impl<H: StreamHandler> Flow<H> {
    /// Whether `segment` is the SYN of a new connection between the same endpoints.
    fn is_replaced_by(&self, segment: &Segment<'_>) -> bool {
        if !segment.flags.syn || segment.flags.ack {
            return false;
        }
        let direction = self.direction(segment);
        let first_byte = segment.sequence.wrapping_add(1);
        match self.reassemblers[direction].base() {
            Some(base) => base != first_byte,
            // The other side was seen first: its SYN-ACK, of the same connection, or an old connection's packets.
            None => self.handler.is_none() || direction == Direction::ServerToClient,
        }
    }

    fn pending_bytes(&self) -> usize {
        self.reassemblers.c2s.pending_bytes() + self.reassemblers.s2c.pending_bytes()
    }

    fn give_up(&mut self, position: Position, context: &mut H::Context) {
        let Self { info, reassemblers, handler: Some(handler), .. } = self else { return };
        for direction in Direction::BOTH {
            let mut on = |chunk: Chunk<'_>| handler.chunk(info, direction, chunk, context);
            reassemblers[direction].give_up(position, &mut on);
        }
    }

    fn direction(&self, segment: &Segment<'_>) -> Direction {
        if segment.source == self.info.client { Direction::ClientToServer } else { Direction::ServerToClient }
    }

    fn segment(&mut self, segment: &Segment<'_>, position: Position, limits: &Limits, context: &mut H::Context) {
        let direction = self.direction(segment);
        self.info.last = position;
        self.info.heard[direction] = true;
        let Self { info, reassemblers, handler: Some(handler), .. } = self else { return };
        let mut sequence = segment.sequence;
        if segment.flags.syn {
            reassemblers[direction].start(sequence);
            info.syn |= !segment.flags.ack;
            // Where the SYN of the other side is not in the capture, its acknowledgement tells its number.
            if let Some(acknowledgement) = segment.acknowledgement {
                reassemblers[direction.reverse()].start(acknowledgement.wrapping_sub(1));
            }
            sequence = sequence.wrapping_add(1);
        }
        if let Some(acknowledgement) = segment.acknowledgement {
            let other = direction.reverse();
            let range = info.acknowledged[other].get_or_insert((acknowledgement, acknowledgement));
            if acknowledgement.wrapping_sub(range.1).cast_signed() > 0 {
                range.1 = acknowledgement;
            }
            let mut on = |chunk: Chunk<'_>| handler.chunk(info, other, chunk, context);
            reassemblers[other].acknowledgement(position, acknowledgement, limits, &mut on);
        }
        // A reset may carry a reason as text, which is not part of the stream (RFC 9293 section 3.5.3).
        if !segment.flags.rst {
            let carries = !segment.payload.is_empty() || segment.cut > 0 || segment.flags.fin;
            if carries && info.base[direction].is_none() {
                reassemblers[direction].start(sequence.wrapping_sub(1));
            }
            info.base[direction] = reassemblers[direction].base();
            let mut on = |chunk: Chunk<'_>| handler.chunk(info, direction, chunk, context);
            let payload = Payload { sequence, bytes: segment.payload, cut: segment.cut, fin: segment.flags.fin };
            reassemblers[direction].segment(position, payload, limits, &mut on);
        }
        if segment.flags.fin {
            self.fin_by.get_or_insert(direction);
        }
        if segment.flags.rst {
            let by = self.fin_by.or(Some(direction));
            self.end(End { reason: EndReason::Reset, by }, context);
        } else if reassemblers.iter().all(|(_, r)| r.is_finished()) {
            let end = End { reason: EndReason::Fin, by: self.fin_by };
            self.end(end, context);
        }
    }

    fn end(&mut self, end: End, context: &mut H::Context) {
        let Some(mut handler) = self.handler.take() else { return };
        let Self { info, reassemblers, .. } = self;
        for direction in Direction::BOTH {
            let position = info.last;
            let mut on = |chunk: Chunk<'_>| handler.chunk(info, direction, chunk, context);
            reassemblers[direction].finish(position, &mut on);
        }
        info.stats = PerDirection::from_fn(|direction| reassemblers[direction].stats());
        handler.end(info, end, context);
        self.reassemblers = PerDirection::default();
    }

    /// Nothing more comes. Where both sides sent FIN it ended so, although bytes before a FIN are missing.
    fn close(mut self, end: End, context: &mut H::Context) {
        let closed = self.reassemblers.iter().all(|(_, r)| r.fin_seen());
        let end = if closed { End { reason: EndReason::Fin, by: self.fin_by } } else { end };
        self.end(end, context);
    }
}
