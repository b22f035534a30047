//! CURVE connections that stay closed: their requests are followed through proxies by lengths, order and time.
//!
//! The truth is what an independent reader found with the keys, `tests/peers/closed.py`; the keys are not kept.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One message on one connection, by its last part.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Hop {
    src: String,
    dst: String,
    ordinal: u64,
    packet: u64,
}

#[derive(Debug, Deserialize)]
struct Truth {
    requests: Vec<Vec<Hop>>,
}

#[derive(Debug, Deserialize)]
struct PathLine {
    status: String,
    request: Vec<HopLine>,
    reply: Vec<HopLine>,
}

#[derive(Debug, Deserialize)]
struct HopLine {
    #[serde(flatten)]
    hop: Hop,
    identity: Option<String>,
    evidence: String,
    confidence: f64,
}

/// Less than this is no certainty.
const SURE: f64 = 0.9;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/closed").join(name)
}

fn truth(name: &str) -> Vec<Vec<Hop>> {
    let text = std::fs::read_to_string(fixture(&format!("{name}.requests.json"))).expect("the truth can be read");
    serde_json::from_str::<Truth>(&text).expect("the truth is as the reader writes it").requests
}

fn paths(name: &str) -> Vec<PathLine> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zmtpscope"));
    command.args(["paths", "-q", "--format", "jsonl"]).arg(fixture(&format!("{name}.pcap")));
    let output = command.env_remove("ZMTPKEYLOGFILE").output().expect("the program runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Every request has its path, and nothing else has one: heartbeats have none.
fn all_are_found(name: &str) -> Vec<PathLine> {
    let paths = paths(name);
    let hops = |path: &PathLine| path.request.iter().chain(&path.reply).map(|line| line.hop.clone()).collect();
    let found: BTreeSet<Vec<Hop>> = paths.iter().map(hops).collect();
    let wanted: BTreeSet<Vec<Hop>> = truth(name).into_iter().collect();
    assert_eq!(found, wanted, "{name}");
    assert!(paths.iter().all(|path| path.status == "complete"), "{name}");
    paths
}

#[test]
fn requests_are_followed_through_a_proxy_with_heartbeats_in_between() {
    for path in all_are_found("proxy") {
        let first = &path.request[0];
        assert_eq!((first.evidence.as_str(), first.confidence), ("origin", 1.0));
        for line in path.request[1..].iter().chain(&path.reply) {
            assert!(line.confidence < SURE, "what is not seen is not sure: {line:?}");
            assert_eq!((line.evidence.as_str(), &line.identity), ("order", &None));
        }
    }
}

#[test]
fn requests_are_followed_where_only_the_last_connection_is_in_clear() {
    for path in all_are_found("mixed") {
        let [origin, closed, clear] = &path.request[..] else { panic!("two proxies: {path:?}") };
        assert_eq!(origin.evidence, "origin");
        assert!(closed.confidence < SURE && clear.confidence < SURE, "one side of each node is closed: {path:?}");
    }
}
