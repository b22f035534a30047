//! Changes to a capture that must not change what is found, or only in a known way; on every fixture. All randomness has
//! fixed seeds.

mod blind;
mod corrupt;
mod fragment;
mod loss;
mod prefix;
mod recut;
mod replay;
mod shuffle;

use crate::fixture::{self, Fixture};
use crate::packets::{OwnedPacket, analyze};
use crate::recording::{MessageRecord, Recording};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use zmtpscope::correlate::path::{Hop, Path};

/// Asserts that every message of `part` is one of `whole`, at its place, octet by octet as far as its octets are there, and in
/// order: nothing is invented, whatever is missing. Which number it has may differ, since those that are missing do not
/// count.
fn assert_nothing_invented(part: &Recording, whole: &Recording, what: &str) {
    for (stream, record) in &part.streams {
        // By key: offsets count from the first byte that was seen, and that may be a later one in a part.
        let known: BTreeMap<u64, &MessageRecord> = whole
            .streams
            .get(stream)
            .map(|record| record.messages.iter().map(|message| (message.key, message)).collect())
            .unwrap_or_default();
        let mut last = None;
        for (number, message) in record.messages.iter().enumerate() {
            let what = format!("{what}: {} to {}, message at {}", stream.0, stream.1, message.offset);
            let original =
                known.get(&message.key).unwrap_or_else(|| panic!("{what}: there was none there: {message:?}"));
            assert_same_message(message, original, &what);
            assert_eq!(message.ordinal, number as u64, "{what}: numbers count up");
            assert!(last < Some(original.ordinal), "{what}: number {} after {last:?}", original.ordinal);
            last = Some(original.ordinal);
        }
    }
}

/// Asserts that `message` is `original`, but for octets that are missing.
pub fn assert_same_message(message: &MessageRecord, original: &MessageRecord, what: &str) {
    let lengths = |message: &MessageRecord| message.parts.iter().map(|part| part.length).collect::<Vec<_>>();
    assert_eq!(lengths(message), lengths(original), "{what}: lengths of parts");
    assert_eq!(message.part_count, original.part_count, "{what}: parts");
    let heads = message.part_heads().zip(original.part_heads());
    for (number, (parts, heads)) in message.parts.iter().zip(&original.parts).zip(heads).enumerate() {
        if parts.0.missing > 0 {
            assert!(heads.1.starts_with(heads.0), "{what}: part {number} begins otherwise");
        } else if parts.1.missing == 0 {
            assert_eq!((parts.0.hash, heads.0), (parts.1.hash, heads.1), "{what}: content of part {number}");
        }
    }
}

/// From here on a link is to be relied on.
const SURE: f64 = 0.9;

/// Asserts that what sure links join is of one request. `request_of` knows messages by their key.
pub fn assert_no_sure_link_joins_two<T: Ord + Debug>(path: &Path, request_of: &BTreeMap<u64, T>, what: &str) {
    let hops: Vec<&Hop> = path.hops().collect();
    for sure in hops.chunk_by(|_, hop| hop.confidence >= SURE) {
        let joined: BTreeSet<_> = sure.iter().filter_map(|hop| request_of.get(&hop.key)).collect();
        assert!(joined.len() <= 1, "{what}: {path:#?} joins {joined:?}");
    }
}

/// What a fixture holds, with what was taken out of it put back.
fn intact(fixture: &Fixture) -> Recording {
    let original = if fixture.is_lossy() { &fixture::named("proxy-assigned") } else { fixture };
    analyze(&original.packets())
}

/// Which request each message belongs to, by the key of the message.
fn tokens(fixture: &Fixture, whole: &Recording) -> BTreeMap<u64, String> {
    let keys: BTreeMap<(String, String, u64), u64> = whole
        .messages()
        .map(|(stream, message)| ((stream.0.to_string(), stream.1.to_string(), message.ordinal), message.key))
        .collect();
    let mut tokens = BTreeMap::new();
    for request in &fixture.truth.requests {
        for hop in request.hops() {
            let key = keys[&(hop.src.clone(), hop.dst.clone(), hop.ordinal)];
            tokens.insert(key, request.token.clone());
        }
    }
    tokens
}

/// The packets as raw IP, which is what a packet that is made from a segment is.
fn as_raw_ip(packets: &[OwnedPacket]) -> Vec<OwnedPacket> {
    let raw = |packet: &OwnedPacket| {
        packet.segment().map_or_else(|| packet.clone(), |segment| OwnedPacket::from_segment(&segment, packet.position))
    };
    packets.iter().map(raw).collect()
}

#[test]
fn raw_ip_says_the_same() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        analyze(&packets).assert_same(&analyze(&as_raw_ip(&packets)), &fixture.name);
    }
}

#[test]
fn twice_is_the_same() {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        assert_eq!(analyze(&packets), analyze(&packets), "{}", fixture.name);
    }
}
