//! ZMTP in datagrams: which of them it is, which number its connections get, and what they carry.
//!
//! * UDP of RADIO and DISH says nothing about itself. It is believed where the user names the receiver's port, or where it
//!   says what a DISH is known to have asked for: three datagrams in a row, to the same place, of groups that were joined on
//!   TCP connections to the same sender.
//! * DGRAM sockets send bare bodies, so that only the user can say where they are: by the port of either side, because the
//!   answers go back to whichever port the question came from.
//! * PGM proves itself by its checksum and lengths; that it carries ZMTP, by frames that fill a packet from where a message
//!   is said to begin.
//!
//! A connection begins with its first datagram of data and has a sender and a receiver, often a multicast group; the sender
//! is the client. Like those of TCP it waits at the gate until all earlier ones have their numbers.

mod content;

use super::connection::ConnectionSummary;
use super::engine::Engine;
use super::observer::Ends;
use super::outlet::Outlet;
use super::sink::endpoints_hash;
use crate::base::budget::Budget;
use crate::base::chunk::Position;
use crate::base::direction::PerDirection;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::transport::Transport;
use crate::decap::datagram::{Carried, Datagram as Packet};
use crate::decap::pgm::{Integrity, Kind, Pgm, Tsi, pgm};
use crate::decap::segment::Skip;
use crate::flow::sequence::{Ordered, Sequence};
use crate::flow::table::{End, EndReason, FlowInfo};
use crate::zmtp::datagrams::{Datagram, DatagramSession};
use crate::zmtp::wire::radio::group;
use content::{Content, Open, Parts, Piece, State};
use rustc_hash::FxHashMap;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// So many datagrams in a row must be of joined groups.
const JOINED: u32 = 3;

/// A shorter group may be joined and still be found in datagrams of something else.
const TELLING_GROUP: usize = 3;

/// Which flow a datagram is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Udp(Endpoint, Endpoint),
    /// The ports of PGM, because its packets come from several ports of UDP.
    Pgm(Tsi, IpAddr, u16),
}

/// The groups that were joined on TCP connections, each with the address of who publishes.
#[derive(Debug, Default)]
pub(super) struct Joins(HashSet<(IpAddr, Box<[u8]>)>);

impl Joins {
    /// A DISH joined a group of the RADIO at this address.
    pub(super) fn join(&mut self, radio: IpAddr, group: &[u8], limit: usize) {
        // No datagram can be of a longer one (RFC 48: its length has one octet).
        let fits = (TELLING_GROUP..=usize::from(u8::MAX)).contains(&group.len());
        if fits && self.0.len() < limit {
            self.0.insert((radio, group.into()));
        }
    }

    fn has(&self, sender: IpAddr, datagram: &[u8]) -> bool {
        !self.0.is_empty() && group(datagram).is_some_and(|group| self.0.contains(&(sender, group.into())))
    }
}

/// All flows of datagrams that are, or may be, ZMTP.
#[derive(Debug)]
pub(super) struct Datagrams {
    flows: HashMap<Key, Flow>,
    /// Flows with a number of the gate's, by that.
    keys: FxHashMap<u64, Key>,
    joins: Joins,
    /// Octets of memory that all flows hold.
    held: Budget,
}

#[derive(Debug)]
struct Flow {
    sequence: Sequence,
    content: Content,
    last: Position,
    /// The count of packets at the latest one of it, and the octets of memory that it is counted with.
    heard: u64,
    counted: usize,
}

impl Datagrams {
    /// None yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            flows: HashMap::new(),
            keys: FxHashMap::default(),
            joins: Joins::default(),
            held: Budget::new(limits.held_total_bytes),
        }
    }

    /// Octets of memory that all flows hold.
    pub(super) fn held(&self) -> usize {
        self.held.held()
    }

    /// The groups that were joined.
    pub(super) fn joins(&mut self) -> &mut Joins {
        &mut self.joins
    }
}

