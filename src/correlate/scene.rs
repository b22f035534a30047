//! One window of messages, looked up by socket and connection.

use super::connection::Connection;
use super::directions;
use super::index::{Lists, SuffixIndex};
use super::losses::Losses;
use super::sockets::{Frontend, SocketId, Sockets};
use super::window::{PartRecord, Rank, Window};
use crate::base::direction::{Direction, PerDirection};
use crate::base::time::Duration;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::FxHashMap;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// A sorted window and what stands where in it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The messages.
    pub window: &'a Window,
    /// The sockets they travelled between.
    pub sockets: &'a Sockets,
    /// For each message: whether it flows in the direction of requests.
    pub is_request: Vec<bool>,
    /// For each message: its number among all messages of this direction that arrived at, or left from, the same
    /// possible front end.
    pub place: Vec<u32>,
    /// For each message: how often messages may be missing on its connection up to it.
    pub gaps: Vec<Gaps>,
    /// Whether messages may be missing right before any of these.
    pub any_after_gap: bool,
    /// Where messages are missing.
    pub losses: Losses,
    /// What arrived at, and left from, sockets that can be front ends; see [`Scene::front`].
    front_messages: Vec<Rank>,
    fronts: [[OnceCell<SuffixIndex>; FRONTS]; STRIPS],
    /// What each socket that can be the back end of a node sent and received.
    pub backends: BTreeMap<SocketId, Traffic>,
    /// The sockets that can be the front end of a node, with those of their connections that carry requests.
    pub routers: BTreeMap<Frontend, Vec<u32>>,
    /// The connections that have messages in this window.
    lines: Vec<Line>,
    /// For each message: its connection among these.
    line: Vec<u32>,
    by_line: Lists<Rank>,
    /// For each message: its content, or 0 if it has no parts. What is looked up most, in little memory.
    contents: Vec<u64>,
}

/// A connection of a window. What is needed of it for each of its messages, in little memory.
#[derive(Clone, Copy, Debug)]
struct Line {
    conn: u32,
    /// The way of requests.
    requests: Direction,
    asking: SocketId,
    asked: SocketId,
    /// The socket that asks among those that can be back ends.
    backend: Option<u32>,
    /// The socket that is asked among those that can be front ends.
    router: Option<u32>,
    has_requests: bool,
    is_incomplete: bool,
    has_gaps: bool,
}

/// Parts that a broker may take off the front of what arrives before it passes the rest on, and one.
pub const STRIPS: usize = 7;

/// So deep in an envelope a delimiter follows the identity: without, any word could be taken for one.
const DELIMITED: usize = 2;

/// Gaps on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// In the direction of requests.
    pub requests: u32,
    /// In the direction of replies.
    pub replies: u32,
    /// One more in the other direction is next there: it may be before this message or after it.
    pub ahead: bool,
}

/// Messages at front ends, to be looked up by their content from a certain part on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Requests by the connection that they arrived on.
    Arrivals,
    /// Requests by the socket that they arrived at.
    SocketArrivals,
    /// Replies by the connection that they left on.
    Departures,
    /// Replies by the socket that they left from.
    SocketDepartures,
}

/// How many of these there are.
const FRONTS: usize = 4;

/// What passed through one socket.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Requests that it sent.
    pub requests: Vec<Rank>,
    /// Replies that it received.
    pub replies: Vec<Rank>,
}

