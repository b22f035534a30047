//! ZMTP in UDP and PGM: the fixtures against what the applications sent and received, and what may not change or break it.

use crate::conversation::{Conversation, command, message};
use crate::packets::{OwnedPacket, analyze, analyze_with, read};
use crate::program::on_capture;
use crate::recording::Recording;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use zmtpscope::analyze::engine::Options;
use zmtpscope::base::chunk::{PacketId, Position};
use zmtpscope::base::direction::Direction::{ClientToServer as C2s, ServerToClient as S2c};
use zmtpscope::base::limits::Limits;
use zmtpscope::base::text::hex;
use zmtpscope::base::time::Timestamp;
use zmtpscope::capture::file::FileSource;
use zmtpscope::capture::packet::LinkType;
use zmtpscope::zmtp::wire::frame::FrameFlags;

/// `NAME.datagrams.json`; what each field means is in `fixtures/README.md`.
#[derive(Deserialize)]
struct Truth {
    capture: String,
    transport: String,
    source: String,
    destination: String,
    packets: u64,
    first_data_packet: u64,
    data_packets: u64,
    repaired: u64,
    messages: Vec<Vec<String>>,
}

struct Fixture {
    name: &'static str,
    path: PathBuf,
    truth: Truth,
    packets: Vec<OwnedPacket>,
}

fn fixture(name: &'static str) -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let text = std::fs::read_to_string(folder.join(format!("{name}.datagrams.json"))).expect("a truth");
    let truth: Truth = serde_json::from_str(&text).expect("its form");
    let path = folder.join(&truth.capture);
    let packets = read(FileSource::open(&path).expect("a capture"));
    Fixture { name, path, truth, packets }
}

fn fixtures() -> [Fixture; 3] {
    ["radio-dish", "epgm-repairs", "pgm-repairs"].map(fixture)
}

impl Fixture {
    /// RADIO in UDP has to be told.
    fn options(&self) -> Options {
        let port = self.truth.destination.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        let ports = if self.truth.transport == "udp" { vec![port] } else { Vec::new() };
        Options { ports, limits: Limits { head_bytes: 1 << 16, ..Limits::default() }, ..Options::default() }
    }

    fn analyze<'a>(&self, packets: impl IntoIterator<Item = &'a OwnedPacket>) -> Recording {
        analyze_with(self.options(), packets)
    }
}

/// Parts of all messages.
fn messages(found: &Recording) -> Vec<Vec<String>> {
    let parts = |m: &crate::recording::MessageRecord| m.parts.iter().map(|p| hex(&m.heads[p.head.clone()])).collect();
    found.messages().map(|(_, message)| parts(message)).collect()
}

/// Each of `found` is in the truth, in the same order.
fn assert_nothing_invented(found: &Recording, truth: &Truth, what: &str) {
    let mut rest = truth.messages.iter();
    for message in messages(found) {
        assert!(rest.any(|true_message| *true_message == message), "{what}: {message:?}");
    }
}

#[test]
fn every_message_as_it_was_received() {
    for fixture in fixtures() {
        let (name, truth) = (fixture.name, &fixture.truth);
        let found = fixture.analyze(&fixture.packets);
        assert_eq!(messages(&found), truth.messages, "{name}");
        assert_eq!(found.health.packets, truth.packets, "{name}");
        let [connection] = &found.connections[..] else { panic!("{name}: {:?}", found.connections) };
        let endpoints = (connection.client.to_string(), connection.server.to_string());
        assert_eq!(endpoints, (truth.source.clone(), truth.destination.clone()), "{name}");
        assert_eq!(connection.start.packet.number(), truth.first_data_packet, "{name}");
        assert!(!connection.midstream && connection.mechanism.is_none(), "{name}");
        assert_eq!(connection.version.as_deref(), (truth.transport != "udp").then_some("1.0"), "{name}");
        assert_eq!(connection.traffic.c2s.messages, truth.messages.len() as u64, "{name}");
        assert_eq!(connection.traffic.s2c.messages, 0, "{name}");
        assert_eq!((connection.traffic.c2s.undecoded_bytes, connection.traffic.c2s.broken_messages), (0, 0), "{name}");
        let stats = found.health.datagrams;
        assert_eq!(stats.radio + stats.pgm_data, truth.data_packets, "{name}");
        assert_eq!((stats.pgm_repaired, stats.pgm_lost), (truth.repaired, 0), "{name}: {stats:?}");
        assert_eq!(found.findings, [], "{name}");
        assert!(found.messages().all(|(_, message)| message.start.packet.number() > 0), "{name}");
    }
}

