//! Bounds and their middle; the whole is tested on captures in `tests/suite/clocks.rs`.

use super::bounds::Bounds;
use super::*;

fn difference(upper: &[i64], lower: &[i64]) -> Option<(i64, i64)> {
    let mut bounds = Bounds { upper: upper.to_vec(), lower: lower.to_vec() };
    bounds.difference().map(|found| (found.ahead, found.uncertainty))
}

#[test]
fn the_difference_is_in_the_middle_between_the_bounds() {
    assert_eq!(difference(&[90_000, 40_000, 70_000], &[-50_000, 20_000]), Some((30_000, 10_000)));
    assert_eq!(difference(&[37_000_000], &[37_000_000]), Some((37_000_000, 1_000)), "no better than the resolution");
}

#[test]
fn one_side_alone_tells_nothing() {
    assert_eq!(difference(&[10, 20], &[]), None);
    assert_eq!(difference(&[], &[10, 20]), None);
}

#[test]
fn a_few_bounds_that_contradict_the_others_do_not_count() {
    let upper = [50_000, 51_000, 52_000, 53_000, -9_000_000];
    let lower = [30_000, 29_000, 28_000, 27_000];
    let (ahead, uncertainty) = difference(&upper, &lower).expect("one of nine");
    assert_eq!(ahead, 40_000);
    assert!(uncertainty >= 10_000);
}

#[test]
fn bounds_that_contradict_each_other_throughout_tell_nothing() {
    assert_eq!(difference(&[1_000, 2_000, 3_000], &[7_000, 8_000, 9_000]), None);
}

#[test]
fn files_are_attached_over_the_surest_way() {
    let mut clocks = vec![FileClock::UNKNOWN; 4];
    clocks[0].origin = Origin::Reference;
    attach(&mut clocks, ClockEvidence::Packets, |one, other| {
        let (ahead, uncertainty) = match (one, other) {
            (0, 1) => (1_000, 10),
            (0, 2) => (9_999, 500),
            (1, 2) => (2_000, 20),
            _ => return None,
        };
        Some(Difference { ahead, uncertainty, samples: 7 })
    });
    assert_eq!(clocks[1].offset, Duration(-1_000));
    assert_eq!(clocks[2].offset, Duration(-3_000), "over file 1, not from file 0");
    assert_eq!((clocks[2].uncertainty(), clocks[3].origin), (30, Origin::Unknown));
}
