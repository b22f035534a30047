//! What somebody who wants to do harm, or a broken peer, could put on the wire or into a file.

use crate::conversation::{Conversation, command, frame, greeting, long_header, message, metadata};
use crate::formats::{gzip, pcap_ns_big_endian, zstd};
use crate::packets::{OwnedPacket, analyze, analyze_with};
use crate::program::on_capture;
use std::io::Cursor;
use zmtpscope::analyze::engine::Options;
use zmtpscope::base::direction::Direction::{ClientToServer as C2s, ServerToClient as S2c};
use zmtpscope::base::limits::Limits;
use zmtpscope::base::text::is_unsafe;
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::packet::{Next, PacketSource};

/// Every view of a file.
const VIEWS: [&str; 6] = ["analyze", "connections", "frames", "messages", "paths", "findings"];

const DEALER: &[(&str, &[u8])] = &[("Socket-Type", b"DEALER"), ("Identity", b"")];
const ROUTER: &[(&str, &[u8])] = &[("Socket-Type", b"ROUTER"), ("Identity", b"")];

/// Reads whatever can be read of `bytes`: how many packets.
fn drain(bytes: Vec<u8>) -> usize {
    let Ok(mut source) = FileSource::from_reader("garbage", Box::new(Cursor::new(bytes)), None) else { return 0 };
    let mut packets = 0;
    while let Ok(Next::Packet(packet)) = source.next_packet() {
        let _ = zmtpscope::decap::segment(&packet);
        packets += 1;
    }
    packets
}

#[test]
fn random_bytes_are_no_capture() {
    let mut random = fastrand::Rng::with_seed(1);
    let starts: [&[u8]; 7] = [
        &[],
        &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0],
        &[0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4],
        &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
        &[0x28, 0xb5, 0x2f, 0xfd, 0],
        &[0x28, 0xb5, 0x2f, 0xfd, 0xe0],
    ];
    for round in 0..500 {
        let mut bytes = starts[round % starts.len()].to_vec();
        bytes.extend((0..random.usize(0..4000)).map(|_| random.u8(..)));
        drain(bytes);
    }
    let bytes: Vec<u8> = (0..4000).map(|_| random.u8(..)).collect();
    for view in VIEWS {
        let output = on_capture(&[view], &bytes);
        assert_eq!(output.status.code(), Some(1), "{view}: the work could not be done");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{view}: and says so where it belongs");
    }
}

/// A thousand times as long as the file and more: all of it is seen, none of it is kept.
#[test]
fn a_decompression_bomb_streams() {
    let mut pcap = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    pcap.resize(pcap.len() + (64 << 20), 0);
    let packets = (64 << 20) / 16;
    let bomb = zstd(&pcap);
    assert!(bomb.len() < pcap.len() / 1000);
    assert_eq!(drain(bomb), packets);
    assert_eq!(drain(gzip(&pcap)), packets);
}

#[test]
fn absurd_lengths_in_a_file_take_no_memory() {
    let header = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0];
    for length in [0x0100_0001_u32, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff] {
        let mut pcap = header.to_vec();
        pcap.extend([0; 8]);
        pcap.extend(length.to_le_bytes());
        pcap.extend(length.to_le_bytes());
        pcap.extend([0; 5000]);
        let mut pcapng = vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0];
        pcapng.extend([0xff; 8]);
        pcapng.extend([28, 0, 0, 0, 6, 0, 0, 0]);
        pcapng.extend(length.to_le_bytes());
        pcapng.extend([0; 5000]);
        for bytes in [pcap, pcapng] {
            assert!(drain(bytes.clone()) <= 1, "{length:#x}");
            let output = on_capture(&["analyze"], &bytes);
            assert!(!output.stderr.is_empty(), "{length:#x}: somebody is told");
        }
    }
}

#[test]
fn a_frame_longer_than_the_protocol_allows() {
    let mut talk = Conversation::connected(40_000, DEALER, ROUTER);
    talk.say(C2s, &message(&[b"before"]));
    talk.say(C2s, &long_header(0, 1 << 63));
    talk.say(C2s, &message(&[b"not a message"]));
    let found = analyze(&talk.packets);
    assert_eq!(found.messages().count(), 1, "only what came before");
    assert!(found.findings.iter().any(|finding| finding.code == "frame-length"), "{:?}", found.findings);
}

#[test]
fn an_enormous_frame_that_never_ends_is_not_kept() {
    let mut talk = Conversation::connected(40_000, DEALER, ROUTER);
    talk.say(C2s, &long_header(0, 1 << 62));
    for _ in 0..100 {
        talk.say(C2s, &vec![b'x'; 60_000]);
    }
    talk.say(S2c, &message(&[b"still heard"]));
    let found = analyze(&talk.packets);
    assert_eq!(found.messages().count(), 1, "what the other side said");
    assert_eq!(found.health.reassembly.lost_bytes, 0);
    on_capture(&["messages"], &pcap_ns_big_endian(&talk.packets));
}

