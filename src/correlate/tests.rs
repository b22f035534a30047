//! The correlator on traffic written down by hand: what `RFC 28` sockets would send.

mod brokers;
mod connections;
mod lossy;
mod pipelined;
mod wrong_times;

use super::correlator::Correlator;
use super::path::{Evidence, Path, Status};
use super::written::Written;
use crate::base::chunk::{PacketId, Position};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::{Duration, Timestamp};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::socket_type::SocketType as S;
use Direction::{ClientToServer as C2s, ServerToClient as S2c};
use std::net::Ipv4Addr;

/// Connections and messages as they happen, 10 µs apart unless said otherwise.
struct Stage {
    correlator: Correlator,
    conns: u32,
    now: i64,
    packets: u64,
    ordinals: std::collections::BTreeMap<(u32, Direction), u64>,
    offsets: std::collections::BTreeMap<(u32, Direction), u64>,
    paths: Vec<Path>,
}

impl Stage {
    fn new(limits: &Limits) -> Self {
        let correlator = Correlator::new(limits);
        Self {
            correlator,
            conns: 0,
            now: 0,
            packets: 0,
            ordinals: std::collections::BTreeMap::new(),
            offsets: std::collections::BTreeMap::new(),
            paths: Vec::new(),
        }
    }

    /// A connection to `port` of which nothing is known yet.
    fn open(&mut self, port: u16) -> u32 {
        let conn = self.conns;
        self.conns += 1;
        let endpoint = |port| Endpoint::new(Ipv4Addr::LOCALHOST, port);
        let opened = self.position().at;
        self.correlator.connection(conn, endpoint(40000 + conn as u16), endpoint(port), opened);
        conn
    }

    /// A connection to `port`, with the types and the client's identity.
    fn connect(&mut self, port: u16, client: S, server: S, identity: &[u8]) -> u32 {
        let conn = self.open(port);
        self.introduce(conn, C2s, client, identity);
        self.introduce(conn, S2c, server, b"");
        conn
    }

    fn introduce(&mut self, conn: u32, direction: Direction, socket_type: S, identity: &[u8]) {
        let introduced = Some(self.position());
        let peer =
            Peer { socket_type: Some(socket_type), identity: Some(identity.into()), introduced, ..Peer::default() };
        self.correlator.peer(conn, direction, &peer);
    }

    /// As many anonymous clients of a ROUTER at once: they introduce themselves in order, the ROUTER to the last one first.
    fn connect_at_once(&mut self, port: u16, count: u32) -> Vec<u32> {
        let conns: Vec<u32> = (0..count).map(|_| self.open(port)).collect();
        for &conn in &conns {
            self.introduce(conn, C2s, S::REQ, b"");
        }
        for &conn in conns.iter().rev() {
            self.introduce(conn, S2c, S::ROUTER, b"");
        }
        conns
    }

    /// A connection to `port` that began before the capture.
    fn join(&mut self, port: u16) -> u32 {
        let conn = self.open(port);
        for direction in Direction::BOTH {
            self.correlator.incomplete(conn, direction);
        }
        conn
    }

    fn pause(&mut self, time: Duration) {
        self.now += time.0;
    }

    fn position(&mut self) -> Position {
        self.packets += 1;
        self.now += 10_000;
        Position { packet: PacketId::new(0, self.packets), at: Timestamp(self.now) }
    }

    /// A message that is not in the capture.
    fn lose(&mut self, conn: u32, direction: Direction, parts: &[&[u8]]) {
        self.position();
        self.pass_octets(conn, direction, parts);
        self.correlator.incomplete(conn, direction);
    }

    /// The stream offset of a message.
    fn pass_octets(&mut self, conn: u32, direction: Direction, parts: &[&[u8]]) -> u64 {
        let offset = self.offsets.entry((conn, direction)).or_default();
        *offset += parts.iter().map(|part| part.len() as u64 + 2).sum::<u64>();
        *offset - parts.iter().map(|part| part.len() as u64 + 2).sum::<u64>()
    }

