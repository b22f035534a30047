//! `keylog`: programs with a real libzmq run under it, while another zmtpscope follows the log and sniffs.
//!
//! What the sniffer opens is what the applications sent; one without the log opens nothing. Needs what the tests in
//! [`super::live`] need, and Debian's libzmq (libzmq5) for the one that uses it.

use crate::live::{Process, sniffer};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zmtpscope"));
    command.env_remove("ZMTPKEYLOGFILE").env_remove("LD_PRELOAD");
    command
}

/// A path below the tests' own folder at which nothing is.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keylog-{name}"));
    let _ = fs::remove_file(&path);
    path
}

fn json(line: Option<String>, peers: &mut Process) -> Value {
    let Some(line) = line else { panic!("the peers broke: {}", peers.complaints()) };
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The texts of all parts that are not empty, sorted, and how many messages were encrypted.
fn told(sniffer: Process, messages: usize) -> (Vec<String>, usize) {
    let mut rows = Vec::new();
    while rows.len() < messages {
        let Some(line) = sniffer.line() else { panic!("{} of {messages} messages are told", rows.len()) };
        rows.push(serde_json::from_str::<Value>(&line).expect("a row"));
    }
    sniffer.interrupt();
    while let Some(line) = sniffer.line() {
        rows.push(serde_json::from_str(&line).expect("a row"));
    }
    sniffer.end();
    rows.retain(|row| row["type"] == "message");
    let parts = rows.iter().filter(|row| row["encrypted"] == false).filter_map(|row| row["parts"].as_array());
    let texts = parts.flatten().filter_map(|part| part["text"].as_str()).filter(|text| !text.is_empty());
    let mut texts: Vec<String> = texts.map(str::to_owned).collect();
    texts.sort();
    (texts, rows.iter().filter(|row| row["encrypted"] == true).count())
}

/// Peers under `keylog`, one sniffer with the log and one without. The log is not there when they begin.
fn opened_live(name: &str, options: &[&str]) {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/curve.py");
    let log = fresh(name);
    let log_name = log.to_str().expect("UTF-8");
    let mut command = program();
    command.args(["keylog", "-o", log_name, "--", &python]).arg(script).args(options);
    let mut peers = Process::start("curve.py", &mut command);
    let line = peers.line();
    let filter = json(line, &mut peers)["filter"].as_str().expect("a filter").to_owned();
    assert_eq!(fs::metadata(&log).expect("it is created at once").permissions().mode() & 0o777, 0o600);
    fs::remove_file(&log).expect("it was there");

    let with_keys = sniffer(&["--keylog", log_name, &filter]);
    let without = sniffer(&[&filter]);
    peers.stdin.take().expect("nobody took it").write_all(b"go\n").expect("the peers wait for it");
    let line = peers.line();
    let sent = json(line, &mut peers)["sent"].clone();
    peers.end();

    let mut sent: Vec<String> = serde_json::from_value(sent).expect("texts");
    sent.sort();
    assert_eq!(sent.len(), 20);
    assert_eq!(told(with_keys, sent.len()), (sent, 0));
    // Unopened, each frame counts: the empty delimiter of REQ is one.
    assert_eq!(told(without, 40), (Vec::new(), 40));

    let mode = fs::metadata(&log).expect("it is created again").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let lines = fs::read_to_string(&log).expect("a log");
    assert_eq!(lines.lines().count(), 4, "two connections, two sides");
    assert!(lines.lines().all(|line| line.starts_with("CURVE_SESSION ") && line.len() == 13 + 3 * 65), "whole lines");
}

/// pyzmq as it is installed: from a wheel it brings its own libsodium, which only its own modules see.
#[test]
fn pyzmq_under_keylog_is_opened_live() {
    opened_live("pyzmq", &[]);
}

#[test]
fn the_systems_libzmq_under_keylog_is_opened_live() {
    opened_live("libzmq", &["--library", "libzmq.so.5"]);
}

#[test]
fn the_exit_status_is_the_programs() {
    let log = fresh("status");
    let status = |arguments: &[&str]| {
        let output = program().args(["keylog", "-o"]).arg(&log).arg("--").args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(status(&["sh", "-c", "exit 7"]).0, Some(7));
    assert_eq!(status(&["sh", "-c", "kill -KILL $$"]).0, Some(137));
    assert_eq!(status(&["/nonexistent/program"]).0, Some(127));
    assert_eq!(status(&["/"]).0, Some(126));
    let (code, said) = status(&["true"]);
    assert!(code == Some(0) && said.contains("no key was logged"), "{said}");
    let nowhere = program().args(["keylog", "-o", "/nonexistent/log", "true"]).output().expect("it runs");
    assert_eq!(nowhere.status.code(), Some(125));
}

#[test]
fn a_signal_goes_to_the_program_and_nothing_is_left_behind() {
    let log = fresh("signal");
    let folder = fresh("signal-folder");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a folder");
    let mut command = program();
    command.env("TMPDIR", &folder).args(["keylog", "-q", "-o"]).arg(&log);
    command.args(["sh", "-c", r#"trap 'echo "$LD_PRELOAD"; exit 3' TERM; echo ready; while :; do sleep 0.05; done"#]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("it is piped")));
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    let kill = Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
    assert!(kill.success());
    let preloaded = lines.next().expect("a line").expect("text");
    assert!(Path::new(&preloaded).starts_with(folder.canonicalize().expect("a folder")), "{preloaded}");
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0, "the library is removed");
}

#[test]
fn a_log_that_cannot_be_written_changes_nothing_and_others_eyes_are_told_of() {
    let log = fresh("open");
    File::create(&log).expect("a file").set_permissions(fs::Permissions::from_mode(0o644)).expect("it is ours");
    let output = program().args(["keylog", "-o"]).arg(&log).arg("true").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("others than its owner may read"), "{said}");

    // What the children of the program find is no file.
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/curve.py");
    let mut command = program();
    command.args(["keylog", "-o"]).arg(&log);
    command.args(["env", "ZMTPKEYLOGFILE=/nonexistent/log", &python]).arg(script);
    let mut peers = Process::start("curve.py", &mut command);
    assert!(peers.line().is_some(), "{}", peers.complaints());
    peers.stdin.take().expect("nobody took it").write_all(b"go\n").expect("the peers wait for it");
    assert!(peers.line().is_some(), "{}", peers.complaints());
    peers.end();
    assert_eq!(fs::metadata(&log).expect("it is there").len(), 0);
}