impl<'a> Scene<'a> {
    /// Looks over a sorted window.
    pub fn new(window: &'a Window, sockets: &'a mut Sockets) -> Self {
        sockets.begin_window();
        let mut conns = Vec::new();
        let mut is_certain = Vec::new();
        let mut line = Vec::with_capacity(window.len());
        for (rank, record) in window.records().iter().enumerate() {
            let number = sockets.number(record.conn, conns.len() as u32);
            if number as usize == conns.len() {
                conns.push(record.conn);
                is_certain.push(sockets.is_direction_certain(record.conn));
            }
            if !is_certain[number as usize] {
                sockets.consider(record, is_addressed(window.parts(rank as Rank)));
            }
            line.push(number);
        }
        if conns.iter().any(|&conn| sockets.is_direction_open(conn)) {
            directions::hear(window, sockets);
            for &conn in &conns {
                sockets.settle_direction(conn);
            }
        }
        let sockets = &*sockets;
        let mut numbers = Numbers::default();
        let mut lines: Vec<Line> = conns.iter().map(|&conn| Line::new(sockets, conn, &mut numbers)).collect();
        let is_request: Vec<bool> = std::iter::zip(window.records(), &line)
            .map(|(record, &line)| lines[line as usize].requests == record.direction)
            .collect();
        let mut routers: BTreeMap<Frontend, Vec<u32>> = BTreeMap::new();
        let mut place = vec![0; window.len()];
        let mut traffic: Vec<Traffic> = (0..numbers.backends.len()).map(|_| Traffic::default()).collect();
        let mut places: Vec<[u32; 2]> = vec![[0; 2]; numbers.routers.len()];
        let mut front_messages = Vec::new();
        for (rank, &number) in line.iter().enumerate() {
            let request = is_request[rank];
            let line = &mut lines[number as usize];
            if let Some(backend) = line.backend {
                let Traffic { requests, replies } = &mut traffic[backend as usize];
                if request { requests } else { replies }.push(rank as Rank);
            }
            if let Some(router) = line.router {
                front_messages.push(rank as Rank);
                let next = &mut places[router as usize][usize::from(request)];
                place[rank] = *next;
                *next += 1;
                if request && !std::mem::replace(&mut line.has_requests, true) {
                    let opened = sockets.connection(line.conn).opened;
                    routers.entry(sockets.frontend(line.asked, opened)).or_default().push(line.conn);
                }
            }
        }
        let mut backends: Vec<(SocketId, Traffic)> = numbers
            .backends
            .into_iter()
            .map(|(socket, at)| (socket, std::mem::take(&mut traffic[at as usize])))
            .collect();
        backends.sort_unstable_by_key(|(socket, _)| *socket);
        let backends = backends.into_iter().collect();
        let by_line = Lists::new(lines.len(), line.iter().zip(0..).map(|(&line, rank)| (line, rank)));
        let contents =
            (0..window.len() as Rank).map(|rank| window.parts(rank).first().map_or(0, |part| part.suffix)).collect();
        let any_after_gap = window.records().iter().any(|record| record.after_gap);
        let gaps = gaps(window, sockets, &is_request, &conns, &line);
        let losses = Losses::find(window, sockets, &conns, &line);
        let fronts = std::array::from_fn(|_| std::array::from_fn(|_| OnceCell::new()));
        Self {
            window,
            sockets,
            is_request,
            place,
            gaps,
            any_after_gap,
            losses,
            front_messages,
            fronts,
            backends,
            routers,
            lines,
            line,
            by_line,
            contents,
        }
    }

    /// What arrived at, and left from, sockets that can be front ends, looked up by its content without the first `strip`
    /// parts.
    pub fn front(&self, front: Front, strip: usize) -> &SuffixIndex {
        self.fronts[strip][front as usize].get_or_init(|| {
            let of_requests = matches!(front, Front::Arrivals | Front::SocketArrivals);
            let by_conn = matches!(front, Front::Arrivals | Front::Departures);
            let ranks = self.front_messages.iter().filter(|&&rank| self.is_request[rank as usize] == of_requests);
            let entry = |&rank: &Rank| {
                let owner = if by_conn { self.conn_of(self.line(rank)) } else { self.asked(rank) };
                Some((owner, self.content(rank, strip)?, rank))
            };
            SuffixIndex::new(ranks.filter_map(entry).collect())
        })
    }

    /// The messages of a connection, in order.
    pub fn messages_of(&self, conn: u32) -> &[Rank] {
        self.sockets.number_of(conn).map_or(&[], |line| self.by_line.get(line))
    }

    /// The messages of a line, in order.
    pub fn messages_of_line(&self, line: u32) -> &[Rank] {
        self.by_line.get(line)
    }

    /// The connection of a message, as a number below [`Scene::lines`].
    pub fn line(&self, rank: Rank) -> u32 {
        self.line[rank as usize]
    }

    /// How many connections have messages.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The number of a line's connection.
    pub fn conn_of(&self, line: u32) -> u32 {
        self.lines[line as usize].conn
    }

    /// Whether messages are missing between those that were seen of a message's connection.
    pub fn has_gaps(&self, rank: Rank) -> bool {
        self.lines[self.line[rank as usize] as usize].has_gaps
    }

    /// Whether messages of a message's connection may be missing, so that order proves little.
    pub fn is_incomplete(&self, rank: Rank) -> bool {
        self.lines[self.line[rank as usize] as usize].is_incomplete
    }

    /// Whether another request may be missing that a reply may answer instead of this one.
    pub fn may_lack_request(&self, request: Rank, reply: Rank) -> bool {
        let (asked, answered) = (self.gaps[request as usize], self.gaps[reply as usize]);
        asked.requests != answered.requests || answered.ahead
    }

    /// The socket at that end of a message's connection which asks.
    pub fn asking(&self, rank: Rank) -> SocketId {
        self.lines[self.line[rank as usize] as usize].asking
    }

    /// The socket at that end of a message's connection which is asked.
    pub fn asked(&self, rank: Rank) -> SocketId {
        self.lines[self.line[rank as usize] as usize].asked
    }

    /// The socket at that end of a line which asks.
    pub fn asking_on(&self, line: u32) -> SocketId {
        self.lines[line as usize].asking
    }

    /// The socket at that end of a line which is asked.
    pub fn asked_on(&self, line: u32) -> SocketId {
        self.lines[line as usize].asked
    }

    /// The identity in a message's envelope and what follows it; `None` if there is none.
    pub fn tag(&self, rank: Rank, shape: Shape) -> Option<Tag> {
        let parts = self.window.parts(rank);
        let (identity, mut rest) = (parts.get(shape.depth)?, parts.get(shape.depth + 1)?);
        if shape.depth >= DELIMITED && rest.length != 0 {
            return None;
        }
        if shape.drops_delimiter {
            rest = parts.get(shape.depth + 2).filter(|_| rest.length == 0)?;
        }
        identity.can_be_identity().then_some(Tag { identity: identity.hash, suffix: rest.suffix })
    }

