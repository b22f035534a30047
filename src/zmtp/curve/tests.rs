//! Whole connections, sealed here as RFC 26 says, and opened by a session.

use super::boxes::{Sender, initiate_nonce, message_nonce, public_of, ready_nonce, welcome_nonce};
use crate::base::chunk::{Chunk, Data, PacketId, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;
use crate::base::text::hex;
use crate::base::time::Timestamp;
use crate::zmtp::anomaly::Anomaly;
use crate::zmtp::event::{EventSink, Frame, FrameKind, Message};
use crate::zmtp::keylog::{KeyLog, Public, Secret};
use crate::zmtp::peer::Peer;
use crate::zmtp::probe::Preamble;
use crate::zmtp::session::Session;
use Direction::{ClientToServer as C2s, ServerToClient as S2c};
use crypto_box::aead::AeadInPlace;
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use std::sync::Arc;

/// What a session told, as short texts.
#[derive(Default)]
struct Log {
    commands: Vec<String>,
    messages: Vec<String>,
    hashes: Vec<u64>,
    codes: Vec<&'static str>,
}

impl EventSink for Log {
    fn frame(&mut self, _: PerDirection<&Peer>, frame: &Frame<'_>) {
        if let FrameKind::Command(command) = frame.kind {
            let name = command.map_or("?".into(), |command| String::from_utf8_lossy(command.name).into_owned());
            self.commands.push(format!("{} {name}", frame.direction.abbreviation()));
        }
    }

    fn message(&mut self, _: PerDirection<&Peer>, message: &Message<'_>) {
        let text = |part| String::from_utf8_lossy(message.head(part)).into_owned();
        let parts: Vec<_> = message.parts.iter().map(text).collect();
        let parts = if message.encrypted { "closed".to_owned() } else { parts.join("|") };
        self.messages.push(format!("{} {} {parts}", message.direction.abbreviation(), message.ordinal));
        self.hashes.extend(message.parts.iter().map(|part| part.hash));
    }

    fn peer(&mut self, _: Direction, _: &Peer) {}

    fn lost(&mut self, _: Direction) {}

    fn anomaly(&mut self, anomaly: Anomaly) {
        self.codes.push(anomaly.code);
    }
}

fn secret(fill: u8) -> Secret {
    Secret::new([fill; 32])
}

fn sealed(public: &Public, secret: &Secret, nonce: &[u8; 24], plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    let key = SalsaBox::new(&PublicKey::from_bytes(*public), &SecretKey::from_bytes(**secret));
    let tag = key.encrypt_in_place_detached(nonce.into(), b"", &mut body).expect("it is short");
    [&tag[..], &body].concat()
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![flags | if body.len() > 255 { 2 } else { 0 }];
    if body.len() > 255 {
        octets.extend((body.len() as u64).to_be_bytes());
    } else {
        octets.push(body.len() as u8);
    }
    octets.extend(body);
    octets
}

fn metadata(socket_type: &str) -> Vec<u8> {
    let length = (socket_type.len() as u32).to_be_bytes();
    [b"\x0bSocket-Type", &length[..], socket_type.as_bytes()].concat()
}

/// Two peers, a session that watches them, and its keys.
struct Talk {
    session: Session,
    log: Log,
    limits: Limits,
    /// The side that sends HELLO.
    client: Direction,
    nonces: PerDirection<u64>,
    offsets: PerDirection<u64>,
    packets: u64,
    /// Octets that are given at a time.
    piece: usize,
}

impl Talk {
    /// Greetings and handshake of a client that is the side that sends in `client`. The session knows s' only.
    fn new(client: Direction, types: [&str; 2], piece: usize) -> Self {
        let keys = KeyLog::parse(&format!("CURVE_SERVER_TRANSIENT {}", hex(&*secret(0x51)))).0;
        Self::with_keys(client, types, piece, Some(&Arc::new(keys)))
    }

    fn with_keys(client: Direction, types: [&str; 2], piece: usize, keys: Option<&Arc<KeyLog>>) -> Self {
        let mut talk = Self {
            session: Session::new(PerDirection { c2s: Preamble::Greeting, s2c: Preamble::Greeting }, keys),
            log: Log::default(),
            limits: Limits::default(),
            client,
            nonces: PerDirection::default(),
            offsets: PerDirection::default(),
            packets: 0,
            piece,
        };
        let mut greeting = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
        greeting.extend(b"CURVE");
        greeting.resize(64, 0);
        talk.bytes(C2s, &greeting);
        talk.bytes(S2c, &greeting);
        talk.handshake(types);
        talk
    }

    fn handshake(&mut self, types: [&str; 2]) {
        let server = self.client.reverse();
        let (client_transient, server_transient) = (public_of(&secret(0xC1)), public_of(&secret(0x51)));
        let mut hello = b"\x05HELLO\x01\0".to_vec();
        hello.resize(hello.len() + 72, 0);
        hello.extend(client_transient);
        hello.extend(1_u64.to_be_bytes());
        hello.extend([0xB0; 80]);
        self.bytes(self.client, &frame(4, &hello));

        let plain = [&server_transient[..], &[0xCC; 96]].concat();
        let welcome_box = sealed(&client_transient, &secret(0x50), &welcome_nonce(&[7; 16]), &plain);
        self.bytes(server, &frame(4, &[b"\x07WELCOME", &[7; 16][..], &welcome_box].concat()));

        let plain = [&public_of(&secret(0xC0))[..], &[0; 96], &metadata(types[0])].concat();
        let initiate_box = sealed(&server_transient, &secret(0xC1), &initiate_nonce(2), &plain);
        let nonce = 2_u64.to_be_bytes();
        self.bytes(self.client, &frame(4, &[b"\x08INITIATE", &[0xCC; 96][..], &nonce, &initiate_box].concat()));

        let ready_box = sealed(&client_transient, &secret(0x51), &ready_nonce(1), &metadata(types[1]));
        self.bytes(server, &frame(4, &[b"\x05READY", &1_u64.to_be_bytes()[..], &ready_box].concat()));
        self.nonces[self.client] = 3;
        self.nonces[server] = 2;
    }

    fn data(&mut self, direction: Direction, data: Data<'_>) {
        self.packets += 1;
        let packet = PacketId::new(0, self.packets);
        let position = Position { packet, at: Timestamp(self.packets as i64) };
        let chunk = Chunk { position, offset: self.offsets[direction], data };
        self.offsets[direction] += data.length();
        self.session.chunk(direction, &chunk, &self.limits, &mut self.log);
    }

    fn bytes(&mut self, direction: Direction, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.data(direction, Data::Bytes(piece));
        }
    }

    /// A MESSAGE with these inner flags, as the body of a frame.
    fn message(&mut self, direction: Direction, flags: u8, content: &[u8]) -> Vec<u8> {
        let nonce = self.nonces[direction];
        self.nonces[direction] += 1;
        let sender = if direction == self.client { Sender::Client } else { Sender::Server };
        let plain = [&[flags], content].concat();
        let sealed = sealed(&public_of(&secret(0x51)), &secret(0xC1), &message_nonce(sender, nonce), &plain);
        [b"\x07MESSAGE", &nonce.to_be_bytes()[..], &sealed].concat()
    }

    fn send(&mut self, direction: Direction, outer: u8, flags: u8, content: &[u8]) {
        let body = self.message(direction, flags, content);
        self.bytes(direction, &frame(outer, &body));
    }
}

