//! CURVE connections opened with a key log: what is read is what the applications sent, and nothing without the keys.

use crate::fixture::{self, Fixture, TrueCurveSession};
use crate::packets::{OwnedPacket, analyze, analyze_with};
use crate::program::on_capture;
use crate::recording::{MessageRecord, Recorder, Recording};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use zmtpscope::analyze::engine::{Analyzer, Options};
use zmtpscope::analyze::keys::{KeyLog, Source};
use zmtpscope::base::direction::Direction;
use zmtpscope::base::text::hex;
use zmtpscope::decap::segment::Segment;

/// What `crypto_box_beforenm` of libsodium makes of the first connection's transient keys.
const SESSION_KEY: &str = "e1007d5c0d79f16a07c6ad62aee73e24dc0c2810bf3c7e4f6ca053e67cce99a5";

fn opened() -> Fixture {
    fixture::named("curve-ident-multipart")
}

fn with_keys(packets: &[OwnedPacket], log: &str) -> Recording {
    analyze_with(options(log), packets)
}

fn options(log: &str) -> Options {
    Options { keys: Some(Arc::new(KeyLog::parse(log).0)), ..Options::default() }
}

/// A log whose lines are there when they are asked for, as those of a file that grows.
struct Lines(Option<String>);

impl Source for Lines {
    fn look(&mut self, log: &KeyLog) {
        if let Some(lines) = self.0.take() {
            assert_eq!(log.add(0, &lines), []);
        }
    }
}

/// The messages that were opened, by sender, receiver and ordinal: their parts in hexadecimal.
type Opened = BTreeMap<(String, String, u64), Vec<String>>;

fn opened_messages(found: &Recording) -> Opened {
    let plain = found.messages().filter(|(_, message)| !message.encrypted);
    plain
        .map(|((source, destination), message)| {
            let parts = message.part_heads().map(hex).collect();
            ((source.to_string(), destination.to_string(), message.ordinal), parts)
        })
        .collect()
}

fn plaintexts(fixture: &Fixture) -> Opened {
    let messages = &fixture.truth.plaintext_messages;
    messages.iter().map(|m| ((m.src.clone(), m.dst.clone(), m.ordinal), m.frames_hex.clone())).collect()
}

/// Sums of the whole recording.
fn closed_messages(found: &Recording) -> usize {
    found.messages().filter(|(_, message)| message.encrypted).count()
}

fn codes(found: &Recording) -> Vec<&str> {
    found.findings.iter().map(|finding| finding.code).collect()
}

/// The secret of each public key in the log.
fn secrets(fixture: &Fixture) -> BTreeMap<String, String> {
    let log = fixture.key_log().expect("it has one");
    log.lines().filter_map(|line| line.split_once(' ')).map(|(p, s)| (p.to_owned(), s.to_owned())).collect()
}

#[test]
fn every_message_is_read_with_the_key_log_and_none_without() {
    let fixture = opened();
    let expected = plaintexts(&fixture);
    assert_eq!(expected.len(), 40);
    let found = analyze_with(fixture.options(), &fixture.packets());
    assert_eq!(opened_messages(&found), expected);
    assert_eq!((closed_messages(&found), codes(&found)), (0, vec![]));
    assert!(found.connections.iter().all(|connection| connection.decrypted == Some(true)));

    let found = analyze(&fixture.packets());
    assert_eq!(opened_messages(&found), Opened::new());
    assert_eq!(closed_messages(&found), 160, "each part counts as a message");
    assert_eq!(codes(&found), ["curve-no-key"; 2], "what would open them is told");
    assert!(found.connections.iter().all(|connection| connection.decrypted == Some(false)));
}

