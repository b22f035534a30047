//! The captures in `fixtures/`, and the truth beside each.

use crate::packets::{OwnedPacket, read};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zmtpscope::analyze::engine::Options;
use zmtpscope::analyze::keys::KeyLog;
use zmtpscope::capture::file::FileSource;

/// One capture with its truth.
pub struct Fixture {
    /// Without extension.
    pub name: String,
    /// The capture as it is on disk.
    pub path: PathBuf,
    /// What is known about it.
    pub truth: Truth,
}

impl Fixture {
    /// Its packets.
    pub fn packets(&self) -> Vec<OwnedPacket> {
        read(FileSource::open(&self.path).expect("a fixture is a capture"))
    }

    /// Its key log, where its truth is that of the opened connections.
    pub fn key_log(&self) -> Option<String> {
        let name = self.truth.keylog.as_ref()?;
        Some(std::fs::read_to_string(self.path.with_file_name(name)).expect("a key log can be read"))
    }

    /// What its truth takes to be seen: its keys.
    pub fn options(&self) -> Options {
        let keys = self.key_log().map(|text| {
            let (keys, bad) = KeyLog::parse(&text);
            assert_eq!(bad, [], "{}", self.name);
            Arc::new(keys)
        });
        Options { keys, ..Options::default() }
    }

    /// Its bytes on disk.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("a fixture can be read")
    }

    /// Whether packets were taken out of it after the capture.
    pub fn is_lossy(&self) -> bool {
        !self.truth.lost_packets.is_empty()
    }
}

/// All fixtures, by name.
pub fn all() -> Vec<Fixture> {
    let fixtures = inside(&folder());
    assert!(fixtures.len() >= 13, "fixtures are missing");
    fixtures
}

/// The fixtures with requests of which something more is known than that they were answered, and those that are there for
/// nothing else.
pub fn of_paths() -> Vec<Fixture> {
    let more = inside(&folder().join("paths"));
    assert!(more.len() >= 4, "fixtures are missing");
    all().into_iter().filter(|fixture| !fixture.is_lossy()).chain(more).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn inside(folder: &Path) -> Vec<Fixture> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the fixtures are part of the repository")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".truth.json").map(str::to_owned))
        .collect();
    names.sort();
    names.into_iter().map(|name| load(folder, name)).collect()
}

/// The fixture of this name.
pub fn named(name: &str) -> Fixture {
    all().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("there is no fixture {name}"))
}

fn load(folder: &Path, name: String) -> Fixture {
    let text = std::fs::read_to_string(folder.join(format!("{name}.truth.json"))).expect("it was just listed");
    let truth: Truth = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}.truth.json: {error}"));
    Fixture { path: folder.join(&truth.capture), name, truth }
}

/// `NAME.truth.json`, as far as it is used; what each field means is in `fixtures/README.md`.
#[derive(Debug, Deserialize)]
pub struct Truth {
    /// File name of the capture.
    pub capture: String,
    /// How many packets it holds.
    pub packets: u64,
    /// TCP connections by their first packet.
    pub connections: Vec<TrueConnection>,
    /// File name of the key log with which connections and requests were found.
    pub keylog: Option<String>,
    /// What the CURVE connections carried.
    #[serde(default)]
    pub plaintext_messages: Vec<TruePlaintext>,
    /// Their keys.
    #[serde(default)]
    pub curve_sessions: Vec<TrueCurveSession>,
    /// What the applications asked, and how it travelled.
    pub requests: Vec<TrueRequest>,
    /// Devices: where each receives and where it sends, an endpoint that it binds or connects to.
    #[serde(default)]
    pub devices: Vec<[String; 2]>,
    /// What came through them, by receiver.
    #[serde(default)]
    pub received: BTreeMap<String, TrueReceiver>,
    /// 0-based numbers, in the original, of packets that were taken out.
    #[serde(default)]
    pub lost_packets: Vec<u64>,
}

/// What an application received one way.
#[derive(Debug, Deserialize)]
pub struct TrueReceiver {
    /// The endpoint that it connected to.
    pub from: String,
    pub tokens: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct TruePlaintext {
    pub src: String,
    pub dst: String,
    pub ordinal: u64,
    pub frames_hex: Vec<String>,
}

/// Public keys of one connection.
#[derive(Debug, Deserialize)]
pub struct TrueCurveSession {
    pub client_transient: String,
    pub server_transient: String,
    pub server_public: String,
    pub client_public: String,
}

#[derive(Debug, Deserialize)]
pub struct TrueConnection {
    pub client: String,
    pub server: String,
    pub opened_ts: i64,
    pub zmtp: Option<String>,
    pub mechanism: Option<String>,
    pub closed: [Option<String>; 2],
    pub client_side: TrueSide,
    pub server_side: TrueSide,
    /// Only where packets were taken out: whether none of them was before the first message.
    #[serde(default = "is_true")]
    pub handshake_visible: bool,
}

#[derive(Debug, Deserialize)]
pub struct TrueSide {
    pub version: Option<String>,
    pub socket_type: Option<String>,
    pub identity: Option<String>,
    pub messages: u64,
    pub frames: u64,
    pub payload_bytes: u64,
    pub commands: BTreeMap<String, u64>,
    pub fully_parsed: bool,
    /// Only where packets were taken out.
    pub messages_visible: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub struct TrueRequest {
    pub token: String,
    pub complete: bool,
    pub request_hops: Vec<TrueHop>,
    pub reply_hops: Vec<TrueHop>,
}

impl TrueRequest {
    /// All hops, request first.
    pub fn hops(&self) -> impl Iterator<Item = &TrueHop> {
        self.request_hops.iter().chain(&self.reply_hops)
    }
}

#[derive(Debug, Deserialize)]
pub struct TrueHop {
    pub src: String,
    pub dst: String,
    pub ordinal: u64,
    pub ts: i64,
    pub pkt: u64,
    pub frames_hex: Vec<String>,
    /// Only where packets were taken out.
    #[serde(default = "is_true")]
    pub visible: bool,
}

fn is_true() -> bool {
    true
}
