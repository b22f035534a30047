//! Captures that hold one direction only, as behind asymmetric routing: what is there is read as it would be with the other.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze, analyze_with, read};
use crate::recording::Recording;
use std::path::Path;
use zmtpscope::analyze::connection::HandshakeOutcome;
use zmtpscope::analyze::engine::Options;
use zmtpscope::base::direction::Direction::{self, ClientToServer, ServerToClient};
use zmtpscope::capture::file::FileSource;
use zmtpscope::zmtp::anomaly::Severity;

/// The packets that the clients of `whole` sent, or its servers.
fn only(direction: Direction, packets: &[OwnedPacket], whole: &Recording) -> Vec<OwnedPacket> {
    let sends = |packet: &&OwnedPacket| {
        packet.segment().is_some_and(|segment| {
            whole.connections.iter().any(|connection| {
                let ends = match direction {
                    ClientToServer => (connection.client, connection.server),
                    ServerToClient => (connection.server, connection.client),
                };
                ends == (segment.source, segment.destination)
            })
        })
    };
    packets.iter().filter(sends).cloned().collect()
}

fn old(name: &str) -> Vec<OwnedPacket> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    read(FileSource::open(&path).expect("a fixture is a capture"))
}

/// Asserts that everything in `direction` is told as it is with the other direction, and that it is said what that rests on.
fn assert_read_alone(name: &str, packets: &[OwnedPacket], direction: Direction) {
    let whole = analyze(packets);
    let part = analyze(&only(direction, packets, &whole));
    let what = format!("{name} {}", direction.abbreviation());
    assert_eq!(part.connections.len(), whole.connections.len(), "{what}: connections");
    for (found, expected) in part.connections.iter().zip(&whole.connections) {
        assert_eq!((found.client, found.server), (expected.client, expected.server), "{what}");
        assert_eq!(found.version, expected.version, "{what}: version");
        assert_eq!(found.peers[direction].socket_type, expected.peers[direction].socket_type, "{what}: socket type");
        assert_eq!(found.peers[direction].identity, expected.peers[direction].identity, "{what}: identity");
        assert_eq!(found.traffic[direction], expected.traffic[direction], "{what}: traffic");
        assert!(!found.midstream, "{what}: its beginning is there");
        assert_ne!(found.handshake, HandshakeOutcome::Failed, "{what}: what was not seen did not fail");
        assert!(found.lost_bytes[direction.reverse()] > 10, "{what}: {:?}", found.lost_bytes);
        let stream = match direction {
            ClientToServer => (found.client, found.server),
            ServerToClient => (found.server, found.client),
        };
        let contents = |recording: &Recording| -> Vec<(u64, Vec<Vec<u8>>)> {
            let messages = recording.streams.get(&stream).into_iter().flat_map(|stream| &stream.messages);
            messages.map(|m| (m.ordinal, m.part_heads().map(<[u8]>::to_vec).collect())).collect()
        };
        assert_eq!(contents(&part), contents(&whole), "{what}: messages");
        let said: Vec<_> = part.findings.iter().filter(|finding| finding.conns == [found.conn]).collect();
        let one_direction: Vec<_> = said.iter().filter(|finding| finding.code == "one-direction").collect();
        assert_eq!(one_direction.len(), 1, "{what}: {said:?}");
        assert_eq!(one_direction[0].severity, Severity::Note, "{what}");
        let version = format!("version {}", found.version.as_deref().unwrap_or("none"));
        assert!(one_direction[0].text.contains(&version), "{what}: {}", one_direction[0].text);
        let blames = |code: &str| code.starts_with("handshake") || code == "sync-lost";
        assert!(!said.iter().any(|finding| blames(finding.code)), "{what}: {said:?}");
    }
    assert!(whole.findings.iter().all(|finding| finding.code != "one-direction"), "{name}: both are there");
}

#[test]
fn each_direction_of_3_x_is_read_without_the_other() {
    for name in ["reqrep", "proxy-announced", "chain2", "plain-ok", "pubsub", "large"] {
        let packets = fixture::named(name).packets();
        for direction in Direction::BOTH {
            assert_read_alone(name, &packets, direction);
        }
    }
}

/// `FF … 7F 03 03`: version 3.3, or revision 3 and a REQ. What follows tells, and so does revision 1 on the other side.
#[test]
fn each_direction_of_2_0_is_read_without_the_other() {
    let packets = old("old-rep3.2.2-req4.3.5.pcap");
    for direction in Direction::BOTH {
        assert_read_alone("2.0", &packets, direction);
    }
    let whole = analyze(&packets);
    assert!(whole.connections.iter().all(|connection| connection.version.as_deref() == Some("2.0")));
    assert_carries_the_truth(&whole);
}

/// What an independent reader finds in both captures of old versions: two connections, eight requests and replies on each.
fn assert_carries_the_truth(whole: &Recording) {
    assert_eq!(whole.connections.len(), 2);
    for connection in &whole.connections {
        for (direction, octets) in [(ClientToServer, 320), (ServerToClient, 328)] {
            let traffic = connection.traffic[direction];
            assert_eq!((traffic.messages, traffic.frames, traffic.body_bytes), (8, 16, octets));
        }
    }
}

/// A newer peer's signature is the header of its identity; a peer of 1.0 itself begins with nothing that could be told from
/// other protocols, unless the user says that it is ZMTP.
#[test]
fn version_1_0_is_read_alone_where_a_signature_or_the_user_tells() {
    let packets = old("old-rep2.2.0-req4.3.5.pcap");
    assert_read_alone("1.0", &packets, ClientToServer);
    let whole = analyze(&packets);
    assert_carries_the_truth(&whole);
    let replies = only(ServerToClient, &packets, &whole);
    assert_eq!(analyze(&replies).connections, [], "nothing is invented");
    let ports = whole.connections.iter().map(|connection| connection.server.port).collect();
    let told = analyze_with(Options { ports, ..Options::default() }, &replies);
    assert_eq!(told.connections.len(), whole.connections.len());
    for (found, expected) in told.connections.iter().zip(&whole.connections) {
        assert_eq!(found.version.as_deref(), Some("1.0"));
        assert_eq!(found.traffic.s2c, expected.traffic.s2c);
    }
}
