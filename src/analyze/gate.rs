//! Which connections speak ZMTP, and which number each gets.
//!
//! A connection is recognised by its first bytes, some packets after its first one, and others may be recognised in
//! between; numbers go by the *first* packet all the same. So the bytes of a connection wait here until it is known
//! what it speaks, and until all earlier connections are either numbered, left alone, or silent for too long.
//!
//! Of a connection that carried nothing yet, only its place in the order is kept.

use crate::base::budget::Budget;
use crate::base::chunk::{Chunk, Data, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::base::transport::Transport;
use crate::flow::pending::Piece;
use crate::flow::table::{End, FlowInfo};
use crate::zmtp::carrier::Beginning;
use crate::zmtp::probe::{PROBED, Preamble, Verdict, probe, requested};
use crate::zmtp::resync::{Excerpt, Middle, recognise};
use crate::zmtp::wire::greeting::SIGNATURE_FIRST;
use crate::zmtp::ws::exchange::{Exchange, Outcome, Upgrade};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// A piece of a stream, kept.
#[derive(Debug)]
pub struct HeldChunk {
    /// Which direction it is of.
    pub direction: Direction,
    position: Position,
    offset: u64,
    piece: Piece,
}

impl HeldChunk {
    /// The piece as it was handed on.
    pub fn chunk(&self) -> Chunk<'_> {
        Chunk { position: self.position, offset: self.offset, data: self.piece.data() }
    }
}

/// What one direction carried so far.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    octets: bool,
    gap: bool,
}

/// A connection that waits.
#[derive(Debug)]
pub struct Held {
    /// As of the latest piece, or the end.
    pub flow: FlowInfo,
    /// Set once the connection is over.
    pub end: Option<End>,
    /// What it carried so far.
    pub chunks: Vec<HeldChunk>,
    carried: PerDirection<Carried>,
    heads: PerDirection<Vec<u8>>,
    bytes: usize,
    verdict: Verdict,
    /// The user says that it is ZMTP.
    by_request: bool,
    /// Where it begins with HTTP; and how many of its chunks were told to it.
    http: Option<Box<Exchange>>,
    http_chunks: usize,
    /// How many octets there were when its middle was last looked at.
    looked: usize,
    /// Octets of memory that it is counted with while it is undecided, and when it was last heard.
    counted: usize,
    heard: u64,
}

/// A place in the order.
#[derive(Debug)]
enum Seat {
    /// Of a connection that began then, and carried nothing yet.
    Silent(Timestamp),
    Taken(Box<Held>),
}

/// The connections that wait.
#[derive(Debug)]
pub struct Gate {
    /// By number of the TCP connection: undecided ones, and ZMTP ones behind them.
    queue: BTreeMap<u64, Seat>,
    /// Undecided for too long to keep others waiting.
    late: FxHashMap<u64, Box<Held>>,
    /// Those of `late` that were decided since.
    ready: VecDeque<u64>,
    /// Octets held in `queue`.
    bytes: usize,
    /// Octets of memory of all that are undecided, but for datagrams.
    undecided: Budget,
    judged_early: u64,
    /// Pieces and ends so far: what tells how long a connection is silent.
    clock: u64,
}

/// What became of a connection.
#[derive(Debug)]
pub enum Decision {
    /// It speaks ZMTP, and begins so: number it and replay what was held.
    Open(Box<Held>, Beginning),
    /// It is ZMTP in datagrams, which wait elsewhere: number it.
    Datagrams(Box<Held>),
    /// It does not.
    Leave(Box<Held>),
}

