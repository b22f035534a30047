//! Reassembly against an obviously correct, slow model, and the connection table's life cycle.

mod patience;

use super::patience::Patience;
use super::reassembly::{Payload, Reassembler};
use super::table::{End, EndReason, FlowInfo, FlowTable, StreamHandler};
use crate::base::chunk::{Chunk, Data, PacketId, Position};
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::decap::segment::{Segment, TcpFlags};
use std::net::Ipv4Addr;

/// A small generator (xorshift64*), so that every failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

fn position(number: u64) -> Position {
    Position { packet: PacketId::new(0, number), at: Timestamp(number as i64 * 1_000) }
}

/// What came out: `None` for a byte that was handed on as missing.
#[derive(Default, Debug, PartialEq)]
struct Received(Vec<Option<u8>>);

impl Received {
    fn take(&mut self, chunk: &Chunk<'_>) {
        assert_eq!(chunk.offset, self.0.len() as u64, "chunks are contiguous");
        match chunk.data {
            Data::Bytes(bytes) => self.0.extend(bytes.iter().map(|&byte| Some(byte))),
            Data::Gap(length) => self.0.extend((0..length).map(|_| None)),
        }
    }
}

/// A piece of a stream as it was sent.
#[derive(Clone)]
struct Piece {
    offset: usize,
    bytes: Vec<u8>,
    cut: usize,
}

/// Cuts a stream at random, drops, repeats, overlaps and shuffles the pieces.
fn random_pieces(random: &mut Random, stream: &[u8], disorder: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    while offset < stream.len() {
        let length = (1 + random.below(40)).min(stream.len() - offset);
        let cut = if random.below(12) == 0 { random.below(length) } else { 0 };
        let piece = Piece { offset, bytes: stream[offset..offset + length - cut].to_vec(), cut };
        if random.below(10) > 0 {
            pieces.push(piece.clone());
        }
        if random.below(6) == 0 {
            // Sent again, with other boundaries.
            let from = offset.saturating_sub(random.below(60));
            let to = (offset + length + random.below(60)).min(stream.len());
            pieces.push(Piece { offset: from, bytes: stream[from..to].to_vec(), cut: 0 });
        }
        offset += length;
    }
    for at in 0..pieces.len() {
        let other = (at + random.below(disorder)).min(pieces.len() - 1);
        pieces.swap(at, other);
    }
    pieces
}

/// The first copy of each byte, wherever it was; what no piece holds is missing, up to the last byte that is known of.
fn model(pieces: &[Piece]) -> Received {
    let end = pieces.iter().map(|p| p.offset + p.bytes.len() + p.cut).max().unwrap_or(0);
    let mut bytes = vec![None; end];
    let mut decided = vec![false; end];
    for piece in pieces {
        let cut = (0..piece.cut).map(|_| None);
        for (at, byte) in piece.bytes.iter().map(|&byte| Some(byte)).chain(cut).enumerate() {
            if !std::mem::replace(&mut decided[piece.offset + at], true) {
                bytes[piece.offset + at] = byte;
            }
        }
    }
    Received(bytes)
}

#[test]
fn random_cuts_shuffles_duplicates_and_losses_give_what_the_model_gives() {
    for seed in 1..400_u64 {
        let mut random = Random(seed * 0x9E37_79B9);
        let stream: Vec<u8> = (0..=random.below(3000)).map(|_| random.below(256) as u8).collect();
        let disorder = 1 + random.below(12);
        let mut pieces = random_pieces(&mut random, &stream, disorder);
        let Some(first) = pieces.iter().position(|piece| piece.offset == 0) else { continue };
        pieces.swap(0, first);
        // Anywhere near the wrap-around of sequence numbers.
        let isn = u32::MAX - random.below(2 * stream.len()) as u32;
        let (mut received, mut reassembler) = (Received::default(), Reassembler::default());
        reassembler.start(isn);
        let limits = Limits::default();
        let mut patience = Patience::new(&limits);
        for (number, piece) in pieces.iter().enumerate() {
            let sequence = isn.wrapping_add(1).wrapping_add(piece.offset as u32);
            let at = position(number as u64);
            let mut on = |chunk: Chunk<'_>| received.take(&chunk);
            let payload = Payload { sequence, bytes: &piece.bytes, cut: piece.cut as u32, fin: false };
            reassembler.segment(at, payload, &limits, &mut patience, &mut on);
        }
        reassembler.finish(position(9999), &mut |chunk| received.take(&chunk));
        assert_eq!(received, model(&pieces), "seed {seed}");
        let stats = reassembler.stats();
        assert_eq!(stats.conflicts, 0, "seed {seed}: all copies were alike");
        let missing = received.0.iter().filter(|byte| byte.is_none()).count() as u64;
        assert_eq!((stats.lost_bytes, stats.bytes + missing), (missing, received.0.len() as u64), "seed {seed}");
    }
}

