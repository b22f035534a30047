//! Sessions fed with bytes that were written down by hand from the RFCs and from libzmq's traffic.

use super::anomaly::Anomaly;
use super::event::{EventSink, Frame, FrameKind, Message};
use super::framer::{Framer, Item};
use super::handshake::Progress;
use super::peer::Peer;
use super::probe::{Framing, Preamble};
use super::session::Session;
use super::wire::greeting::MechanismName;
use super::wire::socket_type::SocketType;
use crate::base::chunk::{Chunk, Data, PacketId, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use Direction::{ClientToServer as C2s, ServerToClient as S2c};

/// What a session told, as short texts.
#[derive(Default)]
struct Log {
    frames: Vec<String>,
    messages: Vec<String>,
    codes: Vec<&'static str>,
}

impl EventSink for Log {
    fn frame(&mut self, _: PerDirection<&Peer>, frame: &Frame<'_>) {
        let kind = match &frame.kind {
            FrameKind::Greeting(greeting) => match greeting.mechanism {
                Some(mechanism) => format!("greeting {} {mechanism}", greeting.version),
                None => format!("greeting {}", greeting.version),
            },
            FrameKind::Upgrade(_) => "upgrade".to_owned(),
            FrameKind::Control(opcode) => opcode.name().unwrap_or("?").to_owned(),
            FrameKind::Identity => "identity".to_owned(),
            FrameKind::Command(Some(command)) => String::from_utf8_lossy(command.name).into_owned(),
            FrameKind::Command(None) => "command?".to_owned(),
            FrameKind::Part { ordinal, part, .. } => format!("part {ordinal}.{part}"),
            FrameKind::CutPart { .. } => "cut part".to_owned(),
        };
        let missing = if frame.missing > 0 { format!(" -{}", frame.missing) } else { String::new() };
        self.frames.push(format!(
            "{} @{} {kind} {}{missing}",
            frame.direction.abbreviation(),
            frame.offset,
            frame.length
        ));
    }

    fn message(&mut self, _: PerDirection<&Peer>, message: &Message<'_>) {
        let parts: Vec<_> =
            message.parts.iter().map(|part| String::from_utf8_lossy(message.head(part)).into_owned()).collect();
        self.messages.push(format!("{} {} {}", message.direction.abbreviation(), message.ordinal, parts.join("|")));
    }

    fn peer(&mut self, _: Direction, _: &Peer) {}

    fn lost(&mut self, _: Direction) {}

    fn anomaly(&mut self, anomaly: Anomaly) {
        self.codes.push(anomaly.code);
    }
}

/// A session, and how far each direction got.
#[derive(Default)]
struct Talk {
    session: Session,
    offsets: PerDirection<u64>,
    packets: u64,
    log: Log,
    limits: Limits,
}

impl Talk {
    fn send(&mut self, direction: Direction, data: Data<'_>) {
        self.packets += 1;
        let packet = PacketId::new(0, self.packets);
        let position = Position { packet, at: Timestamp(self.packets as i64) };
        let chunk = Chunk { position, offset: self.offsets[direction], data };
        self.offsets[direction] += data.length();
        self.session.chunk(direction, &chunk, &self.limits, &mut self.log);
    }

    fn bytes(&mut self, direction: Direction, bytes: &[u8]) {
        self.send(direction, Data::Bytes(bytes));
    }

    /// A connection of an old version.
    fn old(preamble: Preamble) -> Self {
        Self { session: Session::new(PerDirection { c2s: preamble, s2c: preamble }, None), ..Self::default() }
    }

    /// Both greetings and READYs of a NULL connection.
    fn connected(client: &str, server: &str) -> Self {
        let mut talk = Self::default();
        for (direction, socket_type) in [(C2s, client), (S2c, server)] {
            talk.bytes(direction, &greeting("NULL"));
            talk.bytes(direction, &ready(socket_type));
        }
        talk.log = Log::default();
        talk
    }
}

fn greeting(mechanism: &str) -> Vec<u8> {
    let mut octets = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    octets.extend(mechanism.bytes());
    octets.resize(64, 0);
    octets
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![flags, body.len() as u8];
    octets.extend(body);
    octets
}

fn property(name: &str, value: &[u8]) -> Vec<u8> {
    let mut octets = vec![name.len() as u8];
    octets.extend(name.bytes());
    octets.extend((value.len() as u32).to_be_bytes());
    octets.extend(value);
    octets
}

fn ready(socket_type: &str) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    body.extend(property("Socket-Type", socket_type.as_bytes()));
    frame(4, &body)
}