#[test]
fn the_program_shows_plaintexts_only_with_the_key_log() {
    let fixture = opened();
    let log = fixture.path.with_extension("keylog");
    let log = log.to_str().expect("UTF-8");
    let capture = fixture.bytes();
    for view in ["messages", "frames", "analyze", "connections", "paths", "findings"] {
        for format in ["table", "jsonl", "json"] {
            let args = [view, "--format", format, "--max-body", "4096"];
            let with = on_capture(&[&args[..], &["--keylog", log]].concat(), &capture);
            let without = on_capture(&args, &capture);
            let shows =
                |output: &std::process::Output, text: &str| String::from_utf8_lossy(&output.stdout).contains(text);
            for request in &fixture.truth.requests {
                assert!(!shows(&without, &request.token), "{view} {format}");
                let wanted = matches!(view, "messages" | "frames") && format != "table";
                assert!(!wanted || shows(&with, &request.token), "{view} {format}: {}", request.token);
            }
            assert!(!shows(&without, "curve-client-0"), "{view} {format}: identity");
            assert!(view != "connections" || format == "table" || shows(&with, "637572"), "{view} {format}: identity");
            assert!(!secrets(&fixture).values().any(|secret| shows(&with, secret)), "{view} {format}: a secret key");
        }
    }
}

/// Key logs that are enough for the first connection, each with the number of connections that it opens.
fn sufficient(session: &TrueCurveSession, secrets: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    let TrueCurveSession { client_transient, server_transient, server_public, .. } = session;
    let (client, server) = (&secrets[client_transient], &secrets[server_transient]);
    vec![
        ("s'", format!("CURVE_SERVER_TRANSIENT {server}")),
        ("s' without a label", format!("{server_transient} {server}")),
        ("c' and S", format!("CURVE_CLIENT_TRANSIENT {client}\nCURVE_SERVER_PUBLIC {server_public}")),
        (
            "S and c'",
            format!("CURVE_SERVER_PUBLIC {server_public}\nCURVE_CLIENT_TRANSIENT {client_transient} {client}"),
        ),
        ("both long-term keys and c'", format!("CURVE_SERVER {}\n{client_transient} {client}", secrets[server_public])),
        ("s and s'", format!("CURVE_SERVER {}\nCURVE_SERVER_TRANSIENT {server}", secrets[server_public])),
        ("k", format!("CURVE_SESSION {client_transient} {SESSION_KEY}")),
    ]
}

#[test]
fn any_sufficient_secret_opens_its_connection_and_no_other() {
    let fixture = opened();
    let packets = fixture.packets();
    let (session, other) = (&fixture.truth.curve_sessions[0], &fixture.truth.curve_sessions[1]);
    for (what, log) in sufficient(session, &secrets(&fixture)) {
        let found = with_keys(&packets, &log);
        let decrypted: Vec<_> = found.connections.iter().map(|connection| connection.decrypted).collect();
        assert_eq!(decrypted, [Some(true), Some(false)], "{what}, not that of {}", other.client_transient);
        let messages = opened_messages(&found);
        let expected = plaintexts(&fixture);
        assert_eq!(messages.len(), 20, "{what}");
        assert!(messages.iter().all(|(at, parts)| expected[at] == *parts), "{what}");
        assert_eq!(found.connections[0].peers.c2s.identity.as_deref(), Some(&b"curve-client-0"[..]), "{what}");
        assert_eq!(found.connections[1].peers.c2s.identity, None, "{what}");
        assert_eq!(codes(&found), ["curve-no-key"], "{what}");
    }
}

#[test]
fn long_term_keys_alone_open_nothing_and_are_told_why() {
    let fixture = opened();
    let secrets = secrets(&fixture);
    let TrueCurveSession { server_public, client_public, .. } = &fixture.truth.curve_sessions[0];
    let log = format!("{server_public} {}\n{client_public} {}", secrets[server_public], secrets[client_public]);
    let found = with_keys(&fixture.packets(), &log);
    assert_eq!(opened_messages(&found), Opened::new());
    assert_eq!(closed_messages(&found), 160);
    assert_eq!(codes(&found), ["curve-no-key"; 2]);
    for finding in &found.findings {
        assert!(finding.text.contains("long-term keys cannot open traffic"), "{}", finding.text);
    }
}