    fn send(&mut self, conn: u32, direction: Direction, parts: &[&[u8]]) {
        let position = self.position();
        let offset = self.pass_octets(conn, direction, parts);
        let ordinal = self.ordinals.entry((conn, direction)).or_default();
        let written = Written::new(parts);
        let message = written.message(direction, *ordinal, offset, position);
        *ordinal += 1;
        self.correlator.message(conn, self.packets, &message, &mut |path| self.paths.push(path.clone()));
    }

    /// The client ends a connection, or the server does.
    fn close(&mut self, conn: u32, by_server: bool) {
        let at = self.position().at;
        self.correlator.ended(conn, at, by_server);
    }

    fn finish(mut self) -> Vec<Path> {
        self.correlator.finish(&mut |path| self.paths.push(path.clone()));
        self.paths
    }
}

/// The connections of a path's hops, request then reply.
fn route(path: &Path) -> (Vec<u32>, Vec<u32>) {
    let conns = |hops: &[super::path::Hop]| hops.iter().map(|hop| hop.conn).collect();
    (conns(&path.request), conns(&path.reply))
}

fn id(number: u8) -> [u8; 5] {
    [0, 0x6b, 0x8b, 0x45, number]
}

#[test]
fn a_request_answered_where_it_arrived() {
    let mut stage = Stage::new(&Limits::default());
    let conn = stage.connect(5555, S::REQ, S::REP, b"");
    stage.send(conn, C2s, &[b"", b"question"]);
    stage.send(conn, S2c, &[b"", b"answer"]);
    stage.send(conn, C2s, &[b"", b"question"]);
    let paths = stage.finish();
    assert_eq!(paths.iter().map(|p| p.status).collect::<Vec<_>>(), [Status::Complete, Status::Unanswered]);
    assert_eq!(paths[0].latency, Some(Duration::from_micros(10)));
    assert_eq!(paths[0].reply[0].evidence, Evidence::Order);
    assert_eq!(paths[1].latency, None);
}

/// Two clients with equal requests behind a proxy with two workers, over and over.
fn proxied(first: &[u8], second: &[u8]) -> Vec<Path> {
    let mut stage = Stage::new(&Limits::default());
    let clients = [stage.connect(5555, S::REQ, S::ROUTER, first), stage.connect(5555, S::REQ, S::ROUTER, second)];
    let workers = [stage.connect(5556, S::REP, S::DEALER, b""), stage.connect(5556, S::REP, S::DEALER, b"")];
    let assigned = [id(0x67), id(0x68)];
    let ids: [&[u8]; 2] = if first.is_empty() { [&assigned[0], &assigned[1]] } else { [first, second] };
    for round in 0..5 {
        for client in [0, 1] {
            stage.send(clients[client], C2s, &[b"", b"same"]);
        }
        for client in [0, 1] {
            stage.send(workers[(client + round) % 2], S2c, &[ids[client], b"", b"same"]);
        }
        for client in [1, 0] {
            stage.send(workers[(client + round) % 2], C2s, &[ids[client], b"", b"same"]);
        }
        for client in [1, 0] {
            stage.send(clients[client], S2c, &[b"", b"same"]);
        }
    }
    stage.finish()
}

#[test]
fn assigned_identities_are_found_without_any_difference_in_content() {
    let paths = proxied(b"", b"");
    assert_eq!(paths.len(), 10);
    for (number, path) in paths.iter().enumerate() {
        let client = (number % 2) as u32;
        let worker = 2 + (client + (number / 2) as u32) % 2;
        assert_eq!(route(path), (vec![client, worker], vec![worker, client]), "{path:?}");
        assert_eq!(path.status, Status::Complete);
        let expected = id(0x67 + client as u8);
        assert_eq!(path.request[1].identity.as_deref(), Some(&expected[..]));
        assert_eq!(path.reply[0].identity.as_deref(), Some(&expected[..]), "the reply will lose it");
        assert_eq!((&path.request[0].identity, &path.reply[1].identity), (&None, &None));
        assert_eq!(path.request[1].evidence, Evidence::Assigned);
        assert!(path.confidence >= 0.9, "{}", path.confidence);
    }
}

#[test]
fn announced_identities_are_known_from_the_handshake() {
    let paths = proxied(b"alice", b"bob");
    assert_eq!(paths.len(), 10);
    for (number, path) in paths.iter().enumerate() {
        assert_eq!(path.request[1].conn, 2 + (number as u32 % 2 + (number / 2) as u32) % 2);
        assert_eq!(path.request[1].evidence, Evidence::Announced);
        let expected: &[u8] = [&b"alice"[..], b"bob"][number % 2];
        assert_eq!(path.request[1].identity.as_deref(), Some(expected));
    }
}

