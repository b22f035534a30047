//! Devices on traffic written down by hand: what sockets of RFC 29 and 30 would send.

use super::super::correlator::Correlator;
use super::super::path::{Evidence, Path, Pattern, Status};
use super::super::written::Written;
use crate::base::chunk::{PacketId, Position};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::{Duration, Timestamp};
use crate::zmtp::peer::Peer;
use crate::zmtp::wire::socket_type::SocketType as S;
use Direction::{ClientToServer as C2s, ServerToClient as S2c};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const MICROS: fn(i64) -> Duration = Duration::from_micros;

/// Connections and messages as they happen, 100 µs apart unless said otherwise.
struct Stage {
    correlator: Correlator,
    conns: u32,
    now: i64,
    packets: u64,
    ordinals: BTreeMap<(u32, Direction), u64>,
    paths: Vec<Path>,
}

impl Stage {
    fn new() -> Self {
        Self {
            correlator: Correlator::new(&Limits::default()),
            conns: 0,
            now: 0,
            packets: 0,
            ordinals: BTreeMap::new(),
            paths: Vec::new(),
        }
    }

    /// A connection from host 10.0.0.`client` to a port of host 10.0.0.`server`; without types its handshake was not
    /// captured.
    fn connect(&mut self, client: u8, (server, port): (u8, u16), types: Option<(S, S)>) -> u32 {
        let conn = self.conns;
        self.conns += 1;
        self.now += 50_000_000;
        let host = |number| Ipv4Addr::new(10, 0, 0, number);
        let opened = self.position().at;
        let client = Endpoint::new(host(client), 40000 + conn as u16);
        self.correlator.connection(conn, client, Endpoint::new(host(server), port), opened);
        let Some((one, other)) = types else {
            for direction in Direction::BOTH {
                self.correlator.incomplete(conn, direction);
            }
            return conn;
        };
        for (direction, socket_type) in [(C2s, one), (S2c, other)] {
            let peer = Peer { socket_type: Some(socket_type), introduced: Some(self.position()), ..Peer::default() };
            self.correlator.peer(conn, direction, &peer);
        }
        conn
    }

    fn position(&mut self) -> Position {
        self.packets += 1;
        self.now += 100_000;
        Position { packet: PacketId::new(0, self.packets), at: Timestamp(self.now) }
    }

    fn pause(&mut self, time: Duration) {
        self.now += time.0;
    }

    /// Sends a message of one part; its key is the number of its packet.
    fn send(&mut self, (conn, direction): (u32, Direction), content: &str) -> u64 {
        let position = self.position();
        let ordinal = self.ordinals.entry((conn, direction)).or_default();
        let written = Written::new(&[content.as_bytes()]);
        let message = written.message(direction, *ordinal, 0, position);
        *ordinal += 1;
        self.correlator.message(conn, self.packets, &message, &mut |path| self.paths.push(path.clone()));
        self.packets
    }

    fn finish(mut self) -> Vec<Path> {
        self.correlator.finish(&mut |path| self.paths.push(path.clone()));
        self.paths
    }
}

/// The keys of each path's hops.
fn keys(paths: &[Path]) -> Vec<Vec<u64>> {
    paths.iter().map(|path| path.request.iter().map(|hop| hop.key).collect()).collect()
}

/// A device on host 9, its publisher on host 1, subscribers on hosts 2 and 3: the lanes in and out.
fn forwarder(stage: &mut Stage, inlet: S, outlet: S) -> ((u32, Direction), [(u32, Direction); 2]) {
    let entered = stage.connect(1, (9, 5555), Some((S::PUB, inlet)));
    let left = [2, 3].map(|host| stage.connect(host, (9, 5556), Some((S::SUB, outlet))));
    ((entered, C2s), left.map(|conn| (conn, S2c)))
}

#[test]
fn copies_of_a_publication_are_one_path_with_several_ends() {
    for (inlet, outlet) in [(S::XSUB, S::XPUB), (S::SUB, S::PUB)] {
        let mut stage = Stage::new();
        let (entered, left) = forwarder(&mut stage, inlet, outlet);
        let mut expected = Vec::new();
        for number in 0..5 {
            let content = format!("publication {number}");
            let mut hops = vec![stage.send(entered, &content)];
            hops.extend(left.map(|lane| stage.send(lane, &content)));
            expected.push(hops);
        }
        let paths = stage.finish();
        assert_eq!(keys(&paths), expected);
        for path in &paths {
            assert_eq!((path.status, path.pattern), (Status::Delivered, Some(Pattern::PubSub)));
            assert_eq!(path.request.iter().map(|hop| hop.after).collect::<Vec<_>>(), [None, None, Some(0)]);
            assert_eq!(path.request[1].evidence, Evidence::Content);
            assert_eq!(path.latency, Some(MICROS(200)));
            assert!(path.confidence >= 0.9, "{path:?}");
            assert_eq!(path.ends().map(|hop| hop.conn).collect::<Vec<_>>(), [1, 2]);
        }
    }
}