impl Flow {
    fn new(told: bool, position: Position) -> Self {
        let content = Content {
            info: None,
            state: State::Undecided,
            told,
            evidence: 0,
            held: Vec::new(),
            held_bytes: 0,
            packets: 0,
            offset: 0,
        };
        Self { sequence: Sequence::default(), content, last: position, heard: 0, counted: 0 }
    }

    /// Octets of memory that it holds, nearly.
    fn memory(&self) -> usize {
        self.sequence.held() + self.content.memory()
    }
}

impl<O: Outlet> Engine<O> {
    /// A datagram, which came in so many packets. `claim` gives the number of a new connection.
    pub(super) fn datagram(
        &mut self,
        carried: &Carried<'_>,
        packets: u64,
        position: Position,
        claim: &mut dyn FnMut() -> u64,
    ) {
        let used = match carried {
            Carried::Tcp(_) => false,
            Carried::Pgm(packet) => pgm(packet)
                .filter(|parsed| parsed.integrity != Integrity::Wrong)
                .is_some_and(|parsed| self.pgm(Transport::Pgm, packet, &parsed, position, claim)),
            Carried::Udp(packet) => self.udp(packet, position, claim),
        };
        if !used {
            *self.health.skipped.entry(Skip::NotTcp).or_default() += packets;
        }
    }

    /// A datagram of UDP. Whether it is, or may be, of ZMTP.
    fn udp(&mut self, packet: &Packet<'_>, position: Position, claim: &mut dyn FnMut() -> u64) -> bool {
        let dgram = self.options.is_dgram(packet.source, packet.destination);
        let told = dgram || self.options.ports.contains(&packet.destination.port);
        if let Some(parsed) = pgm(packet).filter(|_| !dgram) {
            let key = pgm_key(packet, &parsed);
            let believed = match parsed.integrity {
                Integrity::Valid => true,
                Integrity::Unknown => told || self.datagrams.flows.contains_key(&key),
                Integrity::Wrong => false,
            };
            if believed {
                return self.pgm(Transport::Epgm, packet, &parsed, position, claim);
            }
        }
        let key = Key::Udp(packet.source, packet.destination);
        let joined = self.datagrams.joins.has(packet.source.ip, packet.payload);
        if !self.datagrams.flows.contains_key(&key) {
            if !told && !joined {
                return false;
            }
            self.make_room(position);
            self.datagrams.flows.insert(key, Flow::new(told, position));
        }
        let Some(flow) = self.datagrams.flows.get_mut(&key) else { return false };
        (flow.last, flow.heard) = (position, self.health.packets);
        let content = &mut flow.content;
        if matches!(content.state, State::Other) {
            return false;
        }
        if content.info.is_none() {
            let id = claim();
            let info = FlowInfo { syn: true, ..info(Transport::Udp, id, packet.source, packet.destination, position) };
            self.gate.reserve(&info);
            content.info = Some(info);
            self.datagrams.keys.insert(id, key);
        }
        if matches!(content.state, State::Undecided) {
            content.evidence += 1;
            if content.told || joined && content.evidence >= JOINED {
                content.state = State::Decided;
            } else if !joined {
                content.state = State::Other;
            }
        }
        content.packets += 1;
        let offset = content.offset;
        content.offset += packet.payload.len() as u64 + u64::from(packet.cut);
        let datagram = Datagram { position, offset, bytes: packet.payload, cut: u64::from(packet.cut) };
        let piece = Piece::Datagram { datagram, continues: false };
        self.with_flow(key, position, |_, content, limits, parts| content.take(piece, limits, parts));
        true
    }