#[test]
fn the_same_identity_on_two_routers_names_two_different_connections() {
    let mut stage = Stage::new(&Limits::default());
    let one = (stage.connect(5555, S::REQ, S::ROUTER, b""), stage.connect(5556, S::REP, S::DEALER, b""));
    let two = (stage.connect(6555, S::REQ, S::ROUTER, b""), stage.connect(6556, S::REP, S::DEALER, b""));
    for _ in 0..20 {
        for (client, worker) in [one, two] {
            stage.send(client, C2s, &[b"", b"same"]);
            stage.send(worker, S2c, &[&id(0x67), b"", b"same"]);
            stage.send(worker, C2s, &[&id(0x67), b"", b"same"]);
            stage.send(client, S2c, &[b"", b"same"]);
        }
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 40);
    for (number, path) in paths.iter().enumerate() {
        let (client, worker) = [one, two][number % 2];
        assert_eq!(route(path), (vec![client, worker], vec![worker, client]));
    }
}

#[test]
fn a_chain_of_proxies_is_followed_to_its_end() {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5555, S::REQ, S::ROUTER, b"");
    let between = stage.connect(5556, S::DEALER, S::ROUTER, b"");
    let worker = stage.connect(5557, S::REP, S::DEALER, b"");
    let (near, far) = (id(1), id(1));
    for _ in 0..3 {
        stage.send(client, C2s, &[b"", b"x"]);
        stage.send(between, C2s, &[&near, b"", b"x"]);
        stage.send(worker, S2c, &[&far, &near, b"", b"x"]);
        stage.send(worker, C2s, &[&far, &near, b"", b"y"]);
        stage.send(between, S2c, &[&near, b"", b"y"]);
        stage.send(client, S2c, &[b"", b"y"]);
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 3);
    for path in &paths {
        assert_eq!(route(path), (vec![client, between, worker], vec![worker, between, client]));
        assert_eq!(path.latency, Some(Duration::from_micros(50)));
    }
}

#[test]
fn what_entered_a_node_and_never_left_is_broken() {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5555, S::REQ, S::ROUTER, b"");
    let worker = stage.connect(5556, S::REP, S::DEALER, b"");
    for number in 0..4 {
        let body = [b'a' + number];
        stage.send(client, C2s, &[b"", &body]);
        stage.send(worker, S2c, &[&id(1), b"", &body]);
        stage.send(worker, C2s, &[&id(1), b"", &body]);
        if number != 1 {
            stage.send(client, S2c, &[b"", &body]);
        }
    }
    stage.send(client, C2s, &[b"", b"dropped"]);
    let statuses: Vec<_> =
        stage.finish().iter().map(|path| (path.status, path.request.len(), path.reply.len())).collect();
    let complete = (Status::Complete, 2, 2);
    assert_eq!(statuses, [complete, (Status::Broken, 2, 1), complete, complete, (Status::Broken, 1, 0)]);
}

#[test]
fn a_reply_without_a_request_is_unrequested() {
    let mut stage = Stage::new(&Limits::default());
    let conn = stage.connect(5555, S::REQ, S::REP, b"");
    stage.send(conn, S2c, &[b"", b"late"]);
    let paths = stage.finish();
    assert_eq!((paths[0].status, paths[0].request.len(), paths[0].reply.len()), (Status::Unrequested, 0, 1));
}

#[test]
fn publishing_makes_no_paths() {
    let mut stage = Stage::new(&Limits::default());
    let conn = stage.connect(5555, S::SUB, S::PUB, b"");
    stage.send(conn, S2c, &[b"topic", b"news"]);
    let pair = stage.connect(5556, S::DEALER, S::ROUTER, b"");
    stage.send(pair, C2s, &[b"one way"]);
    assert!(stage.finish().is_empty(), "a DEALER that nobody answers may be a one-way pipe");
}

