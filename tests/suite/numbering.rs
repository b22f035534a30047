//! `conn` numbers ZMTP connections by their first packet, although they are recognised in another order.

use crate::conversation::{Conversation, greeting};
use crate::fixture;
use crate::packets::{OwnedPacket, analyze};
use zmtpscope::base::chunk::PacketId;
use zmtpscope::base::direction::Direction::{ClientToServer, ServerToClient};
use zmtpscope::base::time::Timestamp;

/// Packets of several connections in the order of these times, in milliseconds.
fn at_times(packets: Vec<(i64, OwnedPacket)>) -> Vec<OwnedPacket> {
    let mut packets = packets;
    packets.sort_by_key(|(at, _)| *at);
    let numbered = packets.into_iter().zip(1..);
    numbered
        .map(|((at, mut packet), number)| {
            packet.position.at = Timestamp(1_700_000_000_000_000_000 + at * 1_000_000);
            packet.position.packet = PacketId::new(0, number);
            packet
        })
        .collect()
}

/// A connection that opens at one time and sends its greetings at another.
fn greeted(port: u16, opened: i64, greeted: i64) -> Vec<(i64, OwnedPacket)> {
    let mut conversation = Conversation::open(port);
    let before = conversation.packets.len();
    conversation.say(ClientToServer, &greeting(b"NULL"));
    conversation.say(ServerToClient, &greeting(b"NULL"));
    let packets = conversation.packets.into_iter().enumerate();
    packets.map(|(number, packet)| (if number < before { opened } else { greeted }, packet)).collect()
}

/// The clients' ports in the order of the connections' numbers.
fn ports(packets: Vec<(i64, OwnedPacket)>) -> Vec<u16> {
    let recording = analyze(&at_times(packets));
    let mut connections: Vec<_> = recording.connections.iter().map(|c| (c.conn, c.client.port)).collect();
    connections.sort_unstable();
    connections.into_iter().map(|(_, port)| port).collect()
}

#[test]
fn every_fixture_is_numbered_by_first_packets() {
    for fixture in fixture::all() {
        let recording = analyze(&fixture.packets());
        let first: Vec<_> = recording.connections.iter().map(|c| (c.conn, c.start.packet)).collect();
        assert!(first.is_sorted(), "{}: {first:?}", fixture.name);
        let numbers: Vec<_> = first.iter().map(|(conn, _)| *conn).collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>(), "{}", fixture.name);
    }
}

#[test]
fn one_that_greets_later_keeps_its_place() {
    assert_eq!(
        ports([greeted(4001, 0, 20), greeted(4002, 10, 11), greeted(4003, 12, 13)].concat()),
        [4001, 4002, 4003]
    );
}

#[test]
fn one_that_stays_silent_for_more_than_a_second_loses_its_place() {
    assert_eq!(
        ports([greeted(4001, 0, 5000), greeted(4002, 10, 11), greeted(4003, 1500, 1501)].concat()),
        [4002, 4003, 4001]
    );
}

#[test]
fn one_that_never_speaks_is_none() {
    let mut silent = greeted(4001, 0, 0);
    silent.truncate(3);
    assert_eq!(ports([silent, greeted(4002, 10, 11)].concat()), [4002]);
}
