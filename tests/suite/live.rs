//! Real libzmq peers on loopback while the program sniffs: what it tells is what the applications counted.
//!
//! Needs python3 with pyzmq (`PYTHON` names another interpreter) and the right to capture. Where one is missing the tests
//! fail and say what to install; they are never skipped.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A run takes about two seconds; one that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test, and the lines that it writes.
pub struct Process {
    name: &'static str,
    child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Receiver<String>,
    deadline: Instant,
}

impl Process {
    pub fn start(name: &'static str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let complaints = lines_of(child.stderr.take().expect("it is piped"));
        let stdin = child.stdin.take();
        Self { name, child, stdin, lines, complaints, deadline: Instant::now() + PATIENCE }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The next line on its standard output; `None` when there will be none.
    pub fn line(&self) -> Option<String> {
        self.lines.recv_timeout(self.time_left()).ok()
    }

    /// Everything it wrote to its standard error, once it has ended or was killed.
    pub fn complaints(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.complaints.iter().collect::<Vec<_>>().join("\n")
    }

    /// Interrupts it, as Ctrl-C does.
    pub fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "{} was gone already", self.name);
    }

    /// Waits for its end, and panics if that was none of its own.
    pub fn end(mut self) {
        while self.child.try_wait().expect("it can be waited for").is_none() {
            if self.time_left().is_zero() {
                let said = self.complaints();
                panic!("{} did not end: {said}", self.name);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.wait().expect("it has ended");
        let said = self.complaints();
        assert!(status.success(), "{}: {status}: {said}", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Where the peers will be found.
#[derive(Debug, Deserialize)]
struct Announcement {
    ports: Ports,
    filter: String,
}

#[derive(Debug, Deserialize)]
struct Ports {
    front: u16,
    back: u16,
}

/// What the applications counted.
#[derive(Debug, Deserialize)]
struct Counted {
    sent: u64,
    received: u64,
    clients: BTreeMap<String, ClientCount>,
    workers: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct ClientCount {
    sent: u64,
    received: u64,
}

/// The peers, waiting for a word.
fn peers(args: &[&str]) -> (Process, Announcement) {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/live.py");
    let mut peers = Process::start("live.py", Command::new(&python).arg(script).args(args));
    let Some(line) = peers.line() else {
        let said = peers.complaints();
        panic!(
            "the peers did not start. They need python3 with pyzmq: `apt-get install python3-zmq` or `pip install pyzmq`, \
             or PYTHON=… for an interpreter that has it (here: {python}).\n{said}"
        );
    };
    let announcement = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    (peers, announcement)
}

/// The program, sniffing on loopback with these options.
pub fn sniffer(options: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zmtpscope"));
    command.env_remove("ZMTPKEYLOGFILE").args(["sniff", "-i", "lo", "--format", "jsonl"]).args(options);
    let mut sniffer = Process::start("zmtpscope", &mut command);
    let mut before = Vec::new();
    loop {
        let line = sniffer.complaints.recv_timeout(sniffer.time_left());
        match line {
            Ok(line) if line.contains("capturing on lo") => return sniffer,
            Ok(line) => before.push(line),
            Err(_) => {
                let said = sniffer.complaints();
                panic!(
                    "zmtpscope does not sniff. The live tests need the right to capture on loopback: run them as root, or \
                     `setcap cap_net_raw+ep {}`.\n{}\n{said}",
                    env!("CARGO_BIN_EXE_zmtpscope"),
                    before.join("\n")
                );
            }
        }
    }
}

/// Runs peers and sniffer, the sniffer until it told `expected` rows or is late with them; then interrupts it. What the
/// applications counted, where, and the rows.
fn run(
    view: &str,
    expected: impl Fn(&Counted) -> u64,
    is_expected: impl Fn(&Value) -> bool,
) -> (Counted, Ports, Vec<Value>) {
    let (mut peers, Announcement { ports, filter }) = peers(&["--requests", "25", "--clients", "4", "--workers", "3"]);
    let sniffer = sniffer(&["--view", view, &filter]);
    let word = peers.stdin.take().expect("nobody took it").write_all(b"go\n");
    word.expect("the peers wait for it");
    let Some(line) = peers.line() else { panic!("the peers broke: {}", peers.complaints()) };
    let counted: Counted = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    peers.end();

    let mut rows = Vec::new();
    let mut seen = 0;
    // The kernel hands packets over in blocks, and a path is told once it has settled.
    let late = Instant::now() + Duration::from_secs(15);
    let mut take = |line: String, rows: &mut Vec<Value>| {
        let row: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        seen += u64::from(is_expected(&row));
        rows.push(row);
        seen
    };
    while let Ok(line) = sniffer.lines.recv_timeout(late.saturating_duration_since(Instant::now())) {
        if take(line, &mut rows) >= expected(&counted) {
            break;
        }
    }
    // What is told too often must be told before the end, too.
    sniffer.interrupt();
    while let Some(line) = sniffer.line() {
        take(line, &mut rows);
    }
    sniffer.end();
    (counted, ports, rows)
}

/// The port of an `ip:port`.
fn port(endpoint: &Value) -> u16 {
    endpoint.as_str().and_then(|text| text.rsplit(':').next()?.parse().ok()).expect("ip:port")
}

fn is_complete(row: &Value) -> bool {
    row["type"] == "path" && row["status"] == "complete"
}

/// How often each key occurs, least first.
fn counts<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<u64> {
    let mut map = BTreeMap::new();
    for key in keys {
        *map.entry(key).or_insert(0) += 1;
    }
    let mut counts: Vec<u64> = map.into_values().collect();
    counts.sort_unstable();
    counts
}

fn sorted(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut counts: Vec<u64> = counts.collect();
    counts.sort_unstable();
    counts
}

#[test]
fn every_request_is_a_path_through_the_proxy() {
    let (counted, ports, rows) = run("paths", |counted| counted.received, is_complete);
    assert!(
        counted.received == counted.sent && counted.sent == 100,
        "the peers themselves lost something: {counted:?}"
    );
    let others: Vec<_> = rows.iter().filter(|row| row["type"] == "path" && !is_complete(row)).collect();
    assert!(others.is_empty(), "{others:#?}");
    let paths: Vec<_> = rows.iter().filter(|row| is_complete(row)).collect();
    assert_eq!(paths.len() as u64, counted.received, "requests that were answered");

    for path in &paths {
        let hops = |which: &str| path[which].as_array().cloned().unwrap_or_default();
        let (request, reply) = (hops("request"), hops("reply"));
        assert_eq!((request.len(), reply.len()), (2, 2), "{path:#}");
        assert_eq!((port(&request[0]["dst"]), port(&request[1]["src"])), (ports.front, ports.back), "{path:#}");
        assert_eq!((port(&reply[0]["dst"]), port(&reply[1]["src"])), (ports.back, ports.front), "{path:#}");
        assert_eq!((&request[0]["src"], &request[1]["dst"]), (&reply[1]["dst"], &reply[0]["src"]), "{path:#}");
        assert!(request[1]["identity"].is_string(), "{path:#}");
        assert_eq!(request[1]["identity"], reply[0]["identity"], "{path:#}");
        assert!(path["latency_ns"].as_i64().is_some_and(|latency| latency > 0), "{path:#}");
    }
    let clients = counts(paths.iter().map(|path| path["request"][0]["src"].to_string()));
    assert_eq!(clients, sorted(counted.clients.values().map(|client| client.received)), "per client");
    let workers = counts(paths.iter().map(|path| path["request"][1]["dst"].to_string()));
    assert_eq!(workers, sorted(counted.workers.values().copied()), "per worker");
    // An identity names one client.
    let identities = counts(paths.iter().map(|path| path["request"][1]["identity"].to_string()));
    assert_eq!(identities, clients, "per identity");
}

#[test]
fn every_request_and_reply_is_a_message() {
    let is_message = |row: &Value| row["type"] == "message";
    // Each passes two connections.
    let (counted, ports, rows) = run("messages", |counted| 2 * (counted.sent + counted.received), is_message);
    let messages: Vec<_> = rows.iter().filter(|row| is_message(row)).collect();
    let count = |role: &str, side: &str, at: u16| {
        messages.iter().filter(|row| row["role"] == role && port(&row[side]) == at).count() as u64
    };
    assert_eq!(count("request", "dst", ports.front), counted.sent, "requests into the proxy");
    assert_eq!(count("request", "src", ports.back), counted.sent, "requests out of it");
    assert_eq!(count("reply", "dst", ports.back), counted.received, "replies into the proxy");
    assert_eq!(count("reply", "src", ports.front), counted.received, "replies out of it");
    assert_eq!(messages.len() as u64, 2 * (counted.sent + counted.received), "and nothing else");
    let sent = counts(messages.iter().filter(|row| port(&row["dst"]) == ports.front).map(|row| row["src"].to_string()));
    assert_eq!(sent, sorted(counted.clients.values().map(|client| client.sent)), "per client");
    let mut next = BTreeMap::new();
    for row in &messages {
        let ordinal = next.entry((row["conn"].as_u64(), row["dir"].to_string())).or_insert(0);
        assert_eq!(row["ordinal"].as_u64(), Some(*ordinal), "{row:#}");
        *ordinal += 1;
    }
}