#[test]
fn a_window_that_is_full_reports_what_is_done_and_keeps_what_is_not() {
    let limits = Limits { window_messages: 64, ..Limits::default() };
    let mut stage = Stage::new(&limits);
    let slow = stage.connect(5555, S::REQ, S::REP, b"");
    let fast = stage.connect(5555, S::REQ, S::REP, b"");
    stage.send(slow, C2s, &[b"", b"slow"]);
    for _ in 0..500 {
        stage.send(fast, C2s, &[b"", b"q"]);
        stage.send(fast, S2c, &[b"", b"a"]);
    }
    assert!(stage.paths.len() > 400, "reported on the way: {}", stage.paths.len());
    stage.send(slow, S2c, &[b"", b"done"]);
    assert_eq!(stage.correlator.given_up(), 0);
    let paths = stage.finish();
    assert_eq!(paths.len(), 501);
    assert!(paths.iter().all(|path| path.status == Status::Complete));
    let numbers: Vec<u64> = paths.iter().map(|path| path.number).collect();
    assert_eq!(numbers, (0..501).collect::<Vec<_>>());
}

#[test]
fn memory_is_bounded_when_nothing_is_ever_answered() {
    let limits = Limits { window_messages: 64, ..Limits::default() };
    let mut stage = Stage::new(&limits);
    let conns: Vec<u32> = (0..10).map(|_| stage.connect(5555, S::REQ, S::REP, b"")).collect();
    for number in 0..1000 {
        stage.send(conns[number % 10], C2s, &[b"", b"anyone there?"]);
    }
    assert!(stage.correlator.given_up() > 0, "and it is counted");
    let paths = stage.finish();
    assert_eq!(paths.len(), 1000, "every one is reported");
    assert!(paths.iter().all(|path| path.status == Status::Unanswered));
}

/// A DEALER that asks four at a time through a proxy, and a worker that answers the last first.
fn window_answered_backwards(token: impl Fn(usize) -> String) -> Vec<Path> {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5555, S::DEALER, S::ROUTER, b"");
    let worker = stage.connect(5556, S::DEALER, S::DEALER, b"");
    for window in 0..4 {
        let numbers = (4 * window)..(4 * window + 4);
        let asked = |number: usize| format!("call {} please", token(number)).into_bytes();
        let told = |number: usize| format!("{} is done", token(number)).into_bytes();
        numbers.clone().for_each(|number| stage.send(client, C2s, &[&asked(number)]));
        numbers.clone().for_each(|number| stage.send(worker, S2c, &[&id(1), &asked(number)]));
        numbers.clone().rev().for_each(|number| stage.send(worker, C2s, &[&id(1), &told(number)]));
        numbers.rev().for_each(|number| stage.send(client, S2c, &[&told(number)]));
    }
    stage.finish()
}

