//! One capture taken apart as if each host had captured its own part, clocks apart: they are put right again, and the paths
//! are those of the truth.

use crate::fixture::{self, Fixture, TrueHop};
use crate::packets::{OwnedPacket, analyze};
use crate::recording::Recording;
use std::collections::BTreeSet;
use zmtpscope::analyze::clocks::{self, ClockEvidence, FileClock, Origin};
use zmtpscope::analyze::engine::Options;
use zmtpscope::base::chunk::PacketId;
use zmtpscope::base::time::{Duration, Timestamp};
use zmtpscope::capture::error::CaptureError;
use zmtpscope::capture::packet::{Next, Packet, PacketSource, SourceStats};

/// What the issue allows.
pub const TOLERANCE: i64 = 100_000;

/// The servers' ports of `chain2`, from the clients to the workers.
pub const FRONT: u16 = 11641;
pub const MIDDLE: u16 = 11262;
pub const BACK: u16 = 12064;

/// Packets in memory, as a file would yield them.
struct Replay {
    packets: std::vec::IntoIter<OwnedPacket>,
    current: Option<OwnedPacket>,
}

impl PacketSource for Replay {
    fn next_packet(&mut self) -> Result<Next<'_>, CaptureError> {
        self.current = self.packets.next();
        Ok(self.current.as_ref().map_or(Next::End, |packet| Next::<'_>::Packet(Packet { ..packet.packet() })))
    }

    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }
}

/// The packets of `fixture` on these ports, as a host would capture them whose clock is ahead by so much.
pub fn captured(fixture: &Fixture, ports: &[u16], ahead: i64) -> Vec<OwnedPacket> {
    let on = |packet: &OwnedPacket| {
        let segment = packet.segment().expect("the fixtures are TCP");
        ports.contains(&segment.source.port) || ports.contains(&segment.destination.port)
    };
    let mut packets: Vec<_> = fixture.packets().into_iter().filter(on).collect();
    for packet in &mut packets {
        packet.position.at = packet.position.at + Duration(ahead);
    }
    packets
}

fn estimated(files: &[Vec<OwnedPacket>], given: &[Option<Duration>]) -> Vec<FileClock> {
    let mut open = |at: usize| -> Result<Option<Box<dyn PacketSource>>, CaptureError> {
        Ok(Some(Box::new(Replay { packets: files[at].clone().into_iter(), current: None })))
    };
    clocks::estimate(given, &Options::default(), &mut open).expect("nothing fails")
}

/// The files put right and merged by time, ties in the order of the files, and analysed.
fn merged(files: &[Vec<OwnedPacket>], clocks: &[FileClock]) -> Recording {
    let mut packets = Vec::new();
    for (file, (of_file, clock)) in files.iter().zip(clocks).enumerate() {
        for (number, packet) in of_file.iter().enumerate() {
            let mut packet = packet.clone();
            packet.position.at = packet.position.at + clock.offset;
            packet.position.packet = PacketId::new(file as u16, number as u64 + 1);
            packets.push(packet);
        }
    }
    packets.sort_by_key(|packet| packet.position.at);
    analyze(&packets)
}

/// Files of these ports whose clocks are ahead by so much: estimated within the tolerance, and all paths of the truth found.
fn assert_put_right(parts: &[(&[u16], i64)], evidence: ClockEvidence) {
    let fixture = fixture::named("chain2");
    let files: Vec<_> = parts.iter().map(|(ports, ahead)| captured(&fixture, ports, *ahead)).collect();
    let clocks = estimated(&files, &vec![None; files.len()]);
    for (clock, (_, ahead)) in clocks.iter().zip(parts).skip(1) {
        let Origin::Estimated { uncertainty, evidence: found, .. } = clock.origin else {
            panic!("{clock:?}");
        };
        let error = (clock.offset.0 + ahead - parts[0].1).abs();
        assert!(error <= TOLERANCE && error <= uncertainty.0, "{clock:?}: {error} ns");
        assert_eq!(found, evidence);
    }
    let found = merged(&files, &clocks);
    let expected: BTreeSet<Vec<_>> =
        fixture.truth.requests.iter().map(|request| request.hops().map(hop).collect()).collect();
    let paths = found.paths.iter().map(|path| {
        path.hops().map(|hop| (hop.source.to_string(), hop.destination.to_string(), hop.ordinal)).collect::<Vec<_>>()
    });
    assert_eq!(paths.collect::<BTreeSet<_>>(), expected);
    // A connection that two files hold is one connection, its messages are counted once, and nothing is a retransmission.
    let zmtp = fixture.truth.connections.iter().filter(|connection| connection.zmtp.is_some());
    assert_eq!(found.connections.len(), zmtp.count());
    assert_eq!(found.health.reassembly.retransmitted, 0);
}