/// One direction that is fed by hand.
struct Hand {
    reassembler: Reassembler,
    received: Received,
    limits: Limits,
    patience: Patience,
    packets: u64,
}

impl Hand {
    fn new(limits: Limits) -> Self {
        let patience = Patience::new(&limits);
        Self { reassembler: Reassembler::default(), received: Received::default(), limits, patience, packets: 0 }
    }

    fn send(&mut self, offset: u32, bytes: &[u8]) {
        self.packets += 1;
        let received = &mut self.received;
        let mut on = |chunk: Chunk<'_>| received.take(&chunk);
        self.reassembler.start(999);
        let payload = Payload { sequence: 1000 + offset, bytes, cut: 0, fin: false };
        self.reassembler.segment(position(self.packets), payload, &self.limits, &mut self.patience, &mut on);
    }

    fn acknowledge(&mut self, offset: u32) {
        self.packets += 1;
        let received = &mut self.received;
        let mut on = |chunk: Chunk<'_>| received.take(&chunk);
        self.reassembler.acknowledgement(position(self.packets), 1000 + offset, &mut self.patience, &mut on);
    }

    fn text(&self) -> String {
        self.received.0.iter().map(|byte| byte.map_or('_', char::from)).collect()
    }
}

#[test]
fn a_hole_becomes_a_gap_when_the_peer_has_it_and_patience_is_used_up() {
    let mut hand = Hand::new(Limits { gap_patience_packets: 3, ..Limits::default() });
    hand.send(0, b"ab");
    hand.send(4, b"ef");
    assert_eq!(hand.text(), "ab", "no evidence yet");
    hand.acknowledge(6);
    hand.acknowledge(6);
    assert_eq!(hand.text(), "ab", "the tap may only have changed the order");
    hand.acknowledge(6);
    assert_eq!(hand.text(), "ab__ef");
    hand.send(2, b"cd");
    assert_eq!(hand.text(), "ab__ef", "too late");
}

#[test]
fn what_is_sent_after_a_hole_uses_up_patience_too() {
    let mut hand = Hand::new(Limits { gap_patience_packets: 3, ..Limits::default() });
    hand.send(0, b"ab");
    hand.send(4, b"ef");
    hand.send(6, b"gh");
    hand.send(8, b"ij");
    assert_eq!(hand.text(), "ab", "nobody says that the peer has it");
    hand.acknowledge(6);
    hand.send(10, b"kl");
    assert_eq!(hand.text(), "ab");
    hand.send(12, b"mn");
    assert_eq!(hand.text(), "ab__efghijklmn");
}

#[test]
fn patience_is_a_time_too() {
    let mut hand = Hand::new(Limits::default());
    hand.send(0, b"ab");
    hand.acknowledge(4);
    hand.packets += 1_000_000; // a second
    hand.acknowledge(4);
    assert_eq!(hand.text(), "ab__");
}

#[test]
fn reordering_within_patience_loses_nothing() {
    let mut hand = Hand::new(Limits { gap_patience_packets: 3, ..Limits::default() });
    hand.acknowledge(4);
    hand.send(2, b"cd");
    hand.send(0, b"ab");
    hand.acknowledge(4);
    assert_eq!((hand.text().as_str(), hand.reassembler.stats().lost_bytes), ("abcd", 0));
}

#[test]
fn an_acknowledgement_that_overtakes_the_fin_takes_no_byte() {
    let (mut received, mut reassembler, limits) = (Received::default(), Reassembler::default(), Limits::default());
    reassembler.start(999);
    let mut on = |chunk: Chunk<'_>| received.take(&chunk);
    let payload = |sequence, bytes, fin| Payload { sequence, bytes, cut: 0, fin };
    let mut patience = Patience::new(&limits);
    reassembler.segment(position(1), payload(1000, b"all", false), &limits, &mut patience, &mut on);
    reassembler.acknowledgement(position(2), 1004, &mut patience, &mut on);
    reassembler.segment(position(3), payload(1003, b"", true), &limits, &mut patience, &mut on);
    reassembler.acknowledgement(position(4), 1004, &mut patience, &mut on);
    reassembler.finish(position(5), &mut on);
    assert_eq!(reassembler.stats().lost_bytes, 0);
    assert_eq!(received.0.len(), 3);
}