    /// A packet of PGM. Whether it is, or may be, about ZMTP.
    fn pgm(
        &mut self,
        transport: Transport,
        packet: &Packet<'_>,
        parsed: &Pgm<'_>,
        position: Position,
        claim: &mut dyn FnMut() -> u64,
    ) -> bool {
        let key = pgm_key(packet, parsed);
        if !self.datagrams.flows.contains_key(&key) {
            if !matches!(parsed.kind, Kind::Spm { .. } | Kind::Data(_)) {
                return false;
            }
            let told =
                [packet.destination.port, parsed.destination_port].iter().any(|p| self.options.ports.contains(p));
            self.make_room(position);
            self.datagrams.flows.insert(key, Flow::new(told, position));
        }
        let Some(flow) = self.datagrams.flows.get_mut(&key) else { return false };
        (flow.last, flow.heard) = (position, self.health.packets);
        if matches!(flow.content.state, State::Other) {
            return false;
        }
        match &parsed.kind {
            Kind::Other => return false,
            Kind::Data(data) if data.is_parity => return false,
            Kind::Spm { .. } => self.health.datagrams.pgm_spm += 1,
            Kind::Nak => self.health.datagrams.pgm_nak += 1,
            Kind::Data(data) if flow.content.info.is_none() => {
                let source = Endpoint::new(packet.source.ip, parsed.tsi.port);
                let destination = Endpoint::new(packet.destination.ip, parsed.destination_port);
                let id = claim();
                // OpenPGM's sources begin with number 0.
                let begins = flow.sequence.awaited().unwrap_or(data.sequence) == 0;
                let info = FlowInfo { syn: begins, ..info(transport, id, source, destination, position) };
                self.gate.reserve(&info);
                flow.content.info = Some(info);
                self.datagrams.keys.insert(id, key);
            }
            Kind::Data(_) => {}
        }
        flow.content.packets += 1;
        self.with_flow(key, position, |sequence, content, limits, parts| {
            let mut on = |ordered: Ordered<'_>| content.take(piece_of(&ordered), limits, parts);
            match &parsed.kind {
                Kind::Spm { trail, lead } => sequence.window(position, *trail, *lead, &mut on),
                Kind::Nak => sequence.asked(position),
                Kind::Data(data) => sequence.data(position, data, limits, &mut on),
                Kind::Other => {}
            }
        });
        true
    }

