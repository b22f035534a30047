//! A capture that comes through a pipe while it is made.

use crate::program::on_capture;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What is not shown within this time is not shown before the end.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn messages_are_shown_before_the_next_packet_comes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chain2.pcap");
    let capture = std::fs::read(path).expect("the fixture is there");
    // Some packets and a part of one: reading it must not keep back what is whole.
    let so_far = &capture[..capture.len() / 2];
    for args in [["messages", "--format", "jsonl", "--jobs", "1"], ["messages", "--format", "jsonl", "--jobs", "3"]] {
        let at_once = on_capture(&args, so_far).stdout;
        let expected: Vec<&str> = std::str::from_utf8(&at_once).expect("JSON is UTF-8").lines().collect();
        assert!(expected.len() >= 10, "{args:?}: {expected:?}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_zmtpscope"))
            .args(args)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let (line, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let reading = std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|it| line.send(it)));
        let mut pipe = child.stdin.take().expect("it is piped");
        pipe.write_all(so_far).expect("it reads");
        for (number, expected) in expected.into_iter().enumerate() {
            let shown = lines.recv_timeout(PATIENCE);
            assert_eq!(shown.as_deref(), Ok(expected), "{args:?}: message {number}, while the pipe is open");
        }
        drop(pipe);
        assert!(child.wait().is_ok_and(|status| status.success()), "{args:?}");
        assert!(reading.join().is_ok_and(|all_sent| all_sent.is_ok()), "{args:?}: all was taken");
    }
}
