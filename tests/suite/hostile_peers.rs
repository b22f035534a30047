//! Real sockets, hostile streams: for each case of `fixtures/hostile.pcap.gz`, what has to be said about it.
//!
//! What is expected follows from what each client did (`what` in `hostile.cases.json`, written by the program that did it)
//! and from the specifications; it is not what some run of this program said.

use crate::packets::{OwnedPacket, analyze, read};
use crate::program::on_capture;
use crate::recording::Recording;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use zmtpscope::base::text::is_unsafe;
use zmtpscope::capture::file::FileSource;
use zmtpscope::correlate::findings::Finding;
use zmtpscope::zmtp::anomaly::Severity;

#[derive(Deserialize)]
struct Case {
    client: String,
    #[serde(rename = "case")]
    name: String,
    what: String,
}

/// What must be among the findings; nothing where what was sent is allowed, and then no warning may be either.
const EXPECTED: &[(&str, &[&str])] = &[
    // RFC 37: signature = %xFF padding %x7F. With another octet it is another protocol, and gets no number.
    ("sig-bad-first", &["not-zmtp"]),
    ("sig-bad-last", &["not-zmtp"]),
    ("sig-only", &["greeting-cut"]),
    ("sig-partial", &["greeting-cut"]),
    // The padding is not significant; but a 1.0 peer takes it for a length.
    ("sig-lenfield", &["greeting-padding"]),
    ("greeting-63", &["greeting-cut"]),
    // "A peer SHALL accept higher versions."
    ("version-4", &["greeting-version"]),
    ("version-255", &["greeting-version"]),
    // The server greeted as 3.1, and so these are no greetings of its grammar, and too short to be.
    ("version-0", &["greeting-cut"]),
    ("version-1", &["greeting-cut"]),
    ("version-2-badtype", &["greeting-cut"]),
    ("version-1-longid", &["greeting-version"]),
    // mechanism = 20mechanism-char, padded: 20 are allowed. It is not the server's.
    ("mech-not-terminated", &["mechanism-mismatch"]),
    ("mech-empty", &["greeting-mechanism", "mechanism-mismatch"]),
    ("mech-binary", &["greeting-mechanism", "mechanism-mismatch"]),
    ("mech-junk-after-nul", &["greeting-mechanism", "mechanism-mismatch"]),
    ("mech-unknown", &["mechanism-mismatch"]),
    ("filler-nonzero", &["greeting-filler"]),
    ("as-server-2", &["greeting-as-server"]),
    // Lengths above 2^63 - 1 do not exist; 2^31 and 2^40 do, but so much was not sent.
    ("len-2^63", &["frame-length"]),
    ("len-2^64-1", &["frame-length"]),
    ("len-2^31", &["frame-cut"]),
    ("len-2^40", &["frame-cut"]),
    ("cmd-len-2^63", &["frame-length"]),
    ("long-for-short", &[]),
    ("flags-reserved", &["reserved-flags"]),
    // FF is a long command: of its 9 octets of header 7 came.
    ("flags-ff", &["frame-cut"]),
    ("command-more", &["command-more"]),
    // libzmq sends heartbeats there.
    ("command-in-multipart", &[]),
    ("command-unknown", &["unknown-command"]),
    ("command-empty", &["malformed-command"]),
    ("command-name-0", &["malformed-command"]),
    ("command-name-255", &["malformed-command"]),
    ("command-name-255-full", &["unknown-command"]),
    ("ready-name-overrun", &["malformed-metadata"]),
    ("ready-value-overrun", &["malformed-metadata"]),
    ("ready-value-overrun1", &["malformed-metadata"]),
    ("ready-name-0", &["malformed-metadata"]),
    ("ready-truncated-len", &["malformed-metadata"]),
    ("ready-no-metadata", &["missing-socket-type"]),
    ("ready-dup-keys", &["duplicate-property"]),
    ("ready-case", &["property-case"]),
    ("ready-1000-props", &[]),
    ("ready-identity-300", &["malformed-identity"]),
    ("ready-socktype-junk", &["unknown-socket-type"]),
    ("ready-utf8-ident", &[]),
    ("ready-twice", &["unexpected-command"]),
    ("message-before-ready", &["early-message"]),
    ("hello-on-null", &["unexpected-command", "handshake-cut"]),
    ("error-overrun", &["malformed-command"]),
    ("error-empty", &["malformed-command"]),
    ("error-ok", &["handshake-refused"]),
    ("error-rror", &["caret-rror", "handshake-refused"]),
    ("plain-hello-overrun", &["malformed-command"]),
    ("plain-hello-pwd-overrun", &["malformed-command"]),
    ("plain-hello-trailing", &["malformed-command"]),
    ("curve-hello-10", &["malformed-command"]),
    ("curve-hello-199", &["malformed-command"]),
    ("curve-hello-201", &["malformed-command"]),
    ("curve-hello-version", &["curve-version"]),
    ("curve-welcome-167", &["malformed-command"]),
    ("curve-initiate-short", &["malformed-command"]),
    ("curve-message-short", &["curve-malformed-message", "early-message"]),
    ("curve-message-empty", &["curve-malformed-message", "early-message"]),
    // Topics may be of any length; a SUB has no business with a ROUTER.
    ("subscribe-empty", &["socket-type-mismatch"]),
    ("ping-no-ttl", &["malformed-command"]),
    ("join-leave", &["malformed-command", "socket-type-mismatch"]),
    // ZMTP 1.0, whatever is wrong in it, to a server that greeted as 3.1.
    ("v1-len-0", &["greeting-cut"]),
    ("v1-long-len-0", &["greeting-cut"]),
    ("v1-len-2^63", &["greeting-cut"]),
    ("v1-len-2^64-1", &["greeting-cut"]),
    ("v1-flags", &["greeting-cut"]),
    ("v1-ok", &["greeting-cut"]),
    ("multipart-3000", &[]),
    // 'G' as flags has bit 40, and the next eight octets are a length that nobody can send.
    ("greeting-then-http", &["reserved-flags", "frame-cut"]),
    ("http", &["not-zmtp"]),
    ("tls", &["not-zmtp"]),
    ("all-ff", &["not-zmtp"]),
    ("all-zero", &["not-zmtp"]),
    ("double-greeting", &["reserved-flags"]),
    ("envelope-1000", &[]),
    ("identity-empty-envelope", &[]),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(fixture("hostile.cases.json")).expect("a fixture can be read");
    serde_json::from_str(&text).expect("it is JSON")
}

