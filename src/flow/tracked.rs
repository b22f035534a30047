//! What is kept of one TCP connection: an attempt to connect, until it is answered; then reassembly of both directions.

use super::key::FlowKey;
use super::patience::Patience;
use super::reassembly::{Payload, Reassembler};
use super::table::{End, EndReason, FlowInfo, StreamHandler};
use crate::base::chunk::{Chunk, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::base::transport::Transport;
use crate::decap::segment::{Segment, TcpFlags};

/// Whether a segment does nothing but to try to open a connection. One that carries data (TCP Fast Open, RFC 7413) does
/// more.
pub(super) fn is_attempt(segment: &Segment<'_>) -> bool {
    let TcpFlags { syn, fin, rst, ack } = segment.flags;
    syn && !ack && !fin && !rst && segment.payload.is_empty() && segment.cut == 0
}

/// A connection of which nothing but the client's SYN was seen: what floods are made of.
pub(super) struct HalfOpen<H> {
    id: u64,
    first: Position,
    last: Position,
    heard: u64,
    sequence: u32,
    client_is_low: bool,
    handler: H,
}

impl<H: StreamHandler> HalfOpen<H> {
    /// An attempt with this sequence number.
    pub(super) fn new(key: FlowKey, info: &FlowInfo, sequence: u32, heard: u64, handler: H) -> Self {
        let client_is_low = key.endpoints().0 == info.client;
        Self { id: info.id, first: info.first, last: info.last, heard, sequence, client_is_low, handler }
    }

    /// Its number.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The count of segments at the latest one of it.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// The latest packet.
    pub(super) fn last(&self) -> Position {
        self.last
    }

    /// Whether `segment` is the same attempt once more.
    pub(super) fn is_repeated_by(&self, key: FlowKey, segment: &Segment<'_>) -> bool {
        is_attempt(segment) && !self.is_replaced_by(key, segment)
    }

    /// Whether `segment`, a SYN, is another attempt.
    pub(super) fn is_replaced_by(&self, key: FlowKey, segment: &Segment<'_>) -> bool {
        let (low, high) = key.endpoints();
        let client = if self.client_is_low { low } else { high };
        segment.source != client || segment.sequence != self.sequence
    }

    /// It came once more.
    pub(super) fn repeated(&mut self, position: Position, heard: u64) {
        (self.last, self.heard) = (position, heard);
    }

    /// The connection whose first segment it was, as the next one is to come.
    pub(super) fn answered(
        self,
        key: FlowKey,
        limits: &Limits,
        patience: &mut Patience,
        context: &mut H::Context,
    ) -> Flow<H> {
        let info = self.info(key);
        let flags = TcpFlags { syn: true, ..TcpFlags::default() };
        let (source, destination) = (info.client, info.server);
        let syn = Segment {
            source,
            destination,
            sequence: self.sequence,
            acknowledgement: None,
            flags,
            payload: &[],
            cut: 0,
        };
        let mut flow = Flow::new(&info, self.handler);
        flow.segment(&syn, self.last, self.heard, limits, patience, context);
        flow
    }

    /// No answer is awaited any more.
    pub(super) fn close(self, key: FlowKey, reason: EndReason, context: &mut H::Context) {
        let mut info = self.info(key);
        info.heard.c2s = true;
        info.base.c2s = Some(self.sequence.wrapping_add(1));
        self.handler.end(&info, End { reason, by: None }, context);
    }

    fn info(&self, key: FlowKey) -> FlowInfo {
        let (low, high) = key.endpoints();
        let (client, server) = if self.client_is_low { (low, high) } else { (high, low) };
        FlowInfo {
            transport: Transport::Tcp,
            id: self.id,
            client,
            server,
            first: self.first,
            last: self.last,
            syn: true,
            begins: PerDirection::default(),
            heard: PerDirection::default(),
            acknowledged: PerDirection::default(),
            base: PerDirection::default(),
            stats: PerDirection::default(),
        }
    }
}

/// A connection that is open, or may be.
pub(super) struct Flow<H> {
    info: FlowInfo,
    reassemblers: PerDirection<Reassembler>,
    /// Who sent the first FIN.
    fin_by: Option<Direction>,
    /// The count of segments at the latest one of it.
    heard: u64,
    /// `None` once the connection is over.
    handler: Option<H>,
}

impl<H: StreamHandler> Flow<H> {
    /// A connection of which no segment was taken yet.
    pub(super) fn new(info: &FlowInfo, handler: H) -> Self {
        Self { info: *info, reassemblers: PerDirection::default(), fin_by: None, heard: 0, handler: Some(handler) }
    }

    /// What is known about it.
    pub(super) fn info(&self) -> &FlowInfo {
        &self.info
    }

    /// Who sent the first FIN.
    pub(super) fn fin_by(&self) -> Option<Direction> {
        self.fin_by
    }

    /// The count of segments at the latest one of it.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.handler.is_none()
    }

    /// Whether `segment` is the SYN of a new connection between the same endpoints.
    pub(super) fn is_replaced_by(&self, segment: &Segment<'_>) -> bool {
        if !segment.flags.syn || segment.flags.ack {
            return false;
        }
        let direction = self.direction(segment);
        let first_byte = segment.sequence.wrapping_add(1);
        match self.reassemblers[direction].base() {
            Some(base) => base != first_byte,
            // The other side was seen first: its SYN-ACK, of the same connection, or an old connection's packets.
            None => direction == Direction::ServerToClient,
        }
    }

    /// Bytes of memory that wait for earlier ones.
    pub(super) fn pending(&self) -> usize {
        self.reassemblers.c2s.pending() + self.reassemblers.s2c.pending()
    }

    /// Memory is short: what waits is handed on, with gaps before it.
    pub(super) fn give_up(&mut self, position: Position, context: &mut H::Context) {
        let Self { info, reassemblers, handler: Some(handler), .. } = self else { return };
        for direction in Direction::BOTH {
            let mut on = |chunk: Chunk<'_>| handler.chunk(info, direction, chunk, context);
            reassemblers[direction].give_up(position, &mut on);
        }
    }

    fn direction(&self, segment: &Segment<'_>) -> Direction {
        if segment.source == self.info.client { Direction::ClientToServer } else { Direction::ServerToClient }
    }

    /// The next segment, the `heard`th of all.
    pub(super) fn segment(
        &mut self,
        segment: &Segment<'_>,
        position: Position,
        heard: u64,
        limits: &Limits,
        patience: &mut Patience,
        context: &mut H::Context,
    ) {
        let direction = self.direction(segment);
        self.heard = heard;
        self.info.last = position;
        self.info.heard[direction] = true;
        let Self { info, reassemblers, handler: Some(handler), .. } = self else { return };
        let mut sequence = segment.sequence;
        if segment.flags.syn {
            info.begins[direction] |= reassemblers[direction].start(sequence);
            info.syn |= !segment.flags.ack;
            // Where the SYN of the other side is not in the capture, its acknowledgement tells its number.
            if let Some(acknowledgement) = segment.acknowledgement {
                let other = direction.reverse();
                info.begins[other] |= reassemblers[other].start(acknowledgement.wrapping_sub(1));
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
            reassemblers[other].acknowledgement(position, acknowledgement, patience, &mut on);
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
            reassemblers[direction].segment(position, payload, limits, patience, &mut on);
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
    }

    /// Nothing more comes. Where both sides sent FIN it ended so, although bytes before a FIN are missing.
    pub(super) fn close(mut self, end: End, context: &mut H::Context) {
        let closed = self.reassemblers.iter().all(|(_, r)| r.fin_seen());
        let end = if closed { End { reason: EndReason::Fin, by: self.fin_by } } else { end };
        self.end(end, context);
    }
}
