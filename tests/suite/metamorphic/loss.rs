//! Packets that were not captured: less is found, never something else, and no two requests are mixed up.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze};
use std::collections::BTreeSet;

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
                let joined: BTreeSet<_> = path.hops().filter_map(|hop| tokens.get(&hop.key)).collect();
                assert!(joined.len() <= 1, "{what}: {path:#?} joins {joined:?}");
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
