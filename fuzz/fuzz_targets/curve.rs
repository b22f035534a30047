//! CURVE connections opened with the right key: boxes that open, with whatever a peer may put into them, and boxes that do
//! not.
//!
//! Invariants: no panic; what is in a box that opens is told as it was sealed; what does not open is never told as opened;
//! nothing that is said can drive a terminal.
#![no_main]

use arbitrary::Arbitrary;
use crypto_box::aead::AeadInPlace;
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};
use zmtpscope::base::chunk::{Chunk, Data, PacketId, Position};
use zmtpscope::base::direction::{Direction, PerDirection};
use zmtpscope::base::limits::Limits;
use zmtpscope::base::text::hex;
use zmtpscope::base::time::Timestamp;
use zmtpscope::zmtp::anomaly::Anomaly;
use zmtpscope::zmtp::curve::boxes::{Sender, initiate_nonce, message_nonce, ready_nonce, welcome_nonce};
use zmtpscope::zmtp::event::{EventSink, Frame, FrameKind, Message, Seal};
use zmtpscope::zmtp::keylog::KeyLog;
use zmtpscope::zmtp::peer::Peer;
use zmtpscope::zmtp::probe::Preamble;
use zmtpscope::zmtp::session::Session;
use zmtpscope_fuzz::assert_harmless;
use zmtpscope_fuzz::views::small_limits;

#[derive(Arbitrary, Debug)]
enum Sent {
    /// A MESSAGE that opens.
    Box {
        flags: u8,
        content: Vec<u8>,
        outer: u8,
        skipped: u8,
    },
    /// A MESSAGE with nothing in its box, not even flags.
    EmptyBox,
    /// One that was damaged on its way.
    Damaged {
        content: Vec<u8>,
        at: u8,
    },
    /// A frame of any kind, under CURVE.
    Frame {
        flags: u8,
        body: Vec<u8>,
    },
    /// Octets.
    Octets(Vec<u8>),
    /// READY or INITIATE once more, with these metadata.
    Again {
        initiate: bool,
        plain: Vec<u8>,
    },
    Gap(u8),
}

#[derive(Arbitrary, Debug)]
struct Input {
    metadata: [Vec<u8>; 2],
    sent: Vec<(bool, Sent)>,
    piece: u8,
}

/// The key that both transient pairs agree on, and the one of WELCOME.
struct Keys {
    agreed: SalsaBox,
    welcome: SalsaBox,
    client_transient: [u8; 32],
    server_transient: [u8; 32],
    log: String,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let secret = |fill| SecretKey::from_bytes([fill; 32]);
        let public = |fill| *secret(fill).public_key().as_bytes();
        let between = |a, b| SalsaBox::new(&PublicKey::from_bytes(public(a)), &secret(b));
        Keys {
            agreed: between(0xC1, 0x51),
            welcome: between(0xC1, 0x50),
            client_transient: public(0xC1),
            server_transient: public(0x51),
            log: format!("CURVE_SERVER_TRANSIENT {}", hex(&[0x51; 32])),
        }
    })
}

