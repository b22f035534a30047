//! Security mechanisms without keys: what is known is told, what failed says why, and nothing is guessed.

use crate::conversation::{Conversation, command, frame, greeting};
use crate::fixture;
use crate::packets::{OwnedPacket, analyze, read};
use crate::program::on_capture;
use crate::recording::Recording;
use serde_json::Value;
use std::path::Path;
use zmtpscope::analyze::connection::HandshakeOutcome;
use zmtpscope::base::direction::Direction::{ClientToServer as C2s, ServerToClient as S2c};
use zmtpscope::capture::file::FileSource;

/// A capture that has no truth beside it: what is in it is in `fixtures/README.md`.
fn capture(name: &str) -> Vec<OwnedPacket> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    read(FileSource::open(&path).expect("a fixture is a capture"))
}

fn frames_of(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let bytes = std::fs::read(path).expect("a fixture can be read");
    let output = on_capture(&["frames", "--format", "jsonl"], &bytes);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Codes of the findings by server port.
fn codes(found: &Recording) -> Vec<(u16, &str)> {
    let port = |conn: u32| found.connections[conn as usize].server.port;
    let mut codes: Vec<_> = found.findings.iter().map(|finding| (port(finding.conns[0]), finding.code)).collect();
    codes.sort_unstable();
    codes
}

#[test]
fn every_refusal_of_libzmq_says_why() {
    let found = analyze(&capture("refusals.pcap"));
    let expected = [
        (13820, "socket-type-mismatch"),
        (13821, "delimiter-missing"),
        (13822, "delimiter-missing"),
        (13823, "handshake-refused-silently"),
        (13824, "handshake-refused-silently"),
        (13825, "handshake-refused-silently"),
        (13826, "curve-hello-refused"),
        (13827, "mechanism-mismatch"),
    ];
    assert_eq!(codes(&found), expected);
    let last = |finding: &zmtpscope::correlate::findings::Finding| finding.packets.len() == 1;
    assert!(found.findings.iter().all(last), "each names its packet");
}

#[test]
fn a_socket_that_connects_to_nobody_is_told_of() {
    // The first endpoint is bound after a second, the other never; libzmq tries each about every 100 ms.
    let found = analyze(&capture("nobody.pcap"));
    let [first, second] = &found.findings[..] else { panic!("{:?}", found.findings) };
    assert_eq!((first.code, second.code), ("connection-refused", "connection-refused"));
    assert!(first.text.contains("127.0.0.1:13830") && second.text.contains("127.0.0.1:13831"));
    assert_eq!((first.packets[0].number(), found.connections.len()), (1, 1));
    // Of one that was never bound a few attempts say nothing: it may be anything.
    // Five attempts on an endpoint that was never heard may be anything.
    assert!(analyze(&capture("nobody.pcap")[..10]).findings.is_empty());
}

#[test]
fn gssapi_is_followed_as_far_as_it_is_in_clear() {
    let found = analyze(&capture("gssapi.pcap"));
    let [connection] = &found.connections[..] else { panic!("{:?}", found.connections) };
    assert_eq!(connection.mechanism.as_deref(), Some("GSSAPI"));
    assert_eq!(connection.handshake, HandshakeOutcome::Complete, "READYs are in MESSAGE commands");
    // Five requests and replies of three parts, five heartbeats each way: parts and commands look alike.
    let traffic = connection.traffic;
    assert_eq!((traffic.c2s.messages, traffic.s2c.messages), (20, 20));
    assert_eq!((traffic.c2s.commands, traffic.s2c.commands), (3, 2), "INITIATE, wrapped READY, and an empty one");
    assert!(found.messages().all(|(_, message)| message.encrypted));
    let codes: Vec<_> = found.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["gssapi-closed"], "the empty command is none, and no token is missing");

    let frames = frames_of("gssapi.pcap");
    let initiate = &frames.iter().find(|frame| frame["name"] == "INITIATE").expect("there are two")["fields"];
    assert_eq!((&initiate["oid"], &initiate["token"]), (&"1.2.840.113554.1.2.2".into(), &"AP-REQ".into()));
    let message = frames.iter().find(|frame| frame["kind"] == "message").expect("there are some");
    assert_eq!((&message["encrypted"], &message["fields"]["token_length"]), (&true.into(), &61.into()));
    assert!(message["fields"]["sequence"].is_u64());
}

