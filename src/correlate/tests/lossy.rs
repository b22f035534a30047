//! Some messages are missing.

use super::*;

#[test]
fn a_reply_that_was_lost_shifts_no_other() {
    let mut stage = Stage::new(&Limits::default());
    let conn = stage.connect(5555, S::REQ, S::REP, b"");
    for number in 0..6 {
        stage.send(conn, C2s, &[b"", b"same"]);
        if number == 2 {
            stage.correlator.incomplete(conn, S2c);
        } else {
            stage.send(conn, S2c, &[b"", b"same"]);
        }
    }
    let paths = stage.finish();
    let statuses: Vec<Status> = paths.iter().map(|path| path.status).collect();
    let mut expected = [Status::Complete; 6];
    expected[2] = Status::Unanswered;
    assert_eq!(statuses, expected);
    for path in paths.iter().filter(|path| path.status == Status::Complete) {
        assert_eq!(path.latency, Some(Duration::from_micros(10)));
    }
}

/// Requests of one client to one worker, `count` of them, of which some messages are lost; a few are looked through at a time.
fn few_at_a_time(client: S, count: u64, is_lost: impl Fn(u64, Direction) -> bool) -> Stage {
    let limits = Limits { window_messages: 64, gap_patience: Duration(0), ..Limits::default() };
    let mut stage = Stage::new(&limits);
    let conn = stage.connect(5555, client, S::REP, b"");
    for number in 0..count {
        for direction in [C2s, S2c] {
            let body = [&b""[..], b"same"];
            if is_lost(number, direction) {
                stage.lose(conn, direction, &body);
            } else {
                stage.send(conn, direction, &body);
            }
        }
    }
    stage
}

#[test]
fn nobody_waits_for_an_answer_after_others_were_served() {
    let stage = few_at_a_time(S::REQ, 50, |number, direction| number == 3 && direction == S2c);
    let unanswered = stage.paths.iter().filter(|path| path.status == Status::Unanswered);
    let ordinals: Vec<u64> = unanswered.map(|path| path.request[0].ordinal).collect();
    assert_eq!(ordinals, [3], "reported before the end, although an answer may take much longer");
}

#[test]
fn what_is_left_over_of_two_requests_is_not_one() {
    let is_lost = |number, direction| (number, direction) == (3, S2c) || (number, direction) == (40, C2s);
    let paths = few_at_a_time(S::DEALER, 60, is_lost).finish();
    let complete: Vec<&Path> = paths.iter().filter(|path| path.status == Status::Complete).collect();
    assert_eq!(complete.len(), 58);
    for path in complete {
        assert_eq!(path.latency, Some(Duration::from_micros(10)));
    }
}

/// How sure the answers are of a worker whose introduction is lost, among others that connected to the same DEALER.
fn answers_of_an_unknown_worker(others: [S; 2]) -> Vec<f64> {
    let mut stage = Stage::new(&Limits::default());
    for worker in others {
        stage.connect(6000, worker, S::DEALER, b"");
    }
    let conn = stage.open(6000);
    stage.introduce(conn, S2c, S::DEALER, b"");
    stage.correlator.incomplete(conn, C2s);
    for direction in [S2c, S2c, C2s, C2s] {
        stage.send(conn, direction, &[b"client", b"", b"same"]);
    }
    stage.finish().iter().filter(|path| path.status == Status::Complete).map(|path| path.confidence).collect()
}

#[test]
fn a_worker_whose_introduction_is_lost_is_what_all_others_are() {
    let confidences = answers_of_an_unknown_worker([S::REP, S::REP]);
    assert!(confidences.len() == 2 && confidences.iter().all(|&it| it > 0.9), "{confidences:?}");
    let confidences = answers_of_an_unknown_worker([S::REP, S::DEALER]);
    assert!(!confidences.iter().any(|&it| it > 0.9), "it may answer in any order, or ask itself: {confidences:?}");
}