impl Gate {
    /// Nothing waits yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            queue: BTreeMap::new(),
            late: FxHashMap::default(),
            ready: VecDeque::new(),
            bytes: 0,
            undecided: Budget::new(limits.held_total_bytes),
            judged_early: 0,
            clock: 0,
        }
    }

    /// A TCP connection appeared, and needs a [`Self::seat`] once it carries something. `is_zmtp`: the user says that it
    /// speaks ZMTP; such a one is told even if it carries nothing, and has its seat at once.
    pub fn open(&mut self, flow: &FlowInfo, is_zmtp: bool) {
        let seat = if is_zmtp { Seat::Taken(Held::new(flow, true)) } else { Seat::Silent(flow.first.at) };
        self.queue.insert(flow.id, seat);
    }

    /// A connection that was silent until now begins to carry something.
    pub fn seat(&mut self, flow: &FlowInfo) {
        let held = Held::new(flow, false);
        match self.queue.get_mut(&flow.id) {
            Some(seat) => *seat = Seat::Taken(held),
            None => _ = self.late.insert(flow.id, held),
        }
    }

    /// A connection that carried nothing is over.
    pub fn leave(&mut self, flow: u64) {
        self.queue.remove(&flow);
    }

    /// ZMTP in datagrams may have begun: its number is kept until [`Self::decide`]. The datagrams wait elsewhere.
    pub fn reserve(&mut self, flow: &FlowInfo) {
        self.queue.insert(flow.id, Seat::Taken(Held::new(flow, false)));
    }

    /// Octets of memory of all that are undecided.
    pub fn undecided(&self) -> usize {
        self.undecided.held()
    }

    /// How often a connection was judged by what it had sent so far, for want of room.
    pub fn judged_early(&self) -> u64 {
        self.judged_early
    }

    /// What was reserved is ZMTP, or is not.
    pub fn decide(&mut self, flow: &FlowInfo, is_zmtp: bool) {
        self.change(flow, |held| held.verdict = if is_zmtp { Verdict::Datagrams } else { Verdict::NotZmtp });
    }

    /// So many octets of what was reserved wait elsewhere.
    pub fn weigh(&mut self, flow: &FlowInfo, octets: usize) {
        self.change(flow, |held| held.bytes += octets);
    }

    /// Whether this connection waits here.
    pub fn holds(&self, flow: u64) -> bool {
        self.queue.contains_key(&flow) || self.late.contains_key(&flow)
    }

    /// A piece of a connection that waits.
    pub fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: &Chunk<'_>, limits: &Limits) {
        self.change(flow, |held| {
            held.add(direction, chunk);
            held.judge(held.bytes > limits.held_bytes || held.chunks.len() > limits.held_pieces, limits);
        });
        if self.undecided.is_exceeded() {
            self.judge_silent(limits);
        }
    }

    /// What is undecided holds too much: connections that were silent longest are judged by what there is of them.
    #[cold]
    fn judge_silent(&mut self, limits: &Limits) {
        let Self { queue, late, ready, undecided, .. } = self;
        let taken = queue.iter_mut().filter_map(|(&id, seat)| match seat {
            Seat::Taken(held) => Some((id, held, false)),
            Seat::Silent(_) => None,
        });
        let waiting = taken.chain(late.iter_mut().map(|(&id, held)| (id, held, true)));
        self.judged_early += undecided.relieve(
            waiting.filter(|(_, held, _)| held.counted > 0).collect(),
            |(_, held, _)| held.heard,
            |(id, held, is_late)| {
                held.judge(true, limits);
                if is_late {
                    ready.push_back(id);
                }
                (std::mem::take(&mut held.counted), 0)
            },
        );
    }

    /// A connection that waits is over.
    pub fn end(&mut self, flow: &FlowInfo, end: End, limits: &Limits) {
        self.change(flow, |held| {
            held.end = Some(end);
            held.judge(true, limits);
        });
    }

    fn change(&mut self, flow: &FlowInfo, change: impl FnOnce(&mut Held)) {
        self.clock += 1;
        let (held, is_late) = match self.queue.get_mut(&flow.id) {
            Some(Seat::Taken(held)) => (held, false),
            Some(Seat::Silent(_)) => return,
            None => match self.late.get_mut(&flow.id) {
                Some(held) => (held, true),
                None => return,
            },
        };
        let (was_undecided, before) = (held.verdict == Verdict::NeedMore, held.bytes);
        (held.flow, held.heard) = (*flow, self.clock);
        change(held);
        let is_undecided = held.verdict == Verdict::NeedMore;
        let memory = if is_undecided { held.memory() } else { 0 };
        self.undecided.change(std::mem::replace(&mut held.counted, memory), memory);
        if !is_late {
            self.bytes += held.bytes - before;
        } else if was_undecided && !is_undecided {
            self.ready.push_back(flow.id);
        }
    }

    /// The next connection whose turn it is, if any. `now` is the time of the capture.
    pub fn next(&mut self, now: Timestamp, limits: &Limits) -> Option<Decision> {
        if let Some(held) = self.ready.pop_front().and_then(|id| self.late.remove(&id)) {
            return Some(held.decide());
        }
        loop {
            let first = self.queue.first_entry()?;
            let (began, undecided) = match first.get() {
                Seat::Silent(began) => (*began, true),
                Seat::Taken(held) => (held.flow.first.at, held.verdict == Verdict::NeedMore),
            };
            if undecided && now - began <= limits.held_time && self.bytes <= limits.held_bytes {
                return None;
            }
            let (id, seat) = first.remove_entry();
            let Seat::Taken(held) = seat else { continue };
            self.bytes -= held.bytes;
            if !undecided {
                return Some(held.decide());
            }
            self.late.insert(id, held);
        }
    }
}