fn hop(hop: &TrueHop) -> (String, String, u64) {
    (hop.src.clone(), hop.dst.clone(), hop.ordinal)
}

#[test]
fn by_the_packets_that_both_hold() {
    assert_put_right(&[(&[FRONT, MIDDLE], 0), (&[MIDDLE, BACK], 37_000_000)], ClockEvidence::Packets);
    assert_put_right(&[(&[FRONT, MIDDLE], 0), (&[MIDDLE, BACK], -3_600_000_000_000)], ClockEvidence::Packets);
}

#[test]
fn by_the_messages_that_passed_a_proxy_between_them() {
    assert_put_right(&[(&[FRONT], 0), (&[MIDDLE, BACK], 37_000_000)], ClockEvidence::Messages);
    assert_put_right(&[(&[MIDDLE, BACK], 0), (&[FRONT], -5_000_000_000)], ClockEvidence::Messages);
}

#[test]
fn three_files_are_put_right_over_the_one_between() {
    let parts: [(&[u16], i64); 3] =
        [(&[FRONT], 0), (&[BACK, MIDDLE], 86_400_000_000_000), (&[FRONT, MIDDLE], 1_234_567)];
    assert_put_right(&parts, ClockEvidence::Packets);
}

#[test]
fn captures_that_overlap_in_part() {
    let fixture = fixture::named("chain2");
    let mut files = [captured(&fixture, &[FRONT, MIDDLE], 0), captured(&fixture, &[MIDDLE, BACK], -2_000_000_000)];
    let (first, second) = (files[0].len(), files[1].len());
    files[0].truncate(first * 3 / 4);
    files[1].drain(..second / 4);
    let clocks = estimated(&files, &[None, None]);
    assert!((clocks[1].offset.0 - 2_000_000_000).abs() <= TOLERANCE, "{clocks:?}");
}

#[test]
fn what_is_given_is_not_estimated() {
    let fixture = fixture::named("chain2");
    let files = [captured(&fixture, &[FRONT, MIDDLE], 0), captured(&fixture, &[MIDDLE, BACK], 37_000_000)];
    let clocks = estimated(&files, &[None, Some(Duration(-5))]);
    assert_eq!(clocks[0], FileClock { offset: Duration(0), origin: Origin::Reference });
    assert_eq!(clocks[1], FileClock { offset: Duration(-5), origin: Origin::Given });
}

#[test]
fn one_capture_continued_in_another_file_keeps_its_clock() {
    let fixture = fixture::named("proxy-assigned");
    let mut first = fixture.packets();
    let second = first.split_off(first.len() / 2);
    let files = [first, second];
    let clocks = estimated(&files, &[None, None]);
    assert_eq!(clocks[1].offset, Duration(0), "{clocks:?}");
    assert_eq!(clocks[1].origin, Origin::Unknown);
}

#[test]
fn the_same_file_twice_is_as_good_as_once() {
    let fixture = fixture::named("proxy-assigned");
    let files = [fixture.packets(), fixture.packets()];
    let clocks = estimated(&files, &[None, None]);
    assert_eq!(clocks[1].offset, Duration(0));
    let (once, twice) = (analyze(&files[0]), merged(&files, &clocks));
    let paths = |recording: &Recording| {
        let key = |at: Timestamp, hops: usize| (at, hops);
        recording.paths.iter().map(|path| key(path.request[0].position.at, path.hops().count())).collect::<Vec<_>>()
    };
    assert_eq!(paths(&once), paths(&twice));
    let messages =
        |recording: &Recording| recording.streams.values().map(|stream| stream.messages.len()).sum::<usize>();
    assert_eq!(messages(&once), messages(&twice));
    assert_eq!(twice.health.reassembly.retransmitted, 0);
    assert!(twice.health.reassembly.captured_twice > 0);
}