#[test]
fn parts_and_commands_of_either_outer_form() {
    // RFC 37 asks for COMMAND frames, libzmq sends message frames; whichever side listens may be the CURVE client.
    for (client, outer) in [(C2s, 0), (C2s, 4), (S2c, 0), (S2c, 4)] {
        let mut talk = Talk::new(client, ["SUB", "PUB"], usize::MAX);
        let server = client.reverse();
        talk.send(client, outer, 2, b"\x09SUBSCRIBEnews");
        talk.send(server, outer, 1, b"news");
        talk.send(server, outer, 2, b"\x04PING\0\x0a");
        talk.send(server, outer, 0, &[b'x'; 300]);
        talk.send(client, outer, 0, b"\x01old");
        let (there, back) = (client.abbreviation(), server.abbreviation());
        let text = "x".repeat(256);
        assert_eq!(talk.log.messages, [format!("{back} 0 news|{text}"), format!("{there} 0 \x01old")]);
        let expected: Vec<_> = [
            (there, "HELLO"),
            (back, "WELCOME"),
            (there, "INITIATE"),
            (back, "READY"),
            (there, "SUBSCRIBE"),
            (back, "PING"),
        ]
        .map(|(direction, name)| format!("{direction} {name}"))
        .into();
        assert_eq!(talk.log.commands, expected);
        assert!(talk.log.codes.is_empty(), "{:?}", talk.log.codes);
        let traffic = talk.session.traffic(server);
        assert_eq!((traffic.messages, traffic.frames, traffic.commands, traffic.body_bytes), (1, 2, 3, 304));
        assert_eq!(talk.session.decrypted(), Some(true));
        assert!(talk.session.peer(client).socket_type.is_some() && talk.session.peer(server).socket_type.is_some());
    }
}

#[test]
fn without_keys_each_frame_is_a_message_whatever_its_outer_form() {
    for outer in [0, 4] {
        let mut talk = Talk::with_keys(C2s, ["PUSH", "PULL"], usize::MAX, None);
        talk.send(C2s, outer, 1, b"one");
        talk.send(C2s, outer, 0, &[b'x'; 300]);
        assert_eq!(talk.log.messages, ["c2s 0 closed", "c2s 1 closed"], "{outer}");
        let traffic = talk.session.traffic(C2s);
        assert_eq!((traffic.messages, traffic.frames, traffic.commands), (2, 2, 2), "HELLO and INITIATE are commands");
        assert_eq!(traffic.body_bytes, 33 + 3 + 33 + 300);
        let curve = talk.session.curve().expect("it is CURVE");
        assert_eq!(curve.client_transient, Some(public_of(&secret(0xC1))));
        let nonces = curve.nonces.c2s;
        assert_eq!((nonces.first, nonces.last, nonces.missing), (Some(1), Some(4), 0));
        assert!(talk.log.codes.is_empty(), "{:?}", talk.log.codes);
    }
}