    /// Gives a flow what it needs to go on, and counts what it holds then.
    fn with_flow(
        &mut self,
        key: Key,
        position: Position,
        give: impl FnOnce(&mut Sequence, &mut Content, &Limits, &mut Parts<'_, O>),
    ) {
        self.give(key, position, give);
        let Datagrams { flows, held, .. } = &mut self.datagrams;
        let Some(flow) = flows.get_mut(&key) else { return };
        let memory = flow.memory();
        held.change(std::mem::replace(&mut flow.counted, memory), memory);
        if held.is_exceeded() {
            self.relieve_datagrams(position);
        }
    }

    /// All flows together hold too much: those silent longest give up what they wait for, and what is under way.
    #[cold]
    fn relieve_datagrams(&mut self, position: Position) {
        let holders = self.datagrams.flows.iter().filter(|(_, flow)| flow.counted > 0);
        let holders: Vec<_> = holders.map(|(key, flow)| (flow.heard, *key)).collect();
        let mut held = self.datagrams.held;
        self.health.released_connections += held.relieve(
            holders,
            |(heard, _)| *heard,
            |(_, key)| {
                self.give(key, position, |sequence, content, limits, parts| {
                    sequence.give_up(position, &mut |ordered| content.take(piece_of(&ordered), limits, parts));
                    content.release();
                });
                let Some(flow) = self.datagrams.flows.get_mut(&key) else { return (0, 0) };
                let memory = flow.memory();
                (std::mem::replace(&mut flow.counted, memory), memory)
            },
        );
        self.datagrams.held = held;
    }

    /// Gives a flow what it needs to go on; then says to the gate what it turned out to be.
    fn give(
        &mut self,
        key: Key,
        position: Position,
        give: impl FnOnce(&mut Sequence, &mut Content, &Limits, &mut Parts<'_, O>),
    ) {
        let Self { datagrams, outlet, health, options, gate, .. } = self;
        let Datagrams { flows, joins, .. } = datagrams;
        let Some(Flow { sequence, content, .. }) = flows.get_mut(&key) else { return };
        let limits = &options.limits;
        let held_before = content.held_bytes;
        if let Some(info) = &mut content.info {
            info.last = position;
        }
        let was_undecided = matches!(content.state, State::Undecided);
        let mut parts = Parts { outlet, joins, health };
        give(sequence, content, limits, &mut parts);
        let Some(info) = content.info else { return };
        match content.state {
            State::Undecided if content.held_bytes > limits.held_bytes => content.state = State::Other,
            State::Undecided | State::Decided => gate.weigh(&info, content.held_bytes - held_before),
            State::Open(_) | State::Other => {}
        }
        // UDP is decided before it is held.
        let undecided_udp = info.transport == Transport::Udp && gate.holds(info.id);
        match content.state {
            State::Decided if was_undecided || undecided_udp => gate.decide(&info, true),
            State::Other => {
                gate.decide(&info, false);
                *health.skipped.entry(Skip::NotTcp).or_default() += std::mem::take(&mut content.packets);
                (content.held, content.held_bytes) = (Vec::new(), 0);
            }
            _ => return,
        }
        self.pass_gate();
    }

    /// The turn of a connection has come: it gets its number.
    pub(super) fn open_datagrams(&mut self, flow: &FlowInfo) {
        let Some(&key) = self.datagrams.keys.get(&flow.id) else { return };
        let Some(Flow { content, .. }) = self.datagrams.flows.get_mut(&key) else { return };
        let Some(info) = content.info else { return };
        let conn = self.conns;
        self.conns += 1;
        self.health.datagrams.connections += 1;
        self.outlet.connection(conn, &Ends::from(&info));
        let session = match info.transport {
            Transport::Udp if self.options.is_dgram(info.client, info.server) => DatagramSession::dgram(),
            Transport::Udp => DatagramSession::radio(),
            _ => DatagramSession::pgm(),
        };
        let endpoints_hash = PerDirection::from_fn(|direction| endpoints_hash(&info, direction));
        content.state = State::Open(Box::new(Open { conn, session, endpoints_hash, told: FxHashMap::default() }));
        let held = std::mem::take(&mut content.held);
        content.held_bytes = 0;
        let Self { datagrams, outlet, health, options, .. } = self;
        let Datagrams { flows, joins, .. } = datagrams;
        let Some(Flow { content, .. }) = flows.get_mut(&key) else { return };
        let mut parts = Parts { outlet, joins, health };
        for one in &held {
            content.take(one.piece(), &options.limits, &mut parts);
        }
    }

    /// Time passes: what was not asked for any more is not awaited any more.
    pub(super) fn tick_datagrams(&mut self) {
        let waits = |flow: &Flow| flow.sequence.is_waiting();
        let keys: Vec<Key> = self.datagrams.flows.iter().filter(|(_, flow)| waits(flow)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(last) = self.datagrams.flows.get(&key).map(|flow| flow.last) else { continue };
            let position = Position { at: self.now.max(last.at), ..last };
            self.with_flow(key, last, |sequence, content, limits, parts| {
                sequence.tick(position, limits, &mut |ordered| content.take(piece_of(&ordered), limits, parts));
            });
        }
    }

    /// No more packets: nothing is awaited, and what is not known to be ZMTP is not.
    pub(super) fn finish_datagrams(&mut self) {
        let mut keys: Vec<Key> = self.datagrams.flows.keys().copied().collect();
        keys.sort_unstable_by_key(|key| self.datagrams.flows[key].content.info.map(|info| info.id));
        for key in keys {
            self.end_flow(key);
        }
    }

    fn end_flow(&mut self, key: Key) {
        let Some(last) = self.datagrams.flows.get(&key).map(|flow| flow.last) else { return };
        self.with_flow(key, last, |sequence, content, limits, parts| {
            sequence.give_up(last, &mut |ordered| content.take(piece_of(&ordered), limits, parts));
            if matches!(content.state, State::Undecided) {
                content.state = State::Other;
            }
        });
    }

    /// All have their numbers: they end.
    pub(super) fn close_datagrams(&mut self) {
        let flows = std::mem::take(&mut self.datagrams.flows);
        let mut open: Vec<Flow> = flows.into_values().collect();
        open.sort_unstable_by_key(|flow| flow.content.info.map(|info| info.id));
        for flow in open {
            self.close_flow(&flow, EndReason::Open);
        }
    }

    fn close_flow(&mut self, flow: &Flow, reason: EndReason) {
        let Content { info, state, packets, .. } = &flow.content;
        let (State::Open(open), Some(info)) = (state, info) else {
            // A source that never sent data.
            *self.health.skipped.entry(Skip::NotTcp).or_default() += packets;
            return;
        };
        let stats = flow.sequence.stats();
        let sum = &mut self.health.datagrams;
        sum.pgm_data += stats.units;
        sum.pgm_repaired += stats.repaired;
        sum.pgm_repeated += stats.repeated;
        sum.pgm_lost += stats.lost;
        if info.transport == Transport::Udp {
            let dgram = self.options.is_dgram(info.client, info.server);
            *(if dgram { &mut sum.dgram } else { &mut sum.radio }) += packets;
        }
        let end = End { reason, by: None };
        self.outlet.closed(ConnectionSummary::of_datagrams(open.conn, info, end, &open.session));
    }

    /// Makes room for one more flow: an eighth of all go, those idle longest.
    fn make_room(&mut self, position: Position) {
        let limit = self.options.limits.datagram_flows;
        if self.datagrams.flows.len() < limit {
            return;
        }
        let mut by_age: Vec<_> =
            self.datagrams.flows.iter().map(|(key, flow)| (flow.last.at, flow.last.packet, *key)).collect();
        by_age.sort_unstable_by_key(|(at, packet, _)| (*at, *packet));
        for (last, _, key) in by_age.into_iter().take((limit / 8).max(1)) {
            self.end_flow(key);
            let Some(flow) = self.datagrams.flows.remove(&key) else { continue };
            self.datagrams.held.change(flow.counted, 0);
            if let Some(info) = flow.content.info {
                self.datagrams.keys.remove(&info.id);
            }
            let idle = position.at - last > self.options.limits.idle;
            self.health.evicted += u64::from(!idle);
            self.close_flow(&flow, if idle { EndReason::Idle } else { EndReason::Evicted });
        }
    }
}

fn info(transport: Transport, id: u64, client: Endpoint, server: Endpoint, position: Position) -> FlowInfo {
    FlowInfo {
        transport,
        id,
        client,
        server,
        first: position,
        last: position,
        syn: false,
        begins: PerDirection::default(),
        heard: PerDirection::default(),
        acknowledged: PerDirection::default(),
        base: PerDirection::default(),
        stats: PerDirection::default(),
    }
}

/// The source's address: of what goes to it, the destination.
fn pgm_key(packet: &Packet<'_>, parsed: &Pgm<'_>) -> Key {
    let source = if parsed.upstream { packet.destination.ip } else { packet.source.ip };
    Key::Pgm(parsed.tsi, source, parsed.destination_port)
}

/// The number of a packet and, in the lower 16 bits, an octet in it.
fn piece_of<'a>(ordered: &Ordered<'a>) -> Piece<'a> {
    let offset = |number: u64| u64::from(number as u32) << 16;
    match *ordered {
        Ordered::Unit(unit) => Piece::Datagram {
            datagram: Datagram {
                position: unit.position,
                offset: offset(unit.number),
                bytes: unit.bytes,
                cut: u64::from(unit.cut),
            },
            continues: unit.continues,
        },
        Ordered::Lost { number, packets, position } => Piece::Lost { position, offset: offset(number), packets },
    }
}
