//! Tables as they are read.

use super::connections::ConnectionsTable;
use super::drawn::drawn;
use super::frames::FramesTable;
use super::messages::MessagesTable;
use super::overview::OverviewTable;
use super::paths::PathsTable;
use crate::analyze::observer::Observer;
use crate::base::text::is_unsafe;
use crate::correlate::findings::Finding;
use crate::report::samples::{connection, proxied, stuck, with_message, written};
use crate::report::settings::Settings;
use crate::zmtp::anomaly::Severity;
use crate::zmtp::event::{Frame, FrameKind, Seal};
use crate::zmtp::properties::Properties;
use crate::zmtp::wire::frame::FrameFlags;
use crate::zmtp::wire::metadata::Property;
use unicode_width::UnicodeWidthStr;

fn wide(width: usize) -> Settings {
    Settings { width: Some(width), ..Settings::default() }
}

#[test]
fn a_path_is_drawn() {
    let expected = "\
path 3: request #12 of 127.0.0.1:50112                               complete, 183 µs, confidence 0.999
        0  127.0.0.1:50112  ──▶ 127.0.0.1:5555   origin               #0 message 12, packet 12
 +41.0 µs  127.0.0.1:5556   ──▶ 127.0.0.1:40022  assigned 006b8b4567  #90 message 12, packet 14
  +101 µs  127.0.0.1:5556   ◀── 127.0.0.1:40022  assigned             #90 message 12, packet 16
 +41.0 µs  127.0.0.1:50112  ◀── 127.0.0.1:5555   assigned 006b8b4567  #0 message 12, packet 18
";
    assert_eq!(drawn(&proxied(3, 0), &wide(103)), expected);
}

#[test]
fn a_line_a_path() {
    let text = written(PathsTable::new, &wide(120), |view| {
        view.path(proxied(0, 0));
        view.path(stuck(1, 1));
    });
    let expected = "  \
  #      time  packet  status       latency  hops  conf.  route
  0  0.000000      12  complete      183 µs   2+2  0.999  127.0.0.1:50112 → 127.0.0.1:5555 ⇒ 127.0.0.1:5556 → 127.0.0.…
  1  0.001000      12  broken                 1+0  1.000  127.0.0.1:50113 → 127.0.0.1:5555
";
    assert_eq!(squeezed(&text), squeezed(expected));
}

/// Without the widths of columns.
fn squeezed(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// The frames of a message of these parts, then the message.
fn feed_frames(view: &mut FramesTable, parts: &[&[u8]]) {
    with_message(parts, |connection, message| {
        for (at, part) in parts.iter().enumerate() {
            let more = at + 1 < parts.len();
            let frame = Frame {
                direction: message.direction,
                offset: 91,
                start: message.start,
                end: message.end,
                flags: FrameFlags(u8::from(more)),
                length: part.len() as u64,
                missing: 0,
                head: part,
                kind: FrameKind::Part { ordinal: 0, part: at as u64, seal: Seal::Clear },
            };
            view.frame(connection, &frame);
        }
        view.message(connection, message, 1);
    });
}

#[test]
fn frames_read_like_a_conversation() {
    let parts = [&b"\0\x6b\x45\x67"[..], b"", b"request"];
    let text = written(FramesTable::new, &wide(100), |view| {
        feed_frames(view, &parts);
        view.connection(&connection(0));
    });
    let expected = "\
connection 0: 127.0.0.1:50112 → 127.0.0.1:5555, REQ → ROUTER, ZMTP 3.1, NULL
    time  packet     kind      flags  length  what               content
0.000005      12  →  message   MORE        4  identity 006b4567
0.000005      12  →  message   MORE        0  delimiter
0.000005      12  →  message               7  part 3/3 of #0     request
";
    assert_eq!(text, expected);
    let live = Settings { live: true, ..wide(100) };
    let text = written(FramesTable::new, &live, |view| feed_frames(view, &parts));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("12:00:00.000005      12  0  127.0.0.1:50112 → 127.0.0.1:5555   message"), "{text}");
    assert!(text.lines().all(|line| line.width() <= 100), "{text}");
}

fn overview(settings: &Settings, connections: u32) -> String {
    written(OverviewTable::new, settings, |view| {
        for n in 0..4 {
            view.path(proxied(u64::from(n), n));
        }
        view.path(stuck(4, 1));
        for n in 0..connections {
            view.connection(&connection(n));
        }
        for _ in 0..2 {
            view.finding(&Finding {
                code: "mechanism-mismatch",
                severity: Severity::Error,
                at: None,
                conns: vec![3],
                packets: vec![],
                text: "one side offers NULL, the other PLAIN: they must be the same, and libzmq closes the connection \
                       without a word"
                    .to_owned(),
                spec: "37/ZMTP",
            });
        }
    })
}

#[test]
fn a_request_that_got_stuck_counts_for_the_route_it_had_begun() {
    let text = overview(&Settings::default(), 4);
    assert!(text.contains("4 clients (REQ) → 127.0.0.1:5555 [proxy] 127.0.0.1:5556 → 1 worker\n"), "{text}");
    assert!(text.contains("5 requests: 4 complete, 1 broken; least confidence 0.999"), "{text}");
    assert!(text.contains("latency p50 183 µs, p90 183 µs, p99 183 µs, max 183 µs"), "{text}");
    assert!(text.contains("from hop to hop, p50: 41.2 µs │ 101 µs │ 41.2 µs"), "{text}");
    assert!(text.contains("error mechanism-mismatch ×2"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [40, 60, 80, 120] {
        let settings = wide(width);
        let connections = written(ConnectionsTable::new, &settings, |view| view.connection(&connection(0)));
        let paths = written(PathsTable::new, &settings, |view| view.path(proxied(0, 0)));
        let messages = written(MessagesTable::new, &settings, |view| {
            with_message(&[b"", "漢字".repeat(100).as_bytes()], |connection, message| {
                view.message(connection, message, 1);
            });
        });
        for text in [connections, paths, messages, overview(&settings, 4), overview(&settings, 40)] {
            for line in text.lines() {
                assert!(line.width() <= width, "{} columns of {width}: {line}\n{text}", line.width());
            }
        }
    }
}

#[test]
fn no_control_character_of_the_wire_reaches_a_table() {
    let identity = b"\x1b]0;owned\x07\xc2\x9b31m";
    let mut hostile = connection(0);
    hostile.peers.c2s.socket_type = None;
    hostile.peers.c2s.properties = Properties::from_iter([Property { name: b"Socket-Type", value: identity }]);
    let mut path = proxied(0, 0);
    path.request[1].identity = Some(identity[..].into());
    let safe = |text: &str| text.chars().all(|c| c == '\n' || !is_unsafe(c));
    let connections = written(ConnectionsTable::new, &wide(120), |view| view.connection(&hostile));
    let messages = written(MessagesTable::new, &Settings::default(), |view| {
        with_message(&[identity, b"", identity], |connection, message| view.message(connection, message, 1));
    });
    for text in [connections, messages, drawn(&path, &wide(100))] {
        assert!(safe(&text), "{text:?}");
        assert!(text.contains("\\x1b]0") || text.contains("1b5d303b"), "{text}");
    }
}

#[test]
fn colour_only_where_it_is_wanted() {
    let colored = Settings { color: true, ..Settings::default() };
    assert!(overview(&colored, 4).contains("\x1b["));
    assert!(!overview(&Settings::default(), 4).contains('\x1b'));
}
