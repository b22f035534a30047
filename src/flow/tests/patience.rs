//! How long what is missing is awaited, as it shows whether that helps.

use super::Hand;
use crate::base::limits::Limits;

/// Bytes in pairs: one pair is acknowledged and not there; then so many packets come until it does, if it does.
fn lose_a_pair(hand: &mut Hand, at: u32, packets: u32, comes: bool) {
    hand.send(at + 2, b"cd");
    for _ in 0..packets {
        hand.acknowledge(at + 4);
    }
    if comes {
        hand.send(at, b"ab");
    }
}

#[test]
fn patience_that_never_helps_is_soon_given_up() {
    let mut hand = Hand::new(Limits::default());
    for number in 0..4 {
        lose_a_pair(&mut hand, 4 * number, 63, false);
        assert_eq!(hand.reassembler.stats().lost_bytes, u64::from(2 * number), "all of it, each time");
        hand.acknowledge(4 * number + 4);
    }
    lose_a_pair(&mut hand, 16, 7, false);
    assert_eq!(hand.reassembler.stats().lost_bytes, 8);
    hand.acknowledge(20);
    assert_eq!(hand.reassembler.stats().lost_bytes, 10, "a few packets are enough by now");
    hand.send(16, b"ab");
    lose_a_pair(&mut hand, 20, 63, true);
    assert_eq!(hand.reassembler.stats().lost_bytes, 10, "what came too late makes it patient again");
}

#[test]
fn patience_lasts_several_times_as_long_as_ever_helped() {
    let mut hand = Hand::new(Limits::default());
    lose_a_pair(&mut hand, 0, 5, true);
    for number in 1..5 {
        lose_a_pair(&mut hand, 4 * number, 64, false);
    }
    let before = hand.reassembler.stats().lost_bytes;
    lose_a_pair(&mut hand, 20, 18, true);
    assert_eq!(hand.reassembler.stats().lost_bytes, before);
}
