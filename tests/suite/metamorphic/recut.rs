//! TCP owes nobody a boundary: the same bytes in other pieces are the same frames, messages and paths. Every piece keeps the
//! position of the packet that it came from, so that even positions and times must be equal. Only after a loss is less or
//! more recognised, and never something else.

use crate::fixture;
use crate::packets::{OwnedPacket, analyze, analyze_with};
use crate::recording::Recording;
use zmtpscope::base::direction::Direction;
use zmtpscope::decap::segment::{Segment, TcpFlags};

/// Above this payload a segment is cut into single bytes at its ends only, and into random pieces in between.
const SINGLE_BYTES: usize = 2000;

/// `packet` cut before each of `borders`, which are ascending offsets in its payload; sequence numbers are right, and the FIN
/// goes with the last piece.
fn cut(packet: &OwnedPacket, borders: &[usize]) -> Vec<OwnedPacket> {
    let Some(segment) = packet.segment() else { return vec![packet.clone()] };
    let starts: Vec<usize> = std::iter::once(0).chain(borders.iter().copied()).collect();
    let mut pieces = Vec::new();
    for (number, &start) in starts.iter().enumerate() {
        let next = starts.get(number + 1).copied();
        let is_last = next.is_none();
        let syn = segment.flags.syn && start == 0;
        // The SYN takes a sequence number of its own.
        let shift = start as u32 + u32::from(segment.flags.syn && start > 0);
        let piece = Segment {
            sequence: segment.sequence.wrapping_add(shift),
            flags: TcpFlags { syn, fin: segment.flags.fin && is_last, ..segment.flags },
            payload: &segment.payload[start..next.unwrap_or(segment.payload.len())],
            cut: if is_last { segment.cut } else { 0 },
            ..segment
        };
        pieces.push(OwnedPacket::from_segment(&piece, packet.position));
    }
    pieces
}

fn payload_length(packet: &OwnedPacket) -> usize {
    packet.segment().map_or(0, |segment| segment.payload.len())
}

/// Cuts each packet where `borders` says for its payload's length, and compares.
fn assert_cuts_do_not_matter(how: &str, mut borders: impl FnMut(usize) -> Vec<usize>) {
    for fixture in fixture::all() {
        let packets = fixture.packets();
        let pieces: Vec<_> = packets.iter().flat_map(|packet| cut(packet, &borders(payload_length(packet)))).collect();
        assert!(pieces.len() > packets.len(), "{}: nothing was cut", fixture.name);
        let what = format!("{} {how}", fixture.name);
        let with_keys = |packets: &[OwnedPacket]| analyze_with(fixture.options(), packets);
        let (whole, recut) = (with_keys(&packets), with_keys(&pieces));
        if fixture.is_lossy() {
            super::assert_nothing_invented(&recut, &super::intact(&fixture), &what);
            assert_no_loss_no_difference(&whole, &recut, &what);
        } else {
            whole.assert_same(&recut, &what);
        }
        assert_eq!(whole.health.reassembly.bytes, recut.health.reassembly.bytes, "{what}: bytes");
    }
}

/// Where packets begin is a hint for what follows a loss; a direction that lost nothing does not depend on it.
fn assert_no_loss_no_difference(whole: &Recording, recut: &Recording, what: &str) {
    assert_eq!(whole.connections.len(), recut.connections.len(), "{what}: connections");
    let mut compared = 0;
    for (connection, other) in whole.connections.iter().zip(&recut.connections) {
        assert_eq!(connection.lost_bytes, other.lost_bytes, "{what}: lost bytes");
        let streams = [(connection.client, connection.server), (connection.server, connection.client)];
        for (direction, stream) in Direction::BOTH.into_iter().zip(streams) {
            if connection.lost_bytes[direction] == 0 {
                assert_eq!(whole.streams[&stream], recut.streams[&stream], "{what}: {stream:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "{what}: each direction lost something");
}

#[test]
fn single_bytes() {
    let mut random = fastrand::Rng::with_seed(1);
    assert_cuts_do_not_matter("byte by byte", |length| {
        if length <= SINGLE_BYTES {
            return (1..length).collect();
        }
        let ends = SINGLE_BYTES / 2;
        let mut borders: Vec<usize> = (1..ends).chain(length - ends..length).collect();
        borders.extend((0..200).map(|_| random.usize(ends..length - ends)));
        borders.sort_unstable();
        borders.dedup();
        borders
    });
}

#[test]
fn random_cuts() {
    for seed in 0..5 {
        let mut random = fastrand::Rng::with_seed(seed);
        assert_cuts_do_not_matter(&format!("random cuts, seed {seed}"), |length| {
            let mut borders: Vec<usize> = (0..random.usize(0..8)).map(|_| random.usize(0..length.max(1))).collect();
            borders.sort_unstable();
            borders.dedup();
            borders.retain(|border| *border > 0);
            borders
        });
    }
}

#[test]
fn a_cut_at_each_offset() {
    // One border only, but at every offset of every packet there is: what straddles it is met one by one.
    for name in ["reqrep", "plain-ok", "curve"] {
        let packets = fixture::named(name).packets();
        let whole = analyze(&packets);
        let longest = packets.iter().map(payload_length).max().unwrap_or(0);
        for border in 1..longest {
            let at = |packet: &OwnedPacket| if border < payload_length(packet) { vec![border] } else { Vec::new() };
            let pieces: Vec<_> = packets.iter().flat_map(|packet| cut(packet, &at(packet))).collect();
            whole.assert_same(&analyze(&pieces), &format!("{name} cut at {border}"));
        }
    }
}
