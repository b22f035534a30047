//! Which connections speak ZMTP, and which number each gets.
//!
//! A connection is recognised by its first bytes, some packets after its first one, and others may be recognised in
//! between; numbers go by the *first* packet all the same. So the bytes of a connection wait here until it is known
//! what it speaks, and until all earlier connections are either numbered, left alone, or silent for too long.

use crate::base::chunk::{Chunk, Data, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::flow::pending::Piece;
use crate::flow::table::{End, FlowInfo};
use crate::zmtp::carrier::Beginning;
use crate::zmtp::probe::{PROBED, Preamble, Verdict, probe};
use crate::zmtp::resync::{Excerpt, Recognised, recognise};
use crate::zmtp::wire::greeting::SIGNATURE_FIRST;
use crate::zmtp::ws::exchange::{Exchange, Outcome, Upgrade};
use rustc_hash::{FxHashMap, FxHashSet};
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

/// A connection that waits.
#[derive(Debug)]
pub struct Held {
    /// As of the latest piece, or the end.
    pub flow: FlowInfo,
    /// Set once the connection is over.
    pub end: Option<End>,
    /// What it carried so far.
    pub chunks: Vec<HeldChunk>,
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
    /// What that look found.
    evidence: Option<Recognised>,
    /// How many octets there were at all, also those that are not kept.
    seen: usize,
    /// Other connections to the same server speak ZMTP.
    known_server: bool,
}

fn midstream(found: Recognised) -> Verdict {
    let preamble = |direction| Preamble::Midstream { framing: found.framing, from: found.from[direction] };
    Verdict::Zmtp(PerDirection::from_fn(preamble))
}

/// The connections that wait.
#[derive(Debug, Default)]
pub struct Gate {
    /// By number of the TCP connection: undecided ones, and ZMTP ones behind them.
    queue: BTreeMap<u64, Held>,
    /// Undecided for too long to keep others waiting.
    late: FxHashMap<u64, Held>,
    /// Those of `late` that were decided since.
    ready: VecDeque<u64>,
    /// Octets held in `queue`.
    bytes: usize,
    /// Octets held in `late`.
    late_bytes: usize,
    /// Endpoints that accepted connections which speak ZMTP.
    servers: FxHashSet<Endpoint>,
    /// Connections of which some evidence says that they speak ZMTP, by both their endpoints.
    hopeful: FxHashMap<Endpoint, Vec<u64>>,
    /// Those of them that are over, the oldest first.
    ended: VecDeque<u64>,
    /// How often a server or such a connection was not remembered, or given up early.
    not_remembered: u64,
}

/// What became of a connection.
#[derive(Debug)]
pub enum Decision {
    /// It speaks ZMTP, and begins so: number it and replay what was held.
    Open(Held, Beginning),
    /// It is ZMTP in datagrams, which wait elsewhere: number it.
    Datagrams(Held),
    /// It does not.
    Leave(Held),
}

impl Gate {
    /// A TCP connection appeared. `is_zmtp`: the user says that it speaks ZMTP.
    pub fn open(&mut self, flow: &FlowInfo, is_zmtp: bool) {
        let (chunks, heads, verdict) = (Vec::new(), PerDirection::default(), Verdict::NeedMore);
        let held = Held {
            flow: *flow,
            end: None,
            chunks,
            heads,
            bytes: 0,
            verdict,
            by_request: is_zmtp,
            http: None,
            http_chunks: 0,
            looked: 0,
            evidence: None,
            seen: 0,
            known_server: false,
        };
        self.queue.insert(flow.id, held);
    }

    /// ZMTP in datagrams may have begun: its number is kept until [`Self::decide`]. The datagrams wait elsewhere.
    pub fn reserve(&mut self, flow: &FlowInfo) {
        self.open(flow, false);
    }

    /// What was reserved is ZMTP, or is not.
    pub fn decide(&mut self, flow: &FlowInfo, is_zmtp: bool, limits: &Limits) {
        self.change(flow, limits, |held| held.verdict = if is_zmtp { Verdict::Datagrams } else { Verdict::NotZmtp });
    }

    /// So many octets of what was reserved wait elsewhere.
    pub fn weigh(&mut self, flow: &FlowInfo, octets: usize, limits: &Limits) {
        self.change(flow, limits, |held| held.bytes += octets);
    }

    /// Whether this connection waits here.
    pub fn holds(&self, flow: u64) -> bool {
        self.queue.contains_key(&flow) || self.late.contains_key(&flow)
    }

    /// A piece of a connection that waits.
    pub fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: &Chunk<'_>, limits: &Limits) {
        let crowded = self.bytes + self.late_bytes > limits.held_total_bytes;
        self.change(flow, limits, |held| {
            held.add(direction, chunk);
            let is_final = crowded || !held.may_grow(limits);
            held.judge(is_final, limits);
        });
    }

    /// A connection that waits is over.
    pub fn end(&mut self, flow: &FlowInfo, end: End, limits: &Limits) {
        self.change(flow, limits, |held| {
            held.end = Some(end);
            let hopeful = !held.begins_here() && held.chunks.len() <= limits.hopeful_packets;
            held.judge(!hopeful, limits);
            if hopeful && held.verdict == Verdict::NeedMore {
                held.looked = 0;
                held.judge(false, limits);
                held.judge(held.evidence.is_none(), limits);
            }
        });
        let held = self.queue.get(&flow.id).or_else(|| self.late.get(&flow.id));
        if held.is_some_and(|held| held.verdict == Verdict::NeedMore) {
            self.ended.push_back(flow.id);
            if self.ended.len() > limits.hopeful_connections
                && let Some(oldest) = self.ended.pop_front()
            {
                self.not_remembered += 1;
                self.give_up(oldest, limits);
            }
        }
    }

    /// No more connections will come: those that waited for another one to their server are left alone.
    pub fn finish(&mut self, limits: &Limits) {
        while let Some(id) = self.ended.pop_front() {
            self.give_up(id, limits);
        }
    }

    fn give_up(&mut self, id: u64, limits: &Limits) {
        if let Some(held) = self.queue.get_mut(&id) {
            held.judge(true, limits);
        } else if let Some(held) = self.late.get_mut(&id)
            && held.verdict == Verdict::NeedMore
        {
            held.judge(true, limits);
            self.ready.push_back(id);
        }
    }

    /// A connection speaks ZMTP, so others to its server are likely to.
    fn learn(&mut self, server: Endpoint, limits: &Limits) {
        if self.servers.contains(&server) {
            return;
        }
        if self.servers.len() >= limits.known_servers {
            self.not_remembered += 1;
            return;
        }
        self.servers.insert(server);
        for id in self.hopeful.remove(&server).unwrap_or_default() {
            let late = !self.queue.contains_key(&id);
            let Some(held) = self.queue.get_mut(&id).or_else(|| self.late.get_mut(&id)) else { continue };
            if held.verdict != Verdict::NeedMore {
                continue;
            }
            held.known_server = true;
            held.looked = 0;
            held.judge(held.end.is_some(), limits);
            if late && held.verdict != Verdict::NeedMore {
                self.ready.push_back(id);
            }
        }
    }

    fn change(&mut self, flow: &FlowInfo, limits: &Limits, change: impl FnOnce(&mut Held)) {
        let known = self.servers.contains(&flow.server) || self.servers.contains(&flow.client);
        let (held, bytes, is_late) = match self.queue.get_mut(&flow.id) {
            Some(held) => (held, &mut self.bytes, false),
            None => match self.late.get_mut(&flow.id) {
                Some(held) => (held, &mut self.late_bytes, true),
                None => return,
            },
        };
        let (undecided, before, hopeful) = (held.verdict == Verdict::NeedMore, held.bytes, held.evidence.is_some());
        held.flow = *flow;
        held.known_server |= known;
        change(held);
        *bytes = *bytes + held.bytes - before;
        if undecided && held.verdict != Verdict::NeedMore {
            if is_late {
                self.ready.push_back(flow.id);
            }
            if let Verdict::Zmtp(preambles) = held.verdict {
                // What was not seen to be opened may have its sides swapped; its other connections settle that.
                let strong = held.evidence.is_none_or(|evidence| evidence.is_enough(false));
                let frames = |preamble: &Preamble| matches!(preamble, Preamble::Midstream { .. });
                if strong || !preambles.iter().any(|(_, preamble)| frames(preamble)) {
                    self.learn(flow.server, limits);
                }
            }
        } else if undecided && !hopeful && held.evidence.is_some() {
            for endpoint in [flow.server, flow.client] {
                if self.hopeful.len() >= limits.hopeful_connections {
                    self.not_remembered += 1;
                    break;
                }
                self.hopeful.entry(endpoint).or_default().push(flow.id);
            }
        }
    }

    /// The next connection whose turn it is, if any. `now` is the time of the capture.
    pub fn next(&mut self, now: Timestamp, limits: &Limits) -> Option<Decision> {
        if let Some(held) = self.ready.pop_front().and_then(|id| self.late.remove(&id)) {
            self.late_bytes -= held.bytes;
            return Some(held.decide());
        }
        loop {
            let first = self.queue.first_entry()?;
            let held = first.get();
            if held.verdict != Verdict::NeedMore {
                let held = first.remove();
                self.bytes -= held.bytes;
                return Some(held.decide());
            }
            let silent = now - held.flow.first.at > limits.held_time;
            if !silent && self.bytes <= limits.held_bytes {
                return None;
            }
            let (id, held) = first.remove_entry();
            self.bytes -= held.bytes;
            self.late_bytes += held.bytes;
            self.late.insert(id, held);
        }
    }
}