#[test]
fn gssapi_without_encryption_is_read() {
    let found = analyze(&capture("gssapi-plaintext.pcap"));
    assert_eq!(found.connections.len(), 2);
    for connection in &found.connections {
        assert_eq!(connection.handshake, HandshakeOutcome::Complete);
        assert_eq!(connection.peers.c2s.socket_type.as_deref(), Some("REQ"));
        let (c2s, s2c) = (connection.traffic.c2s, connection.traffic.s2c);
        assert_eq!((c2s.messages, c2s.frames, c2s.body_bytes), (10, 20, 400));
        assert_eq!((s2c.messages, s2c.frames, s2c.body_bytes), (10, 20, 410));
        assert_eq!((c2s.commands, s2c.commands), (3, 2));
    }
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    assert_eq!(found.paths.len(), 20);
}

#[test]
fn tokens_lost_of_gssapi_are_counted_by_their_sequence_numbers() {
    let packets = capture("gssapi.pcap");
    // The client's second request, three tokens, in a packet of its own.
    let lost = packets.iter().position(|packet| packet.position.packet.number() == 16).expect("packet 16");
    let left = packets.iter().enumerate().filter(|(number, _)| *number != lost).map(|(_, packet)| packet);
    let found = analyze(left);
    let told = found.findings.iter().find(|finding| finding.code == "gssapi-frames-lost").expect("a finding");
    assert!(told.text.starts_with("3 encrypted frames were lost"), "{}", told.text);
}

#[test]
fn curve_without_its_handshake_is_recognised_and_numbered_by_nonces() {
    let fixture = fixture::named("curve");
    // Greetings and handshake are in packets 1 to 13.
    let packets = fixture.packets();
    let found = analyze(&packets[13..]);
    let [connection] = &found.connections[..] else { panic!("{:?}", found.connections) };
    assert_eq!(connection.mechanism.as_deref(), Some("CURVE"), "its frames say so");
    let nonces = connection.curve.expect("it is CURVE").nonces;
    assert_eq!((nonces.c2s.first, nonces.s2c.first), (Some(3), Some(2)), "the first MESSAGE of each side");
    assert_eq!((nonces.c2s.last, nonces.s2c.last), (Some(12), Some(11)));
    assert!(found.messages().all(|(_, message)| message.encrypted));
    assert_eq!(found.messages().count(), 20);
    let later = analyze(&packets[17..]);
    let nonces = later.connections[0].curve.expect("it is CURVE").nonces;
    assert!(nonces.c2s.first > Some(3) && nonces.c2s.last == Some(12), "{nonces:?}");
}

#[test]
fn frames_taken_out_and_repeated_show_without_keys() {
    let message = |nonce: u64| frame(0, &[&b"\x07MESSAGE"[..], &nonce.to_be_bytes(), &[0xE5; 40]].concat());
    let mut talk = Conversation::open(40001);
    for direction in [C2s, S2c] {
        talk.say(direction, &greeting(b"CURVE"));
    }
    for nonce in [3, 4, 9, 9, 10] {
        talk.say(C2s, &message(nonce));
    }
    let found = analyze(&talk.packets);
    let texts: Vec<_> = found.findings.iter().filter(|f| f.code == "curve-nonce").map(|f| f.text.as_str()).collect();
    assert!(texts[0].contains("leaves out 4") && texts[1].contains("replay"), "{texts:?}");
    let nonces = found.connections[0].curve.expect("it is CURVE").nonces.c2s;
    assert_eq!((nonces.missing, nonces.repeated), (4, 1));
}

#[test]
fn a_mechanism_that_nobody_knows_is_named_and_its_frames_shown() {
    let mut talk = Conversation::open(40002);
    for direction in [C2s, S2c] {
        talk.say(direction, &greeting(b"X-HOME-MADE"));
        talk.say(direction, &command(b"X-PROOF", b"\x01\x02"));
    }
    talk.say(C2s, &frame(0, b"payload"));
    let found = analyze(&talk.packets);
    assert_eq!(found.connections[0].mechanism.as_deref(), Some("X-HOME-MADE"));
    assert_eq!(found.connections[0].handshake, HandshakeOutcome::Partial);
    assert_eq!(found.messages().map(|(_, message)| message.heads.clone()).collect::<Vec<_>>(), [b"payload"]);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}
