//! The bytes of a file through the whole program: every view, every format.
//!
//! Invariants: no panic; output is UTF-8 without characters that drive a terminal, JSON is JSON, rows of CSV have as many
//! fields as their header; no more octets of bodies than of streams, none of which is longer than what was captured; with
//! three threads, a few packets at a time, the output is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use zmtpscope::analyze::engine::Options;
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::packet::{Next, PacketSource};
use zmtpscope_fuzz::views::{same_with_threads, show, small_limits};

fuzz_target!(|bytes: &[u8]| {
    // The last octet chooses: what is in front of it stays a capture file.
    let Some((&choice, bytes)) = bytes.split_last() else { return };
    let Ok(mut source) = FileSource::from_reader("fuzz", Box::new(Cursor::new(bytes.to_vec())), None) else { return };
    let limits = if choice & 128 == 0 { small_limits() } else { Default::default() };
    let options = Options { limits, ports: vec![5555], dgram_ports: vec![5556], keys: None };
    same_with_threads(&options, choice, bytes);
    show(options, choice, |analyzer| {
        let mut packets = 0;
        while let Ok(Next::Packet(packet)) = source.next_packet() {
            analyzer.packet(&packet);
            packets += 1;
            // Compressed, a short input may hold any number of them.
            if packets > 10_000 {
                break;
            }
        }
    });
});