#[test]
fn keys_of_others_open_nothing() {
    let fixture = opened();
    let TrueCurveSession { client_transient, .. } = &fixture.truth.curve_sessions[0];
    let stranger = "68f208412d8dd5db9d0c6d18512e86f0ec75665ab841372d57b042b27ef89d4c";
    let found = with_keys(&fixture.packets(), &format!("CURVE_SERVER_TRANSIENT {stranger}"));
    assert_eq!((opened_messages(&found).len(), closed_messages(&found)), (0, 160));
    assert_eq!(codes(&found), ["curve-no-key"; 2]);
    // A key that is said to be the right one.
    let found = with_keys(&fixture.packets(), &format!("CURVE_SESSION {client_transient} {stranger}"));
    assert_eq!((opened_messages(&found).len(), closed_messages(&found)), (0, 160));
    assert_eq!(found.connections[0].decrypted, Some(false));
    let told = codes(&found).iter().filter(|code| **code == "curve-not-opened").count();
    assert_eq!(told, 2, "once a direction: {:?}", codes(&found));
}

#[test]
fn a_log_that_is_cut_anywhere_opens_what_its_whole_lines_open() {
    let fixture = opened();
    let packets = fixture.packets();
    let expected = plaintexts(&fixture);
    let log = fixture.key_log().expect("it has one");
    let mut most = 0;
    for end in (0..=log.len()).step_by(13).chain([log.len()]) {
        let (keys, bad) = KeyLog::parse(&log[..end]);
        assert!(bad.len() <= 1, "only the last line is cut: {bad:?}");
        let found = analyze_with(Options { keys: Some(Arc::new(keys)), ..Options::default() }, &packets);
        let messages = opened_messages(&found);
        assert!(messages.iter().all(|(at, parts)| expected[at] == *parts), "cut at {end}");
        assert!(messages.len() >= most, "cut at {end}: more keys, fewer messages");
        most = messages.len();
    }
    assert_eq!(most, expected.len());
}

#[test]
fn keys_that_come_late_open_what_is_still_to_come() {
    let fixture = opened();
    let packets = fixture.packets();
    let expected = plaintexts(&fixture);
    let whole = analyze(&packets);
    let mut seen_open = 0;
    for after in 0..packets.len() {
        let keys = Arc::new(KeyLog::default());
        let options = Options { keys: Some(Arc::clone(&keys)), ..Options::default() };
        let mut analyzer = Analyzer::new(options, Recorder::default());
        for (number, packet) in packets.iter().enumerate() {
            if number == after {
                assert_eq!(keys.add(0, &fixture.key_log().expect("it has one")), []);
            }
            analyzer.packet(&packet.packet());
        }
        let found = Recording::of(analyzer);
        let texts: Vec<_> = expected.values().collect();
        // Here each message is in one packet, so that none lacks parts.
        for parts in opened_messages(&found).values() {
            assert!(texts.contains(&parts), "after {after} packets: {parts:?}");
        }
        seen_open += opened_messages(&found).len();
        let frames = |recording: &Recording| -> u64 {
            recording.connections.iter().map(|c| c.traffic.c2s.frames + c.traffic.s2c.frames).sum()
        };
        // The first opened message of each side may lack parts, and is not told.
        let cut = found.frames().filter(|frame| frame.kind.starts_with("CutPart")).count() as u64;
        assert_eq!(frames(&found) + cut, frames(&whole), "after {after} packets");
    }
    assert!(seen_open > expected.len() * 10);
}

