//! Request/reply paths: what the correlator reports.

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
    /// What else there was, if it was asked for.
    pub alternatives: Option<Alternatives>,
}

/// How a request fared.
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
}

impl Status {
    /// As in the JSON contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unanswered => "unanswered",
            Self::Unrequested => "unrequested",
            Self::Broken => "broken",
        }
    }
}

/// A request with all its hops and all its replies.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Counts paths from 0, in the order in which they began.
    pub number: u64,
    /// How the request fared.
    pub status: Status,
    /// Request hops in causal order, from the originator to the worker.
    pub request: Vec<Hop>,
    /// Reply hops in causal order, from the worker to the originator.
    pub reply: Vec<Hop>,
    /// From the request at its originator to the last reply there; `None` unless complete.
    pub latency: Option<Duration>,
    /// The least confidence of any hop.
    pub confidence: f64,
}

impl Path {
    /// All hops, request first.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.request.iter().chain(&self.reply)
    }
}