#[test]
fn heartbeats_that_are_all_equal_are_told_apart_by_order_and_time() {
    let mut stage = Stage::new();
    let (entered, left) = forwarder(&mut stage, S::XSUB, S::XPUB);
    // Before anybody subscribes.
    stage.send(entered, "HEARTBEAT");
    let mut expected = Vec::new();
    for _ in 0..12 {
        stage.pause(MICROS(100_000));
        let mut hops = vec![stage.send(entered, "HEARTBEAT")];
        hops.extend(left.map(|lane| stage.send(lane, "HEARTBEAT")));
        expected.push(hops);
    }
    let paths = stage.finish();
    assert_eq!(keys(&paths), expected);
    assert!(paths.iter().all(|path| path.confidence >= 0.9 && path.request[1].evidence == Evidence::Order));
}

/// At a high-water mark: a subscriber gets some of them, and nothing says which.
#[test]
fn which_of_equal_messages_were_lost_is_not_certain() {
    let mut stage = Stage::new();
    let (entered, left) = forwarder(&mut stage, S::XSUB, S::XPUB);
    for number in 0..24 {
        stage.pause(MICROS(100_000));
        stage.send(entered, "HEARTBEAT");
        stage.send(left[0], "HEARTBEAT");
        if number % 8 != 5 {
            stage.send(left[1], "HEARTBEAT");
        }
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 24);
    for path in &paths {
        assert!(path.request[1].confidence >= 0.9, "{path:?}");
        assert!(path.request.get(2).is_none_or(|hop| hop.confidence < 0.9), "{path:?}");
    }
}

#[test]
fn a_task_goes_to_one_worker_and_one_that_does_not_leave_is_told() {
    let mut stage = Stage::new();
    let entered = (stage.connect(1, (9, 5555), Some((S::PUSH, S::PULL))), C2s);
    // The PUSH connects to its workers: each connection is a socket of its own.
    let left = [2, 3].map(|host| (stage.connect(9, (host, 7000), Some((S::PUSH, S::PULL))), C2s));
    let mut expected = Vec::new();
    for number in 0..40 {
        let content = format!("task {number}");
        let mut hops = vec![stage.send(entered, &content)];
        if number != 20 {
            hops.push(stage.send(left[number % 2], &content));
        }
        expected.push(hops);
    }
    let paths = stage.finish();
    assert_eq!(keys(&paths), expected);
    let statuses: Vec<_> = paths.iter().map(|path| path.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == Status::Delivered).count(), 39);
    assert_eq!(statuses[20], Status::Broken);
}

#[test]
fn live_a_path_is_told_a_second_after_its_last_end_and_none_is_lost() {
    let mut stage = Stage::new();
    let (entered, left) = forwarder(&mut stage, S::XSUB, S::XPUB);
    for number in 0..20 {
        let content = format!("publication {number}");
        stage.send(entered, &content);
        for lane in left {
            stage.send(lane, &content);
        }
        for _ in 0..4 {
            stage.pause(MICROS(300_000));
            let Stage { correlator, paths, now, .. } = &mut stage;
            correlator.tick(Timestamp(*now), &mut |path| paths.push(path.clone()));
        }
        // Of the first few nobody can tell.
        assert!(number < 3 || stage.paths.len() == number + 1, "{} of {}", stage.paths.len(), number + 1);
    }
    assert_eq!(stage.correlator.forwarded_waiting(), 0);
    assert!(stage.finish().iter().all(|path| path.request.len() == 3));
}

/// Two publishers: while the one is silent, what is known of it is not forgotten.
#[test]
fn a_silent_publisher_is_not_forgotten() {
    let mut stage = Stage::new();
    let publishers = [1, 4].map(|host| (stage.connect(9, (host, 5555), Some((S::SUB, S::PUB))), S2c));
    let left = (stage.connect(2, (9, 5556), Some((S::SUB, S::PUB))), S2c);
    let mut number = 0;
    for speaking in [0, 1, 0, 1] {
        for _ in 0..10 {
            number += 1;
            let content = format!("publication {number}");
            stage.send(publishers[speaking], &content);
            stage.send(left, &content);
        }
        stage.pause(Duration::from_secs(5));
        let Stage { correlator, paths, now, .. } = &mut stage;
        correlator.tick(Timestamp(*now), &mut |path| paths.push(path.clone()));
        assert_eq!(stage.paths.len(), number);
    }
    let one_more = vec![stage.send(publishers[0], "one more"), stage.send(left, "one more")];
    assert_eq!(keys(&stage.finish()).last(), Some(&one_more));
}