#[test]
fn long_bodies_are_known_by_their_first_bytes() {
    let mut talk = Conversation::connected(40_000, DEALER, ROUTER);
    let body = vec![b'y'; 3_000_000];
    talk.say(C2s, &message(&[b"id", &body, &body]));
    let found = analyze(&talk.packets);
    let (_, message) = found.messages().next().expect("one message");
    assert_eq!(message.parts.iter().map(|part| part.length).collect::<Vec<_>>(), [2, 3_000_000, 3_000_000]);
    assert_eq!(message.parts[1].hash, message.parts[2].hash);
    assert_eq!(message.heads.len(), 2 + 2 * Limits::default().head_bytes);
}

#[test]
fn a_hundred_thousand_tiny_messages() {
    let mut talk = Conversation::connected(40_000, DEALER, ROUTER);
    let tiny: Vec<u8> = (0..100_000_u32).flat_map(|number| [0, 1, number as u8]).collect();
    talk.say(C2s, &tiny);
    let found = analyze(&talk.packets);
    let messages: Vec<_> = found.messages().map(|(_, message)| message).collect();
    assert_eq!(messages.len(), 100_000);
    for (number, message) in messages.into_iter().enumerate() {
        assert_eq!((message.ordinal, message.part_count), (number as u64, 1));
        assert_eq!(message.heads, [number as u8]);
    }
    assert_eq!(found.connections[0].traffic.c2s.body_bytes, 100_000);
}

#[test]
fn ten_thousand_parts_in_one_message() {
    let mut talk = Conversation::connected(40_000, DEALER, ROUTER);
    let parts = vec![&b"part"[..]; 10_000];
    talk.say(C2s, &message(&parts));
    talk.say(C2s, &message(&[b"", b"next"]));
    let found = analyze(&talk.packets);
    let messages: Vec<_> = found.messages().map(|(_, message)| message).collect();
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].part_count, messages[0].parts.len()), (10_000, Limits::default().parts));
    assert_eq!(messages[1].part_heads().collect::<Vec<_>>(), [&b""[..], b"next"]);
    let traffic = found.connections[0].traffic.c2s;
    assert_eq!((traffic.frames, traffic.body_bytes), (10_002, 40_004));
    for view in VIEWS {
        on_capture(&[view], &pcap_ns_big_endian(&talk.packets));
    }
}

/// Many connections, each within its own limits, hold no more than all of them may together.
#[test]
fn messages_under_way_on_many_connections_are_bounded_together() {
    let body = [b'x'; 200];
    let mut packets = Vec::new();
    let open = 20;
    for port in 0..open {
        let mut talk = Conversation::connected(40_000 + port, DEALER, ROUTER);
        talk.say(C2s, &frame(1, b"first"));
        (0..50).for_each(|_| talk.say(C2s, &frame(1, &body)));
        packets.push(talk);
    }
    let mut said: Vec<OwnedPacket> = packets.iter_mut().flat_map(|talk| std::mem::take(&mut talk.packets)).collect();
    for talk in &mut packets {
        talk.say(C2s, &frame(0, b"last"));
        said.append(&mut talk.packets);
    }
    let options =
        Options { limits: Limits { session_total_bytes: 100_000, ..Limits::default() }, ..Options::default() };
    let found = analyze_with(options, &said);
    assert!(found.health.released_connections > 0, "{:?}", found.health);
    let messages: Vec<_> = found.messages().map(|(_, message)| message).collect();
    assert_eq!(messages.len(), usize::from(open), "none is lost");
    for message in &messages {
        assert_eq!(message.part_count, 52, "and all of its parts are counted");
        assert_eq!(message.part_heads().next(), Some(&b"first"[..]));
    }
    assert!(messages.iter().any(|message| message.parts.len() == 1));
    assert!(messages.iter().any(|message| message.parts.len() == 52), "those heard last are whole");
    assert_eq!(
        found.connections.iter().map(|c| c.traffic.c2s.body_bytes).sum::<u64>(),
        u64::from(open) * (5 + 10_000 + 4)
    );
}

/// One connection's flood of mistakes does not hide another's.
#[test]
fn a_flood_of_anomalies_leaves_room_for_others() {
    let mut flood = Conversation::connected(40_000, DEALER, ROUTER);
    flood.say(C2s, &[4, 0].repeat(20_000));
    let mut other = Conversation::connected(40_001, DEALER, ROUTER);
    other.say(C2s, &[4, 0]);
    let found = analyze(flood.packets.iter().chain(&other.packets));
    let of = |conn| found.findings.iter().filter(|finding| finding.conns == [conn]).count();
    assert_eq!((of(0), of(1)), (Limits::default().anomalies_alike, 1));
    assert_eq!(found.health.anomalies_not_listed, 20_000 - Limits::default().anomalies_alike as u64);
}

