//! Connections that began before the capture, with bodies longer than what is held until a connection is recognised.

use crate::conversation::{Conversation, long_header, message};
use crate::packets::analyze;
use std::collections::BTreeSet;
use zmtpscope::base::direction::Direction::{ClientToServer as C2s, ServerToClient as S2c};

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[test]
fn bodies_that_are_longer_than_what_is_held() {
    let mut images = Conversation::open(40_000);
    let sent: Vec<usize> = (0..20).map(|number| 150_000 + 7 * number).collect();
    for (number, &length) in sent.iter().enumerate() {
        images.say(S2c, &message(&[b"camera", &noise(number as u64, length)]));
    }
    let whole = analyze(&images.packets);
    assert_eq!(whole.connections, [], "without a greeting, seen from its SYN on, it is none");
    for begin in 4..12 {
        let found = analyze(&images.packets[begin..]);
        assert_eq!(found.connections.len(), 1, "from packet {begin} on");
        let told: Vec<usize> = found
            .messages()
            .map(|(_, message)| {
                assert_eq!((message.parts.len(), message.parts[0].length, message.is_damaged()), (2, 6, false));
                message.parts[1].length as usize
            })
            .collect();
        assert!(sent.ends_with(&told), "from packet {begin} on: {told:?}");
        assert!(told.len() >= sent.len() - 10, "from packet {begin} on: {told:?}");
    }
}

#[test]
fn a_gap_in_a_long_body_is_passed_over() {
    let mut images = Conversation::open(40_000);
    (0..20).for_each(|number| images.say(S2c, &message(&[b"camera", &noise(number, 200_000)])));
    // A body takes four packets; the second of each fourth is missing.
    let lost = |at: usize| at > 20 && at % 16 == 5;
    let left: Vec<_> = images.packets.iter().enumerate().skip(4).filter(|(at, _)| !lost(*at)).collect();
    let found = analyze(left.into_iter().map(|(_, packet)| packet));
    assert_eq!(found.connections.len(), 1);
    let lengths: BTreeSet<_> = found.messages().map(|(_, message)| message.parts[1].length).collect();
    assert_eq!(lengths, BTreeSet::from([200_000]));
}

#[test]
fn other_protocols_with_long_lengths_are_left_alone() {
    let mut other = Conversation::open(40_000);
    for number in 0..60_u8 {
        let body = noise(u64::from(number), 90_000);
        let header = [&[number % 9][..], &long_header(0, body.len() as u64)[1..]].concat();
        other.say(S2c, &[header, body].concat());
        other.say(C2s, b"\0\0\0\0\0\0\0\x02ok");
    }
    for begin in [3, 4, 5, 30] {
        assert_eq!(analyze(&other.packets[begin..]).connections, [], "from packet {begin} on");
    }
}