#[test]
fn radio_in_udp_is_not_guessed() {
    let radio = fixture("radio-dish");
    let found = analyze(&radio.packets);
    assert_eq!(found.connections, []);
    assert_eq!(found.health.skipped.values().sum::<u64>(), radio.truth.packets, "all are counted as not used");
}

#[test]
fn without_any_one_packet_nothing_is_invented() {
    for fixture in fixtures() {
        let name = fixture.name;
        let whole = fixture.truth.messages.len();
        for lost in 0..fixture.packets.len() {
            let rest = fixture.packets.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, packet)| packet);
            let found = fixture.analyze(rest);
            let what = format!("{name} without packet {}", lost + 1);
            assert_nothing_invented(&found, &fixture.truth, &what);
            let told = messages(&found).len();
            assert!(told + 8 >= whole, "{what}: {told} of {whole} messages");
            let expected = found.health.datagrams.pgm_lost > 0;
            assert_eq!(found.findings.iter().any(|finding| finding.code == "pgm-loss"), expected, "{what}");
        }
    }
}

#[test]
fn a_capture_of_any_part_holds_messages_of_the_whole() {
    for fixture in fixtures() {
        for at in 0..=fixture.packets.len() {
            let what = format!("{} cut at packet {at}", fixture.name);
            assert_nothing_invented(&fixture.analyze(&fixture.packets[..at]), &fixture.truth, &what);
            assert_nothing_invented(&fixture.analyze(&fixture.packets[at..]), &fixture.truth, &what);
        }
    }
}

#[test]
fn neighbours_that_changed_places_change_nothing() {
    // PGM has numbers; what overtakes waits.
    for fixture in [fixture("epgm-repairs"), fixture("pgm-repairs")] {
        let first = fixture.truth.first_data_packet as usize;
        for at in first..fixture.packets.len() - 1 {
            let mut packets = fixture.packets.clone();
            packets.swap(at, at + 1);
            assert_eq!(messages(&fixture.analyze(&packets)), fixture.truth.messages, "{} at {at}", fixture.name);
        }
    }
}

#[test]
fn damage_is_seen_by_the_checksum_of_pgm() {
    for fixture in [fixture("epgm-repairs"), fixture("pgm-repairs")] {
        for seed in 0..60 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut packets = fixture.packets.clone();
            for packet in &mut packets {
                if random.u8(0..4) != 0 {
                    continue;
                }
                // Behind Ethernet, IP and UDP.
                let at = random.usize(42..packet.bytes.len().max(43)).min(packet.bytes.len() - 1);
                packet.bytes[at] ^= 1 << random.u8(0..8);
            }
            let what = format!("{} damaged, seed {seed}", fixture.name);
            assert_nothing_invented(&fixture.analyze(&packets), &fixture.truth, &what);
        }
    }
}

#[test]
fn a_snapshot_length_leaves_missing_bytes() {
    for fixture in fixtures() {
        for length in [0, 14, 34, 42, 43, 46, 50, 60, 66, 68, 80, 100, 200, 600] {
            let cut: Vec<OwnedPacket> = fixture.packets.iter().map(|p| shortened(p, length)).collect();
            let found = fixture.analyze(&cut);
            let what = format!("{} with a snapshot length of {length}", fixture.name);
            let mut rest = fixture.truth.messages.iter();
            for (_, message) in found.messages() {
                let agrees = |truth: &Vec<String>| {
                    truth.len() == message.parts.len()
                        && truth.iter().zip(&message.parts).all(|(body, part)| {
                            body.len() as u64 == 2 * part.length
                                && body.starts_with(&hex(&message.heads[part.head.clone()]))
                        })
                };
                assert!(rest.any(agrees), "{what}: {message:?}");
            }
        }
    }
    let radio = fixture("radio-dish");
    let cut: Vec<OwnedPacket> = radio.packets.iter().map(|packet| shortened(packet, 45)).collect();
    let found = radio.analyze(&cut);
    let missing =
        |m: &crate::recording::MessageRecord| m.parts.iter().map(|p| (p.length, p.missing)).collect::<Vec<_>>();
    let (_, first) = found.messages().next().expect("a message");
    assert_eq!(missing(first), [(4, 2), (6, 6)], "two octets of the group are left");
}