impl Held {
    fn new(flow: &FlowInfo, by_request: bool) -> Box<Self> {
        Box::new(Self {
            flow: *flow,
            end: None,
            chunks: Vec::new(),
            carried: PerDirection::default(),
            heads: PerDirection::default(),
            bytes: 0,
            verdict: Verdict::NeedMore,
            by_request,
            http: None,
            http_chunks: 0,
            looked: 0,
            counted: 0,
            heard: 0,
        })
    }

    /// Octets of memory that it takes, nearly. Datagrams wait elsewhere.
    fn memory(&self) -> usize {
        if self.flow.transport != Transport::Tcp {
            return 0;
        }
        let heads: usize = self.heads.iter().map(|(_, head)| head.capacity()).sum();
        let http = self.http.as_ref().map_or(0, |http| http.memory());
        size_of::<Self>() + self.chunks.capacity() * size_of::<HeldChunk>() + self.bytes + heads + http
    }

    /// Octets and gaps held.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.piece.data().length()).sum()
    }

    /// The first octets of each direction.
    pub fn heads(&self) -> &PerDirection<Vec<u8>> {
        &self.heads
    }

    fn add(&mut self, direction: Direction, chunk: &Chunk<'_>) {
        let head = &mut self.heads[direction];
        let piece = match chunk.data {
            Data::Bytes(bytes) => {
                if chunk.offset == head.len() as u64 {
                    head.extend_from_slice(&bytes[..bytes.len().min(PROBED - head.len())]);
                }
                self.bytes += bytes.len();
                self.carried[direction].octets = true;
                Piece::Bytes(bytes.into())
            }
            Data::Gap(length) => {
                self.carried[direction].gap = true;
                Piece::Gap(length)
            }
        };
        self.chunks.push(HeldChunk { direction, position: chunk.position, offset: chunk.offset, piece });
    }

    fn judge(&mut self, is_final: bool, limits: &Limits) {
        if self.verdict == Verdict::NeedMore {
            self.verdict = match probe(&self.heads, is_final) {
                // What began as HTTP is no ZMTP of its own, whatever the other side says.
                _ if self.http.is_some() && !Exchange::may_begin(&self.heads) => Verdict::NotZmtp,
                Verdict::NotZmtp if Exchange::may_begin(&self.heads) => self.judge_http(is_final, limits),
                verdict if self.begins_here() => verdict,
                // Where the beginning is missing, frames of ZMTP 1.0 may as well be a later message's.
                verdict @ Verdict::Zmtp(_) if self.seems_to_begin() || self.has_signature() => verdict,
                // What is behind a gap is no beginning; but a direction that is missing altogether does not matter.
                Verdict::NeedMore if (self.flow.syn || self.has_signature()) && !self.breaks_off() => Verdict::NeedMore,
                _ => self.judge_middle(is_final),
            };
            if is_final && self.verdict == Verdict::NeedMore {
                self.verdict = Verdict::NotZmtp;
            }
            if self.verdict == Verdict::NotZmtp && self.by_request {
                self.verdict = self.websocket_middle().map_or_else(|| requested(&self.heads), Verdict::WebSocket);
            }
        }
    }

    /// Judges by the HTTP with which the connection begins.
    fn judge_http(&mut self, is_final: bool, limits: &Limits) -> Verdict {
        let http = self.http.get_or_insert_default();
        for chunk in &self.chunks[self.http_chunks..] {
            match chunk.chunk().data {
                Data::Bytes(bytes) => http.bytes(chunk.direction, chunk.offset, bytes, limits),
                Data::Gap(length) => http.gap(chunk.direction, length),
            }
        }
        self.http_chunks = self.chunks.len();
        match http.outcome(is_final, limits) {
            Outcome::Zws(upgrade) => Verdict::WebSocket(upgrade),
            Outcome::Other => Verdict::NotZmtp,
            Outcome::Open => Verdict::NeedMore,
        }
    }

    /// What the user says is ZMTP, if it can be WebSocket of which the beginning was not seen.
    fn websocket_middle(&self) -> Option<Upgrade> {
        Upgrade::unseen(&self.excerpts())
    }

    /// Whether the capture has the first bytes of the connection, beyond doubt.
    fn begins_here(&self) -> bool {
        let is_seen = |(direction, carried): (Direction, &Carried)| !carried.octets || self.flow.begins[direction];
        self.seems_to_begin() && self.carried.iter().all(is_seen)
    }

    /// The same, but for what may be missing of a side whose SYN is.
    fn seems_to_begin(&self) -> bool {
        self.flow.syn && !self.carried.iter().any(|(_, carried)| carried.gap)
    }

    /// Whether a direction has octets, and a gap.
    fn breaks_off(&self) -> bool {
        self.carried.iter().any(|(_, carried)| carried.octets && carried.gap)
    }

    /// Whether a direction begins as a greeting does.
    fn has_signature(&self) -> bool {
        self.heads.iter().any(|(_, head)| head.starts_with(&[SIGNATURE_FIRST, 0, 0, 0]))
    }

    /// Judges by frames in the middle, each time that there is a quarter more to look at.
    fn judge_middle(&mut self, is_final: bool) -> Verdict {
        if !is_final && self.bytes < self.looked + self.looked / 4 {
            return Verdict::NeedMore;
        }
        self.looked = self.bytes;
        let both_spoke = self.carried.iter().all(|(_, carried)| carried.octets || carried.gap);
        let one_way = self.flow.only().is_none() && !both_spoke;
        match recognise(Middle { excerpts: &self.excerpts(), one_way, is_final }) {
            Some(framing) => {
                let preamble = Preamble::Midstream(framing);
                Verdict::Zmtp(PerDirection { c2s: preamble, s2c: preamble })
            }
            None if is_final => Verdict::NotZmtp,
            None => Verdict::NeedMore,
        }
    }

    /// The most that each direction carried without a gap.
    fn excerpts(&self) -> PerDirection<Excerpt> {
        PerDirection::from_fn(|direction| {
            let chunks: Vec<_> = self.chunks.iter().filter(|chunk| chunk.direction == direction).collect();
            let runs = chunks.split(|chunk| matches!(chunk.piece, Piece::Gap(_)));
            let octets = |run: &&[&HeldChunk]| run.iter().map(|chunk| chunk.piece.data().length()).sum::<u64>();
            let mut excerpt = Excerpt::default();
            for chunk in runs.max_by_key(octets).unwrap_or_default() {
                if let Piece::Bytes(bytes) = &chunk.piece {
                    excerpt.push(chunk.offset, chunk.position, bytes, usize::MAX);
                }
            }
            excerpt
        })
    }

    fn decide(self: Box<Self>) -> Decision {
        match self.verdict {
            Verdict::Zmtp(preambles) => Decision::Open(self, Beginning::Own(preambles)),
            Verdict::WebSocket(upgrade) => Decision::Open(self, Beginning::WebSocket(upgrade)),
            Verdict::Datagrams => Decision::Datagrams(self),
            Verdict::NotZmtp | Verdict::NeedMore => Decision::Leave(self),
        }
    }
}
