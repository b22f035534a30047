//! The program as it is used: what goes to which stream, and the exit status.

mod capture;
mod readme;

use capture::{Captured, file};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn zmtpscope(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zmtpscope"));
    command.args(arguments).env_remove("ZMTPKEYLOGFILE").env_remove("COLUMNS");
    command
}

/// Exit status, stdout, stderr.
fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let output = zmtpscope(arguments).output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn wrong_usage_is_2() {
    let capture = file("usage", &Captured::conversation(1));
    for arguments in [
        &["connections"][..],
        &["nonsense"],
        &["connections", "--format", "xml", &capture],
        &["connections", &capture, "-i", "lo"],
        &["analyze", "--format", "csv", &capture],
        &["topology", "--format", "csv", &capture],
        &["messages", "--format", "dot", &capture],
        &["findings", "--format", "mermaid", &capture],
        &["paths", "--explain", "0", "--format", "jsonl", &capture],
        &["connections", &capture, "--clock-offset", "other.pcap=1s"],
        &["connections", &capture, "--conn", "x"],
        &["messages", &capture, "--max-body", "-1"],
    ] {
        let (status, stdout, stderr) = outcome(arguments);
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_is_no_error() {
    for arguments in [&["--help"][..], &["--version"], &["paths", "--help"], &["sniff", "-h"]] {
        let (status, stdout, stderr) = outcome(arguments);
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_read_is_1() {
    let not_a_capture = file("not", b"this is no capture at all, whatever it is");
    for name in ["/nonexistent/file.pcap", &not_a_capture] {
        let (status, stdout, stderr) = outcome(&["messages", name]);
        assert_eq!((status, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.starts_with("zmtpscope: ") && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn every_view_in_every_format() {
    let capture = file("views", &Captured::conversation(3));
    for (view, rows) in [("connections", 1), ("frames", 16), ("messages", 6), ("paths", 0), ("findings", 0)] {
        let (status, jsonl, stderr) = outcome(&[view, "--format", "jsonl", &capture]);
        assert_eq!((status, stderr.as_str()), (0, ""), "{view}");
        if view != "paths" {
            assert_eq!(jsonl.lines().count(), rows, "{view}: {jsonl}");
        }
        for line in jsonl.lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
            assert_eq!(row["schema"], 1);
            assert_eq!(row["type"], view.trim_end_matches('s'));
        }
        let (status, json, _) = outcome(&[view, "--format", "json", &capture]);
        let document: serde_json::Value = serde_json::from_str(&json).expect("a JSON document");
        assert_eq!(status, 0);
        assert_eq!(document["schema"], 1);
        assert_eq!(document[view].as_array().map(Vec::len), Some(jsonl.lines().count()));
        let (status, csv, _) = outcome(&[view, "--format", "csv", &capture]);
        assert_eq!((status, csv.lines().count()), (0, jsonl.lines().count() + 1), "{view}: {csv}");
    }
    let (status, text, stderr) = outcome(&["analyze", &capture]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(text.contains("REQ → ROUTER"), "{text}");
}

#[test]
fn limits_and_selections() {
    let capture = file("select", &Captured::conversation(5));
    let count = |arguments: &[&str]| {
        let (status, stdout, stderr) = outcome(arguments);
        assert_eq!(status, 0, "{stderr}");
        stdout.lines().count()
    };
    assert_eq!(count(&["messages", "--format", "jsonl", &capture, "--limit", "3"]), 3);
    assert_eq!(count(&["messages", "--format", "jsonl", &capture, "--conn", "0,7"]), 10);
    assert_eq!(count(&["messages", "--format", "jsonl", &capture, "--conn", "7"]), 0);
}

#[test]
fn standard_input_and_several_files() {
    let bytes = Captured::conversation(2);
    let capture = file("stdin", &bytes);
    let child = zmtpscope(&["messages", "--format", "jsonl", "-"])
        .stdin(std::fs::File::open(&capture).expect("just written"))
        .output()
        .expect("the program runs");
    let (_, named, _) = outcome(&["messages", "--format", "jsonl", &capture]);
    assert_eq!(String::from_utf8_lossy(&child.stdout), named);
    let other = file("other", b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x65\0\0\0");
    let (status, merged, stderr) = outcome(&["messages", "--format", "jsonl", &other, &capture]);
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(merged.replace(r#","file":1,"#, ","), named);
}

#[test]
fn a_cut_off_capture_is_read_and_told() {
    let whole = Captured::conversation(3);
    let capture = file("cut", &whole[..whole.len() - 5]);
    let (status, stdout, stderr) = outcome(&["messages", "--format", "jsonl", &capture]);
    assert_eq!(status, 0);
    assert!(!stdout.is_empty() && stderr.starts_with("zmtpscope: "), "{stderr}");
    let (_, _, stderr) = outcome(&["messages", "--format", "jsonl", "-q", &capture]);
    assert_eq!(stderr, "");
}

#[test]
fn a_closed_pipe_is_success() {
    let capture = file("pipe", &Captured::conversation(5_000));
    for format in ["jsonl", "table", "json", "csv"] {
        let mut child = zmtpscope(&["messages", "--format", format, &capture])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        reader.read_line(&mut first).expect("a line");
        drop(reader);
        let status = child.wait().expect("it ends");
        let mut stderr = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_password_does_not_reach_the_output() {
    let capture = file("plain", &Captured::plain_hello(b"\x05HELLO\x05admin\x08s3cr3t-1"));
    for view in ["frames", "messages", "connections", "findings", "analyze"] {
        for format in ["table", "jsonl", "json"] {
            let (status, stdout, _) = outcome(&[view, "--format", format, &capture]);
            assert_eq!(status, 0);
            assert!(!stdout.contains("s3cr3t") && !stdout.contains("733363723374"), "{view} {format}: {stdout}");
        }
    }
    let (_, stdout, _) = outcome(&["frames", "--show-secrets", &capture]);
    assert!(stdout.contains("s3cr3t-1"), "{stdout}");
}

#[test]
fn a_key_log_that_cannot_be_used_is_an_error_and_bad_lines_are_none() {
    let capture = file("keylog", &Captured::conversation(1));
    let (status, _, stderr) = outcome(&["connections", "--keylog", "/nonexistent", &capture]);
    assert_eq!((status, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains("key log /nonexistent"), "{stderr}");
    let (status, _, stderr) = outcome(&["connections", "--keylog", "/", &capture]);
    assert_eq!(status, 1, "{stderr}");
    let (status, _, stderr) = outcome(&["connections", "--keylog", &capture, &capture]);
    assert_eq!(status, 0, "{stderr}");
    assert!(stderr.contains("line 1 is not used: "), "{stderr}");
    let (status, stdout, stderr) = outcome(&["connections", "-q", "--keylog", &capture, &capture]);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
}

#[test]
fn what_cannot_be_done_is_said_once_with_its_status() {
    let capture = file("said", &Captured::conversation(1));
    let (status, _, stderr) = outcome(&["analyze", "no/such/file.pcap"]);
    assert_eq!((status, stderr.matches("os error").count()), (1, 1), "{stderr}");
    let (status, _, stderr) = outcome(&["messages", "--duration", "1s", &capture]);
    assert_eq!(status, 2);
    assert!(stderr.contains("--duration is for live capture"), "{stderr}");
    let (status, _, stderr) = outcome(&[&capture]);
    assert_eq!(status, 2);
    assert!(stderr.contains("zmtpscope analyze FILE"), "{stderr}");
}

#[test]
fn a_capture_without_zmtp_is_not_passed_over_in_silence() {
    let capture = file("none", b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0");
    let (status, stdout, stderr) = outcome(&["messages", "--format", "jsonl", &capture]);
    assert_eq!((status, stdout.as_str()), (0, ""));
    assert!(stderr.contains("no ZMTP found"), "{stderr}");
    assert_eq!(outcome(&["messages", "-q", "--format", "jsonl", &capture]).2, "");
}

#[test]
fn help_shows_no_markup() {
    let commands =
        ["topology", "analyze", "sniff", "connections", "frames", "messages", "paths", "findings", "interfaces"];
    let helps = commands.map(|command| outcome(&[command, "--help"]).1);
    for help in helps.iter().chain([&outcome(&["--help"]).1]) {
        assert!(help.contains("Examples:") && !help.contains('`'), "{help}");
    }
}

/// A fixture by its name.
fn fixture(name: &str) -> String {
    format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_topology_as_text_and_as_pictures() {
    let capture = fixture("proxy-assigned.pcap");
    let (status, text, stderr) = outcome(&["topology", &capture]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(text.contains("REQ of 4 peers on 127.0.0.1: 4 connections, 40 → 40 ← messages"), "{text}");
    assert!(text.contains("REP of 3 peers on 127.0.0.1: 3 connections, 40 → 40 ← messages"), "{text}");
    assert_eq!(text.matches("proxy 1").count(), 1, "{text}");
    let (_, dot, _) = outcome(&["topology", "--format", "dot", &capture]);
    assert!(dot.starts_with("digraph zmtp {") && dot.matches(" -> ").count() == 2, "{dot}");
    let (_, mermaid, _) = outcome(&["topology", "--format", "mermaid", &capture]);
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.matches("-->").count() == 2, "{mermaid}");
    let (_, lines, _) = outcome(&["topology", "--format", "jsonl", &capture]);
    let kinds: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(kinds.iter().filter(|line| line["type"] == "node").count(), 3, "{lines}");
    assert_eq!(kinds.iter().filter(|line| line["type"] == "link").count(), 2, "{lines}");
}

#[test]
fn one_path_in_words_and_drawn() {
    let capture = fixture("chain2.pcap");
    let (status, text, stderr) = outcome(&["paths", "--explain", "3", &capture]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(text.starts_with("Path 3 was answered after ") && text.lines().count() == 7, "{text}");
    assert_eq!(text.matches("assigned the identity 006b8b4567").count(), 4, "{text}");
    let (_, none, _) = outcome(&["paths", "--explain", "999", &capture]);
    assert_eq!(none, "no such path\n");
    let (_, one, _) = outcome(&["paths", "--path", "2", "--format", "jsonl", &capture]);
    assert!(one.lines().count() == 1 && one.contains("\"path\":2,"), "{one}");
    let (_, drawn, _) = outcome(&["paths", "--path", "2", "--format", "mermaid", &capture]);
    assert!(drawn.starts_with("sequenceDiagram\n") && drawn.matches(">>p").count() == 6, "{drawn}");
    let (_, several, _) = outcome(&["paths", "--limit", "3", "--format", "mermaid", &capture]);
    assert_eq!((several.matches("```mermaid\n").count(), several.matches("sequenceDiagram").count()), (3, 3));
}

#[test]
fn clocks_of_several_files_are_told() {
    let capture = fixture("proxy-assigned.pcap");
    let (status, text, stderr) = outcome(&["analyze", "--format", "jsonl", &capture, &capture]);
    assert_eq!((status, stderr.as_str()), (0, ""), "equal clocks are not worth a word");
    let first: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let clocks = &first["clock_offsets"];
    assert_eq!((&clocks[0]["origin"], &clocks[1]["origin"]), (&"reference".into(), &"packets".into()));
    assert_eq!((&clocks[1]["offset_ns"], &clocks[1]["with_file"]), (&0.into(), &0.into()));
    let given = format!("{capture}=-1s");
    let (_, text, _) = outcome(&["analyze", &capture, &capture, "--clock-offset", &given]);
    assert!(text.contains("clock corrected by -1000.000000ms, as given"), "{text}");
    let child = zmtpscope(&["analyze", &capture, "-"])
        .stdin(std::fs::File::open(&capture).expect("a fixture"))
        .output()
        .expect("the program runs");
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && stderr.contains("can be read only once"), "{stderr}");
}
