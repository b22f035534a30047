//! Results made by hand, for tests.

use crate::analyze::connection::{ConnectionSummary, HandshakeOutcome};
use crate::analyze::observer::{ConnectionRef, Ends};
use crate::base::chunk::{PacketId, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::time::{Duration, Timestamp};
use crate::base::transport::Transport;
use crate::correlate::path::{Evidence, Hop, Path, Pattern, Status};
use crate::flow::table::{End, EndReason, FlowInfo};
use crate::report::facts::CaptureFacts;
use crate::report::settings::Settings;
use crate::report::view::View;
use crate::zmtp::event::{Message, Part};
use crate::zmtp::peer::Peer;
use crate::zmtp::session::Traffic;
use crate::zmtp::wire::greeting::{Greeting, MechanismName, Version};
use crate::zmtp::wire::metadata::Property;
use crate::zmtp::wire::socket_type::SocketType;
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::rc::Rc;

/// 2026-07-01T12:00:00Z.
pub(crate) const NOON: i64 = 1_782_907_200_000_000_000;

pub(crate) fn local(port: u16) -> Endpoint {
    Endpoint::new(Ipv4Addr::LOCALHOST, port)
}

/// A packet so many nanoseconds after noon.
pub(crate) fn position(number: u64, nanoseconds: i64) -> Position {
    Position { packet: PacketId::new(0, number), at: Timestamp(NOON + nanoseconds) }
}

pub(crate) fn flow(client: u16, server: u16) -> FlowInfo {
    FlowInfo {
        transport: Transport::Tcp,
        id: 0,
        client: local(client),
        server: local(server),
        first: position(1, 0),
        last: position(42, 1_000_000),
        syn: true,
        begins: PerDirection { c2s: true, s2c: true },
        heard: PerDirection::default(),
        acknowledged: PerDirection::default(),
        base: PerDirection::default(),
        stats: PerDirection::default(),
    }
}

pub(crate) fn peer(kind: SocketType, identity: Option<&[u8]>) -> Peer {
    let greeting = Greeting {
        padding: 1,
        version: Version::V3_1,
        mechanism: Some(MechanismName::NULL),
        socket_type: None,
        as_server: 0,
        filler_is_zero: true,
    };
    let socket_type = Property { name: b"Socket-Type", value: kind.name().unwrap_or("").as_bytes() };
    let identity_property = identity.map(|value| Property { name: b"Identity", value });
    Peer {
        greeting: Some(greeting),
        version: Some(Version::V3_1),
        subprotocol: None,
        socket_type: Some(kind),
        identity: identity.map(Into::into),
        properties: [socket_type].into_iter().chain(identity_property).collect(),
        introduced: Some(position(5, 0)),
    }
}

/// A REQ client of a ROUTER.
pub(crate) fn connection(conn: u32) -> ConnectionSummary {
    let flow = flow(50112 + conn as u16, 5555);
    let traffic = |messages, body_bytes| Traffic {
        messages,
        frames: 2 * messages,
        commands: 1,
        body_bytes,
        ..Traffic::default()
    };
    ConnectionSummary {
        transport: Transport::Tcp,
        conn,
        client: flow.client,
        server: flow.server,
        start: flow.first,
        last: flow.last,
        end: End { reason: EndReason::Fin, by: Some(Direction::ClientToServer) },
        midstream: false,
        only: None,
        version: Some(Version::V3_1),
        mechanism: Some(MechanismName::NULL),
        decrypted: None,
        curve: None,
        closed: None,
        steps: PerDirection::default(),
        handshake: HandshakeOutcome::Complete,
        peers: PerDirection { c2s: peer(SocketType::REQ, None), s2c: peer(SocketType::ROUTER, Some(b"")) },
        traffic: PerDirection { c2s: traffic(10, 160), s2c: traffic(10, 170) },
        lost_bytes: PerDirection::default(),
    }
}

fn hop(conn: u32, direction: Direction, client: u16, server: u16, packet: u64, at: i64) -> Hop {
    let (client, server) = (local(client), local(server));
    let (source, destination) = match direction {
        Direction::ClientToServer => (client, server),
        Direction::ServerToClient => (server, client),
    };
    Hop {
        key: 0x5f0c_0000_0000_0000 + packet,
        conn,
        direction,
        source,
        destination,
        ordinal: 12,
        position: position(packet, at),
        identity: None,
        evidence: Evidence::Origin,
        confidence: 1.0,
        after: None,
        alternatives: None,
    }
}

/// A request of client `n` through a proxy (5555, 5556) to a REP worker, and its reply.
pub(crate) fn proxied(number: u64, n: u16) -> Path {
    use Direction::{ClientToServer as There, ServerToClient as Back};
    let assigned = |hop: Hop| Hop {
        identity: Some([0, 0x6b, 0x8b, 0x45, 0x67][..].into()),
        evidence: Evidence::Assigned,
        confidence: 0.999,
        ..hop
    };
    let start = i64::from(n) * 1_000_000;
    let (client, worker) = (50112 + n, 40022);
    Path {
        number,
        status: Status::Complete,
        pattern: Some(Pattern::ReqRep),
        request: vec![
            hop(u32::from(n), There, client, 5555, 12, start),
            assigned(hop(90, Back, worker, 5556, 14, start + 41_000)),
        ],
        reply: vec![
            Hop {
                confidence: 0.999,
                evidence: Evidence::Assigned,
                ..hop(90, There, worker, 5556, 16, start + 142_000)
            },
            assigned(hop(u32::from(n), Back, client, 5555, 18, start + 183_000)),
        ],
        latency: Some(Duration(183_000)),
        confidence: 0.999,
    }
}

/// A request that entered the proxy and never left it.
pub(crate) fn stuck(number: u64, n: u16) -> Path {
    let mut path = proxied(number, n);
    path.request.truncate(1);
    path.reply.clear();
    Path { status: Status::Broken, latency: None, confidence: 1.0, ..path }
}

/// Calls `with` with a message of these parts, from a client to a server.
pub(crate) fn with_message(parts: &[&[u8]], with: impl FnOnce(&ConnectionRef<'_>, &Message<'_>)) {
    let ends = Ends::from(&flow(50112, 5555));
    let (client, server) = (peer(SocketType::REQ, None), peer(SocketType::ROUTER, Some(b"")));
    let connection = ConnectionRef { conn: 0, ends: &ends, peers: PerDirection { c2s: &client, s2c: &server } };
    let heads = parts.concat();
    let mut at = 0;
    let described: Vec<_> = parts
        .iter()
        .map(|part| {
            at += part.len();
            Part { length: part.len() as u64, missing: 0, hash: 0, head: at - part.len()..at }
        })
        .collect();
    let message = Message {
        direction: Direction::ClientToServer,
        ordinal: 0,
        offset: 91,
        start: position(12, 5_000),
        end: position(12, 5_000),
        available: position(12, 5_000),
        parts: &described,
        part_count: parts.len() as u64,
        heads: &heads,
        encrypted: false,
        is_compared: true,
    };
    with(&connection, &message);
}

/// Takes what a view writes.
#[derive(Clone, Default)]
pub(crate) struct Paper(Rc<RefCell<Vec<u8>>>);

impl Paper {
    /// What is on it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("text")
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a view writes, once `feed` told it everything.
pub(crate) fn written<V: View>(
    new: impl FnOnce(Settings, Box<dyn Write>) -> V,
    settings: &Settings,
    feed: impl FnOnce(&mut V),
) -> String {
    let paper = Paper::default();
    let mut view = new(settings.clone(), Box::new(paper.clone()));
    feed(&mut view);
    view.finish(&CaptureFacts::default()).expect("paper takes everything");
    paper.text()
}
