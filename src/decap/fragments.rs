//! IP datagrams put together from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Invariants: of bytes that come more than once the first stay. Memory is bounded by [`Limits`]; what is given up is
//! counted. Time is that of the packets. Whether the result depends on the order of the fragments: only where they
//! overlap.
//!
//! A datagram with bytes that the snapshot length took away becomes whole too: up to the first such byte, and the rest is
//! `cut`.

use super::datagram::Carried;
use super::fragment::{Datagram, Fragment, Stop};
use super::segment::{Segment, Skip};
use super::span::Span;
use super::{find, ip};
use crate::base::limits::Limits;
use crate::base::time::{Duration, Timestamp};
use crate::capture::packet::Packet;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// The longest payload of a datagram, in both versions.
const LONGEST: usize = 65_535;

/// A datagram put together may be a fragment of another, inside a tunnel; so many times.
const MAX_NESTED: usize = 4;

/// What a fragment led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reassembled<'a> {
    /// Others are awaited.
    Waiting,
    /// It was the last: the segment in the datagram.
    Segment(Segment<'a>),
    /// It was the last: the datagram, in so many packets, carries something else.
    Datagram(Carried<'a>, u64),
    /// There is none, in so many packets.
    Skipped(Skip, u64),
}

impl<'a> Reassembled<'a> {
    fn of(carried: Carried<'a>, packets: u64) -> Self {
        match carried {
            Carried::Tcp(segment) => Self::Segment(segment),
            Carried::Udp(_) | Carried::Pgm(_) => Self::Datagram(carried, packets),
        }
    }
}

/// What became of fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentStats {
    /// Datagrams that became whole.
    pub reassembled: u64,
    /// Datagrams that did not, in the time and the memory there was.
    pub given_up: u64,
    /// Packets of those.
    pub given_up_packets: u64,
    /// Fragments with bytes that had come before, or that contradict the length of their datagram.
    pub overlapping: u64,
}

/// The datagrams that wait for fragments.
pub struct Fragments {
    datagrams: HashMap<Datagram, Partial>,
    /// The same in the order in which they began.
    order: BTreeMap<u64, Datagram>,
    /// Number of the next to begin.
    next: u64,
    /// Bytes held.
    bytes: usize,
    /// The latest time of a fragment.
    now: Timestamp,
    /// The datagram that was told of last.
    whole: Whole,
    stats: FragmentStats,
    max_datagrams: usize,
    max_bytes: usize,
    max_time: Duration,
}

/// A datagram under way.
struct Partial {
    number: u64,
    began: Timestamp,
    packets: u64,
    /// Of the first fragment, where it is there.
    protocol: Option<u8>,
    /// Length, where the last fragment is there.
    total: Option<usize>,
    bytes: Vec<u8>,
    /// What is there, in order, without overlap.
    pieces: Vec<Piece>,
}

/// A range of a datagram of which the bytes up to `captured` are there.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    captured: usize,
    end: usize,
}

/// The payload of a datagram.
struct Whole {
    datagram: Datagram,
    protocol: u8,
    bytes: Vec<u8>,
    total: usize,
    packets: u64,
}

enum Added {
    Waiting,
    Whole(Whole),
    Malformed,
}