    /// Content of a message without its first parts; `None` if it has no more.
    pub fn content(&self, rank: Rank, strip: usize) -> Option<u64> {
        if strip == 0 {
            let content = self.contents[rank as usize];
            return (content != 0).then_some(content);
        }
        self.window.parts(rank).get(strip).map(|part| part.suffix)
    }

    /// Parts of a message.
    pub fn parts(&self, rank: Rank) -> &[PartRecord] {
        self.window.parts(rank)
    }

    /// The connection of a message.
    pub fn connection(&self, rank: Rank) -> &Connection {
        self.sockets.connection(self.window.record(rank).conn)
    }

    /// The time from one message to another.
    pub fn delay(&self, cause: Rank, effect: Rank) -> Duration {
        self.window.record(effect).available - self.window.record(cause).available
    }
}

/// What a broker makes of a message that it passes on: `[a, b, c]` from a client leaves as `[x …, identity, b, c]`. Plain
/// proxies put the identity first and take nothing off. Majordomo (RFC 7) makes `['', W, 2, identity, '', body]` of
/// `['', C, service, body]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Parts before the identity.
    pub depth: usize,
    /// A delimiter follows the identity that is not the client's.
    pub drops_delimiter: bool,
    /// Parts of the client's request that are not passed on.
    pub request_strip: usize,
    /// Parts of the reply to the client that are not the worker's.
    pub reply_strip: usize,
}

/// Numbers of the sockets of a window.
#[derive(Debug, Default)]
struct Numbers {
    /// Those that can be back ends.
    backends: FxHashMap<SocketId, u32>,
    /// Those that can be front ends.
    routers: FxHashMap<SocketId, u32>,
}

impl Line {
    fn new(sockets: &Sockets, conn: u32, numbers: &mut Numbers) -> Self {
        let connection = sockets.connection(conn);
        let requests = connection.requests.unwrap_or(Direction::ClientToServer);
        let (asking, asked) = (connection.sockets[requests], connection.sockets[requests.reverse()]);
        let number = |numbers: &mut FxHashMap<SocketId, u32>, socket, types: &[SocketType]| {
            let next = numbers.len() as u32;
            can_be(sockets, socket, types).then(|| *numbers.entry(socket).or_insert(next))
        };
        let backend = number(&mut numbers.backends, asking, &[SocketType::DEALER, SocketType::ROUTER]);
        let router = number(&mut numbers.routers, asked, &[SocketType::ROUTER]);
        Self {
            conn,
            requests,
            asking,
            asked,
            backend,
            router,
            has_requests: false,
            is_incomplete: connection.is_incomplete(),
            has_gaps: connection.has_gaps(),
        }
    }
}

/// For each message, the gaps on its connection up to it.
fn gaps(window: &Window, sockets: &Sockets, is_request: &[bool], conns: &[u32], line: &[u32]) -> Vec<Gaps> {
    let count = window.len();
    let mut gaps = vec![Gaps::default(); count];
    let may_lack = |&conn: &u32| sockets.connection(conn).is_incomplete();
    if !conns.iter().any(may_lack) && !window.records().iter().any(|record| record.after_gap) {
        return gaps;
    }
    let mut so_far = vec![Gaps::default(); conns.len()];
    for (rank, record) in window.records().iter().enumerate() {
        let passed = &mut so_far[line[rank] as usize];
        if record.after_gap {
            *passed.of(is_request[rank]) += 1;
        }
        gaps[rank] = *passed;
    }
    // For each direction, whether there is a gap before what comes next.
    let ends_in_gap = |&conn: &u32| {
        let connection = sockets.connection(conn);
        PerDirection::from_fn(|direction| connection.ends_in_gap(direction))
    };
    let mut ahead: Vec<PerDirection<bool>> = conns.iter().map(ends_in_gap).collect();
    for (rank, record) in window.records().iter().enumerate().rev() {
        let ahead = &mut ahead[line[rank] as usize];
        gaps[rank].ahead = ahead[record.direction.reverse()];
        ahead[record.direction] = record.after_gap;
    }
    gaps
}

impl Gaps {
    fn of(&mut self, requests: bool) -> &mut u32 {
        if requests { &mut self.requests } else { &mut self.replies }
    }
}

/// Whether an identity stands before a delimiter, and something after it.
fn is_addressed(parts: &[PartRecord]) -> bool {
    parts.windows(3).any(|parts| parts[0].can_be_identity() && parts[1].length == 0)
}

/// An identity in an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Hash of the identity.
    pub identity: u64,
    /// Hash of the parts after it.
    pub suffix: u64,
}

fn can_be(sockets: &Sockets, socket: SocketId, types: &[SocketType]) -> bool {
    sockets.socket_type(socket).is_none_or(|t| types.contains(&t))
}
