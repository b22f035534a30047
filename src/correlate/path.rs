//! Paths of messages: what the correlator reports.

use crate::base::chunk::Position;
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::time::Duration;

/// Why a hop was joined to the one before it, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// It is the first: nothing to join.
    Origin,
    /// Its envelope holds the identity that the connection of the hop before announced.
    Announced,
    /// Its envelope holds the identity that the ROUTER assigned to the connection of the hop before.
    Assigned,
    /// Its parts repeat those of the hop before.
    Content,
    /// Connections and sockets keep the order of their messages.
    Order,
}

impl Evidence {
    /// As in the JSON contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Announced => "announced",
            Self::Assigned => "assigned",
            Self::Content => "content",
            Self::Order => "order",
        }
    }
}

/// What a hop was joined to, and what else it could have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alternatives {
    /// The key of the message that it was joined to: the hop before, but where there are several ways or replies.
    pub cause: u64,
    /// Other messages that had come in where this one was passed on, or on the connection where it was answered, and had
    /// neither been passed on nor answered.
    pub waiting: usize,
    /// Those of them that have the same name and content, or when it is answered the same envelope.
    pub alike: usize,
    /// From the hop before to the nearest of these; negative if that came in earlier.
    pub nearest: Option<Duration>,
    /// Connections whose names the ROUTER assigned, as far as the capture has messages of them.
    pub anonymous: usize,
}

/// One message on one connection, as part of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// The key of the message, the same in every capture that saw it.
    pub key: u64,
    /// The connection's number.
    pub conn: u32,
    /// Which way.
    pub direction: Direction,
    /// Who sent it.
    pub source: Endpoint,
    /// Who received it.
    pub destination: Endpoint,
    /// Number of the message in its direction of its connection.
    pub ordinal: u64,
    /// Where its last octet was found.
    pub position: Position,
    /// The part that this hop added to the envelope, or in a reply will lose from it.
    pub identity: Option<Box<[u8]>>,
    /// Why it was joined to the hop before.
    pub evidence: Evidence,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// Where it was not joined to the hop before it in its list: the place of the hop that it was joined to.
    pub after: Option<usize>,
    /// What else there was, if it was asked for.
    pub alternatives: Option<Alternatives>,
}

/// What messages are part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Requests and replies (RFC 28, 41).
    ReqRep,
    /// Publications (RFC 29).
    PubSub,
    /// Tasks of a pipeline (RFC 30).
    PushPull,
    /// Publications to groups (RFC 48).
    RadioDish,
    /// Tasks of a thread-safe pipeline (RFC 49).
    ScatterGather,
}

impl Pattern {
    /// As in the JSON contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReqRep => "req-rep",
            Self::PubSub => "pub-sub",
            Self::PushPull => "push-pull",
            Self::RadioDish => "radio-dish",
            Self::ScatterGather => "scatter-gather",
        }
    }
}

/// How a request, or what was sent one way, fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// A reply is back at the originator.
    Complete,
    /// No reply was seen at all.
    Unanswered,
    /// A reply whose request is not in the capture.
    Unrequested,
    /// A request or reply was seen to enter a node and never leave it.
    Broken,
    /// Sent one way, and passed on by all that it came to that pass everything on.
    Delivered,
}

impl Status {
    /// As in the JSON contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unanswered => "unanswered",
            Self::Unrequested => "unrequested",
            Self::Broken => "broken",
            Self::Delivered => "delivered",
        }
    }
}

/// A request with all its hops and all its replies, or a one-way message with all its copies.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Counts paths from 0, in the order in which they began.
    pub number: u64,
    /// How the request fared.
    pub status: Status,
    /// What it is part of; `None` if no type of a socket is known.
    pub pattern: Option<Pattern>,
    /// Request hops in causal order, from the originator to the worker. Of a one-way message: all hops.
    pub request: Vec<Hop>,
    /// Reply hops in causal order, from the worker to the originator.
    pub reply: Vec<Hop>,
    /// From the request at its originator to the last reply there, or to the last end of a one-way message; `None` unless
    /// complete or delivered.
    pub latency: Option<Duration>,
    /// The least confidence of any hop.
    pub confidence: f64,
}

/// The hop that the one at this place in its list was joined to; `None` for the first.
pub fn joined_to(hops: &[Hop], at: usize) -> Option<&Hop> {
    hops.get(hops.get(at)?.after.or(at.checked_sub(1))?)
}

impl Path {
    /// Whether nothing can come back: its hops are of a message that was sent one way.
    pub fn is_one_way(&self) -> bool {
        self.pattern != Some(Pattern::ReqRep)
    }

    /// The hops of a one-way message from which it was not passed on; of a request the last one.
    pub fn ends(&self) -> impl Iterator<Item = &Hop> {
        let mut is_end = vec![true; self.request.len()];
        for (at, hop) in self.request.iter().enumerate().skip(1) {
            is_end[hop.after.unwrap_or(at - 1)] = false;
        }
        self.request.iter().zip(is_end).filter(|(_, is_end)| *is_end).map(|(hop, _)| hop)
    }

    /// All hops, request first.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.request.iter().chain(&self.reply)
    }
}