#[test]
fn commands_of_a_megabyte() {
    let mut talk = Conversation::open(40_000);
    let long = vec![b'z'; 1 << 20];
    for direction in [C2s, S2c] {
        talk.say(direction, &greeting(b"NULL"));
    }
    talk.say(C2s, &command(b"READY", &metadata(&[("Socket-Type", b"DEALER"), ("X-Long", &long)])));
    talk.say(S2c, &command(b"READY", &metadata(&[("Socket-Type", b"ROUTER")])));
    talk.say(C2s, &command(b"UNHEARD-OF", &long));
    talk.say(C2s, &message(&[b"after"]));
    let found = analyze(&talk.packets);
    assert_eq!(found.messages().count(), 1);
    assert_eq!(found.connections[0].traffic.c2s.commands, 2);
    let kept = found.frames().map(|frame| frame.head.len()).max();
    assert_eq!(kept, Some(Limits::default().command_bytes));
}

#[test]
fn mechanisms_that_differ_or_that_nobody_knows() {
    let mut talk = Conversation::open(40_000);
    talk.say(C2s, &greeting(b"NULL"));
    talk.say(S2c, &greeting(b"PLAIN"));
    let found = analyze(&talk.packets);
    assert!(found.findings.iter().any(|finding| finding.code == "mechanism-mismatch"), "{:?}", found.findings);

    let mut talk = Conversation::open(40_000);
    for direction in [C2s, S2c] {
        talk.say(direction, &greeting(b"QUANTUM"));
        talk.say(direction, &command(b"ENTANGLE", &[0xff; 40]));
        talk.say(direction, &message(&[b"sealed?"]));
    }
    let found = analyze(&talk.packets);
    assert_eq!(found.connections[0].mechanism.as_deref(), Some("QUANTUM"));
    assert_eq!(found.messages().count(), 2);
}

/// Everything that a peer can choose holds escape sequences, newlines and characters that reorder a line.
fn with_escape_sequences() -> Vec<OwnedPacket> {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\t\u{9b}31m\u{202e}\u{2066}\u{200b}\u{85}\u{7f}|,\"".as_bytes();
    let mut talk = Conversation::connected(
        40_000,
        &[("Socket-Type", b"REQ"), ("Identity", evil), ("X\u{1b}[31m\n", evil)],
        &[("Socket-Type", b"ROUTER\x1b[0m\n"), ("Identity", evil)],
    );
    talk.say(C2s, &message(&[evil, b"", evil]));
    talk.say(S2c, &message(&[evil, b"", evil]));
    talk.say(C2s, &command(evil, evil));
    talk.say(C2s, &command(b"ERROR", &frame(0, evil)[1..]));
    talk.say(C2s, &frame(0xfc, evil));
    let mut second = Conversation::connected(40_001, DEALER, &[("Socket-Type", b"REP")]);
    second.say(C2s, &message(&[evil, b"", b"forwarded"]));
    second.say(S2c, &message(&[evil, b"", b"answered"]));
    // A refusal in the handshake is put into words.
    let mut third = Conversation::open(40_002);
    third.say(C2s, &greeting(b"PLAIN"));
    third.say(S2c, &greeting(b"PLAIN"));
    third.say(C2s, &command(b"HELLO", &[&[evil.len() as u8], evil, &[evil.len() as u8], evil].concat()));
    third.say(S2c, &command(b"ERROR", &frame(0, evil)[1..]));
    [talk.packets, second.packets, third.packets].concat()
}

/// Every view in every format that it has.
fn views_and_formats() -> impl Iterator<Item = (&'static str, &'static str)> {
    let formats = ["table", "csv", "jsonl", "json"];
    let all = VIEWS.into_iter().flat_map(move |view| formats.map(|format| (view, format)));
    all.filter(|pair| *pair != ("analyze", "csv"))
}

#[test]
fn no_output_drives_the_terminal() {
    let capture = pcap_ns_big_endian(&with_escape_sequences());
    for (view, format) in views_and_formats() {
        for payload in ["text", "hex", "none"] {
            let args = [view, "--format", format, "--payload", payload, "--color", "never", "--show-secrets"];
            let output = on_capture(&args, &capture);
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_harmless(&output.stdout, &args);
            assert_harmless(&output.stderr, &args);
        }
    }
}

fn assert_harmless(output: &[u8], args: &[&str]) {
    let text = std::str::from_utf8(output).unwrap_or_else(|error| panic!("{args:?}: not UTF-8: {error}"));
    for line in text.lines() {
        assert!(!line.contains(is_unsafe), "{args:?}: {line:?}");
    }
}

#[test]
fn a_password_is_not_shown_unless_asked_for() {
    let capture = crate::fixture::named("plain-ok").bytes();
    let secret = "secret-of-alice";
    let in_hex = zmtpscope::base::text::hex(secret.as_bytes());
    for (view, format) in views_and_formats() {
        let args = [view, "--format", format];
        let output = on_capture(&args, &capture);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains(secret) && !text.replace(' ', "").contains(&in_hex), "{args:?}: {text}");
    }
    let shown = on_capture(&["frames", "--format", "jsonl", "--show-secrets"], &capture);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(secret) || shown.contains(&in_hex), "{shown}");
}
