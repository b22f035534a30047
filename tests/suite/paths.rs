//! What `paths --format jsonl` says of each request, field by field, against what the applications logged and an independent
//! reader of the wire found: the way, times and packets, `identity`, `evidence`, `status`, `latency_ns`, and what two clocks
//! do to them.
//!
//! What a field must be is worked out here from the truth alone, by the words of the JSON contract: what a node put into an
//! envelope is what its frames have more than those that came in.

use crate::clocks::{BACK, FRONT, MIDDLE, TOLERANCE, captured};
use crate::fixture::{self, Fixture, TrueHop, TrueRequest};
use crate::formats::pcap_ns_big_endian;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A line of `paths --format jsonl`.
#[derive(Debug, Deserialize)]
struct PathLine {
    path: u64,
    status: String,
    pattern: Option<String>,
    request: Vec<HopLine>,
    reply: Vec<HopLine>,
    latency_ns: Option<i64>,
    confidence: f64,
}

#[derive(Debug, Deserialize)]
struct HopLine {
    src: String,
    dst: String,
    ordinal: u64,
    ts: String,
    packet: u64,
    identity: Option<String>,
    evidence: String,
    confidence: f64,
}

impl PathLine {
    fn hops(&self) -> impl Iterator<Item = &HopLine> {
        self.request.iter().chain(&self.reply)
    }
}

impl HopLine {
    fn message(&self) -> (&str, &str, u64) {
        (&self.src, &self.dst, self.ordinal)
    }
}

fn message(hop: &TrueHop) -> (&str, &str, u64) {
    (&hop.src, &hop.dst, hop.ordinal)
}

/// What the program prints to standard output.
fn printed(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zmtpscope"));
    let output = command.args(arguments).env_remove("ZMTPKEYLOGFILE").output().expect("the program runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn paths(arguments: &[&str]) -> Vec<PathLine> {
    let text = printed(&[&["paths", "-q", "--format", "jsonl"], arguments].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn paths_of(fixture: &Fixture) -> Vec<PathLine> {
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let capture = text(&fixture.path);
    match &fixture.truth.keylog {
        Some(keys) => paths(&[&capture, "--keylog", &text(&fixture.path.with_file_name(keys))]),
        None => paths(&[&capture]),
    }
}

/// The path that holds the first message of each request, by token.
fn by_token<'a>(fixture: &'a Fixture, found: &'a [PathLine]) -> BTreeMap<&'a str, &'a PathLine> {
    let of: BTreeMap<_, _> = found.iter().flat_map(|path| path.hops().map(move |hop| (hop.message(), path))).collect();
    let path = |request: &'a TrueRequest| {
        let first = message(&request.request_hops[0]);
        (request.token.as_str(), *of.get(&first).unwrap_or_else(|| panic!("{}: no path {first:?}", fixture.name)))
    };
    fixture.truth.requests.iter().map(path).collect()
}

/// What the truth says about brokers and identities, beyond single requests.
struct Known<'a> {
    /// What each endpoint announced on its connection to the other.
    announced: BTreeMap<(&'a str, &'a str), &'a str>,
    /// Where requests came in that a node passed on.
    front_ends: BTreeSet<&'a str>,
    /// What a node put in front of messages of one connection: always the same if it is the connection's name, and
    /// another for each request if the node hides the envelope and counts.
    hides_envelope: bool,
}

impl<'a> Known<'a> {
    fn of(fixture: &'a Fixture) -> Self {
        let mut announced = BTreeMap::new();
        for connection in &fixture.truth.connections {
            let (client, server) = (connection.client.as_str(), connection.server.as_str());
            let sides = [(client, server, &connection.client_side), (server, client, &connection.server_side)];
            for (one, other, side) in sides {
                announced.extend(side.identity.as_deref().filter(|name| !name.is_empty()).map(|it| ((one, other), it)));
            }
        }
        let steps = || fixture.truth.requests.iter().flat_map(|request| request.request_hops.windows(2));
        let mut names: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for step in steps() {
            names.entry((&step[0].src, &step[0].dst)).or_default().insert(added(&step[1], &step[0]));
        }
        Self {
            announced,
            front_ends: steps().map(|step| step[0].dst.as_str()).collect(),
            hides_envelope: names.values().any(|names| names.len() > 1),
        }
    }

    fn same_client(&self, one: (&str, &str), other: (&str, &str)) -> bool {
        let name = self.announced.get(&one);
        one == other || (one.1 == other.1 && name.is_some() && name == self.announced.get(&other))
    }

    /// RFC 28: a ROUTER names the peer that a request came from; announced or not is what that peer's READY says.
    fn evidence(&self, peer: (&str, &str)) -> &'static [&'static str] {
        match self.announced.get(&peer) {
            _ if self.hides_envelope => &["content", "order"],
            Some(_) => &["announced"],
            None => &["assigned"],
        }
    }
}