fn shortened(packet: &OwnedPacket, length: usize) -> OwnedPacket {
    OwnedPacket { bytes: packet.bytes[..packet.bytes.len().min(length)].to_vec(), ..packet.clone() }
}

/// A raw IPv4 packet with a UDP datagram to port 5556.
pub fn udp(number: u64, source: [u8; 4], payload: &[u8]) -> OwnedPacket {
    let total = 28 + payload.len() as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend(total.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    bytes.extend(source);
    bytes.extend([239, 1, 1, 1, 0x90, 0, 0x15, 0xb4]);
    bytes.extend((total - 20).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    let at = Timestamp(1_700_000_000_000_000_000 + number as i64 * 1_000);
    let position = Position { packet: PacketId::new(0, number), at };
    OwnedPacket { position, link: LinkType::RAW, wire_length: bytes.len() as u32, bytes }
}

/// A DISH joins `group` at a RADIO on TCP, which also sends these datagrams.
fn joined(group: &[u8], source: [u8; 4], datagrams: &[&[u8]]) -> Recording {
    let dish: &[(&str, &[u8])] = &[("Socket-Type", b"DISH")];
    let radio: &[(&str, &[u8])] = &[("Socket-Type", b"RADIO")];
    let mut conversation = Conversation::connected(40_000, dish, radio);
    conversation.say(C2s, &command(b"JOIN", group));
    conversation.say(S2c, &message(&[group, b"over TCP"]));
    let mut packets = conversation.packets;
    for payload in datagrams {
        let number = packets.len() as u64 + 1;
        packets.push(udp(number, source, payload));
    }
    analyze(&packets)
}

#[test]
fn a_join_tells_of_the_same_sender_and_group() {
    const RADIO: [u8; 4] = [127, 0, 0, 1];
    let news: [&[u8]; 4] = [b"\x04newsone", b"\x04newstwo", b"\x04news", b"\x05sportfour"];
    let found = joined(b"news", RADIO, &news);
    assert_eq!(found.connections.len(), 2);
    assert_eq!(found.connections[1].traffic.c2s.messages, 4, "from the first on, and whatever comes then");
    assert_eq!(found.connections[1].peers.c2s.socket_type.as_deref(), Some("RADIO"));
    for (what, found) in [
        ("two are too few", joined(b"news", RADIO, &news[..2])),
        ("from elsewhere", joined(b"news", [127, 0, 0, 2], &news)),
        ("of another group", joined(b"weather", RADIO, &news)),
        ("not in a row", joined(b"news", RADIO, &[news[0], news[1], b"something else", news[2], news[2], news[2]])),
        ("a group that says little", joined(b"ab", RADIO, &[&b"\x02abc"[..]; 5])),
    ] {
        assert_eq!(found.connections.len(), 1, "{what}");
        assert!(found.health.skipped.values().sum::<u64>() >= 2, "{what}: they are counted as not used");
    }
}

#[test]
fn dgram_sockets_as_they_received_from_each_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let text = std::fs::read_to_string(folder.join("dgram.received.json")).expect("a truth");
    let truth: Vec<[String; 2]> = serde_json::from_str(&text).expect("its form");
    let packets = read(FileSource::open(&folder.join("dgram.pcap")).expect("a capture"));
    let found = analyze_with(Options { dgram_ports: vec![19042], ..Options::default() }, &packets);
    let told: Vec<_> = found.messages().map(|(stream, message)| (stream.0.to_string(), hex(&message.heads))).collect();
    // One sender after the other; of long bodies the first octets are kept.
    let mut expected: Vec<_> =
        truth.into_iter().map(|[from, body]| (from, body[..body.len().min(512)].to_owned())).collect();
    expected.sort_by_key(|(from, _)| from.clone());
    assert_eq!(told, expected);
    assert_eq!(found.connections.len(), 2);
    assert!(analyze(&packets).connections.is_empty(), "they are not guessed");
}

#[test]
fn datagrams_of_a_port_told_to_be_dgram_are_bare_bodies_in_both_ways() {
    let options = Options { ports: vec![5556], dgram_ports: vec![5556], ..Options::default() };
    let there = [&b"\x04newsbody"[..], b"", b"\x09short"].map(|payload| udp(1, [10, 0, 0, 1], payload));
    let found = analyze_with(options, &there);
    assert_eq!(messages(&found), [[hex(b"\x04newsbody")], [String::new()], [hex(b"\x09short")]]);
    assert_eq!(found.findings, []);
    assert_eq!((found.health.datagrams.dgram, found.health.datagrams.radio), (3, 0));
    // What comes back comes from that port.
    let back = Options { dgram_ports: vec![0x9000], ..Options::default() };
    assert_eq!(messages(&analyze_with(back, &there)).len(), 3);
}

#[test]
fn a_group_beyond_the_datagram_is_an_anomaly() {
    let options = Options { ports: vec![5556], ..Options::default() };
    let packets = [&b"\x09short"[..], b"\x04newsbody", b""].map(|payload| udp(1, [10, 0, 0, 1], payload));
    let found = analyze_with(options, &packets);
    assert_eq!(messages(&found), [[hex(b"news"), hex(b"body")]]);
    let codes: Vec<_> = found.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["radio-datagram"; 2]);
    assert_eq!(found.connections[0].traffic.c2s.undecoded_bytes, 6);
    assert!(found.frames().next().is_some_and(|frame| FrameFlags(frame.flags).more()), "the group comes first");
}