fn packets() -> Vec<OwnedPacket> {
    read(FileSource::open(&fixture("hostile.pcap.gz")).expect("a fixture is a capture"))
}

/// What was found about the connections of this client.
fn about<'a>(found: &'a Recording, client: &str) -> Vec<&'a Finding> {
    let conn = found.connections.iter().position(|connection| connection.client.to_string() == client);
    let concerns = |finding: &&Finding| match conn {
        Some(conn) => finding.conns.contains(&(conn as u32)),
        None => finding.conns.is_empty() && finding.text.contains(client),
    };
    found.findings.iter().filter(concerns).collect()
}

#[test]
fn every_hostile_stream_is_told_by_what_is_wrong_with_it() {
    let found = analyze(&packets());
    let expected: BTreeMap<_, _> = EXPECTED.iter().copied().collect();
    let cases = cases();
    assert_eq!(cases.len(), expected.len());
    for case in &cases {
        let findings = about(&found, &case.client);
        let codes: BTreeSet<_> = findings.iter().map(|finding| finding.code).collect();
        let wanted = expected.get(case.name.as_str()).unwrap_or_else(|| panic!("{} is not expected", case.name));
        let said = || format!("{} ({}): {findings:#?}", case.name, case.what);
        assert!(wanted.iter().all(|code| codes.contains(code)), "{}", said());
        if wanted.is_empty() {
            assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{}", said());
        }
        assert!(findings.iter().all(|finding| !finding.packets.is_empty() && !finding.spec.is_empty()), "{}", said());
    }
}

/// What is found about one of them does not depend on the others.
#[test]
fn a_hostile_stream_harms_no_other() {
    let all = packets();
    let found = analyze(&all);
    let mut clients: Vec<_> = cases().into_iter().map(|case| case.client).collect();
    clients.retain(|client| found.connections.iter().any(|connection| connection.client.to_string() == *client));
    for client in clients.iter().step_by(5) {
        let is_of = |packet: &&OwnedPacket| {
            let segment = packet.segment().expect("all are TCP");
            [segment.source, segment.destination].iter().any(|endpoint| endpoint.to_string() == *client)
        };
        let alone = analyze(all.iter().filter(is_of));
        for (stream, record) in &alone.streams {
            assert_eq!(Some(record), found.streams.get(stream), "{client}");
        }
        let texts =
            |recording| about(recording, client).into_iter().map(|finding| finding.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&alone), texts(&found), "{client}");
    }
}

#[test]
fn no_view_of_them_drives_the_terminal() {
    let capture = std::fs::read(fixture("hostile.pcap.gz")).expect("a fixture can be read");
    for view in ["analyze", "connections", "frames", "messages", "paths", "findings"] {
        for format in ["table", "jsonl", "json", "csv"] {
            if (view, format) == ("analyze", "csv") {
                continue;
            }
            let output = on_capture(&[view, "--format", format, "--color", "never"], &capture);
            assert!(output.status.success(), "{view} {format}");
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            assert!(text.lines().all(|line| !line.contains(is_unsafe)), "{view} {format}");
        }
    }
}