#[test]
fn limits_on_what_waits_make_gaps_that_are_counted() {
    let limits = Limits { pending_segments: 2, ..Limits::default() };
    let mut hand = Hand::new(limits);
    hand.send(0, b"a");
    for offset in [2, 4, 6] {
        hand.send(offset, b"x");
    }
    assert_eq!(hand.text(), "a_x", "one place was needed");
    assert_eq!(hand.reassembler.stats().limit_gaps, 1);
    let limits = Limits { pending_bytes: 10, ..Limits::default() };
    let mut hand = Hand::new(limits);
    hand.send(0, b"a");
    hand.send(2, b"0123456789");
    assert_eq!(hand.text(), "a");
    hand.send(20, b"z");
    assert_eq!(hand.text(), "a_0123456789");
}

#[test]
fn different_bytes_for_the_same_offset_are_a_conflict_and_the_first_stay() {
    let mut hand = Hand::new(Limits::default());
    hand.send(0, b"abcd");
    hand.send(0, b"abXd");
    assert_eq!((hand.text().as_str(), hand.reassembler.stats().conflicts), ("abcd", 1));
    hand.send(6, b"gh");
    hand.send(4, b"efGh");
    assert_eq!((hand.text().as_str(), hand.reassembler.stats().conflicts), ("abcdefgh", 2));
}

#[test]
fn keep_alives_and_old_segments_are_no_data() {
    let mut hand = Hand::new(Limits::default());
    hand.send(0, b"abcd");
    hand.send(3, b"\0"); // RFC 9293 section 3.8.4: a keep-alive may carry one garbage octet
    hand.send(4, b"");
    hand.send(4, b"e");
    assert_eq!((hand.text().as_str(), hand.reassembler.stats().conflicts), ("abcde", 0));
}

#[test]
fn a_segment_outside_any_window_is_not_of_this_stream() {
    let mut hand = Hand::new(Limits::default());
    hand.send(0, b"a");
    hand.send(0x6000_0000, b"spoofed");
    hand.send(1, b"b");
    assert_eq!((hand.text().as_str(), hand.reassembler.stats().out_of_window), ("ab", 1));
}

/// Writes down what happens to the connections of a table.
struct Log;

impl StreamHandler for Log {
    type Context = Vec<String>;

    fn open(flow: &FlowInfo, log: &mut Vec<String>) -> Self {
        log.push(format!("{} open {} {}", flow.id, flow.client.port, flow.server.port));
        Self
    }

    fn chunk(&mut self, flow: &FlowInfo, direction: Direction, chunk: Chunk<'_>, log: &mut Vec<String>) {
        let content = match chunk.data {
            Data::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Data::Gap(length) => format!("gap {length}"),
        };
        log.push(format!("{} {} {content}", flow.id, direction.abbreviation()));
    }

    fn end(self, flow: &FlowInfo, end: End, log: &mut Vec<String>) {
        log.push(format!("{} end {:?} {:?}", flow.id, end.reason, end.by.map(Direction::abbreviation)));
    }
}

struct Capture {
    table: FlowTable<Log>,
    log: Vec<String>,
    packets: u64,
}

impl Capture {
    fn new(limits: &Limits) -> Self {
        Self { table: FlowTable::new(limits), log: Vec::new(), packets: 0 }
    }

    /// `flags` as tcpdump writes them: S, F, R and `.` for an acknowledgement (of `ack`).
    fn segment(&mut self, from: u16, to: u16, flags: &str, sequence: u32, ack: u32, payload: &[u8]) {
        self.packets += 1;
        let endpoint = |port| Endpoint::new(Ipv4Addr::LOCALHOST, port);
        let has = |flag| flags.contains(flag);
        let segment = Segment {
            source: endpoint(from),
            destination: endpoint(to),
            sequence,
            acknowledgement: has('.').then_some(ack),
            flags: TcpFlags { syn: has('S'), fin: has('F'), rst: has('R'), ack: has('.') },
            payload,
            cut: 0,
        };
        self.table.segment(&segment, position(self.packets), &mut self.log);
    }

