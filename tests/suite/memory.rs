//! Captures made to be held in memory: each account stays below its limit, somebody gives up, and who did nothing wrong is
//! not harmed.

use crate::conversation::{Conversation, command, frame, greeting, long_header, message, metadata};
use crate::datagrams::udp;
use crate::packets::OwnedPacket;
use crate::recording::{Recorder, Recording};
use std::sync::Arc;
use zmtpscope::analyze::accounts::{Accounts, PER_CONNECTION};
use zmtpscope::analyze::engine::{Analyzer, Options};
use zmtpscope::analyze::keys::KeyLog;
use zmtpscope::base::chunk::PacketId;
use zmtpscope::base::direction::Direction::{self, ClientToServer as C2s, ServerToClient as S2c};
use zmtpscope::base::limits::Limits;
use zmtpscope::base::time::Timestamp;

/// Octets of the longest segment of a [`Conversation`]: so much may come before anybody can give up.
const SEGMENT: usize = 60_000;

const DEALER: (&str, &[u8]) = ("Socket-Type", b"DEALER");
const ROUTER: (&str, &[u8]) = ("Socket-Type", b"ROUTER");

/// The most that each account held, and what was found.
fn peaks<'a>(options: Options, packets: impl IntoIterator<Item = &'a OwnedPacket>) -> (Accounts, Recording) {
    let mut analyzer = Analyzer::new(options, Recorder::default());
    let mut most = Accounts::default();
    for packet in packets {
        analyzer.packet(&packet.packet());
        let Accounts { pending, undecided, datagrams, sessions, summaries } = analyzer.accounts();
        most = Accounts {
            pending: most.pending.max(pending),
            undecided: most.undecided.max(undecided),
            datagrams: most.datagrams.max(datagrams),
            sessions: most.sessions.max(sessions),
            summaries: most.summaries.max(summaries),
        };
    }
    (most, Recording::of(analyzer))
}

fn options(limits: Limits) -> Options {
    Options { limits, ..Options::default() }
}

/// All packets of these, one conversation after the other, in order of time.
fn one_after_the_other(talks: impl IntoIterator<Item = Vec<OwnedPacket>>) -> Vec<OwnedPacket> {
    let mut packets: Vec<OwnedPacket> = talks.into_iter().flatten().collect();
    for (number, packet) in packets.iter_mut().enumerate() {
        packet.position.packet = PacketId::new(0, number as u64 + 1);
        packet.position.at = Timestamp(1_700_000_000_000_000_000 + number as i64 * 1_000);
    }
    packets
}

/// What a peer says of itself beyond its type.
fn talkative(port: u16, octets: usize) -> Conversation {
    let long = vec![b'z'; octets];
    Conversation::connected(port, &[DEALER, ("Identity", b"me"), ("X-Long", &long)], &[ROUTER, ("X-Long", &long)])
}

fn properties(found: &Recording, conn: usize, direction: Direction) -> Vec<&[u8]> {
    found.connections[conn].peers[direction].properties.iter().map(|(name, _)| &name[..]).collect()
}

#[test]
fn metadata_of_open_connections() {
    let limits = Limits { session_total_bytes: 400_000, ..Limits::default() };
    let (count, limit) = (60, limits.session_total_bytes);
    let (most, found) =
        peaks(options(limits), &one_after_the_other((0..count).map(|at| talkative(40_000 + at, 20_000).packets)));
    assert!(most.sessions > limit / 2, "there is something to bound: {most:?}");
    assert!(most.sessions <= limit + SEGMENT, "{most:?}");
    assert!(found.health.released_connections > 0, "{:?}", found.health);
    assert_eq!(found.connections.len(), usize::from(count));
    assert_eq!(properties(&found, 0, C2s), [&b"Socket-Type"[..], b"Identity"], "silent longest: the first are kept");
    assert_eq!(found.connections[0].peers.c2s.identity.as_deref(), Some(&b"me"[..]));
    let last = usize::from(count) - 1;
    assert_eq!(properties(&found, last, C2s), [&b"Socket-Type"[..], b"Identity", b"X-Long"], "heard last: all of it");
}