#[test]
fn request_and_reply_over_null() {
    let mut talk = Talk::default();
    // As libzmq sends it: 10, 1 and 53 octets of greeting.
    let octets = greeting("NULL");
    for direction in [C2s, S2c] {
        for piece in [&octets[..10], &octets[10..11], &octets[11..]] {
            talk.bytes(direction, piece);
        }
    }
    talk.bytes(C2s, &ready("REQ"));
    talk.bytes(S2c, &ready("REP"));
    assert_eq!(talk.session.handshake(), Progress::Complete);
    talk.bytes(C2s, &[1, 0, 0, 5, b'h', b'e', b'l', b'l', b'o']);
    talk.bytes(S2c, &[1, 0, 0, 5, b'w', b'o', b'r', b'l', b'd']);
    assert_eq!(talk.log.messages, ["c2s 0 |hello", "s2c 0 |world"]);
    assert_eq!(
        talk.log.frames,
        [
            "c2s @0 greeting 3.1 NULL 64",
            "s2c @0 greeting 3.1 NULL 64",
            "c2s @64 READY 25",
            "s2c @64 READY 25",
            "c2s @91 part 0.0 0",
            "c2s @93 part 0.1 5",
            "s2c @91 part 0.0 0",
            "s2c @93 part 0.1 5",
        ]
    );
    assert_eq!(talk.session.peer(C2s).socket_type, Some(SocketType::REQ));
    let traffic = talk.session.traffic(C2s);
    assert_eq!((traffic.messages, traffic.frames, traffic.commands, traffic.body_bytes), (1, 2, 1, 5));
    assert!(talk.log.codes.is_empty(), "{:?}", talk.log.codes);
}

#[test]
fn the_answer_does_not_depend_on_how_the_bytes_were_cut() {
    let mut stream = greeting("NULL");
    stream.extend(ready("DEALER"));
    for number in 0..20_u8 {
        stream.extend(frame(1, &[number; 3]));
        stream.extend(frame(4, b"\x04PING\0\x0a"));
        stream.extend([2, 0, 0, 0, 0, 0, 0, 1, 44]);
        stream.extend([number; 300]);
    }
    let told = |cuts: &dyn Fn(usize) -> usize| {
        let mut talk = Talk::default();
        let mut rest = &stream[..];
        let mut piece = 0;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts(piece).clamp(1, rest.len()));
            talk.bytes(C2s, now);
            (rest, piece) = (later, piece + 1);
        }
        (talk.log.frames, talk.log.messages, talk.session.traffic(C2s))
    };
    let whole = told(&|_| usize::MAX);
    assert_eq!(whole.1.len(), 20);
    assert_eq!(whole.2.commands, 21);
    assert_eq!(told(&|_| 1), whole, "byte by byte");
    for seed in 1..50_usize {
        assert_eq!(told(&|piece| (piece * seed * 7919) % 23 + 1), whole, "seed {seed}");
    }
}

#[test]
fn a_command_between_the_parts_of_a_message_neither_ends_nor_joins_it() {
    let mut talk = Talk::connected("DEALER", "ROUTER");
    talk.bytes(C2s, &frame(1, b"one"));
    talk.bytes(C2s, &frame(4, b"\x04PING\0\0"));
    talk.bytes(C2s, &frame(0, b"two"));
    assert_eq!(talk.log.messages, ["c2s 0 one|two"]);
}

#[test]
fn a_gap_inside_a_body_costs_only_its_bytes() {
    let mut talk = Talk::connected("PUSH", "PULL");
    talk.bytes(C2s, &[0, 10, b'a', b'b']);
    talk.send(C2s, Data::Gap(5));
    talk.bytes(C2s, b"xyz");
    talk.bytes(C2s, &frame(0, b"next"));
    assert_eq!(talk.log.messages, ["c2s 0 ab", "c2s 1 next"], "the head ends where the gap begins");
    assert_eq!(talk.log.frames[0], "c2s @92 part 0.0 10 -5");
    assert_eq!(talk.session.traffic(C2s).undecoded_bytes, 0);
}

