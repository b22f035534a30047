//! Messages of many connections → paths.
//!
//! Invariants: no panic; a message is in one path at most, and was sent; paths are numbered without holes; a confidence is
//! 0 to 1, and a path's is the least of its hops'; only complete and delivered paths have a latency.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use zmtpscope::base::chunk::{PacketId, Position};
use zmtpscope::base::direction::Direction;
use zmtpscope::base::endpoint::Endpoint;
use zmtpscope::base::time::Timestamp;
use zmtpscope::correlate::correlator::Correlator;
use zmtpscope::correlate::path::{Path, Status};
use zmtpscope::zmtp::event::{Message, Part};
use zmtpscope::zmtp::peer::Peer;
use zmtpscope::zmtp::wire::socket_type::SocketType;
use zmtpscope_fuzz::views::small_limits;

#[derive(Arbitrary, Debug)]
enum Operation {
    Connect {
        server: u8,
        types: [u8; 2],
        identity: u8,
    },
    /// Parts are chosen from few, so that they meet.
    Send {
        conn: u8,
        to_server: bool,
        parts: Vec<u8>,
        later: u8,
    },
    Incomplete {
        conn: u8,
        to_server: bool,
    },
    End {
        conn: u8,
        by_server: bool,
    },
    Tick,
}

/// Identities as libzmq assigns them, an announced one, the delimiter, and bodies.
const PARTS: [&[u8]; 10] = [
    b"",
    b"\0\x6b\x8b\x45\x67",
    b"\0\x6b\x8b\x45\x68",
    b"\0\x6b\x8b\x45\x69",
    b"\0\x6b\x8b\x45\x6a",
    b"name",
    b"a",
    b"b",
    b"c",
    b"MDPW01",
];

fn check(path: &Path, number: &mut u64, sent: &BTreeSet<u64>, seen: &mut BTreeSet<u64>) {
    assert_eq!(path.number, *number);
    *number += 1;
    assert!(path.hops().count() > 0);
    assert!(path.latency.is_none() || matches!(path.status, Status::Complete | Status::Delivered));
    assert!((path.status != Status::Unrequested) || path.request.is_empty());
    let mut least = 1.0_f64;
    for hop in path.hops() {
        assert!((0.0..=1.0).contains(&hop.confidence), "{hop:?}");
        least = least.min(hop.confidence);
        assert!(sent.contains(&hop.key) && seen.insert(hop.key), "{hop:?}");
    }
    assert!((path.confidence - least).abs() < 1e-9, "{path:?}");
}

fuzz_target!(|operations: Vec<Operation>| {
    let mut correlator = Correlator::new(&small_limits());
    let (mut conns, mut now, mut paths) = (0_u32, 0_i64, 0_u64);
    let (mut sent, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut ordinals = std::collections::BTreeMap::<(u32, bool), u64>::new();
    for (number, operation) in (1_u64..).zip(&operations) {
        now += 10_000;
        let position = Position { packet: PacketId::new(0, number), at: Timestamp(now) };
        match operation {
            Operation::Connect { server, types, identity } => {
                let endpoint = |port| Endpoint::new([127, 0, 0, 1], port);
                let (client, server) = (endpoint(40_000 + conns as u16), endpoint(5_000 + u16::from(server % 4)));
                correlator.connection(conns, client, server, position.at);
                for (direction, socket_type) in Direction::BOTH.into_iter().zip(types) {
                    let peer = Peer {
                        socket_type: Some(SocketType(socket_type % 12)),
                        identity: Some(PARTS[usize::from(identity % 10)].into()),
                        introduced: Some(position),
                        ..Peer::default()
                    };
                    correlator.peer(conns, direction, &peer);
                }
                conns += 1;
            }
            Operation::Send { conn, to_server, parts, later } if conns > 0 && !parts.is_empty() => {
                let conn = u32::from(*conn) % conns;
                let mut heads = Vec::new();
                let described: Vec<Part> = parts
                    .iter()
                    .map(|&choice| {
                        let (part, start) = (PARTS[usize::from(choice % 10)], heads.len());
                        heads.extend(part);
                        let hash = u64::from(choice % 10);
                        Part { length: part.len() as u64, missing: 0, hash, head: start..heads.len() }
                    })
                    .collect();
                let ordinal = ordinals.entry((conn, *to_server)).or_default();
                let available = Position { at: Timestamp(now + i64::from(*later) * 10_000), ..position };
                let message = Message {
                    direction: if *to_server { Direction::ClientToServer } else { Direction::ServerToClient },
                    ordinal: *ordinal,
                    offset: 0,
                    start: position,
                    end: position,
                    available,
                    part_count: described.len() as u64,
                    parts: &described,
                    heads: &heads,
                    encrypted: false,
                    is_compared: true,
                };
                *ordinal += 1;
                sent.insert(number);
                correlator.message(conn, number, &message, &mut |path| check(&path, &mut paths, &sent, &mut seen));
            }
            Operation::Incomplete { conn, to_server } if conns > 0 => {
                let direction = if *to_server { Direction::ClientToServer } else { Direction::ServerToClient };
                correlator.incomplete(u32::from(*conn) % conns, direction);
            }
            Operation::End { conn, by_server } if conns > 0 => {
                correlator.ended(u32::from(*conn) % conns, position.at, *by_server);
            }
            Operation::Tick => {
                now += 300_000_000;
                correlator.tick(Timestamp(now), &mut |path| check(&path, &mut paths, &sent, &mut seen));
            }
            _ => {}
        }
    }
    correlator.finish(&mut |path| check(&path, &mut paths, &sent, &mut seen));
});
