//! Changes to a capture that must not change what is found, or only in a known way; on every fixture. All randomness has
//! fixed seeds.

mod corrupt;
mod fragment;
mod loss;
mod prefix;
mod recut;
mod replay;
mod shuffle;

use crate::fixture::Fixture;
use crate::packets::{OwnedPacket, analyze};
use crate::recording::{MessageRecord, Recording, Stream};
use std::collections::BTreeMap;

/// Asserts that every message of `part` that claims to be whole is one of `whole`, at its place and octet by octet: nothing
/// is invented, whatever is missing.
fn assert_nothing_invented(part: &Recording, whole: &Recording, what: &str) {
    // By key: offsets count from the first byte that was seen, and that may be a later one in a part.
    let known: BTreeMap<(Stream, u64), &MessageRecord> =
        whole.messages().map(|(stream, message)| ((stream, message.key), message)).collect();
    for (stream, message) in part.messages() {
        let what = format!("{what}: {} to {}, message at {}", stream.0, stream.1, message.offset);
        let original = known.get(&(stream, message.key)).unwrap_or_else(|| panic!("{what}: there was none there"));
        let lengths = |message: &MessageRecord| message.parts.iter().map(|part| part.length).collect::<Vec<_>>();
        assert_eq!(lengths(message), lengths(original), "{what}: lengths of parts");
        if !message.is_damaged() {
            assert_eq!((&message.parts, &message.heads), (&original.parts, &original.heads), "{what}: content");
        }
    }
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
    for fixture in crate::fixture::all() {
        let packets = fixture.packets();
        analyze(&packets).assert_same(&analyze(&as_raw_ip(&packets)), &fixture.name);
    }
}

#[test]
fn twice_is_the_same() {
    for fixture in crate::fixture::all() {
        let packets = fixture.packets();
        assert_eq!(analyze(&packets), analyze(&packets), "{}", fixture.name);
    }
}