#[test]
fn numbers_go_by_the_first_packet() {
    // The TCP connection begins before the datagrams and is recognised after them.
    let peer: &[(&str, &[u8])] = &[("Socket-Type", b"PAIR")];
    let mut packets = Conversation::connected(40_000, peer, peer).packets;
    packets.insert(3, udp(0, [10, 0, 0, 1], b"\x01abody"));
    for (at, packet) in packets.iter_mut().enumerate() {
        packet.position.packet = PacketId::new(0, at as u64 + 1);
    }
    let options = Options { ports: vec![5556], ..Options::default() };
    let found = analyze_with(options.clone(), &packets);
    let starts = |found: &Recording| found.connections.iter().map(|c| c.start.packet.number()).collect::<Vec<_>>();
    assert_eq!(starts(&found), [1, 4]);
    packets.rotate_left(3);
    for (at, packet) in packets.iter_mut().enumerate() {
        packet.position.packet = PacketId::new(0, at as u64 + 1);
    }
    assert_eq!(starts(&analyze_with(options, &packets[..packets.len() - 3])), [1, 2]);
}

#[test]
fn floods_are_bounded() {
    let limits = Limits { datagram_flows: 16, repair_packets: 8, held_bytes: 1000, ..Limits::default() };
    let options = Options { ports: vec![5556], limits, ..Options::default() };
    let mut random = fastrand::Rng::with_seed(3);
    let packets: Vec<OwnedPacket> = (0..2000)
        .map(|number| {
            let payload: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(0..8)).collect();
            udp(number, [10, 0, random.u8(0..4), random.u8(..)], &payload)
        })
        .collect();
    let found = analyze_with(options.clone(), &packets);
    assert!(found.health.evicted > 500, "{:?}", found.health);
    assert!(found.connections.len() > 900);
    // Sources of PGM with holes everywhere.
    let pgm = fixture("pgm-repairs").packets;
    let every_third = pgm.iter().step_by(3);
    let found = analyze_with(options, every_third);
    assert!(found.health.datagrams.pgm_lost > 0);
}

#[test]
fn every_view_shows_them() {
    for fixture in fixtures() {
        let bytes = std::fs::read(&fixture.path).expect("a capture");
        let port = fixture.truth.destination.rsplit_once(':').expect("a port").1;
        for (view, shows) in [
            ("analyze", "senders in datagrams"),
            ("connections", "over "),
            ("frames", "part 1/2"),
            ("messages", "publish"),
            ("findings", ""),
        ] {
            let output = on_capture(&[view, "--port", port], &bytes);
            assert_eq!(output.status.code(), Some(0), "{view} of {}", fixture.name);
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            assert!(text.contains(shows), "{view} of {}: {text}", fixture.name);
        }
        let output = on_capture(&["connections", "--format", "jsonl", "--port", port], &bytes);
        let row: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one connection");
        assert_eq!(row["transport"], fixture.truth.transport.as_str());
    }
}