#[test]
fn what_a_streamer_held_before_its_first_worker_came_is_followed() {
    let mut stage = Stage::new();
    let entered = (stage.connect(1, (9, 5555), Some((S::PUSH, S::PULL))), C2s);
    let tasks: Vec<String> = (0..20).map(|number| format!("task {number}")).collect();
    let came: Vec<u64> = tasks.iter().map(|task| stage.send(entered, task)).collect();
    let left = (stage.connect(2, (9, 5556), Some((S::PULL, S::PUSH))), S2c);
    let went: Vec<u64> = tasks.iter().map(|task| stage.send(left, task)).collect();
    let expected: Vec<Vec<u64>> = came.into_iter().zip(went).map(|(came, went)| vec![came, went]).collect();
    assert_eq!(keys(&stage.finish()), expected);
}

#[test]
fn without_handshakes_the_pattern_is_not_known_and_contents_tell() {
    let mut stage = Stage::new();
    let entered = (stage.connect(1, (9, 5555), None), C2s);
    let left = (stage.connect(2, (9, 5556), None), S2c);
    let mut expected = Vec::new();
    for number in 0..20 {
        let content = format!("publication {number}");
        expected.push(vec![stage.send(entered, &content), stage.send(left, &content)]);
    }
    let paths = stage.finish();
    assert_eq!(keys(&paths), expected);
    assert!(paths.iter().all(|path| path.pattern.is_none() && path.confidence >= 0.9));
}

#[test]
fn a_publisher_on_the_same_host_as_a_subscriber_of_other_content_is_no_device() {
    let mut stage = Stage::new();
    let (entered, left) = forwarder(&mut stage, S::SUB, S::PUB);
    for number in 0..100 {
        stage.send(entered, &format!("in {number}"));
        stage.send(left[0], &format!("out {number}"));
    }
    assert_eq!(stage.finish(), []);
}

#[test]
fn what_goes_out_before_it_comes_in_was_not_passed_on() {
    let mut stage = Stage::new();
    let (entered, left) = forwarder(&mut stage, S::SUB, S::PUB);
    for number in 0..100 {
        let content = format!("publication {number}");
        stage.send(left[0], &content);
        stage.send(entered, &content);
    }
    assert_eq!(stage.finish(), []);
}

/// A PUB that binds two endpoints, all on one host: what one subscriber received leaves at the other endpoint later.
#[test]
fn a_publisher_with_two_endpoints_is_not_surely_a_device() {
    let mut stage = Stage::new();
    let [one, other] = [5555, 5556].map(|port| (stage.connect(1, (1, port), Some((S::SUB, S::PUB))), S2c));
    for number in 0..100 {
        let content = format!("publication {number}");
        stage.send(one, &content);
        stage.send(other, &content);
    }
    assert!(stage.finish().iter().all(|path| path.confidence < 0.9));
}

/// The two count alike, but the one began a minute after the other.
#[test]
fn programs_that_count_alike_are_not_surely_a_device() {
    let mut stage = Stage::new();
    let entered = (stage.connect(1, (9, 5555), Some((S::PUSH, S::PULL))), C2s);
    let left = (stage.connect(2, (9, 5556), Some((S::PULL, S::PUSH))), S2c);
    for number in 0..50 {
        stage.send(entered, &number.to_string());
    }
    stage.pause(Duration::from_secs(60));
    for number in 0..50 {
        stage.send(left, &number.to_string());
    }
    assert!(stage.finish().iter().all(|path| path.confidence < 0.9));
}

#[test]
fn connections_that_carry_messages_both_ways_are_left_alone() {
    let mut stage = Stage::new();
    let entered = stage.connect(1, (9, 5555), None);
    let left = stage.connect(2, (9, 5556), None);
    for number in 0..20 {
        let content = format!("message {number}");
        stage.send((entered, C2s), &content);
        stage.send((left, S2c), &content);
        stage.send((left, C2s), &format!("answer {number}"));
        stage.send((entered, S2c), &format!("answer {number}"));
    }
    assert!(stage.finish().iter().all(|path| !path.is_one_way()));
}

#[test]
fn where_no_host_both_receives_and_sends_nothing_is_kept() {
    let mut stage = Stage::new();
    let lanes = [2, 3].map(|host| (stage.connect(host, (9, 5556), Some((S::SUB, S::PUB))), S2c));
    for number in 0..100 {
        for lane in lanes {
            stage.send(lane, &format!("publication {number}"));
        }
    }
    assert_eq!(stage.correlator.forwarded_waiting(), 0);
    assert_eq!(stage.finish(), []);
}