#[test]
fn a_gap_over_a_header_costs_the_message_and_what_cannot_be_told() {
    let mut talk = Talk::connected("REQ", "REP");
    talk.bytes(C2s, &[1, 0, 1, 5, b'h']);
    talk.send(C2s, Data::Gap(5));
    talk.bytes(C2s, b"rest of a body that began in the gap");
    assert!(talk.log.messages.is_empty(), "nothing is invented: {:?}", talk.log.messages);
    assert_eq!(talk.log.codes, ["sync-lost"]);
    let traffic = talk.session.traffic(C2s);
    assert_eq!((traffic.undecoded_bytes, traffic.broken_messages), (36, 1));
    talk.bytes(S2c, &[1, 0, 0, 2, b'o', b'k']);
    assert_eq!(talk.log.messages, ["s2c 0 |ok"], "the other direction is unharmed");
    talk.bytes(C2s, &[1, 0, 0, 5, b'a', b'g', b'a', b'i', b'n']);
    assert_eq!(talk.log.messages[1], "c2s 0 |again", "a packet that is a whole message");
    assert_eq!(talk.log.codes, ["sync-lost", "resync"]);
    assert_eq!(talk.session.traffic(C2s).undecoded_bytes, 36);
}

#[test]
fn after_a_gap_the_rest_of_a_message_is_passed_over() {
    let mut talk = Talk::connected("PUSH", "PULL");
    talk.send(C2s, Data::Gap(20));
    // The end of a body and the last part of its message, then four whole messages, all in one packet.
    let mut packet = [&b"of it"[..], &frame(0, b"last part")].concat();
    for body in ["one", "two", "three", "four"] {
        packet.extend([frame(1, b"topic"), frame(0, body.as_bytes())].concat());
    }
    talk.bytes(C2s, &packet);
    assert_eq!(talk.log.messages, ["c2s 0 topic|one", "c2s 1 topic|two", "c2s 2 topic|three", "c2s 3 topic|four"]);
}

#[test]
fn a_capture_that_begins_midstream() {
    let mut talk = Talk::old(Preamble::Midstream(Framing::V3));
    talk.bytes(C2s, b"rest of a body");
    for _ in 0..2 {
        talk.bytes(C2s, &[1, 0, 0, 2, b'h', b'i']);
    }
    assert_eq!(talk.log.messages, ["c2s 0 |hi", "c2s 1 |hi"]);
    assert_eq!(talk.session.version(), None, "no greeting, no version");
}

#[test]
fn a_length_beyond_the_specification_is_told_and_not_believed() {
    let mut talk = Talk::connected("PUSH", "PULL");
    talk.bytes(C2s, &[2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3]);
    assert_eq!(talk.log.codes, ["frame-length"]);
    assert_eq!(talk.session.traffic(C2s).undecoded_bytes, 3);
}

#[test]
fn the_largest_frame_is_streamed_not_buffered() {
    let mut talk = Talk::connected("PUSH", "PULL");
    let mut header = vec![2];
    header.extend((i64::MAX as u64).to_be_bytes());
    talk.bytes(C2s, &header);
    let piece = vec![7; 65536];
    for _ in 0..1000 {
        talk.bytes(C2s, &piece);
    }
    talk.send(C2s, Data::Gap(i64::MAX as u64 - 1000 * 65536));
    talk.bytes(C2s, &frame(0, b"after"));
    assert_eq!(talk.log.messages.len(), 2);
    assert_eq!(talk.log.messages[1], "c2s 1 after");
    let limit = talk.limits.head_bytes;
    assert!(talk.log.messages[0].len() <= "c2s 0 ".len() + limit);
}

#[test]
fn plain_refused_by_libzmq() {
    let mut talk = Talk::default();
    talk.bytes(C2s, &greeting("PLAIN"));
    talk.bytes(S2c, &greeting("PLAIN"));
    talk.bytes(C2s, &frame(4, b"\x05HELLO\x05admin\x05wrong"));
    talk.bytes(S2c, &frame(4, b"\x5eRROR\x03400"));
    assert_eq!(talk.session.handshake(), Progress::Failed);
    assert_eq!(talk.log.codes, ["handshake-refused", "caret-rror"]);
}