#[test]
fn a_window_answered_out_of_order_is_told_apart_by_what_replies_repeat() {
    let paths =
        window_answered_backwards(|number| format!("{:016x}", (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    assert_eq!(paths.len(), 16);
    for (number, path) in paths.iter().enumerate() {
        let mirrored = number / 4 * 4 + 3 - number % 4;
        let ordinals: Vec<u64> = path.hops().map(|hop| hop.ordinal).collect();
        assert_eq!(ordinals, [number, number, mirrored, mirrored].map(|ordinal| ordinal as u64));
        assert_eq!(path.reply[0].evidence, Evidence::Content);
        assert!(path.confidence >= 0.9, "{}", path.confidence);
    }
}

#[test]
fn a_window_whose_replies_repeat_nothing_is_in_doubt() {
    let paths = window_answered_backwards(|_| "something".to_owned());
    assert_eq!(paths.len(), 16);
    assert!(paths.iter().all(|path| path.status == Status::Complete && path.confidence < 0.9), "{paths:#?}");
}

#[test]
fn a_forward_captured_before_its_request() {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5555, S::REQ, S::ROUTER, b"");
    let worker = stage.connect(5556, S::REP, S::DEALER, b"");
    for number in 0..6 {
        let body = [b'a' + number];
        let mut both: [(u32, Direction, Vec<&[u8]>); 2] =
            [(client, C2s, vec![b"", &body]), (worker, S2c, vec![&[0, 0, 0, 0, 1], b"", &body])];
        if number == 3 {
            both.swap(0, 1);
        }
        for (conn, direction, parts) in &both {
            stage.send(*conn, *direction, parts);
        }
        stage.send(worker, C2s, &[&[0, 0, 0, 0, 1], b"", &body]);
        stage.send(client, S2c, &[b"", &body]);
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 6);
    for path in &paths {
        assert_eq!(route(path), (vec![client, worker], vec![worker, client]), "the cause first: {path:#?}");
        assert_eq!(path.status, Status::Complete);
    }
}

#[test]
fn a_capture_that_begins_between_request_and_reply() {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.join(5555);
    let worker = stage.join(5556);
    stage.send(worker, C2s, &[&id(1), b"", b"reply 0"]);
    stage.send(client, S2c, &[b"", b"reply 0"]);
    for number in 1..5 {
        let (asked, told) = (format!("request {number}").into_bytes(), format!("reply {number}").into_bytes());
        stage.send(client, C2s, &[b"", &asked]);
        stage.send(worker, S2c, &[&id(1), b"", &asked]);
        stage.send(worker, C2s, &[&id(1), b"", &told]);
        stage.send(client, S2c, &[b"", &told]);
    }
    let paths = stage.finish();
    let (unrequested, complete) = paths.split_first().expect("there are paths");
    assert_eq!((unrequested.status, route(unrequested)), (Status::Unrequested, (vec![], vec![worker, client])));
    assert_eq!(complete.len(), 4);
    for path in complete {
        assert_eq!((path.status, route(path)), (Status::Complete, (vec![client, worker], vec![worker, client])));
    }
}

#[test]
fn bodies_that_differ_only_in_length_are_no_sure_evidence() {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5555, S::REQ, S::ROUTER, b"");
    let worker = stage.connect(5556, S::REP, S::REQ, b"");
    for number in 0..5 {
        let zeros = vec![0; 10 + number];
        for (conn, direction) in [(client, C2s), (worker, S2c), (worker, C2s), (client, S2c)] {
            stage.send(conn, direction, &[b"", &zeros]);
        }
    }
    let paths = stage.finish();
    let joined: Vec<&Path> = paths.iter().filter(|path| path.request.len() == 2).collect();
    assert!(!joined.is_empty(), "{paths:?}");
    for path in joined {
        assert_eq!(path.request[1].evidence, Evidence::Content);
        assert!(path.request[1].confidence < 0.9, "{}", path.request[1].confidence);
    }
}

#[test]
fn a_server_answers_its_clients_where_they_asked() {
    let mut stage = Stage::new(&Limits::default());
    let clients = [stage.connect(5555, S::CLIENT, S::SERVER, b""), stage.connect(5555, S::CLIENT, S::SERVER, b"")];
    for _ in 0..3 {
        for client in clients {
            stage.send(client, C2s, &[b"same"]);
        }
        for client in clients.into_iter().rev() {
            stage.send(client, S2c, &[b"same"]);
        }
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 6);
    for (number, path) in paths.iter().enumerate() {
        assert_eq!(route(path), (vec![clients[number % 2]], vec![clients[number % 2]]));
        assert!(path.confidence >= 0.9);
    }
}

#[test]
fn what_a_dealer_sent_in_a_burst_is_put_in_the_order_of_its_turns() {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5555, S::DEALER, S::ROUTER, b"");
    let workers: Vec<u32> = (0..3).map(|_| stage.connect(5556, S::REP, S::DEALER, b"")).collect();
    for _ in 0..4 {
        (0..6).for_each(|_| stage.send(client, C2s, &[b"", b"same"]));
        // Each connection's two leave together, as they do when the kernel takes them at once.
        for &worker in &workers {
            (0..2).for_each(|_| stage.send(worker, S2c, &[&id(1), b"", b"same"]));
        }
        for &worker in &workers {
            for _ in 0..2 {
                stage.send(worker, C2s, &[&id(1), b"", b"same"]);
                stage.send(client, S2c, &[b"", b"same"]);
            }
        }
        stage.pause(Duration::from_millis(5));
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 24);
    for (number, path) in paths.iter().enumerate() {
        assert_eq!(path.request[1].conn, workers[number % 3], "request {number}");
        assert_eq!(path.request[1].ordinal, number as u64 / 3, "request {number}");
    }
}