#[test]
fn the_answer_does_not_depend_on_how_the_bytes_were_cut() {
    let told = |piece| {
        let mut talk = Talk::new(C2s, ["DEALER", "ROUTER"], piece);
        for length in [0, 1, 222, 223, 300, 70_000] {
            talk.send(C2s, 0, u8::from(length == 222), &vec![length as u8; length]);
        }
        (talk.log.messages, talk.log.hashes, talk.session.traffic(C2s))
    };
    let whole = told(usize::MAX);
    let hashes =
        [0, 1, 222, 223, 300, 70_000].map(|length: usize| crate::base::hash::hash(&vec![length as u8; length]));
    assert_eq!(whole.1, hashes, "as if it were sent in clear");
    for piece in [1, 2, 7, 64, 1000] {
        assert_eq!(told(piece), whole, "pieces of {piece}");
    }
}

#[test]
fn a_plaintext_that_looks_sealed_is_not() {
    let mut talk = Talk::new(C2s, ["PUSH", "PULL"], usize::MAX);
    talk.send(C2s, 0, 0, b"\x07MESSAGE................and more");
    assert_eq!(talk.log.messages, ["c2s 0 \x07MESSAGE................and more"]);
}

#[test]
fn what_was_changed_stays_closed_and_is_told_once() {
    let mut talk = Talk::new(C2s, ["PUSH", "PULL"], usize::MAX);
    talk.send(C2s, 0, 1, b"one");
    for _ in 0..2 {
        let mut body = talk.message(C2s, 0, b"two");
        *body.last_mut().expect("not empty") ^= 1;
        talk.bytes(C2s, &frame(0, &body));
    }
    talk.send(C2s, 0, 0, b"the end of two, or three");
    talk.send(C2s, 0, 0, b"three");
    assert_eq!(talk.log.messages, ["c2s 0 closed", "c2s 1 closed", "c2s 2 three"]);
    assert_eq!(talk.log.codes, ["curve-not-opened"]);
    assert_eq!(talk.session.traffic(C2s).broken_messages, 2);
    assert_eq!(talk.session.traffic(C2s).body_bytes, 2 * 36 + 5, "what stays closed counts as it was sent");
}

#[test]
fn a_box_without_flags_is_not_a_part() {
    let mut talk = Talk::new(C2s, ["PUSH", "PULL"], usize::MAX);
    let nonce = message_nonce(Sender::Client, 3);
    let empty = sealed(&public_of(&secret(0x51)), &secret(0xC1), &nonce, b"");
    talk.bytes(C2s, &frame(0, &[b"\x07MESSAGE", &3_u64.to_be_bytes()[..], &empty].concat()));
    assert_eq!(talk.log.messages, ["c2s 0 closed"]);
    assert_eq!(talk.log.codes, ["curve-not-opened", "curve-malformed-message"]);
}

#[test]
fn a_gap_in_a_box_closes_that_frame_only() {
    let mut talk = Talk::new(C2s, ["PUSH", "PULL"], usize::MAX);
    let octets = frame(0, &{ talk.message(C2s, 0, b"incomplete") });
    talk.bytes(C2s, &octets[..30]);
    talk.data(C2s, Data::Gap(5));
    talk.bytes(C2s, &octets[35..]);
    talk.send(C2s, 0, 2, b"\x04PING\0\0");
    talk.send(C2s, 0, 1, b"a part of it, or of another");
    talk.send(C2s, 0, 0, b"and its end");
    talk.send(C2s, 0, 0, b"whole");
    assert_eq!(talk.log.messages, ["c2s 0 closed", "c2s 1 whole"]);
    assert_eq!(talk.log.codes, ["curve-not-opened"]);
}

#[test]
fn nonces_that_repeat_or_leave_some_out_are_told() {
    let mut talk = Talk::new(C2s, ["PUSH", "PULL"], usize::MAX);
    let body = talk.message(C2s, 0, b"again");
    talk.bytes(C2s, &frame(0, &body));
    talk.bytes(C2s, &frame(0, &body));
    talk.nonces[C2s] = 9;
    talk.send(C2s, 0, 0, b"later");
    assert_eq!(talk.log.messages, ["c2s 0 again", "c2s 1 again", "c2s 2 later"]);
    assert_eq!(talk.log.codes, ["curve-nonce", "curve-nonce"]);
}

#[test]
fn a_frame_above_the_limit_is_not_held() {
    let mut talk = Talk::new(C2s, ["PUSH", "PULL"], usize::MAX);
    talk.limits.sealed_bytes = 100;
    talk.send(C2s, 0, 0, &[b'x'; 300]);
    talk.send(C2s, 0, 0, b"the end of it, or another");
    talk.send(C2s, 0, 0, b"short");
    assert_eq!(talk.log.messages, ["c2s 0 closed", "c2s 1 short"]);
    assert_eq!(talk.log.codes, ["curve-too-long"]);
}
