//! The fixtures against their truth: what the applications logged, joined with what an independent reader of the wire
//! found (`fixtures/README.md`).

use crate::fixture::{self, Fixture, TrueConnection, TrueHop, TrueSide};
use crate::metamorphic::{assert_no_sure_link_joins_two, assert_same_message};
use crate::packets::{analyze, analyze_with};
use crate::recording::{ConnectionRecord, MessageRecord, Recording};
use std::collections::{BTreeMap, BTreeSet};
use zmtpscope::analyze::connection::HandshakeOutcome;
use zmtpscope::base::direction::Direction;
use zmtpscope::base::text::hex;
use zmtpscope::correlate::path::Status;
use zmtpscope::flow::table::EndReason;

#[test]
fn every_zmtp_connection_is_found_and_nothing_else() {
    for fixture in fixture::all() {
        let name = &fixture.name;
        let found = analyze_with(fixture.options(), &fixture.packets());
        assert_eq!(found.health.packets, fixture.truth.packets, "{name}: packets");
        assert!(found.health.skipped.is_empty(), "{name}: {:?}", found.health.skipped);
        assert_eq!(found.health.tcp_connections, fixture.truth.connections.len() as u64, "{name}: TCP connections");
        let expected = zmtp_connections(&fixture);
        let endpoints = |c: &ConnectionRecord| (c.client.to_string(), c.server.to_string());
        assert_eq!(
            found.connections.iter().map(endpoints).collect::<Vec<_>>(),
            expected.iter().map(|c| (c.client.clone(), c.server.clone())).collect::<Vec<_>>(),
            "{name}: connections"
        );
        let others = fixture.truth.connections.len() - expected.len();
        assert_eq!(found.health.other_connections, others as u64, "{name}: other connections");
        for (number, (found, expected)) in found.connections.iter().zip(expected).enumerate() {
            assert_eq!(found.conn as usize, number, "{name}: numbers count up");
            assert_connection(found, expected, &fixture, &format!("{name}: connection {number}"));
        }
    }
}

fn zmtp_connections(fixture: &Fixture) -> Vec<&TrueConnection> {
    fixture.truth.connections.iter().filter(|connection| connection.zmtp.is_some()).collect()
}

fn assert_connection(found: &ConnectionRecord, expected: &TrueConnection, fixture: &Fixture, what: &str) {
    assert_eq!(found.start.at.0, expected.opened_ts, "{what}: its first packet");
    assert!(!found.midstream, "{what}: begins with its SYN");
    let both_closed = expected.closed.iter().all(|how| how.as_deref() == Some("FIN"));
    assert_eq!(found.end.reason == EndReason::Fin, both_closed, "{what}: {:?}", found.end);
    if !expected.handshake_visible {
        // What is not in the capture is not known, and least of all known to have failed.
        assert_ne!(found.handshake, HandshakeOutcome::Failed, "{what}: handshake");
        for (direction, side) in sides(expected) {
            let peer = &found.peers[direction];
            let known = |found: &Option<String>, expected| found.is_none() || found == expected;
            assert!(known(&peer.version, &side.version), "{what}: {peer:?}");
            assert!(known(&peer.socket_type, &side.socket_type), "{what}: {peer:?}");
            assert!(known(&peer.identity.as_deref().map(hex), &side.identity), "{what}: {peer:?}");
        }
        return;
    }
    assert_eq!(found.mechanism, expected.mechanism, "{what}: mechanism");
    let lower = expected.client_side.version.as_ref().min(expected.server_side.version.as_ref());
    assert_eq!(found.version.as_ref(), lower, "{what}: version");
    let handshake = match fixture.name.as_str() {
        "plain-refused" => HandshakeOutcome::Failed,
        _ => HandshakeOutcome::Complete,
    };
    assert_eq!(found.handshake, handshake, "{what}: handshake");
    for (direction, side) in sides(expected) {
        assert_side(found, direction, side, &format!("{what} {}", direction.abbreviation()));
    }
}

fn sides(connection: &TrueConnection) -> [(Direction, &TrueSide); 2] {
    [(Direction::ClientToServer, &connection.client_side), (Direction::ServerToClient, &connection.server_side)]
}

fn assert_side(found: &ConnectionRecord, direction: Direction, expected: &TrueSide, what: &str) {
    let (peer, traffic) = (&found.peers[direction], &found.traffic[direction]);
    assert_eq!(peer.version, expected.version, "{what}: version");
    assert_eq!(peer.socket_type, expected.socket_type, "{what}: socket type");
    assert_eq!(peer.identity.as_deref().map(hex), expected.identity, "{what}: identity");
    assert!(expected.fully_parsed, "{what}: a fixture whose truth is in doubt");
    if expected.messages_visible.is_some() {
        return; // Of a lossy capture, which has a test of its own.
    }
    assert_eq!(traffic.messages, expected.messages, "{what}: messages");
    assert_eq!(traffic.frames, expected.frames, "{what}: frames");
    assert_eq!(traffic.body_bytes, expected.payload_bytes, "{what}: bytes of bodies");
    assert_eq!(traffic.commands, expected.commands.values().sum::<u64>(), "{what}: commands");
    assert_eq!((traffic.undecoded_bytes, traffic.broken_messages), (0, 0), "{what}: all was decoded");
    assert_eq!(found.lost_bytes[direction], 0, "{what}: nothing is missing");
}