/// What a message has in front that another has not: of that the last frame that is not a delimiter.
fn added<'a>(longer: &'a TrueHop, shorter: &TrueHop) -> Option<&'a str> {
    let pairs = longer.frames_hex.iter().rev().zip(shorter.frames_hex.iter().rev());
    let common = pairs.take_while(|(one, other)| one == other).count();
    assert!(common > 0, "{longer:?} and {shorter:?} have no end in common");
    let own = &longer.frames_hex[..longer.frames_hex.len() - common];
    own.iter().rev().find(|frame| !frame.is_empty()).map(String::as_str)
}

fn assert_as_known(path: &PathLine, request: &TrueRequest, known: &Known<'_>, what: &str) {
    let (asked, answered) = (&request.request_hops, replies(request));
    assert_eq!(messages(&path.request), asked.iter().map(message).collect::<Vec<_>>(), "{what}: the way there");
    assert_eq!(messages(&path.reply), answered.iter().map(|hop| message(hop)).collect::<Vec<_>>(), "{what}: and back");
    for (hop, true_hop) in path.hops().zip(asked.iter().chain(answered.iter().copied())) {
        assert_eq!(nanoseconds(&hop.ts), true_hop.ts, "{what}: time of {true_hop:?}");
        assert_eq!(hop.packet, true_hop.pkt + 1, "{what}: packet of {true_hop:?}");
    }

    let (first, last) = (&asked[0], answered.last());
    let is_back = |hop: &&TrueHop| known.same_client((&hop.dst, &hop.src), (&first.src, &first.dst));
    let back = last.filter(|hop| is_back(hop));
    let is_same_connection = back.is_some_and(|hop| (&hop.dst, &hop.src) == (&first.src, &first.dst));
    assert_eq!(is_same_connection, request.complete, "{what}: the truth agrees with itself");
    let status = match (back, last) {
        (Some(_), _) => "complete",
        (None, Some(_)) => "broken",
        (None, None) if known.front_ends.contains(asked[asked.len() - 1].dst.as_str()) => "broken",
        (None, None) => "unanswered",
    };
    assert_eq!(path.status, status, "{what}: status");
    assert_eq!(path.latency_ns, back.map(|back| back.ts - first.ts), "{what}: latency");

    for (at, hop) in path.request.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &asked[before]);
        let identity = before.filter(|_| !known.hides_envelope).and_then(|before| added(&asked[at], before));
        assert_eq!(hop.identity.as_deref(), identity, "{what}: identity there, hop {at}");
        let evidence = before.map_or(&["origin"][..], |before| known.evidence((&before.src, &before.dst)));
        assert!(evidence.contains(&hop.evidence.as_str()), "{what}: evidence there, hop {at}: {hop:?}");
    }
    for (at, hop) in path.reply.iter().enumerate() {
        // One that never left the node still says to whom it was to go: as the request said on the way there.
        let on_the_way = || asked.windows(2).rev().nth(at).and_then(|step| added(&step[1], &step[0]));
        let next = answered.get(at + 1).filter(|_| asked.len() > 1);
        let identity = if known.hides_envelope || is_back(&answered[at]) {
            None
        } else {
            next.map_or_else(on_the_way, |next| added(answered[at], next))
        };
        assert_eq!(hop.identity.as_deref(), identity, "{what}: identity back, hop {at}");
        let evidence = if at == 0 || asked.len() == 1 {
            &["order", "content"]
        } else {
            known.evidence((&answered[at].dst, &answered[at].src))
        };
        assert!(evidence.contains(&hop.evidence.as_str()), "{what}: evidence back, hop {at}: {hop:?}");
    }

    let weakest = path.hops().map(|hop| hop.confidence).fold(1.0, f64::min);
    assert!((0.0..=1.0).contains(&weakest) && path.confidence.to_bits() == weakest.to_bits(), "{what}: {path:?}");
    assert!(
        path.request[0].confidence.to_bits() == 1.0_f64.to_bits(),
        "{what}: nothing joins the first hop to another"
    );
}

/// Those of the hops back that are replies: a client that asks for more of a stream does so in the request's name.
fn replies(request: &TrueRequest) -> Vec<&TrueHop> {
    let first = &request.request_hops[0];
    let asks = |hop: &&TrueHop| (&hop.src, &hop.dst) == (&first.src, &first.dst);
    request.reply_hops.iter().filter(|hop| !asks(hop)).collect()
}

fn messages(hops: &[HopLine]) -> Vec<(&str, &str, u64)> {
    hops.iter().map(HopLine::message).collect()
}

