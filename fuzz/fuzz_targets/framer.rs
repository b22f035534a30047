//! Both directions of a connection, of any version, in any pieces, with gaps, through framer and session.
//!
//! Invariants: no panic; what is found does not depend on how the octets were cut (while frame boundaries are known); no
//! head is longer than its limit; nothing that is said can drive a terminal.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use zmtpscope::base::chunk::{Chunk, Data, PacketId, Position};
use zmtpscope::base::direction::{Direction, PerDirection};
use zmtpscope::base::limits::Limits;
use zmtpscope::base::time::Timestamp;
use zmtpscope::zmtp::anomaly::Anomaly;
use zmtpscope::zmtp::carrier::Beginning;
use zmtpscope::zmtp::event::{EventSink, Frame, Message};
use zmtpscope::zmtp::peer::Peer;
use zmtpscope::zmtp::probe::{Framing, Preamble};
use zmtpscope::zmtp::session::Session;
use zmtpscope::zmtp::wire::greeting::MechanismName;
use zmtpscope::zmtp::wire::http::Subprotocol;
use zmtpscope::zmtp::ws::exchange::Upgrade;
use zmtpscope_fuzz::assert_harmless;
use zmtpscope_fuzz::views::small_limits;

#[derive(Arbitrary, Debug)]
struct Piece {
    to_server: bool,
    /// Missing octets in front of it.
    gap: Option<u16>,
    octets: Vec<u8>,
    /// Lengths of the pieces that it is cut into.
    cuts: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Input {
    preambles: [u8; 2],
    /// WebSocket instead; whether a mechanism was agreed upon.
    websocket: Option<bool>,
    pieces: Vec<Piece>,
}

fn preamble(choice: u8) -> Preamble {
    match choice % 8 {
        0 | 1 | 2 => Preamble::Greeting,
        3 => Preamble::ShortGreeting(Framing::V2),
        4 => Preamble::ShortGreeting(Framing::V1),
        5 => Preamble::Frames,
        6 => Preamble::Midstream(Framing::V3),
        _ => Preamble::Midstream(Framing::V1),
    }
}

fn beginning(input: &Input) -> Beginning {
    let [c2s, s2c] = input.preambles.map(preamble);
    let Some(with_mechanism) = input.websocket else { return Beginning::Own(PerDirection { c2s, s2c }) };
    Beginning::WebSocket(Upgrade {
        client: Direction::ClientToServer,
        at: PerDirection { c2s: Some(0), s2c: Some(0) },
        agreed: Some(Subprotocol { mechanism: with_mechanism.then_some(MechanismName::NULL) }),
    })
}

#[derive(Default)]
struct Found {
    /// All that was told, but for places, which depend on the pieces.
    told: Vec<String>,
    lost: bool,
    limits: Limits,
}

impl EventSink for Found {
    fn frame(&mut self, _: PerDirection<&Peer>, frame: &Frame<'_>) {
        assert!(frame.head.len() <= self.limits.command_bytes.max(self.limits.head_bytes));
        assert!(frame.missing <= frame.length);
        let Frame { direction, offset, flags, length, missing, head, kind, .. } = frame;
        self.told.push(format!("{direction:?} {offset} {flags:?} {length} {missing} {head:?} {kind:?}"));
    }

    fn message(&mut self, _: PerDirection<&Peer>, message: &Message<'_>) {
        assert!(message.parts.len() <= self.limits.parts && message.parts.len() as u64 <= message.part_count);
        for part in message.parts {
            assert!(message.head(part).len() <= self.limits.head_bytes);
        }
        let Message { direction, ordinal, offset, parts, part_count, heads, encrypted, .. } = message;
        self.told.push(format!("{direction:?} {ordinal} {offset} {parts:?} {part_count} {heads:?} {encrypted}"));
    }

    fn peer(&mut self, direction: Direction, peer: &Peer) {
        self.told.push(format!("{direction:?} {:?} {:?} {:?}", peer.socket_type, peer.identity, peer.properties));
    }

    fn lost(&mut self, _: Direction) {
        self.lost = true;
    }

    fn anomaly(&mut self, anomaly: Anomaly) {
        assert_harmless(anomaly.code, &anomaly.text);
        self.told.push(format!("{} {:?} {} {}", anomaly.code, anomaly.direction, anomaly.offset, anomaly.text));
    }
}

fn run(input: &Input, cut: bool) -> Found {
    let limits = small_limits();
    let mut found = Found { limits: limits.clone(), ..Found::default() };
    let mut session = Session::new(beginning(input), None);
    let mut offsets = PerDirection { c2s: 0, s2c: 0 };
    for (number, piece) in (1..).zip(&input.pieces) {
        let direction = if piece.to_server { Direction::ClientToServer } else { Direction::ServerToClient };
        let position = Position { packet: PacketId::new(0, number), at: Timestamp(number as i64) };
        let mut give = |data: Data<'_>| {
            if data.length() > 0 {
                let offset = offsets[direction];
                offsets[direction] += data.length();
                session.chunk(direction, &Chunk { position, offset, data }, &limits, &mut found);
            }
        };
        give(Data::Gap(piece.gap.unwrap_or_default().into()));
        let mut rest = piece.octets.as_slice();
        if cut {
            for &length in &piece.cuts {
                let (head, tail) = rest.split_at(usize::from(length).min(rest.len()));
                give(Data::Bytes(head));
                rest = tail;
            }
        }
        give(Data::Bytes(rest));
    }
    found
}

fuzz_target!(|input: Input| {
    let whole = run(&input, false);
    let cut = run(&input, true);
    let midstream = beginning(&input).is_midstream();
    // After a loss, where packets begin is evidence for where frames begin.
    if !whole.lost && !midstream {
        assert_eq!(whole.told, cut.told);
    }
});