#[test]
fn plain_accepted() {
    let mut talk = Talk::default();
    talk.bytes(C2s, &greeting("PLAIN"));
    talk.bytes(S2c, &greeting("PLAIN"));
    talk.bytes(C2s, &frame(4, b"\x05HELLO\x05admin\x06secret"));
    talk.bytes(S2c, &frame(4, b"\x07WELCOME"));
    let mut initiate = b"\x08INITIATE".to_vec();
    initiate.extend(property("Socket-Type", b"DEALER"));
    initiate.extend(property("Identity", b"me"));
    talk.bytes(C2s, &frame(4, &initiate));
    assert_eq!(talk.session.handshake(), Progress::Partial);
    talk.bytes(S2c, &ready("ROUTER"));
    assert_eq!(talk.session.handshake(), Progress::Complete);
    assert_eq!(talk.session.peer(C2s).identity.as_deref(), Some(&b"me"[..]));
    assert_eq!(talk.session.mechanism(), Some(MechanismName::PLAIN));
    assert!(talk.log.codes.is_empty(), "{:?}", talk.log.codes);
}

#[test]
fn peers_that_do_not_fit_are_told() {
    let mut talk = Talk::default();
    talk.bytes(C2s, &greeting("NULL"));
    talk.bytes(S2c, &greeting("CURVE"));
    assert_eq!(talk.log.codes, ["mechanism-mismatch"]);
    assert_eq!(talk.session.mechanism(), Some(MechanismName::NULL), "what the client asked for");
    let mut talk = Talk::default();
    for (direction, socket_type) in [(C2s, "REQ"), (S2c, "PUB")] {
        talk.bytes(direction, &greeting("NULL"));
        talk.bytes(direction, &ready(socket_type));
    }
    assert_eq!(talk.log.codes, ["socket-type-mismatch"]);
}

#[test]
fn curve_traffic_is_counted_and_known_to_be_encrypted() {
    let mut talk = Talk::default();
    talk.bytes(C2s, &greeting("CURVE"));
    talk.bytes(S2c, &greeting("CURVE"));
    let mut message = b"\x07MESSAGE".to_vec();
    message.extend(3_u64.to_be_bytes());
    message.extend([0xEE; 20]);
    talk.bytes(C2s, &frame(0, &message));
    assert_eq!(talk.session.traffic(C2s).messages, 1);
    assert!(talk.log.frames.contains(&"c2s @64 part 0.0 36".to_owned()), "{:?}", talk.log.frames);
}

#[test]
fn reserved_flags_are_told_once_and_ignored_as_libzmq_does() {
    let mut talk = Talk::connected("PUSH", "PULL");
    talk.bytes(C2s, &frame(0x80, b"a"));
    talk.bytes(C2s, &frame(0x40, b"b"));
    assert_eq!(talk.log.messages, ["c2s 0 a", "c2s 1 b"]);
    assert_eq!(talk.log.codes, ["reserved-flags"]);
}

#[test]
fn more_parts_than_the_limit_are_counted_not_kept() {
    let mut talk = Talk::connected("PUSH", "PULL");
    talk.limits.parts = 3;
    for _ in 0..9 {
        talk.bytes(C2s, &frame(1, b"x"));
    }
    talk.bytes(C2s, &frame(0, b"end"));
    assert_eq!(talk.log.messages, ["c2s 0 x|x|x"]);
    assert_eq!((talk.session.traffic(C2s).frames, talk.session.traffic(C2s).body_bytes), (10, 12));
    talk.bytes(C2s, &frame(0, b"next"));
    assert_eq!(talk.log.messages[1], "c2s 1 next");
}