/// `2026-11-23T22:15:00.000000001Z` since 1970, by the days of the civil calendar.
fn nanoseconds(text: &str) -> i64 {
    let numbers: Vec<i64> = text
        .split(['-', 'T', ':', '.', 'Z'])
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().expect("digits"))
        .collect();
    let &[year, month, day, hour, minute, second, fraction] = &numbers[..] else { panic!("{text}") };
    assert!(text.len() == 30 && text.ends_with('Z'), "{text}: nine fractional digits, UTC");
    let years = if month > 2 { year } else { year - 1 };
    let leap_days = years / 4 - years / 100 + years / 400;
    let days = 365 * years + leap_days + (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719_468;
    (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000 + fraction
}

#[test]
fn every_field_of_every_request() {
    let mut judged = BTreeMap::new();
    for fixture in fixture::of_paths() {
        let known = Known::of(&fixture);
        let found = paths_of(&fixture);
        let paths = by_token(&fixture, &found);
        for request in &fixture.truth.requests {
            let path = paths[request.token.as_str()];
            let what = format!("{}: request {}, path {}", fixture.name, request.token, path.path);
            assert_as_known(path, request, &known, &what);
            *judged.entry(path.status.clone()).or_insert(0) += 1;
        }
        let numbers: Vec<_> = found.iter().map(|path| path.path).collect();
        assert_eq!(numbers, (0..found.len() as u64).collect::<Vec<_>>(), "{}: they count up", fixture.name);
        let begun: Vec<_> = found.iter().filter_map(|path| Some(nanoseconds(&path.hops().next()?.ts))).collect();
        assert!(begun.is_sorted(), "{}: in the order in which they begin", fixture.name);
        assert_nothing_else(&fixture, &found);
    }
    // What this test is worth depends on what it sees.
    assert!(judged["complete"] > 500 && judged["unanswered"] >= 9 && judged["broken"] >= 6, "{judged:?}");
}

/// There is no path but those of the truth; and of what encryption hides.
fn assert_nothing_else(fixture: &Fixture, found: &[PathLine]) {
    let known: BTreeSet<_> = fixture
        .truth
        .requests
        .iter()
        .flat_map(TrueRequest::hops)
        .map(|hop| (hop.src.as_str(), hop.dst.as_str()))
        .collect();
    let closed = fixture.truth.connections.iter().filter(|c| c.mechanism.as_deref() == Some("CURVE"));
    let closed = closed.filter(|_| fixture.truth.keylog.is_none());
    // A REQ sends each as two parts, the delimiter and what was asked; the truth counts frames.
    let asked_closed: u64 = closed.map(|connection| connection.client_side.messages / 2).sum();
    // Requests for more of a stream begin paths of their own.
    let for_more = |request: &TrueRequest| request.reply_hops.len() - replies(request).len();
    let for_more: usize = fixture.truth.requests.iter().map(for_more).sum();
    // What devices pass on one way has a test of its own.
    let found: Vec<_> = found.iter().filter(|path| path.pattern.as_deref() == Some("req-rep")).collect();
    let others = found.iter().filter(|path| path.hops().all(|hop| !known.contains(&(&hop.src, &hop.dst))));
    assert_eq!(others.count() as u64, asked_closed, "{}: paths elsewhere", fixture.name);
    let expected = fixture.truth.requests.len() + for_more;
    assert_eq!(found.len() as u64, expected as u64 + asked_closed, "{}: paths", fixture.name);
}

/// Two hosts that both see the connection between the two proxies of `chain2`; the second's clock is 37 ms ahead.
fn two_hosts() -> (Fixture, [String; 2]) {
    let fixture = fixture::named("chain2");
    let write = |name: &str, ports: &[u16], ahead: i64| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, pcap_ns_big_endian(&captured(&fixture, ports, ahead)))
            .expect("the directory is writable");
        path.to_str().expect("text").to_owned()
    };
    let files = [write("host-a.pcap", &[FRONT, MIDDLE], 0), write("host-b.pcap", &[MIDDLE, BACK], 37_000_000)];
    (fixture, files)
}

/// The largest error of the hops' times. All else is as known, and latency, taken by one clock, to the nanosecond.
fn error_of_two_hosts(fixture: &Fixture, found: &[PathLine]) -> i64 {
    let mut error = 0;
    for (token, path) in by_token(fixture, found) {
        let request = fixture.truth.requests.iter().find(|request| request.token == token).expect("it is of it");
        assert_eq!(
            path.hops().map(HopLine::message).collect::<Vec<_>>(),
            request.hops().map(message).collect::<Vec<_>>()
        );
        let last = request.reply_hops.last().expect("it was answered");
        assert_eq!((path.status.as_str(), path.latency_ns), ("complete", Some(last.ts - request.request_hops[0].ts)));
        let errors = path.hops().zip(request.hops()).map(|(hop, known)| (nanoseconds(&hop.ts) - known.ts).abs());
        error = error.max(errors.max().unwrap_or(0));
    }
    error
}

#[test]
fn clocks_of_two_hosts() {
    let (fixture, [a, b]) = two_hosts();
    let estimated = error_of_two_hosts(&fixture, &paths(&[&a, &b]));
    assert!(estimated <= TOLERANCE, "{estimated} ns");
    let given = error_of_two_hosts(&fixture, &paths(&[&a, &b, "--clock-offset", &format!("{b}=-37ms")]));
    assert_eq!(given, 0, "what is given is exact");
    // What is given goes before what is estimated, right or wrong.
    let wrong = paths(&[&a, &b, "--clock-offset", &format!("{b}=-36990us")]);
    assert_eq!(error_of_two_hosts(&fixture, &wrong), 10_000, "10 µs of what was given are missing");
}
