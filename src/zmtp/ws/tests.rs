//! Sessions over WebSocket, fed with octets written down by hand from RFC 6455 and RFC 45, and in libzmq's way.

use super::exchange::{Exchange, Outcome, Upgrade};
use crate::base::chunk::{Chunk, Data, PacketId, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::zmtp::anomaly::Anomaly;
use crate::zmtp::carrier::Beginning;
use crate::zmtp::event::{EventSink, Frame, FrameKind, Message};
use crate::zmtp::handshake::Progress;
use crate::zmtp::peer::Peer;
use crate::zmtp::session::Session;
use crate::zmtp::wire::greeting::MechanismName;
use Direction::{ClientToServer as C2s, ServerToClient as S2c};

/// As libzmq 4.3.5 sends it.
const REQUEST: &[u8] = b"GET /zmq HTTP/1.1\r\nHost: 127.0.0.1:19070\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: RUU2I2eYPBuaQrPgV0uLaA==\r\nSec-WebSocket-Protocol: ZWS2.0/NULL,ZWS2.0\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn response(subprotocol: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    )
    .into_bytes()
}

/// What a session told.
#[derive(Default)]
struct Log {
    frames: Vec<String>,
    messages: Vec<String>,
    hashes: Vec<u64>,
    codes: Vec<&'static str>,
    /// The packet with the last octet of each frame.
    ends: Vec<u64>,
}

impl EventSink for Log {
    fn frame(&mut self, _: PerDirection<&Peer>, frame: &Frame<'_>) {
        let kind = match &frame.kind {
            FrameKind::Upgrade(_) => "upgrade".to_owned(),
            FrameKind::Control(opcode) => opcode.name().unwrap_or("?").to_owned(),
            FrameKind::Identity => "identity".to_owned(),
            FrameKind::Command(Some(command)) => String::from_utf8_lossy(command.name).into_owned(),
            FrameKind::Part { ordinal, part, .. } => format!("part {ordinal}.{part}"),
            other => format!("{other:?}"),
        };
        let missing = if frame.missing > 0 { format!(" -{}", frame.missing) } else { String::new() };
        self.ends.push(frame.end.packet.number());
        let direction = frame.direction.abbreviation();
        self.frames.push(format!("{direction} @{} {kind} {}{missing}", frame.offset, frame.length));
    }

    fn message(&mut self, _: PerDirection<&Peer>, message: &Message<'_>) {
        let head = |part| String::from_utf8_lossy(message.head(part)).into_owned();
        let parts: Vec<_> = message.parts.iter().map(head).collect();
        self.messages.push(format!("{} {} {}", message.direction.abbreviation(), message.ordinal, parts.join("|")));
        self.hashes.extend(message.parts.iter().map(|part| part.hash));
    }

    fn peer(&mut self, _: Direction, _: &Peer) {}

    fn lost(&mut self, _: Direction) {}

    fn anomaly(&mut self, anomaly: Anomaly) {
        self.codes.push(anomaly.code);
    }
}

/// A session, and how far each direction got.
struct Talk {
    session: Session,
    offsets: PerDirection<u64>,
    packets: u64,
    log: Log,
}

impl Talk {
    fn new(upgrade: Upgrade) -> Self {
        let session = Session::new(Beginning::WebSocket(upgrade), None);
        Self { session, offsets: PerDirection::default(), packets: 0, log: Log::default() }
    }

    /// Upgraded to this subprotocol; nothing told of that.
    fn upgraded(subprotocol: &str) -> Self {
        let response = response(subprotocol);
        let Outcome::Zws(upgrade) = exchanged(&[(C2s, REQUEST), (S2c, &response)], false) else {
            panic!("{subprotocol} was not accepted");
        };
        let mut talk = Self::new(upgrade);
        talk.bytes(C2s, REQUEST);
        talk.bytes(S2c, &response);
        assert_eq!(
            talk.log.frames,
            [format!("c2s @0 upgrade {}", REQUEST.len()), format!("s2c @0 upgrade {}", response.len())]
        );
        talk.log = Log::default();
        talk
    }

