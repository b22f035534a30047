//! The text of a key log. Invariants: no panic; no more than two keys a line (a
//! session is kept under both public keys); bad lines are numbered in order and never shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zmtpscope::zmtp::keylog::KeyLog;

fuzz_target!(|text: &str| {
    let (log, bad) = KeyLog::parse(text);
    let lines = text.lines().count();
    assert!(bad.len() <= lines && log.count() <= 2 * (lines - bad.len()));
    assert!(bad.is_sorted_by(|a, b| a.line < b.line));
    assert!(bad.iter().all(|bad| (1..=lines as u64).contains(&bad.line)));
    // Line by line it is the same.
    let growing = KeyLog::default();
    for (before, line) in (0..).zip(text.lines()) {
        growing.add(before, line);
    }
    assert_eq!(growing.count(), log.count());
});