#[test]
fn keys_that_come_one_by_one_open_as_soon_as_they_are_enough() {
    let fixture = opened();
    let secrets = secrets(&fixture);
    let session = &fixture.truth.curve_sessions[0];
    let server_public = format!("CURVE_SERVER_PUBLIC {}", session.server_public);
    let server_long_term = format!("CURVE_SERVER {}", secrets[&session.server_public]);
    let client = format!("CURVE_CLIENT_TRANSIENT {}", secrets[&session.client_transient]);
    let server = format!("CURVE_SERVER_TRANSIENT {}", secrets[&session.server_transient]);
    for (first, second) in [
        (&server_public, &client),
        (&client, &server_public),
        (&server_long_term, &client),
        (&server_long_term, &server),
        (&server_public, &server),
        (&client, &server),
    ] {
        for (when_first, when_second) in [(0, 40), (22, 28), (27, 29), (29, 31), (30, 40), (35, 45)] {
            let keys = Arc::new(KeyLog::default());
            let options = Options { keys: Some(Arc::clone(&keys)), ..Options::default() };
            let mut analyzer = Analyzer::new(options, Recorder::default());
            for (number, packet) in fixture.packets().iter().enumerate() {
                for (when, line) in [(when_first, first), (when_second, second)] {
                    if number == when {
                        assert_eq!(keys.add(0, line), []);
                    }
                }
                analyzer.packet(&packet.packet());
            }
            let found = Recording::of(analyzer);
            assert_eq!(
                found.connections[0].decrypted,
                Some(true),
                "{first} at {when_first}, {second} at {when_second}"
            );
            assert_eq!(found.connections[0].peers.c2s.identity.as_deref(), Some(&b"curve-client-0"[..]));
            assert!(opened_messages(&found).len() >= 8, "{first} at {when_first}, {second} at {when_second}");
        }
    }
}

/// Every opened message is one that was sent, byte for byte, at its place in its stream.
fn assert_nothing_invented(found: &Recording, whole: &Recording, what: &str) {
    for (stream, message) in found.messages().filter(|(_, message)| !message.encrypted) {
        let original = whole.streams[&stream].messages.iter().find(|original| original.offset == message.offset);
        let original = original.unwrap_or_else(|| panic!("{what}: no message begins at {}", message.offset));
        let told = |message: &MessageRecord| (message.part_count, message.parts.clone(), message.heads.clone());
        assert_eq!(told(message), told(original), "{what}: {stream:?} {}", message.offset);
    }
}

/// The packets of the first connection, the options that open it, and what it carried.
fn first_connection(fixture: &Fixture) -> (Vec<OwnedPacket>, Options, Opened) {
    let client = &fixture.truth.connections[0].client;
    let session = &fixture.truth.curve_sessions[0];
    let is_its = |packet: &OwnedPacket| {
        let segment = packet.segment().expect("all of them carry TCP");
        [segment.source, segment.destination].iter().any(|end| end.to_string() == *client)
    };
    let log = format!("CURVE_SESSION {} {SESSION_KEY}", session.client_transient);
    let carried = plaintexts(fixture).into_iter().filter(|((from, to, _), _)| from == client || to == client);
    (fixture.packets().into_iter().filter(is_its).collect(), options(&log), carried.collect())
}

#[test]
fn after_a_lost_packet_no_message_lacks_its_first_parts() {
    // MORE is inside the boxes: the parts behind a lost one were told as a message of their own.
    let (packets, options, carried) = first_connection(&opened());
    let whole = analyze_with(options.clone(), &packets);
    assert_eq!(opened_messages(&whole), carried);
    let (mut cut, mut told) = (0, 0);
    for lost in 0..packets.len() {
        let left = packets.iter().enumerate().filter(|(number, _)| *number != lost).map(|(_, packet)| packet);
        let found = analyze_with(options.clone(), left);
        assert_nothing_invented(&found, &whole, &format!("without packet {}", lost + 1));
        cut += found.frames().filter(|frame| frame.kind.starts_with("CutPart")).count();
        told += opened_messages(&found).len();
    }
    assert!(cut > 50, "{cut} parts without the beginning of their message");
    assert!(told > packets.len() * 14, "{told} messages are left of {} packets", packets.len());
}

#[test]
fn a_segment_lost_between_the_parts_of_a_message_costs_at_most_one_more() {
    // Each part in a segment of its own, as a slow sender has them; each segment lost in turn.
    let (packets, options, carried) = first_connection(&opened());
    let packets = split_at_frames(&packets);
    let whole = analyze_with(options.clone(), &packets);
    assert_eq!(opened_messages(&whole), carried);
    let mut lost_frames = 0;
    for lost in (0..packets.len()).filter(|&number| is_message(&packets[number])) {
        let left = packets.iter().enumerate().filter(|(number, _)| *number != lost).map(|(_, packet)| packet);
        let found = analyze_with(options.clone(), left);
        let what = format!("without segment {lost}");
        assert_nothing_invented(&found, &whole, &what);
        let missing = carried.len() - opened_messages(&found).len();
        assert!((1..=2).contains(&missing), "{what}: {missing} messages are missing");
        let facts = found.connections.iter().filter_map(|connection| connection.curve);
        let counted: u64 = facts.map(|curve| curve.nonces.c2s.missing + curve.nonces.s2c.missing).sum();
        assert!(counted <= 1, "{what}: {counted} frames lost");
        lost_frames += counted;
    }
    assert_eq!(lost_frames, 80 - 2, "told by the nonce behind each, and nothing is behind the last of a direction");
}