    /// Upgraded, and both READYs sent.
    fn ready() -> Self {
        let mut talk = Self::upgraded("ZWS2.0/NULL");
        talk.bytes(C2s, &client(0x82, b"\x02\x05READY\x0bSocket-Type\0\0\0\x06DEALER"));
        talk.bytes(S2c, &server(0x82, b"\x02\x05READY\x0bSocket-Type\0\0\0\x06DEALER"));
        assert_eq!(talk.session.handshake(), Progress::Complete);
        talk.log = Log::default();
        talk
    }

    fn send(&mut self, direction: Direction, data: Data<'_>) {
        self.packets += 1;
        let packet = PacketId::new(0, self.packets);
        let position = Position { packet, at: Timestamp(self.packets as i64) };
        let chunk = Chunk { position, offset: self.offsets[direction], data };
        self.offsets[direction] += data.length();
        self.session.chunk(direction, &chunk, &Limits::default(), &mut self.log);
    }

    fn bytes(&mut self, direction: Direction, bytes: &[u8]) {
        self.send(direction, Data::Bytes(bytes));
    }

    fn gap(&mut self, direction: Direction, length: usize) {
        self.send(direction, Data::Gap(length as u64));
    }
}

fn exchanged(pieces: &[(Direction, &[u8])], is_final: bool) -> Outcome {
    let limits = Limits::default();
    let mut exchange = Exchange::default();
    let mut offsets = PerDirection { c2s: 0, s2c: 0 };
    for (direction, bytes) in pieces {
        exchange.bytes(*direction, offsets[*direction], bytes, &limits);
        offsets[*direction] += bytes.len() as u64;
    }
    exchange.outcome(is_final, &limits)
}

fn length_octets(length: usize) -> Vec<u8> {
    match length {
        0..=125 => vec![length as u8],
        126..=0xFFFF => [&[126], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[127], &(length as u64).to_be_bytes()[..]].concat(),
    }
}

/// A frame as servers send them.
fn server(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first], &length_octets(payload.len())[..], payload].concat()
}

/// A frame as clients send them.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut length = length_octets(payload.len());
    length[0] |= 0x80;
    let masked: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask).collect();
    [&[first], &length[..], &mask, &masked].concat()
}

#[test]
fn frames_of_both_sides_are_decoded() {
    let mut talk = Talk::ready();
    assert_eq!(talk.session.mechanism(), Some(MechanismName::NULL));
    assert_eq!(talk.session.version().map(|version| version.to_string()), Some("ZWS2.0".to_owned()));
    // "more" and "last" by hand, with the mask of the RFC: 01, then 00 "Hello".
    talk.bytes(C2s, b"\x82\x81\x37\xfa\x21\x3d\x36");
    talk.bytes(C2s, b"\x82\x86\x37\xfa\x21\x3d\x37\xb2\x44\x51\x5b\x95");
    talk.bytes(S2c, b"\x82\x06\x00world");
    assert_eq!(talk.log.messages, ["c2s 0 |Hello", "s2c 0 world"]);
    assert!(talk.log.codes.is_empty());
}

#[test]
fn every_length_form_streams() {
    let mut talk = Talk::ready();
    for length in [0, 1, 124, 125, 126, 300, 65_534, 65_535, 65_536, 200_000] {
        let body: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
        let payload = [&[0], &body[..]].concat();
        talk.bytes(C2s, &client(0x82, &payload));
        for piece in server(0x82, &payload).chunks(1000) {
            talk.bytes(S2c, piece);
        }
        let hash = crate::base::hash::hash(&body);
        assert_eq!(talk.log.hashes.split_off(0), [hash, hash], "{length}");
    }
    assert!(talk.log.codes.is_empty());
}