fn seal(key: &SalsaBox, nonce: [u8; 24], plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    let tag = key.encrypt_in_place_detached(&nonce.into(), b"", &mut body).expect("it is short");
    [&tag[..], &body].concat()
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let flags = flags & !2;
    let mut octets = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => [&[flags | 2][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    octets.extend(body);
    octets
}

struct Found {
    /// What was in the boxes, in order, cut to what is kept.
    opened: PerDirection<Vec<Vec<u8>>>,
    limits: Limits,
}

impl EventSink for Found {
    fn frame(&mut self, _: PerDirection<&Peer>, frame: &Frame<'_>) {
        if let FrameKind::Part { seal: Seal::Opened { .. }, .. } | FrameKind::CutPart { .. } = frame.kind {
            self.opened[frame.direction].push(frame.head.to_vec());
        }
    }

    fn message(&mut self, _: PerDirection<&Peer>, message: &Message<'_>) {
        assert!(message.parts.len() <= self.limits.parts);
    }

    fn peer(&mut self, _: Direction, _: &Peer) {}

    fn lost(&mut self, _: Direction) {}

    fn anomaly(&mut self, anomaly: Anomaly) {
        assert_harmless(anomaly.code, &anomaly.text);
    }
}

struct Talk {
    session: Session,
    found: Found,
    offsets: PerDirection<u64>,
    piece: usize,
    packets: u64,
}

impl Talk {
    fn give(&mut self, direction: Direction, data: Data<'_>) {
        self.packets += 1;
        let position = Position { packet: PacketId::new(0, self.packets), at: Timestamp(self.packets as i64) };
        let offset = self.offsets[direction];
        self.offsets[direction] += data.length();
        let limits = self.found.limits.clone();
        self.session.chunk(direction, &Chunk { position, offset, data }, &limits, &mut self.found);
    }

    fn say(&mut self, direction: Direction, octets: &[u8]) {
        octets.chunks(self.piece).for_each(|piece| self.give(direction, Data::Bytes(piece)));
    }
}

fuzz_target!(|input: Input| {
    use Direction::{ClientToServer as C2s, ServerToClient as S2c};
    let keys = keys();
    let log = Arc::new(KeyLog::parse(&keys.log).0);
    let found = Found { opened: PerDirection::default(), limits: Limits { parts: 1 << 20, ..small_limits() } };
    let session = Session::new(PerDirection { c2s: Preamble::Greeting, s2c: Preamble::Greeting }, Some(&log));
    let piece = if input.piece == 0 { usize::MAX } else { input.piece.into() };
    let mut talk = Talk { session, found, offsets: PerDirection::default(), piece, packets: 0 };

    let mut greeting = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    greeting.extend(b"CURVE");
    greeting.resize(64, 0);
    talk.say(C2s, &greeting);
    talk.say(S2c, &greeting);
    let mut hello = b"\x05HELLO\x01\0".to_vec();
    hello.resize(hello.len() + 72, 0);
    hello.extend(keys.client_transient);
    hello.extend(1_u64.to_be_bytes());
    hello.extend([0xB0; 80]);
    talk.say(C2s, &frame(4, &hello));
    let plain = [&keys.server_transient[..], &[0xCC; 96]].concat();
    let welcome = [b"\x07WELCOME", &[7; 16][..], &seal(&keys.welcome, welcome_nonce(&[7; 16]), &plain)].concat();
    talk.say(S2c, &frame(4, &welcome));
    let initiate = |nonce: u64, plain: &[u8]| {
        let sealed = seal(&keys.agreed, initiate_nonce(nonce), plain);
        frame(4, &[b"\x08INITIATE", &[0xCC; 96][..], &nonce.to_be_bytes(), &sealed].concat())
    };
    let ready = |nonce: u64, plain: &[u8]| {
        frame(4, &[b"\x05READY", &nonce.to_be_bytes()[..], &seal(&keys.agreed, ready_nonce(nonce), plain)].concat())
    };
    // Within what is kept of a command: a longer one cannot be opened.
    let [c2s, s2c] = input.metadata.each_ref().map(|metadata| &metadata[..metadata.len().min(100)]);
    talk.say(C2s, &initiate(2, &[&[0; 128], c2s].concat()));
    talk.say(S2c, &ready(1, s2c));

    let mut nonces = PerDirection { c2s: 2_u64, s2c: 1_u64 };
    let mut sealed: PerDirection<Vec<Vec<u8>>> = PerDirection::default();
    let mut honest = PerDirection { c2s: true, s2c: true };
    for (to_server, sent) in &input.sent {
        let (direction, sender) = if *to_server { (C2s, Sender::Client) } else { (S2c, Sender::Server) };
        nonces[direction] += 1;
        let message = |nonce: u64, plain: &[u8]| {
            [b"\x07MESSAGE", &nonce.to_be_bytes()[..], &seal(&keys.agreed, message_nonce(sender, nonce), plain)]
                .concat()
        };
        match sent {
            Sent::Box { flags, content, outer, skipped } => {
                nonces[direction] += u64::from(*skipped);
                let body = message(nonces[direction], &[&[*flags][..], content].concat());
                // Longer ones are not held; those with the COMMAND flag in the box are no parts.
                if flags & 2 == 0 && body.len() <= talk.found.limits.sealed_bytes {
                    let kept = content.len().min(talk.found.limits.head_bytes);
                    sealed[direction].push(content[..kept].to_vec());
                }
                talk.say(direction, &frame(outer & !5, &body));
            }
            Sent::EmptyBox => {
                honest[direction] = false;
                talk.say(direction, &frame(0, &message(nonces[direction], b"")));
            }
            Sent::Damaged { content, at } => {
                let mut body = message(nonces[direction], content);
                let at = 16 + usize::from(*at) % (body.len() - 16);
                body[at] ^= 1;
                talk.say(direction, &frame(0, &body));
            }
            Sent::Frame { flags, body } => {
                honest[direction] = false;
                talk.say(direction, &frame(*flags, body));
            }
            Sent::Octets(octets) => {
                honest[direction] = false;
                talk.say(direction, octets);
            }
            Sent::Again { initiate: again, plain } => {
                let nonce = nonces[direction];
                talk.say(direction, &if *again { initiate(nonce, plain) } else { ready(nonce, plain) });
            }
            Sent::Gap(length) => {
                honest[direction] = false;
                talk.give(direction, Data::Gap(u64::from(*length) + 1));
            }
        }
    }
    for direction in Direction::BOTH {
        if honest[direction] {
            assert_eq!(talk.found.opened[direction], sealed[direction], "{direction:?}");
        }
    }
});
