//! The program itself, run on a capture that is handed to its standard input.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Address space that is enough for any small capture, in KiB.
const ADDRESS_SPACE: u32 = 400_000;

/// Runs `zmtpscope ARGS -` on `capture`. With more address space than [`ADDRESS_SPACE`] asked for, it aborts.
pub fn on_capture(args: &[&str], capture: &[u8]) -> Output {
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {ADDRESS_SPACE}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_zmtpscope")])
        .args(args)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh can be run");
    let mut stdin = child.stdin.take().expect("it is piped");
    let capture = capture.to_vec();
    // It may end without reading all of it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&capture)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer does not panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{args:?}: {said}");
    assert!(output.status.code().is_some_and(|code| code < 3), "{args:?}: {}: {said}", output.status);
    output
}