    fn handshake(&mut self, client: u16, server: u16, isn: u32) {
        self.segment(client, server, "S", isn, 0, b"");
        self.segment(server, client, "S.", 5000, isn + 1, b"");
        self.segment(client, server, ".", isn + 1, 5001, b"");
    }
}

#[test]
fn a_connection_from_syn_to_fin() {
    let mut capture = Capture::new(&Limits::default());
    capture.handshake(40000, 5555, 100);
    capture.segment(40000, 5555, ".", 101, 5001, b"hello");
    capture.segment(5555, 40000, ".", 5001, 106, b"world");
    capture.segment(40000, 5555, "F.", 106, 5006, b"");
    capture.segment(5555, 40000, "F.", 5006, 107, b"");
    capture.segment(40000, 5555, ".", 107, 5007, b"");
    assert_eq!(
        capture.log,
        ["0 open 40000 5555", "0 c2s hello", "0 s2c world", "0 end Fin Some(\"c2s\")"],
        "the last acknowledgement opens nothing"
    );
    assert_eq!(capture.table.stats().late_segments, 0, "it carries nothing");
    capture.segment(40000, 5555, ".", 101, 5001, b"hello");
    assert_eq!(capture.table.stats().late_segments, 1, "a late retransmission");
}

#[test]
fn a_new_syn_on_the_same_ports_is_a_new_connection() {
    let mut capture = Capture::new(&Limits::default());
    capture.handshake(40000, 5555, 100);
    capture.segment(40000, 5555, ".", 101, 5001, b"one");
    capture.segment(40000, 5555, "S", 100, 0, b""); // a retransmitted SYN is not
    capture.handshake(40000, 5555, 9000);
    capture.segment(40000, 5555, ".", 9001, 5001, b"two");
    let mut log = capture.log;
    capture.table.finish(&mut log);
    assert_eq!(
        log,
        ["0 open 40000 5555", "0 c2s one", "0 end Open None", "1 open 40000 5555", "1 c2s two", "1 end Open None"]
    );
}

#[test]
fn a_reset_ends_a_connection_and_hands_on_what_waits() {
    let mut capture = Capture::new(&Limits::default());
    capture.handshake(40000, 5555, 100);
    capture.segment(40000, 5555, ".", 104, 5001, b"later");
    capture.segment(5555, 40000, "R.", 5001, 101, b"no thanks");
    assert_eq!(
        capture.log,
        ["0 open 40000 5555", "0 c2s gap 3", "0 c2s later", "0 end Reset Some(\"s2c\")"],
        "the text of a reset is not data"
    );
}

#[test]
fn who_is_the_server_when_the_syn_is_not_in_the_capture() {
    let mut capture = Capture::new(&Limits::default());
    capture.segment(5555, 40000, ".", 7000, 1, b"from the server");
    capture.segment(40000, 5555, ".", 1, 7015, b"answer");
    assert_eq!(capture.log, ["0 open 40000 5555", "0 s2c from the server", "0 c2s answer"], "the lower port");
    let mut capture = Capture::new(&Limits::default());
    capture.handshake(1000, 60000, 100);
    capture.segment(60000, 2000, ".", 7000, 1, b"x");
    assert_eq!(capture.log[1], "1 open 2000 60000", "60000 was seen to accept");
}

#[test]
fn only_the_syn_ack_was_captured() {
    let mut capture = Capture::new(&Limits::default());
    capture.segment(5555, 40000, "S.", 5000, 101, b"");
    capture.segment(40000, 5555, ".", 101, 5001, b"hello");
    assert_eq!(capture.log, ["0 open 40000 5555", "0 c2s hello"]);
}

#[test]
fn too_many_connections_push_out_those_idle_longest() {
    let mut capture = Capture::new(&Limits { connections: 8, ..Limits::default() });
    for client in 0..9 {
        capture.handshake(40000 + client, 5555, 1);
    }
    assert!(capture.log.contains(&"0 end Evicted None".to_owned()), "{:?}", capture.log);
    assert_eq!(capture.table.stats().evicted, 1);
    assert!(!capture.log.contains(&"1 end Evicted None".to_owned()), "{:?}", capture.log);
}