/// Whether a packet carries a CURVE MESSAGE.
fn is_message(packet: &OwnedPacket) -> bool {
    packet.segment().is_some_and(|segment| segment.payload.get(2..10) == Some(b"\x07MESSAGE"))
}

/// Packets of one frame each where they carried several MESSAGEs.
fn split_at_frames(packets: &[OwnedPacket]) -> Vec<OwnedPacket> {
    let mut split = Vec::new();
    for packet in packets {
        if !is_message(packet) {
            split.push(packet.clone());
            continue;
        }
        let segment = packet.segment().expect("it carries a MESSAGE");
        let mut at = 0;
        while at < segment.payload.len() {
            let end = at + 2 + usize::from(segment.payload[at + 1]);
            let sequence = segment.sequence.wrapping_add(at as u32);
            let piece = Segment { sequence, payload: &segment.payload[at..end], ..segment };
            split.push(OwnedPacket::from_segment(&piece, packet.position));
            at = end;
        }
    }
    split
}

#[test]
fn a_damaged_message_stays_closed_and_the_others_are_read() {
    let fixture = opened();
    let mut packets = fixture.packets();
    let request = &fixture.truth.requests[4].request_hops[0];
    // The last octet of the packet is that of the last part's box.
    *packets[request.pkt as usize].bytes.last_mut().expect("it is not empty") ^= 1;
    let found = analyze_with(fixture.options(), &packets);
    assert_eq!(codes(&found), ["curve-not-opened"]);
    assert_eq!(closed_messages(&found), 1);
    let expected: Vec<_> = plaintexts(&fixture).into_values().collect();
    let messages = opened_messages(&found);
    // The one behind it is left out too: whether it begins with what follows the closed part, no one knows.
    assert_eq!(messages.len(), expected.len() - 2);
    assert!(messages.values().all(|parts| expected.contains(parts)));
    let broken: u64 = Direction::BOTH
        .iter()
        .flat_map(|&direction| found.connections.iter().map(move |c| c.traffic[direction].broken_messages))
        .sum();
    assert_eq!(broken, 2, "its other parts are no message");
}

#[test]
fn frames_above_the_limit_are_not_held() {
    let fixture = opened();
    let mut options = fixture.options();
    options.limits.sealed_bytes = 40;
    let found = analyze_with(options, &fixture.packets());
    assert_eq!(opened_messages(&found), Opened::new(), "the last part of each is longer");
    assert_eq!(codes(&found), ["curve-too-long"; 4]);
}

#[test]
fn a_log_that_does_not_belong_is_read_all_the_same() {
    let opened = opened();
    let log: PathBuf = opened.path.with_extension("keylog");
    let log = log.to_str().expect("UTF-8");
    for fixture in fixture::all() {
        let with = on_capture(&["messages", "--format", "jsonl", "--keylog", log], &fixture.bytes());
        let without = on_capture(&["messages", "--format", "jsonl"], &fixture.bytes());
        assert_eq!(with.stdout == without.stdout, fixture.name != opened.name, "{}", fixture.name);
    }
}

#[test]
fn a_log_that_grows_is_asked_before_a_message_is_given_up() {
    let fixture = opened();
    let keys = Arc::new(KeyLog::default());
    keys.follow(Lines(fixture.key_log()));
    let found = analyze_with(Options { keys: Some(keys), ..Options::default() }, &fixture.packets());
    assert_eq!(opened_messages(&found), plaintexts(&fixture));
    assert_eq!(closed_messages(&found), 0);
}
