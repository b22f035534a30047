//! Packets that were not captured: less is found, never something else, and no two requests are taken for one with confidence.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze};
use std::collections::{BTreeMap, BTreeSet};
use zmtpscope::correlate::path::Path;

#[test]
fn packets_lost_at_random() {
    for fixture in fixture::all().iter().filter(|fixture| !fixture.is_lossy()) {
        let packets = fixture.packets();
        let whole = analyze(&packets);
        let tokens = super::tokens(fixture, &whole);
        for seed in 0..40 {
            let mut random = fastrand::Rng::with_seed(seed);
            // From one packet in 200 to one in 5.
            let one_in = [200, 50, 20, 5][seed as usize % 4];
            let left: Vec<&OwnedPacket> = packets.iter().filter(|_| random.u32(0..one_in) != 0).collect();
            let what = format!("{} without {} packets, seed {seed}", fixture.name, packets.len() - left.len());
            let found = analyze(left);
            super::assert_nothing_invented(&found, &whole, &what);
            for path in &found.paths {
                super::assert_no_sure_link_joins_two(path, &tokens, &what);
            }
        }
    }
}

#[test]
fn what_was_captured_whole_is_followed_whatever_else_is_missing() {
    for name in ["proxy-assigned", "proxy-announced", "chain2", "majordomo"] {
        let packets = fixture::named(name).packets();
        let whole = analyze(&packets);
        for seed in 0..12 {
            let mut random = fastrand::Rng::with_seed(seed);
            let one_in = [100, 30, 15][seed as usize % 3];
            let found = analyze(packets.iter().filter(|_| random.u32(0..one_in) != 0));
            let left: BTreeSet<u64> =
                found.messages().filter(|(_, message)| !message.is_damaged()).map(|(_, message)| message.key).collect();
            let keys = |path: &Path| path.hops().map(|hop| hop.key).collect::<Vec<_>>();
            let paths: BTreeSet<Vec<u64>> = found.paths.iter().map(keys).collect();
            for path in whole.paths.iter().map(keys).filter(|keys| keys.iter().all(|key| left.contains(key))) {
                assert!(paths.contains(&path), "{name}, one packet in {one_in} lost, seed {seed}: {path:x?}");
            }
        }
    }
}

#[test]
fn a_connection_not_captured() {
    // The filter was too narrow: the other connections are what they were.
    for fixture in fixture::all().iter().filter(|fixture| !fixture.is_lossy()) {
        let packets = fixture.packets();
        let whole = analyze(&packets);
        let tokens = super::tokens(fixture, &whole);
        for connection in &whole.connections {
            let of_it = |packet: &&OwnedPacket| {
                packet.segment().is_some_and(|segment| {
                    let (a, b) = (segment.source, segment.destination);
                    (a, b) == (connection.client, connection.server) || (b, a) == (connection.client, connection.server)
                })
            };
            let found = analyze(packets.iter().filter(|packet| !of_it(packet)));
            let what = format!("{} without connection {}", fixture.name, connection.conn);
            for (stream, record) in &found.streams {
                assert_eq!(record.messages, whole.streams[stream].messages, "{what}");
            }
            assert_eq!(found.connections.len() + 1, whole.connections.len(), "{what}");
            for path in &found.paths {
                let joined: BTreeSet<_> = path.hops().filter_map(|hop| tokens.get(&hop.key)).collect();
                assert!(joined.len() <= 1, "{what}: {path:#?} joins {joined:?}");
            }
        }
    }
}

#[test]
fn a_gap_given_up_late_does_not_make_its_message_late() {
    // A reply with a hole in its body was taken for later than the next reply, and both were given to the wrong request.
    let packets = fixture::named("mtu1500-long-headers").packets();
    let whole = analyze(&packets);
    let middle_of_a_body = |packet: &&OwnedPacket| {
        let holds_no_header = |payload: &[u8]| payload.len() > 1000 && !payload.starts_with(&[1]);
        packet.segment().is_some_and(|segment| holds_no_header(segment.payload))
    };
    let candidates: Vec<&OwnedPacket> = packets.iter().filter(middle_of_a_body).collect();
    assert!(candidates.len() > 10, "{} candidates", candidates.len());
    let hops = |path: &Path| path.hops().map(|hop| (hop.key, path.number)).collect::<Vec<_>>();
    let path_of: BTreeMap<u64, u64> = whole.paths.iter().flat_map(hops).collect();
    for lost in candidates {
        let found = analyze(packets.iter().filter(|packet| *packet != lost));
        let damaged = found.messages().filter(|(_, message)| message.is_damaged()).count();
        assert!(damaged <= 1, "{:?}", lost.position);
        let what = format!("without {:?}", lost.position);
        super::assert_nothing_invented(&found, &whole, &what);
        for path in &found.paths {
            super::assert_no_sure_link_joins_two(path, &path_of, &what);
        }
    }
}

#[test]
fn a_lost_syn_does_not_shift_its_stream() {
    // The SYN and the greeting of one side lost, its next 64 bytes were taken for the greeting, and what followed for frames.
    for fixture in fixture::all().iter().filter(|fixture| !fixture.is_lossy()) {
        let packets = fixture.packets();
        let whole = analyze(&packets);
        for connection in &whole.connections {
            for bytes in [0, 1, 10, 64, 65, 100] {
                let mut left_out = 0;
                let kept = packets.iter().filter(|packet| {
                    let Some(segment) = packet.segment() else { return true };
                    let is_its = (segment.source, segment.destination) == (connection.client, connection.server);
                    let early = is_its && (segment.flags.syn || left_out < bytes);
                    left_out += if early { segment.payload.len() } else { 0 };
                    !early
                });
                let what = format!("{} without the first {bytes} bytes of {}", fixture.name, connection.client);
                super::assert_nothing_invented(&analyze(kept), &whole, &what);
            }
        }
    }
}

#[test]
fn what_is_lost_of_a_handshake_hides_nothing_else() {
    // The SYN of one side seen, what came first of the other side was taken for its beginning; a signature and no more of
    // it was waited for; and of a connection with losses only what followed the last one was looked at.
    for name in ["proxy-assigned", "chain2"] {
        let packets = fixture::named(name).packets();
        let whole = analyze(&packets);
        for connection in &whole.connections {
            let of_it = |packet: &OwnedPacket| {
                packet.segment().is_some_and(|segment| {
                    let (a, b) = (segment.source, segment.destination);
                    (a, b) == (connection.client, connection.server) || (b, a) == (connection.client, connection.server)
                })
            };
            let its: Vec<u64> = packets.iter().filter(|p| of_it(p)).map(|p| p.position.packet.number()).collect();
            for first in 0..9 {
                for end in [1, 2, 4, 8].map(|count| first + count) {
                    let lost = &its[first..end.min(its.len())];
                    let is_lost = |number: u64| lost.binary_search(&number).is_ok();
                    let found = analyze(packets.iter().filter(|packet| !is_lost(packet.position.packet.number())));
                    let keys: BTreeSet<u64> = found.messages().map(|(_, message)| message.key).collect();
                    for (_, message) in whole.messages().filter(|(_, m)| !is_lost(m.end.packet.number())) {
                        assert!(keys.contains(&message.key), "{name} without {lost:?}: {:?}", message.end);
                    }
                }
            }
        }
    }
}