#[test]
fn zmtp_2_0_begins_with_a_socket_type_and_an_identity() {
    let mut talk = Talk::old(Preamble::ShortGreeting(Framing::V2));
    // libzmq 4.3.5 DEALER "ident" to libzmq 3.2 ROUTER: octets as captured.
    talk.bytes(C2s, b"\xff\0\0\0\0\0\0\0\x06\x7f\x03\x05\0\x05ident\x01\x01p\0\x01q");
    talk.bytes(S2c, b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x06\0\0\0\x02ok");
    assert_eq!(talk.log.messages, ["c2s 0 p|q", "s2c 0 ok"]);
    assert_eq!(talk.log.frames[..2], ["c2s @0 greeting 2.0 12", "c2s @12 identity 5"]);
    let peer = talk.session.peer(C2s);
    assert_eq!((peer.identity.as_deref(), peer.socket_type), (Some(&b"ident"[..]), Some(SocketType::DEALER)));
    assert_eq!(talk.session.peer(S2c).identity.as_deref(), Some(&b""[..]));
    assert_eq!(talk.session.version().map(|version| version.to_string()).as_deref(), Some("2.0"));
    assert_eq!((talk.session.handshake(), talk.session.mechanism()), (Progress::Complete, None));
    assert!(talk.log.codes.is_empty(), "{:?}", talk.log.codes);
}

#[test]
fn zmtp_1_0_has_no_greeting_and_counts_flags_as_length() {
    let mut talk = Talk::old(Preamble::Frames);
    talk.bytes(C2s, b"\x01\x7e\x01\x7f\x06\x7ehello");
    talk.bytes(S2c, b"\x06\0other\x01\x01\xff\0\0\0\0\0\0\x01\x05\0");
    talk.bytes(S2c, &[b'q'; 260]);
    assert_eq!(talk.log.messages[0], "c2s 0 |hello");
    assert_eq!(talk.log.frames[4], "s2c @7 part 0.0 0");
    assert_eq!(talk.log.frames[5], "s2c @9 part 0.1 260");
    assert_eq!(talk.session.traffic(S2c).body_bytes, 260);
    assert_eq!(talk.session.peer(S2c).identity.as_deref(), Some(&b"other"[..]));
    assert_eq!(talk.session.handshake(), Progress::Complete);
}

#[test]
fn to_a_1_0_peer_the_signature_is_the_header_of_the_identity() {
    let mut talk = Talk::old(Preamble::Frames);
    talk.bytes(C2s, b"\xff\0\0\0\0\0\0\0\x06\x7fident\x02\x01p\x02\0q");
    assert_eq!(talk.log.messages, ["c2s 0 p|q"], "the signature's MORE bit means nothing");
    assert_eq!(talk.session.peer(C2s).identity.as_deref(), Some(&b"ident"[..]));
}

#[test]
fn a_frame_of_no_length_ends_a_1_0_stream() {
    let mut talk = Talk::old(Preamble::Frames);
    talk.bytes(C2s, b"\x01\0\0\0\0");
    assert_eq!(talk.log.codes, ["frame-length"]);
    assert!(talk.log.messages.is_empty());
}

/// What a SUB of libzmq 4.3.5 sent to a peer of this greeting: topics of 1, 255 and 254 octets, then the second cancelled.
fn topics_of_libzmq(introduction: &[u8]) -> Vec<u8> {
    let long = |wanted: u8| [&[0, 0, 0, 0, 0, 0, 0, 1, 0, wanted][..], &[b't'; 255]].concat();
    let last = [&[0, 0xFF, 1][..], &[b'u'; 254]].concat();
    [introduction, b"\0\x02\x01a", &long(1), &last, &long(0)].concat()
}

#[test]
fn libzmq_mistakes_the_length_of_a_topic_of_255_octets() {
    // 4.3.3 and later, to peers of 3.0 and 2.0: the length in 8 octets, without the LONG flag.
    let mut greeting_3_0 = greeting("NULL");
    greeting_3_0[11] = 0;
    let sub_3_1 = [greeting("NULL"), ready("SUB")].concat();
    let pub_3_0 = [greeting_3_0, ready("PUB")].concat();
    let (sub_2_0, pub_2_0) = (b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x02\0\0", b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x01\0\0");
    for old in [false, true] {
        let publisher = if old { &pub_2_0[..] } else { &pub_3_0 };
        let sent = topics_of_libzmq(if old { sub_2_0 } else { &sub_3_1 });
        for piece in [1, 2, 3, 7, 10, 64, 300, usize::MAX] {
            let mut talk = if old { Talk::old(Preamble::ShortGreeting(Framing::V2)) } else { Talk::default() };
            talk.bytes(S2c, publisher);
            sent.chunks(piece.min(sent.len())).for_each(|piece| talk.bytes(C2s, piece));
            let lengths: Vec<_> = talk.log.messages.iter().map(String::len).collect();
            assert_eq!(lengths, [8, 6 + 256, 6 + 255, 6 + 256], "{old} {piece}: {:?}", talk.log.messages);
            assert!(talk.log.messages[3].starts_with("c2s 3 \0t"), "cancelled");
            assert_eq!(talk.log.codes, ["topic-255"; 2], "{old} {piece}");
        }
    }
}

#[test]
fn empty_messages_of_an_xsub_are_no_mistaken_length() {
    let mut greeting_3_0 = greeting("NULL");
    greeting_3_0[11] = 0;
    // Behind them a mistaken length, as in a proxy whose back end is an XSUB.
    let mistaken = [&b"\0\0\0\0\0\0\0\x01\0\0"[..], &[b't'; 255]].concat();
    let sent = [b"\0\0\0\0\0\x01x\0\0".to_vec(), mistaken].concat();
    for piece in [1, 2, 3, 5, usize::MAX] {
        let mut talk = Talk::default();
        talk.bytes(S2c, &[greeting_3_0.clone(), ready("XPUB")].concat());
        talk.bytes(C2s, &[greeting("NULL"), ready("XSUB")].concat());
        talk.log = Log::default();
        sent.chunks(piece.min(sent.len())).for_each(|piece| talk.bytes(C2s, piece));
        let expected = [(92, 0, 0), (94, 1, 0), (96, 2, 1), (99, 3, 0), (101, 4, 256)];
        let expected = expected.map(|(offset, ordinal, length)| format!("c2s @{offset} part {ordinal}.0 {length}"));
        assert_eq!(talk.log.frames, expected, "{piece}");
        assert_eq!(talk.log.codes, ["topic-255"]);
    }
    // From a PUSH the same octets are what they look like.
    let mut talk = Talk::connected("PUSH", "PULL");
    talk.bytes(C2s, b"\0\0\0\0\0\0\0\x01\0");
    assert_eq!(talk.log.messages.len(), 4);
}

/// What may be a mistaken length is frames as it stands when nothing follows that tells.
#[test]
fn what_is_in_doubt_when_the_connection_ends_is_told() {
    let mut greeting_3_0 = greeting("NULL");
    greeting_3_0[11] = 0;
    for (octets, messages, codes) in [
        (&b"\0\0"[..], 1, &[][..]),
        (b"\0\0\0\0", 2, &[]),
        (b"\0\0\0", 1, &["frame-cut"]),
        (b"\0\0\0\0\0\0\0\x01", 3, &["frame-cut"]),
    ] {
        let mut talk = Talk::default();
        talk.bytes(S2c, &[greeting_3_0.clone(), ready("XPUB")].concat());
        talk.bytes(C2s, &[greeting("NULL"), ready("XSUB")].concat());
        talk.bytes(C2s, octets);
        assert_eq!(talk.log.messages, [""; 0], "{octets:?}: more may tell");
        talk.session.finish(&talk.limits, &mut talk.log);
        assert_eq!(talk.log.messages.len(), messages, "{octets:?}");
        assert_eq!(talk.session.traffic(C2s).messages, messages as u64);
        talk.session.closed(Position::default(), &mut talk.log);
        assert_eq!(talk.log.codes, codes, "{octets:?}");
    }
}

#[test]
fn a_missing_delimiter_is_told_once() {
    let mut talk = Talk::connected("REQ", "ROUTER");
    talk.bytes(C2s, b"\x01\0\0\x01q");
    talk.bytes(S2c, b"\x01\0\0\x01a");
    talk.bytes(S2c, b"\x01\x04abcd\x01\0\0\x01a");
    assert_eq!(talk.log.codes, [""; 0]);
    talk.bytes(S2c, b"\0\x01a");
    talk.bytes(S2c, b"\0\x01b");
    assert_eq!(talk.log.codes, ["delimiter-missing"]);
    let mut talk = Talk::connected("DEALER", "REP");
    talk.bytes(C2s, b"\0\0");
    assert_eq!(talk.log.codes, [""; 0], "ZMQ_PROBE_ROUTER");
    talk.bytes(C2s, b"\x01\x05ident\x01\0\0\x01q");
    assert_eq!(talk.log.codes, [""; 0]);
    talk.bytes(C2s, b"\x01\x01q\0\0");
    assert_eq!(talk.log.codes, ["delimiter-missing"], "nothing behind the empty frame");
}

/// tshark names the same packet: that of the length, not that of the flags.
#[test]
fn an_empty_frame_ends_in_the_packet_that_ends_its_header() {
    let mut framer = Framer::new(Preamble::Greeting);
    let mut ends = Vec::new();
    let mut offset = 0;
    for (bytes, number) in [&greeting("NULL")[..], b"\x01", b"\0\0", b"\0"].into_iter().zip(1..) {
        let position = Position { packet: PacketId::new(0, number), at: Timestamp(0) };
        framer.push(&Chunk { position, offset, data: Data::Bytes(bytes) }, &Limits::default(), &mut |at, item| {
            if matches!(item, Item::End) {
                ends.push(at.position.packet.number());
            }
        });
        offset += bytes.len() as u64;
    }
    assert_eq!(ends, [3, 4]);
}