#[test]
fn every_hop_of_the_truth_is_a_message_of_these_frames() {
    let mut compared = 0;
    for fixture in fixture::of_paths() {
        let found = analyze_with(fixture.options(), &fixture.packets());
        let messages: BTreeMap<_, _> = found
            .messages()
            .map(|(stream, message)| ((stream.0.to_string(), stream.1.to_string(), message.ordinal), message))
            .collect();
        for request in &fixture.truth.requests {
            for hop in request.hops() {
                let what = format!("{}: request {}", fixture.name, request.token);
                assert_frames(messages[&(hop.src.clone(), hop.dst.clone(), hop.ordinal)], hop, &what);
                compared += 1;
            }
        }
    }
    assert!(compared > 2000, "only {compared} hops in the fixtures");
}

fn by_key(recording: &Recording) -> BTreeMap<u64, &MessageRecord> {
    let messages: BTreeMap<_, _> = recording.messages().map(|(_, message)| (message.key, message)).collect();
    assert_eq!(messages.len(), recording.messages().count(), "keys are distinct");
    messages
}

/// The parts of a message are the frames of a hop: all octets of short ones, the length of long ones.
fn assert_frames(message: &MessageRecord, hop: &TrueHop, what: &str) {
    assert_eq!(message.parts.len(), hop.frames_hex.len(), "{what}: parts");
    for ((part, head), frame) in message.parts.iter().zip(message.part_heads()).zip(&hop.frames_hex) {
        if let Some(digest) = frame.strip_prefix("sha256:") {
            let length = digest.rsplit(':').next().expect("sha256:HEX:LENGTH");
            assert_eq!(part.length.to_string(), length, "{what}: length of a part");
        } else {
            assert_eq!(part.length as usize * 2, frame.len(), "{what}: length of a part");
            assert!(frame.starts_with(&hex(head)), "{what}: {} is not the start of {frame}", hex(head));
            assert!(head.len() as u64 == part.length || head.len() >= 255, "{what}: the head was cut");
        }
    }
}

#[test]
fn loss_is_told_and_joins_no_two_requests() {
    let lossy = fixture::named("lossy");
    let original = fixture::named("proxy-assigned");
    let whole = analyze(&original.packets());
    let found = analyze(&lossy.packets());

    // What is missing is counted to the octet: each lost packet carried data, and none was sent again.
    let packets = original.packets();
    let lost = |number: &u64| packets[*number as usize].segment().expect("it carried data").payload.len() as u64;
    let lost_bytes: u64 = lossy.truth.lost_packets.iter().map(lost).sum();
    let told: u64 = found.connections.iter().map(|c| c.lost_bytes.c2s + c.lost_bytes.s2c).sum();
    assert_eq!(told, lost_bytes, "octets that are missing");

    // No message is invented, and what is called whole is.
    let known = by_key(&whole);
    for (stream, message) in found.messages() {
        let what = format!("{stream:?} {}", message.ordinal);
        let original = known.get(&message.key).unwrap_or_else(|| panic!("{what}: there was no such message"));
        assert_eq!(message.offset, original.offset, "{what}");
        assert_same_message(message, original, &what);
    }

    // No sure link joins messages of two requests.
    let mut request_of = BTreeMap::new();
    let mut key_of = BTreeMap::new();
    for (stream, message) in whole.messages() {
        key_of.insert((stream.0.to_string(), stream.1.to_string(), message.ordinal), message.key);
    }
    for request in &lossy.truth.requests {
        for hop in request.hops() {
            let key = key_of[&(hop.src.clone(), hop.dst.clone(), hop.ordinal)];
            request_of.insert(key, &request.token);
        }
    }
    let mut complete = BTreeSet::new();
    for path in &found.paths {
        assert_no_sure_link_joins_two(path, &request_of, "lossy");
        let tokens: BTreeSet<_> = path.hops().map(|hop| request_of[&hop.key]).collect();
        if path.status == Status::Complete && tokens.len() == 1 {
            complete.extend(tokens);
        }
    }

    // And those that can be followed all the way are.
    let seen: BTreeSet<_> = found.messages().map(|(_, message)| message.key).collect();
    for request in &lossy.truth.requests {
        let hop_seen = |hop: &TrueHop| {
            let key = key_of[&(hop.src.clone(), hop.dst.clone(), hop.ordinal)];
            hop.visible && seen.contains(&key)
        };
        if request.hops().all(hop_seen) {
            assert!(complete.contains(&request.token), "request {} can be followed and was not", request.token);
        }
    }
    // A direction is given up at a gap over a frame header, so few are left; none may be the answer to everything above.
    assert!(complete.len() >= 13, "only {} requests complete", complete.len());
}
