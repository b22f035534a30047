//! ZMTP over WebSocket in whole captures: what is recognised, what is left alone, and what no real peer would send.

use crate::conversation::{Conversation, metadata};
use crate::fixture;
use crate::formats::pcap_ns_big_endian;
use crate::packets::{OwnedPacket, analyze, analyze_with};
use crate::program::on_capture;
use std::collections::BTreeMap;
use zmtpscope::analyze::connection::HandshakeOutcome;
use zmtpscope::analyze::engine::Options;
use zmtpscope::base::direction::Direction::{self, ClientToServer as C2s, ServerToClient as S2c};

const GET: &[u8] = b"GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n";
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";

fn request(subprotocol: &str) -> Vec<u8> {
    format!(
        "GET /zmq HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

fn response(subprotocol: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    )
    .into_bytes()
}

/// One WebSocket frame, masked as its direction asks for.
fn frame(direction: Direction, first: u8, payload: &[u8]) -> Vec<u8> {
    let masked = if direction == C2s { 0x80 } else { 0 };
    let mut octets = vec![first];
    match payload.len() {
        short @ 0..=125 => octets.push(masked | short as u8),
        medium @ 126..=0xFFFF => {
            octets.push(masked | 0x7E);
            octets.extend((medium as u16).to_be_bytes());
        }
        long => {
            octets.push(masked | 0x7F);
            octets.extend((long as u64).to_be_bytes());
        }
    }
    let mask = if masked == 0 { [0; 4] } else { [0x37, 0xFA, 0x21, 0x3D] };
    if masked != 0 {
        octets.extend(mask);
    }
    octets.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    octets
}

/// Upgraded to NULL after so much HTTP, then READYs.
fn connected(before: usize) -> Conversation {
    let mut talk = Conversation::open(40_000);
    for _ in 0..before {
        talk.say(C2s, GET);
        talk.say(S2c, PAGE);
    }
    talk.say(C2s, &request("ZWS2.0/NULL"));
    talk.say(S2c, &response("ZWS2.0/NULL"));
    for direction in [C2s, S2c] {
        let ready = [&b"\x02\x05READY"[..], &metadata(&[("Socket-Type", b"DEALER")])].concat();
        talk.say(direction, &frame(direction, 0x82, &ready));
    }
    talk
}

#[test]
fn an_upgrade_may_come_after_other_requests() {
    for before in [0, 1, 20] {
        let mut talk = connected(before);
        talk.say(C2s, &frame(C2s, 0x82, b"\0asked"));
        talk.say(S2c, &frame(S2c, 0x82, b"\0answered"));
        let found = analyze(&talk.packets);
        assert_eq!(found.connections.len(), 1, "{before}");
        assert_eq!(found.connections[0].handshake, HandshakeOutcome::Complete);
        let offsets: Vec<_> = found.frames().map(|frame| frame.offset).collect();
        assert!(offsets.contains(&((before * GET.len()) as u64)), "offsets are those of the TCP stream: {offsets:?}");
        assert_eq!(found.messages().map(|(_, message)| message.heads.as_slice()).collect::<Vec<_>>().len(), 2);
        assert_eq!(found.findings, []);
    }
}

#[test]
fn other_websockets_and_plain_http_are_left_alone() {
    for (offered, chosen) in [("mqtt", "mqtt"), ("ZWS2.0, mqtt", "mqtt"), ("ZWS1.0", "ZWS1.0"), ("WSNetMQ", "WSNetMQ")]
    {
        let mut talk = Conversation::open(40_000);
        talk.say(C2s, &request(offered));
        talk.say(S2c, &response(chosen));
        for direction in [C2s, S2c, C2s, S2c] {
            talk.say(direction, &frame(direction, 0x82, b"\0looks like a message"));
        }
        let found = analyze(&talk.packets);
        assert_eq!((found.connections.len(), found.health.other_connections), (0, 1), "{offered}");
    }
    let mut talk = Conversation::open(40_000);
    for _ in 0..5000 {
        talk.say(C2s, GET);
        talk.say(S2c, PAGE);
    }
    let found = analyze(&talk.packets);
    assert_eq!((found.connections.len(), found.health.other_connections), (0, 1));
}

#[test]
fn a_refusal_is_a_failed_connection() {
    for answer in [&b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"[..], b""] {
        let mut talk = Conversation::open(40_000);
        talk.say(C2s, &request("ZWS2.0/NULL,ZWS2.0"));
        if !answer.is_empty() {
            talk.say(S2c, answer);
        }
        let found = analyze(&talk.packets);
        assert_eq!(found.connections.len(), 1);
        assert_ne!(found.connections[0].handshake, HandshakeOutcome::Complete);
        let told = found.findings.iter().any(|finding| finding.code == "upgrade-refused");
        assert_eq!(told, !answer.is_empty());
    }
}

#[test]
fn without_its_upgrade_a_websocket_is_zmtp_only_by_request() {
    let whole = fixture::named("ws-proxy");
    let original = analyze(&whole.packets());
    let known: BTreeMap<_, _> = original.messages().map(|(_, message)| (message.key, &message.parts)).collect();
    let middle: Vec<_> = whole.packets().into_iter().skip(120).collect();
    assert_eq!(analyze(&middle).messages().count(), 0);
    let ports: Vec<u16> = original.connections.iter().map(|connection| connection.server.port).collect();
    let found = analyze_with(Options { ports, ..Options::default() }, &middle);
    let mut count = 0;
    for (stream, message) in found.messages() {
        assert_eq!(known.get(&message.key), Some(&&message.parts), "{stream:?}: there was none such");
        count += 1;
    }
    assert!(count > 100, "only {count} messages");
}

#[test]
fn an_enormous_fragmented_message_is_not_kept() {
    let mut talk = connected(0);
    talk.say(C2s, &frame(C2s, 0x02, &[&[0][..], &vec![b'x'; 50_000]].concat()));
    for _ in 0..200 {
        talk.say(C2s, &frame(C2s, 0x00, &vec![b'x'; 50_000]));
    }
    talk.say(C2s, &frame(C2s, 0x80, b"end"));
    let found = analyze(&talk.packets);
    let (_, message) = found.messages().next().expect("one message");
    assert_eq!((message.parts[0].length, message.heads.len()), (201 * 50_000 + 3, 256));
}

#[test]
fn a_length_beyond_all_bounds_is_told() {
    let mut talk = connected(0);
    talk.say(S2c, b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff\0abc");
    let found = analyze(&talk.packets);
    assert!(found.findings.iter().any(|finding| finding.code == "frame-length"), "{:?}", found.findings);
    assert_eq!(found.messages().count(), 0);
}

#[test]
fn a_head_without_an_end_is_given_up() {
    let mut talk = Conversation::open(40_000);
    talk.say(C2s, b"GET / HTTP/1.1\r\n");
    for _ in 0..20_000 {
        talk.say(C2s, b"X-Field: value\r\n");
    }
    assert_eq!(analyze(&talk.packets).connections.len(), 0);
}

#[test]
fn noise_after_an_upgrade_ends_without_a_panic() {
    let random = &mut fastrand::Rng::with_seed(45);
    for _ in 0..200 {
        let mut talk = connected(0);
        for _ in 0..20 {
            let direction = if random.bool() { C2s } else { S2c };
            let length = random.usize(0..200);
            let noise: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            match random.u8(0..3) {
                0 => talk.say(direction, &noise),
                1 => talk.say(direction, &frame(direction, random.u8(..), &noise)),
                _ => talk.say(direction, &frame(direction, 0x82, &[&[random.u8(0..3)][..], &noise].concat())),
            }
        }
        let packets: Vec<OwnedPacket> = talk.packets.into_iter().filter(|_| random.u8(0..10) > 0).collect();
        analyze(&packets);
    }
}

#[test]
fn nothing_of_an_upgrade_reaches_a_terminal_as_it_is_nor_do_secrets() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{85}".as_bytes();
    let mut talk = Conversation::open(40_000);
    let request = String::from_utf8(request("ZWS2.0/NULL")).expect("text");
    let request =
        request.replace("/zmq", "/zmq?token=hunter2").replace("Host:", "Authorization: Basic hunter2\r\nHost:");
    talk.say(C2s, request.as_bytes());
    let response = String::from_utf8(response("ZWS2.0/NULL")).expect("text");
    talk.say(S2c, response.replace("Switching Protocols", "\u{202e}\u{85}").as_bytes());
    for direction in [C2s, S2c] {
        talk.say(direction, &frame(direction, 0x89, evil));
        talk.say(direction, &frame(direction, 0x88, &[b"\x03\xe8", evil].concat()));
    }
    let capture = pcap_ns_big_endian(&talk.packets);
    for view in [&["frames"][..], &["connections"], &["analyze"], &["findings"], &["frames", "--format", "csv"]] {
        let output = on_capture(view, &capture);
        let text = String::from_utf8(output.stdout).expect("text").replace("\r\n", "\n");
        let bad =
            |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!text.contains(bad), "{view:?}: {text:?}");
        assert!(!text.contains("hunter2") && !text.contains("68756e74657232"), "{view:?}: {text}");
    }
    let shown = on_capture(&["frames", "--show-secrets"], &capture);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("token=hunter2"));
}