#[test]
fn octet_by_octet_is_the_same() {
    let stream = [
        client(0x82, b"\x01one"),
        client(0x89, b"are you there?"),
        client(0x82, &[&[0][..], &[b'x'; 300]].concat()),
        client(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let mut whole = Talk::ready();
    whole.bytes(C2s, &stream);
    let mut cut = Talk::ready();
    for octet in &stream {
        cut.bytes(C2s, &[*octet]);
    }
    assert_eq!(whole.log.frames, cut.log.frames);
    assert_eq!((whole.log.messages, whole.log.hashes), (cut.log.messages, cut.log.hashes));
    let kinds: Vec<_> = whole.log.frames.iter().map(|frame| frame.split(' ').nth(2).expect("a kind")).collect();
    assert_eq!(kinds, ["part", "PING", "part", "CLOSE"]);
}

#[test]
fn fragments_make_one_frame() {
    let mut talk = Talk::ready();
    // The first fragment has not even the flag octet; a PING stands in between.
    talk.bytes(C2s, &client(0x02, b""));
    talk.bytes(C2s, &client(0x00, b"\0Hel"));
    talk.bytes(C2s, &client(0x89, b""));
    talk.bytes(C2s, &client(0x00, b"lo, "));
    talk.bytes(C2s, &client(0x80, b"world"));
    talk.bytes(C2s, &client(0x82, b"\0next"));
    assert_eq!(talk.log.messages, ["c2s 0 Hello, world", "c2s 1 next"]);
    assert_eq!(talk.log.hashes[0], crate::base::hash::hash(b"Hello, world"));
    assert_eq!(talk.log.codes, ["ws-fragmented"]);
    assert_eq!(talk.session.traffic(C2s).body_bytes, 16);
}

#[test]
fn a_frame_without_a_payload_ends_with_its_header() {
    // Unmasked, a header has two octets: here each is in a packet of its own.
    for (first, last_but_one) in [(0x80, &server(0x02, b"\0begun")[..]), (0x89, b"")] {
        let mut talk = Talk::ready();
        if !last_but_one.is_empty() {
            talk.bytes(S2c, last_but_one);
        }
        talk.bytes(S2c, &[first]);
        talk.bytes(S2c, &[0]);
        assert_eq!(talk.log.ends, [talk.packets], "in the packet with its last octet");
    }
}

#[test]
fn without_a_mechanism_the_first_message_is_the_identity() {
    let mut talk = Talk::upgraded("ZWS2.0");
    talk.bytes(C2s, &client(0x82, b"\0me"));
    talk.bytes(S2c, &server(0x82, b"\0"));
    talk.bytes(C2s, &client(0x82, b"\0first"));
    assert_eq!(talk.session.handshake(), Progress::Complete);
    assert_eq!(talk.session.peer(C2s).identity.as_deref(), Some(&b"me"[..]));
    assert_eq!(talk.session.peer(S2c).identity.as_deref(), Some(&b""[..]));
    assert_eq!((talk.session.mechanism(), talk.log.messages), (None, vec!["c2s 0 first".to_owned()]));
}

/// libzmq 4.3.5 was seen to ignore it.
#[test]
fn a_subscription_as_a_command_is_told_of() {
    let mut talk = Talk::ready();
    talk.bytes(C2s, &client(0x82, b"\x02\x09SUBSCRIBEnews"));
    talk.bytes(C2s, &client(0x82, b"\0\x01news"));
    assert_eq!(talk.log.codes, ["ws-subscribe"]);
}

#[test]
fn a_gap_in_a_payload_costs_its_octets() {
    let mut talk = Talk::ready();
    let frame = client(0x82, &[&[0][..], &[b'y'; 1000]].concat());
    talk.bytes(C2s, &frame[..100]);
    talk.gap(C2s, 801);
    talk.bytes(C2s, &frame[901..]);
    talk.bytes(C2s, &client(0x82, b"\0next"));
    assert!(talk.log.frames[0].ends_with("part 0.0 1000 -801"), "{:?}", talk.log.frames);
    assert_eq!((talk.log.messages.len(), talk.log.codes.len()), (2, 0));
}

#[test]
fn without_its_flags_a_frame_ends_nothing_for_sure() {
    let mut talk = Talk::ready();
    talk.bytes(S2c, &server(0x82, b"\x01one"));
    let frame = server(0x82, b"\0the flag octet is lost");
    talk.bytes(S2c, &frame[..2]);
    talk.gap(S2c, 10);
    talk.bytes(S2c, &frame[12..]);
    // May be the end of the message of the lost frame.
    talk.bytes(S2c, &server(0x82, b"\x01may be"));
    talk.bytes(S2c, &server(0x82, b"\0of it"));
    talk.bytes(S2c, &server(0x82, b"\0begins"));
    assert_eq!(talk.log.messages, ["s2c 0 begins"]);
    assert_eq!(talk.log.codes, ["sync-lost", "resync"]);
    assert_eq!(talk.session.traffic(S2c).broken_messages, 1);
}

#[test]
fn after_a_lost_header_frames_are_found_again() {
    for masked in [true, false] {
        let direction = if masked { C2s } else { S2c };
        let frame = |first, payload: &[u8]| if masked { client(first, payload) } else { server(first, payload) };
        let mut talk = Talk::ready();
        talk.bytes(direction, &frame(0x82, b"\0before"));
        talk.gap(direction, 30);
        talk.bytes(direction, b"the rest of what was lost");
        for number in 0..5 {
            talk.bytes(direction, &frame(0x82, format!("\0message {number}").as_bytes()));
        }
        let heard: Vec<_> = talk.log.messages.iter().map(|message| &message[4..]).collect();
        // The first only shows where a message ends.
        assert_eq!(heard, ["0 before", "1 message 1", "2 message 2", "3 message 3", "4 message 4"], "{masked}");
        assert_eq!(talk.log.codes, ["sync-lost", "resync"]);
    }
}

#[test]
fn what_is_wrong_is_told_and_passed_over() {
    for (frame, code, messages) in [
        (&b"\x81\x05Hello"[..], "ws-text", 2),
        (b"\x82\x00", "ws-empty", 2),
        (b"\x80\x02ab", "ws-out-of-place", 2),
        (b"\x82\x7e\0\x03\0ab", "ws-length-form", 3),
        (b"\x09\x01a", "ws-control", 2),
        (b"\x82\x03\xf0ab", "reserved-flags", 3),
        (b"\x82\x83\0\0\0\0\0ab", "ws-mask", 3),
    ] {
        let mut talk = Talk::ready();
        for _ in 0..2 {
            talk.bytes(S2c, frame);
        }
        talk.bytes(S2c, &server(0x82, b"\0last"));
        talk.bytes(S2c, &server(0x82, b"\0one more"));
        assert_eq!(talk.log.codes, [code], "told once");
        assert_eq!(talk.log.messages.len(), if messages == 3 { 4 } else { 2 }, "{code}");
    }
}

#[test]
fn compressed_and_unknown_frames_are_not_guessed_at() {
    let mut talk = Talk::ready();
    talk.bytes(S2c, &server(0xC2, b"\0deflated"));
    talk.bytes(S2c, &server(0x82, b"\0may be its end"));
    talk.bytes(S2c, &server(0x82, b"\0a message"));
    assert_eq!(
        (talk.log.codes, talk.log.messages),
        (vec!["ws-reserved-bits", "sync-lost", "resync"], vec!["s2c 0 a message".to_owned()])
    );

    for malformed in [&b"\x83\x01a"[..], b"\x82\x7f\x80\0\0\0\0\0\0\0"] {
        let mut talk = Talk::ready();
        talk.bytes(S2c, malformed);
        talk.bytes(S2c, &server(0x82, b"\0a message"));
        assert!(talk.log.messages.is_empty() && talk.log.codes.len() == 1, "{:?}", talk.log.codes);
    }
}

#[test]
fn a_refused_upgrade_has_no_frames() {
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nsorry";
    let Outcome::Zws(upgrade) = exchanged(&[(C2s, REQUEST), (S2c, answer)], true) else { panic!("it was asked for") };
    assert_eq!(upgrade.agreed, None);
    let mut talk = Talk::new(upgrade);
    talk.bytes(C2s, REQUEST);
    talk.bytes(S2c, answer);
    assert_eq!((talk.session.handshake(), talk.log.codes), (Progress::Failed, vec!["upgrade-refused"]));
    assert_eq!(talk.log.frames.len(), 2);
}

#[test]
fn only_an_agreement_on_zws_counts() {
    let accepted = response("ZWS2.0/NULL");
    let at = |outcome| match outcome {
        Outcome::Zws(upgrade) => Some((upgrade.client, upgrade.at.c2s, upgrade.at.s2c)),
        _ => None,
    };
    assert_eq!(at(exchanged(&[(C2s, REQUEST), (S2c, &accepted)], false)), Some((C2s, Some(0), Some(0))));
    assert_eq!(
        at(exchanged(&[(S2c, REQUEST), (C2s, &accepted)], false)),
        Some((S2c, Some(0), Some(0))),
        "any way round"
    );
    assert_eq!(exchanged(&[(C2s, REQUEST)], false), Outcome::Open);
    assert_eq!(exchanged(&[(C2s, REQUEST), (S2c, &accepted[..accepted.len() - 1])], false), Outcome::Open);
    assert_eq!(at(exchanged(&[(S2c, &accepted)], true)), Some((C2s, None, Some(0))), "one direction only");

    let other = response("mqtt");
    assert_eq!(exchanged(&[(C2s, REQUEST), (S2c, &other)], false), Outcome::Other);
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(exchanged(&[(C2s, get), (S2c, ok)], false), Outcome::Open);
    assert_eq!(exchanged(&[(C2s, get), (S2c, ok)], true), Outcome::Other);
}

#[test]
fn other_requests_may_come_before_and_bodies_are_not_read() {
    let accepted = response("ZWS2.0/NULL");
    let hidden = |head: &[u8]| [head, REQUEST, &accepted].concat();
    let post =
        hidden(format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", REQUEST.len() + accepted.len()).as_bytes());
    let echo =
        hidden(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", REQUEST.len() + accepted.len()).as_bytes());
    assert_eq!(exchanged(&[(C2s, &post), (S2c, &echo)], true), Outcome::Other, "only in bodies");

    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nHTTP/\r\n1\r\n1\r\n0\r\nA: b\r\n\r\n";
    let head = (&b"HEAD / HTTP/1.1\r\n\r\n"[..], &b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"[..]);
    let connect = (&b"CONNECT a:80 HTTP/1.1\r\n\r\n"[..], &b"HTTP/1.1 200 Connection established\r\n\r\n"[..]);
    for (asked, answered) in [(&post[..], &echo[..]), (b"GET / HTTP/1.1\r\n\r\n", chunked), head, connect] {
        let mut exchange = Exchange::default();
        let limits = Limits::default();
        // Octet by octet, the answers first.
        for (direction, stream) in [(S2c, [answered, &accepted].concat()), (C2s, [asked, REQUEST].concat())] {
            for (offset, octet) in stream.iter().enumerate() {
                assert_eq!(exchange.outcome(false, &limits), Outcome::Open);
                exchange.bytes(direction, offset as u64, &[*octet], &limits);
            }
        }
        let Outcome::Zws(upgrade) = exchange.outcome(false, &limits) else { panic!("{asked:?}") };
        assert_eq!((upgrade.at.c2s, upgrade.at.s2c), (Some(asked.len() as u64), Some(answered.len() as u64)));
    }
}