#[test]
fn very_many_very_short_properties_take_what_they_took_on_the_wire() {
    let short = vec![("x", &b""[..]); 5_000];
    let talk = Conversation::connected(40_000, &short, &short);
    let (most, found) = peaks(Options::default(), &talk.packets);
    assert_eq!(properties(&found, 0, C2s).len(), 5_000);
    // Kept as properties, and once more in the buffer that commands are collected in.
    let wire = 2 * 5_000 * 6;
    assert!((wire..3 * wire).contains(&most.sessions), "{most:?}");
}

#[test]
fn summaries_of_connections_that_ended() {
    let limits = Limits { summary_total_bytes: 400_000, ..Limits::default() };
    let limit = limits.summary_total_bytes;
    let mut open = Conversation::connected(39_999, &[DEALER], &[ROUTER]);
    let first = std::mem::take(&mut open.packets);
    let ended = (0..60).map(|at| {
        let mut talk = talkative(40_000 + at, 20_000);
        talk.close();
        talk.packets
    });
    let packets = [first, one_after_the_other(ended), open.packets].concat();
    let (most, found) = peaks(options(limits), &packets);
    assert!(most.summaries > limit / 2 && most.summaries <= limit + SEGMENT, "{most:?}");
    let early = usize::try_from(found.health.connections_told_early).expect("a small number");
    assert!((1..60).contains(&early), "{:?}", found.health);
    let conns: Vec<u32> = found.connections.iter().map(|connection| connection.conn).collect();
    let mut expected: Vec<u32> = (1..=60).collect();
    expected.insert(early, 0);
    assert_eq!(conns, expected, "each once; the one that was open came behind those told early");
    assert!((0..=60).all(|at| !properties(&found, at, C2s).is_empty()), "and nothing of them is lost");
}

#[test]
fn connections_that_follow_one_another_are_told_as_they_end() {
    let talks = (0..60).map(|at| {
        let mut talk = talkative(40_000 + at, 20_000);
        talk.close();
        talk.packets
    });
    let (most, found) = peaks(Options::default(), &one_after_the_other(talks));
    assert!(most.summaries < 60 * 20_000 / 4, "they do not wait for the end of the capture: {most:?}");
    assert_eq!(found.health.connections_told_early, 0, "but for those before them");
    assert!(found.connections.iter().map(|connection| connection.conn).eq(0..60), "each once, in order");
}

/// CURVE connections of which the log has the key, each within a frame that does not end.
fn within_a_sealed_frame(count: u8, octets: usize) -> (Vec<Conversation>, Options) {
    let mut log = String::new();
    let talks = (0..count).map(|number| {
        let public = [number + 1; 32];
        let hex = zmtpscope::base::text::hex(&public).replace(' ', "");
        log.extend(["CURVE_SESSION ", &hex, " ", &"5a".repeat(32), "\n"]);
        let mut talk = Conversation::open(40_000 + u16::from(number));
        talk.say(C2s, &greeting(b"CURVE"));
        talk.say(S2c, &greeting(b"CURVE"));
        talk.say(C2s, &command(b"HELLO", &[&[1, 0][..], &[0; 72], &public, &[0; 8], &[0; 80]].concat()));
        talk.say(C2s, &long_header(0, octets as u64 + 8 + 8));
        talk.say(C2s, &[&b"\x07MESSAGE\0\0\0\0\0\0\0\x07"[..], &vec![b'b'; octets - 100]].concat());
        talk
    });
    let talks = talks.collect();
    let (keys, errors) = KeyLog::parse(&log);
    assert!(errors.is_empty(), "{errors:?}");
    (talks, Options { keys: Some(Arc::new(keys)), ..Options::default() })
}