impl Held {
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
                self.seen += bytes.len();
                Piece::Bytes(bytes.into())
            }
            Data::Gap(length) => Piece::Gap(length),
        };
        self.chunks.push(HeldChunk { direction, position: chunk.position, offset: chunk.offset, piece });
    }

    fn judge(&mut self, is_final: bool, limits: &Limits) {
        if self.verdict == Verdict::NeedMore {
            self.verdict = match probe(&self.heads, is_final) {
                // What began as HTTP is no ZMTP of its own, whatever the other side says.
                _ if self.http.is_some() && !Exchange::may_begin(&self.heads) => Verdict::NotZmtp,
                Verdict::NotZmtp if Exchange::may_begin(&self.heads) => self.judge_http(is_final, limits),
                // Where the beginning is missing, frames of ZMTP 1.0 may as well be a later message's.
                verdict @ Verdict::Zmtp(_) if self.begins_here() || self.has_signature() => verdict,
                Verdict::NeedMore if self.begins_here() || self.has_signature() => Verdict::NeedMore,
                verdict if self.begins_here() => verdict,
                _ => self.judge_middle(is_final),
            };
            if self.verdict == Verdict::NotZmtp && self.by_request {
                self.verdict = self.websocket_middle().map_or(Verdict::V3, Verdict::WebSocket);
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
        let excerpts = self.excerpts();
        Upgrade::unseen(&PerDirection::from_fn(|direction| excerpts[direction].clone().last_run()))
    }

    /// Whether the capture has the first bytes of the connection.
    fn begins_here(&self) -> bool {
        let is_gap = |chunk: &HeldChunk| matches!(chunk.piece, Piece::Gap(_));
        self.flow.syn && !self.chunks.iter().any(is_gap)
    }

    /// Whether a direction begins as a greeting does.
    fn has_signature(&self) -> bool {
        self.heads.iter().any(|(_, head)| head.starts_with(&[SIGNATURE_FIRST, 0, 0, 0]))
    }

    /// Whether it may go on until it is decided. What was sent before frames were found is not kept for ever.
    fn may_grow(&mut self, limits: &Limits) -> bool {
        if self.bytes <= limits.held_bytes {
            return true;
        }
        if self.begins_here() || self.has_signature() || self.seen > limits.held_frame_bytes {
            return false;
        }
        if self.evidence.is_none() && self.seen > limits.held_frame_bytes / 4 {
            return false;
        }
        let found = self.evidence.map(|evidence| evidence.earliest);
        let enough = self.bytes - limits.held_bytes / 2;
        let mut dropped = 0;
        for chunk in &mut self.chunks {
            let Piece::Bytes(bytes) = &chunk.piece else { continue };
            let known = found.and_then(|found| found[chunk.direction]);
            if known.is_some_and(|known| chunk.offset + bytes.len() as u64 > known) || dropped >= enough {
                continue;
            }
            dropped += bytes.len();
            chunk.piece = Piece::Gap(bytes.len() as u64);
        }
        self.bytes -= dropped;
        self.looked = self.looked.min(self.bytes);
        true
    }

    /// Judges by frames in the middle, each time that there is a quarter more to look at.
    fn judge_middle(&mut self, is_final: bool) -> Verdict {
        if !is_final && self.bytes < self.looked + self.looked / 4 {
            return Verdict::NeedMore;
        }
        self.looked = self.bytes;
        self.evidence = recognise(&self.excerpts());
        match self.evidence {
            Some(evidence) if evidence.is_enough(self.known_server) => midstream(evidence),
            _ if is_final => Verdict::NotZmtp,
            _ => Verdict::NeedMore,
        }
    }

    /// What is known of each direction.
    fn excerpts(&self) -> PerDirection<Excerpt> {
        let mut excerpts: PerDirection<Excerpt> = PerDirection::default();
        for chunk in &self.chunks {
            if let Piece::Bytes(bytes) = &chunk.piece {
                excerpts[chunk.direction].push(chunk.offset, chunk.position, bytes, usize::MAX);
            }
        }
        excerpts
    }

    fn decide(self) -> Decision {
        match self.verdict {
            Verdict::Zmtp(preambles) => Decision::Open(self, Beginning::Own(preambles)),
            Verdict::WebSocket(upgrade) => Decision::Open(self, Beginning::WebSocket(upgrade)),
            Verdict::Datagrams => Decision::Datagrams(self),
            Verdict::NotZmtp | Verdict::NeedMore => Decision::Leave(self),
        }
    }
}