impl Fragments {
    /// None yet.
    pub fn new(limits: &Limits) -> Self {
        let nowhere = std::net::Ipv4Addr::UNSPECIFIED.into();
        let datagram = Datagram { addresses: [nowhere; 2], identification: 0, protocol: None, depth: 0 };
        Self {
            datagrams: HashMap::default(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
            now: Timestamp(i64::MIN),
            whole: Whole { datagram, protocol: 0, bytes: Vec::new(), total: 0, packets: 0 },
            stats: FragmentStats::default(),
            max_datagrams: limits.fragment_datagrams.max(1),
            max_bytes: limits.fragment_bytes,
            max_time: limits.fragment_time,
        }
    }

    /// A packet of which [`super::carried()`] says [`Skip::Fragment`].
    pub fn packet<'a>(&'a mut self, packet: &Packet<'a>) -> Reassembled<'a> {
        self.now = self.now.max(packet.at);
        while let Some((_, datagram)) = self.order.first_key_value()
            && self.now - self.datagrams[datagram].began > self.max_time
        {
            self.give_up_oldest();
        }
        let fragment = match find(packet) {
            Ok(carried) => return Reassembled::of(carried, 1),
            Err(Stop::Skip(skip)) => return Reassembled::Skipped(skip, 1),
            Err(Stop::Fragment(fragment)) => fragment,
        };
        let mut packets = 1;
        let mut added = self.add(&fragment, packets);
        for _ in 0..MAX_NESTED {
            match added {
                Added::Waiting => return Reassembled::Waiting,
                Added::Malformed => return Reassembled::Skipped(Skip::Malformed, packets),
                Added::Whole(whole) => {
                    packets = whole.packets;
                    match whole.carried() {
                        Ok(_) => {
                            self.whole = whole;
                            let carried = self.whole.carried();
                            return Reassembled::of(carried.expect("the same bytes say the same"), packets);
                        }
                        Err(Stop::Skip(skip)) => return Reassembled::Skipped(skip, packets),
                        Err(Stop::Fragment(inner)) => added = self.add(&inner, packets),
                    }
                }
            }
        }
        Reassembled::Skipped(Skip::Fragment, packets)
    }

    /// What became of them so far.
    pub fn stats(&self) -> FragmentStats {
        self.stats
    }

    /// No more packets: all that are not whole are given up.
    pub fn finish(&mut self) -> FragmentStats {
        while !self.order.is_empty() {
            self.give_up_oldest();
        }
        self.stats
    }

    /// A fragment that came in so many packets.
    fn add(&mut self, fragment: &Fragment<'_>, packets: u64) -> Added {
        let length = fragment.payload.wire();
        let end = fragment.offset + length;
        // All but the last are multiples of eight bytes.
        if length == 0 || fragment.more && !length.is_multiple_of(8) || end > LONGEST {
            return Added::Malformed;
        }
        if !self.datagrams.contains_key(&fragment.datagram) {
            while self.datagrams.len() >= self.max_datagrams {
                self.give_up_oldest();
            }
            self.order.insert(self.next, fragment.datagram);
            self.datagrams.insert(fragment.datagram, Partial::new(self.next, self.now));
            self.next += 1;
        }
        let partial = self.datagrams.get_mut(&fragment.datagram).expect("it is there now");
        self.bytes -= partial.held();
        partial.packets += packets;
        let contradicts = !fragment.more && *partial.total.get_or_insert(end) != end;
        let overlaps = partial.insert(fragment.offset, end, fragment.payload.bytes());
        if fragment.offset == 0 {
            partial.protocol.get_or_insert(fragment.protocol);
        }
        self.stats.overlapping += u64::from(contradicts || overlaps);
        if partial.is_whole() {
            let partial = self.datagrams.remove(&fragment.datagram).expect("it was there");
            self.order.remove(&partial.number);
            self.stats.reassembled += 1;
            return Added::Whole(partial.into_whole(fragment.datagram));
        }
        self.bytes += partial.held();
        while self.bytes > self.max_bytes {
            self.give_up_oldest();
        }
        Added::Waiting
    }

    fn give_up_oldest(&mut self) {
        let Some((_, datagram)) = self.order.pop_first() else { return };
        let partial = self.datagrams.remove(&datagram).expect("what is in one is in the other");
        self.bytes -= partial.held();
        self.stats.given_up += 1;
        self.stats.given_up_packets += partial.packets;
    }
}

impl Partial {
    fn new(number: u64, began: Timestamp) -> Self {
        Self { number, began, packets: 0, protocol: None, total: None, bytes: Vec::new(), pieces: Vec::new() }
    }

    /// Bytes of memory, nearly.
    fn held(&self) -> usize {
        self.bytes.len() + self.pieces.len() * size_of::<Piece>()
    }

    /// Takes what is new of the range from `start` to `end`, which `bytes` begins; whether some of it is not new.
    fn insert(&mut self, start: usize, end: usize, bytes: &[u8]) -> bool {
        let mut overlaps = false;
        let mut at = start;
        let mut index = self.pieces.partition_point(|piece| piece.end <= start);
        while at < end {
            let next = self.pieces.get(index).copied();
            if let Some(piece) = next
                && piece.start <= at
            {
                overlaps = true;
                at = piece.end;
            } else {
                let stop = next.map_or(end, |piece| piece.start.min(end));
                let captured = stop.min(start + bytes.len()).max(at);
                if captured > at {
                    self.bytes.resize(self.bytes.len().max(captured), 0);
                    self.bytes[at..captured].copy_from_slice(&bytes[at - start..captured - start]);
                }
                self.pieces.insert(index, Piece { start: at, captured, end: stop });
                at = stop;
            }
            index += 1;
        }
        self.pieces.dedup_by(|next, piece| {
            let joined = piece.captured == next.start;
            if joined {
                (piece.captured, piece.end) = (next.captured, next.end);
            }
            joined
        });
        overlaps
    }

    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.there() >= total)
    }

    /// Length of what is there without a hole, captured or not.
    fn there(&self) -> usize {
        self.pieces.iter().fold(0, |there, piece| if piece.start <= there { piece.end } else { there })
    }

    fn into_whole(mut self, datagram: Datagram) -> Whole {
        let total = self.total.expect("it is whole");
        let cut = self.pieces.iter().find(|piece| piece.captured < piece.end);
        self.bytes.truncate(cut.map_or(total, |piece| piece.captured.min(total)));
        let protocol = self.protocol.expect("the first fragment is there");
        Whole { datagram, protocol, bytes: self.bytes, total, packets: self.packets }
    }
}

impl Whole {
    fn carried(&self) -> super::fragment::Found<'_> {
        ip::reassembled(self.datagram, self.protocol, Span::new(&self.bytes, self.total))
    }
}
