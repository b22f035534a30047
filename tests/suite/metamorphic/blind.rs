//! Bodies that are all alike: then only identities, counts, order and time tell which message is which. As captured, with
//! packets in the wrong order, and joined in the middle, every request that can be followed must be, to the same hops.

use super::{assert_no_sure_link_joins_two, tokens};
use crate::fixture;
use crate::packets::{OwnedPacket, analyze};
use std::collections::{BTreeMap, BTreeSet};

/// The tokens of `majordomo` are of another kind, so it stays as it is: its broker is what matters.
const NAMES: [&str; 5] = ["proxy-assigned", "proxy-announced", "chain2", "two-proxies", "majordomo"];

/// That a ROUTER connected to its clients is known from handshakes only.
const WITH_HANDSHAKES: &str = "router-connects";

/// Tokens are 16 digits and a mark, and nothing else in a body of the fixtures differs from others of its length.
const TOKEN: usize = 17;

#[test]
fn requests_are_followed_without_any_difference_in_content() {
    for name in NAMES.into_iter().chain([WITH_HANDSHAKES]) {
        assert_followed(name, "blind", 0, |packets| packets);
    }
}

#[test]
fn packets_captured_in_the_wrong_order_change_next_to_nothing() {
    for name in NAMES.into_iter().chain([WITH_HANDSHAKES]) {
        for seed in 1..=4 {
            // Two rounds without a pause may look like one the other way round: then it is said that it is in doubt.
            let change = |packets| with_late_packets(packets, seed);
            assert_followed(name, &format!("late packets, seed {seed}"), 2, change);
        }
    }
}

#[test]
fn a_capture_that_begins_later_follows_what_it_saw_whole() {
    for name in NAMES {
        // More, and of some connections so little is left that they are not known for ZMTP.
        for percent in [20, 35] {
            let cut = |packets: Vec<OwnedPacket>| packets[packets.len() * percent / 100..].to_vec();
            assert_followed(name, &format!("without the first {percent} %"), 0, cut);
        }
    }
}

#[test]
fn packets_lost_leave_doubts_where_nothing_differs() {
    for name in NAMES {
        for seed in 0..12 {
            let mut random = fastrand::Rng::with_seed(seed);
            let one_in = [100, 30, 15][seed as usize % 3];
            let fixture = fixture::named(name);
            let request_of = tokens(&fixture, &analyze(&fixture.packets()));
            let left: Vec<_> = blinded(fixture.packets()).into_iter().filter(|_| random.u32(0..one_in) != 0).collect();
            let what = format!("{name}, blind, one packet in {one_in} lost, seed {seed}");
            for path in &analyze(&left).paths {
                assert_no_sure_link_joins_two(path, &request_of, &what);
            }
        }
    }
}

/// Asserts that every request is followed of which all messages are left, but for a few, and that nothing sure is wrong.
fn assert_followed(name: &str, how: &str, few: usize, change: impl Fn(Vec<OwnedPacket>) -> Vec<OwnedPacket>) {
    let what = format!("{name}, {how}");
    let fixture = fixture::named(name);
    let whole = analyze(&fixture.packets());
    let request_of = tokens(&fixture, &whole);
    let found = analyze(&change(blinded(fixture.packets())));
    let seen: BTreeSet<u64> = found.messages().map(|(_, message)| message.key).collect();
    let key_of: BTreeMap<_, u64> = whole
        .messages()
        .map(|(stream, message)| ((stream.0.to_string(), stream.1.to_string(), message.ordinal), message.key))
        .collect();
    let paths: BTreeSet<Vec<u64>> = found.paths.iter().map(|path| path.hops().map(|hop| hop.key).collect()).collect();
    let mut followed = 0;
    let mut lost = Vec::new();
    for request in &fixture.truth.requests {
        let hops = request.hops().map(|hop| key_of[&(hop.src.clone(), hop.dst.clone(), hop.ordinal)]);
        let hops: Vec<u64> = hops.collect();
        if hops.iter().all(|key| seen.contains(key)) {
            followed += 1;
            if !paths.contains(&hops) {
                lost.push(&request.token);
            }
        }
    }
    assert!(lost.len() <= few, "{what}: requests {lost:?}");
    for path in &found.paths {
        assert_no_sure_link_joins_two(path, &request_of, &what);
    }
    assert!(followed * 4 >= fixture.truth.requests.len(), "{what}: only {followed} requests are whole");
}

/// Every token overwritten.
fn blinded(mut packets: Vec<OwnedPacket>) -> Vec<OwnedPacket> {
    let is_token = |octets: &[u8]| {
        let (digits, mark) = octets.split_at(TOKEN - 1);
        digits.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) && matches!(mark, b"?" | b"!")
    };
    for packet in &mut packets {
        for at in 0..packet.bytes.len().saturating_sub(TOKEN - 1) {
            let octets = &mut packet.bytes[at..at + TOKEN];
            if is_token(octets) {
                octets.fill(b'x');
            }
        }
    }
    packets
}

/// One packet in ten comes one to four places later; the times, and the numbers, stay where they were.
fn with_late_packets(packets: Vec<OwnedPacket>, seed: u64) -> Vec<OwnedPacket> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let positions: Vec<_> = packets.iter().map(|packet| packet.position).collect();
    let mut order: Vec<(usize, OwnedPacket)> = Vec::with_capacity(packets.len());
    for (number, packet) in packets.into_iter().enumerate() {
        let late = if random(10) == 0 { 2 * (1 + random(4)) + 1 } else { 0 };
        order.push((2 * number + late, packet));
    }
    order.sort_by_key(|(place, _)| *place);
    let move_to = |(position, (_, packet)): (_, (usize, OwnedPacket))| OwnedPacket { position, ..packet };
    positions.into_iter().zip(order).map(move_to).collect()
}