#[test]
fn sealed_frames_that_never_end() {
    let (mut talks, mut options) = within_a_sealed_frame(12, 100_000);
    options.limits.session_total_bytes = 500_000;
    let held = one_after_the_other(talks.iter_mut().map(|talk| std::mem::take(&mut talk.packets)));
    for talk in &mut talks {
        talk.say(C2s, &[b'b'; 100]);
    }
    let packets = [held, one_after_the_other(talks.into_iter().map(|talk| talk.packets))].concat();
    let (most, found) = peaks(options, &packets);
    // A buffer that grows is twice as long for a moment.
    assert!(most.sessions > 250_000 && most.sessions <= 500_000 + 2 * SEGMENT, "{most:?}");
    assert!(found.health.released_connections > 0, "{:?}", found.health);
    let given_up = |conn| found.findings.iter().any(|f| f.conns == [conn] && f.text.contains("given up"));
    assert!(given_up(0) && !given_up(11), "those silent longest: {:?}", found.findings);
    let messages: Vec<_> = found.messages().map(|(_, message)| message).collect();
    assert_eq!(messages.len(), 12, "each frame is told, closed");
    let first = &messages[0].parts[0];
    assert!(
        messages.iter().all(|message| message.parts[0].hash == first.hash && message.parts[0].length == first.length)
    );
}