#[test]
fn a_flood_of_attempts_to_connect_pushes_out_no_connection() {
    let mut capture = Capture::new(&Limits { connections: 8, half_open: 16, ..Limits::default() });
    capture.handshake(1000, 5555, 100);
    for client in 0..100 {
        capture.segment(40000 + client, 5555, "S", 1, 0, b"");
    }
    capture.segment(1000, 5555, ".", 101, 5001, b"alive");
    assert_eq!(capture.log.last().map(String::as_str), Some("0 c2s alive"));
    let stats = capture.table.stats();
    assert_eq!((stats.flows, stats.evicted, stats.half_open_evicted), (101, 0, 84));
    assert!(capture.log.contains(&"1 end Evicted None".to_owned()), "the attempt that was silent longest");
    let mut log = std::mem::take(&mut capture.log);
    capture.table.finish(&mut log);
    assert_eq!(log.iter().filter(|line| line.contains("end")).count(), 101, "each is told of once");
}

#[test]
fn an_attempt_to_connect_is_told_from_another_one() {
    let mut capture = Capture::new(&Limits::default());
    capture.segment(40000, 5555, "S", 100, 0, b"");
    capture.segment(40000, 5555, "S", 100, 0, b"");
    assert_eq!(capture.log, ["0 open 40000 5555"], "sent again");
    capture.segment(40000, 5555, "S", 900, 0, b"");
    assert_eq!(capture.log[1..], ["0 end Open None", "1 open 40000 5555"], "another number, another attempt");
    capture.segment(5555, 40000, "R.", 0, 901, b"");
    assert_eq!(capture.log[3..], ["1 end Reset Some(\"s2c\")"], "refused");
}

/// RFC 7413: a client that has a cookie sends its first bytes with the SYN, and sends them again if the server did not take
/// them; RFC 9293 section 3.10.7.2 allows them anyway.
#[test]
fn data_on_a_syn_is_the_beginning_of_the_stream() {
    let mut capture = Capture::new(&Limits::default());
    capture.segment(40000, 5555, "S", 100, 0, b"hello");
    capture.segment(5555, 40000, "S.", 5000, 106, b"answer");
    capture.segment(40000, 5555, ".", 106, 5007, b" world");
    assert_eq!(capture.log, ["0 open 40000 5555", "0 c2s hello", "0 s2c answer", "0 c2s  world"]);

    let mut capture = Capture::new(&Limits::default());
    capture.segment(40000, 5555, "S", 100, 0, b"hello");
    capture.segment(5555, 40000, "S.", 5000, 101, b"");
    capture.segment(40000, 5555, ".", 101, 5001, b"hello world");
    assert_eq!(capture.log, ["0 open 40000 5555", "0 c2s hello", "0 c2s  world"], "not taken, and sent again");

    let mut capture = Capture::new(&Limits::default());
    capture.segment(40000, 5555, "S", 100, 0, b"");
    capture.segment(40000, 5555, "S", 100, 0, b"hello");
    assert_eq!(capture.log, ["0 open 40000 5555", "0 c2s hello"], "the first SYN came alone");
}

#[test]
fn what_waits_on_all_connections_together_is_bounded() {
    let mut capture = Capture::new(&Limits { pending_total_bytes: 250, ..Limits::default() });
    for client in [40000, 40001, 40002] {
        capture.handshake(client, 5555, 100);
    }
    for client in [40000, 40001, 40002] {
        capture.segment(client, 5555, ".", 103, 5001, b"123456");
    }
    let gaps = |log: &[String]| log.iter().filter(|line| line.contains("gap")).cloned().collect::<Vec<_>>();
    assert_eq!(gaps(&capture.log), ["0 c2s gap 2"], "the one silent longest gives up");
    assert_eq!(capture.log.last().map(String::as_str), Some("0 c2s 123456"));
    capture.segment(40001, 5555, ".", 101, 5001, b"ab");
    assert_eq!(capture.log[capture.log.len() - 2..], ["1 c2s ab", "1 c2s 123456"], "the others still wait");
}

#[test]
fn both_end_reasons_of_silence_are_told_apart() {
    let limits = Limits { half_open: 1, idle: crate::base::time::Duration::from_secs(1), ..Limits::default() };
    let mut capture = Capture::new(&limits);
    capture.segment(40000, 5555, "S", 1, 0, b"");
    capture.packets += 2_000_000; // two seconds
    capture.segment(40001, 5555, "S", 1, 0, b"");
    assert!(capture.log.contains(&format!("0 end {:?} None", EndReason::Idle)), "{:?}", capture.log);
}