#[test]
fn http_that_may_become_a_web_socket() {
    let limits = Limits { held_total_bytes: 600_000, ..Limits::default() };
    let limit = limits.held_total_bytes;
    let upload = |port| {
        let mut talk = Conversation::open(port);
        talk.say(C2s, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n");
        talk.say(C2s, &vec![b'b'; 40_000]);
        talk
    };
    let mut packets = one_after_the_other((0..40).map(|at| upload(40_000 + at).packets));
    // A peer that begins as slowly as libzmq does.
    let mut talk = Conversation::open(50_000);
    for direction in [C2s, S2c] {
        greeting(b"NULL").chunks(7).for_each(|octets| talk.say(direction, octets));
    }
    talk.say(C2s, &command(b"READY", &metadata(&[DEALER])));
    talk.say(S2c, &command(b"READY", &metadata(&[ROUTER])));
    talk.say(C2s, &message(&[b"heard"]));
    packets.extend(talk.packets);
    let (most, found) = peaks(options(limits), &packets);
    assert!(most.undecided > limit / 2 && most.undecided <= limit + 2 * SEGMENT, "{most:?}");
    assert!(found.health.judged_early > 0, "{:?}", found.health);
    assert_eq!(found.messages().count(), 1, "who comes later is recognised all the same");
}

#[test]
fn attempts_to_connect() {
    let limits = Limits { half_open: 100, connections: 10, ..Limits::default() };
    let mut talk = Conversation::connected(39_999, &[DEALER], &[ROUTER]);
    let first = std::mem::take(&mut talk.packets);
    let flood = (0..5_000).map(|at| {
        let mut attempt = Conversation::open(40_000 + at);
        attempt.packets.truncate(1);
        attempt.packets
    });
    let flood = one_after_the_other(flood);
    talk.say(C2s, &message(&[b"still heard"]));
    let (most, found) = peaks(options(limits), first.iter().chain(&flood).chain(&talk.packets));
    assert_eq!(most.undecided, 0, "nothing is held of who said nothing; {most:?}");
    assert_eq!((found.health.tcp_connections, found.health.other_connections), (5_001, 5_000));
    assert_eq!(found.health.evicted, 0);
    assert!(found.health.half_open_evicted >= 4_900, "{:?}", found.health);
    assert_eq!(found.messages().count(), 1);
}

/// One octet and a hole, again and again: what is kept of each is far more than the octet.
#[test]
fn single_octets_out_of_order() {
    let limits = Limits { pending_total_bytes: 100_000, ..Limits::default() };
    let limit = limits.pending_total_bytes;
    let holes = |port| {
        let mut talk = Conversation::open(port);
        for _ in 0..200 {
            talk.say(C2s, b"--");
        }
        // The first octet of each pair is not in the capture.
        let from = talk.packets.len() - 200;
        for packet in &mut talk.packets[from..] {
            packet.bytes.pop();
            packet.bytes[3] -= 1;
            packet.wire_length -= 1;
            let sequence = u32::from_be_bytes([packet.bytes[24], packet.bytes[25], packet.bytes[26], packet.bytes[27]]);
            packet.bytes[24..28].copy_from_slice(&(sequence + 1).to_be_bytes());
        }
        talk
    };
    let (most, found) = peaks(options(limits), &one_after_the_other((0..20).map(|at| holes(40_000 + at).packets)));
    assert!(most.pending > limit / 2 && most.pending <= limit + SEGMENT, "{most:?}");
    assert!(found.health.reassembly.limit_gaps > 0, "{:?}", found.health);
}

/// Data packet `number` of a source of PGM in UDP: one message of ZMTP 1.0.
fn data_packet(source: u8, number: u32) -> Vec<u8> {
    let tsdu = [&[0, 0, 101, 0][..], &[b'm'; 100]].concat();
    let mut packet = vec![0x90, source, 0x15, 0xb4, 4, 0, 0, 0];
    packet.extend([1, 2, 3, 4, 5, source]);
    packet.extend((tsdu.len() as u16).to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.extend(1_u32.to_be_bytes());
    packet.extend(tsdu);
    packet
}

#[test]
fn repairs_that_never_come() {
    let limits = Limits { held_total_bytes: 60_000, ..Limits::default() };
    let limit = limits.held_total_bytes;
    // Every second packet is missing, at the same time in all sources.
    let numbers = (0..20_u32).flat_map(|at| (0..40).map(move |source| (source, 1 + 2 * at)));
    let packets: Vec<_> = numbers
        .zip(1..)
        .map(|((source, number), at)| udp(at, [10, 0, 0, source], &data_packet(source, number)))
        .collect();
    let (most, found) = peaks(Options { ports: vec![5556], limits, ..Options::default() }, &packets);
    assert!(most.datagrams > limit / 2 && most.datagrams <= limit + SEGMENT, "{most:?}");
    assert!(found.health.released_connections > 0, "{:?}", found.health);
    assert_eq!(found.messages().count(), 20 * 40, "each that is there is told");
    assert_eq!(found.health.datagrams.pgm_lost, 19 * 40);
}

/// Of what was captured without content, there are gaps without end.
#[test]
fn gaps_of_a_connection_that_nothing_is_known_of() {
    let mut talk = Conversation::open(40_000);
    for _ in 0..20_000 {
        talk.say(C2s, b"cut");
    }
    for packet in &mut talk.packets[3..] {
        packet.bytes.truncate(40);
    }
    let (most, found) = peaks(Options::default(), &talk.packets);
    assert!((1..2 << 20).contains(&most.undecided), "{most:?}");
    assert_eq!((found.health.other_connections, found.health.reassembly.lost_bytes), (1, 60_000));
}

/// A peer of 1.0 and half a signature: more would tell, but no more comes.
#[test]
fn who_is_undecided_at_its_end_is_not_kept() {
    let talks = (0..20).map(|at| {
        let mut talk = Conversation::open(40_000 + at);
        talk.say(C2s, b"\x01\0\x06\0hello");
        talk.say(S2c, b"\xff\0\0\0");
        talk.close();
        talk.packets
    });
    let mut analyzer = Analyzer::new(Options::default(), Recorder::default());
    for packet in &one_after_the_other(talks) {
        analyzer.packet(&packet.packet());
    }
    assert_eq!(analyzer.accounts(), Accounts::default());
    assert_eq!(analyzer.health().other_connections, 20);
}

/// What a session keeps whatever happens, and what does not depend on what connections carry.
#[test]
fn what_is_in_no_account_is_bounded_for_each_connection() {
    let limits = Limits { session_total_bytes: 0, ..Limits::default() };
    let count = 50;
    let talks = (0..count).map(|at| {
        let mut talk = talkative(40_000 + at, 20_000);
        (0..20).for_each(|_| talk.say(C2s, &frame(1, &[b'x'; 300])));
        talk.packets
    });
    let (most, _) = peaks(options(limits), &one_after_the_other(talks));
    assert!(most.sessions <= usize::from(count) * PER_CONNECTION / 2 + SEGMENT, "{most:?}");
}
