//! Many requests under way at once: whole, answered out of order, and with some of it missing.

use super::*;

/// Requests of two clients, ten under way at any time, that one worker answers in the order in which they came but for
/// `swapped`; what is `lost` of the worker's connection is not in the capture.
fn pipelined(worker: S, swapped: Option<usize>, lost: &[(Direction, usize)]) -> Vec<Path> {
    let mut stage = Stage::new(&Limits::default());
    let clients = [b"a", b"b"].map(|name| stage.connect(5000, S::DEALER, S::ROUTER, name));
    let worker = stage.connect(5001, worker, S::DEALER, b"");
    // The one asks more often than the other, so that what is lost shifts who asked.
    let name = |number: usize| if number % 7 < 4 { (clients[0], b"a") } else { (clients[1], b"b") };
    let mut order: Vec<usize> = (0..60).collect();
    if let Some(number) = swapped {
        order.swap(number, number + 1);
    }
    for step in 0..70 {
        if step < 60 {
            let (client, name) = name(step);
            stage.send(client, C2s, &[b"", b"same body"]);
            let parts: [&[u8]; 3] = [name, b"", b"same body"];
            let is_lost = lost.contains(&(S2c, step));
            if is_lost {
                stage.lose(worker, S2c, &parts);
            } else {
                stage.send(worker, S2c, &parts);
            }
        }
        if step >= 10 {
            let number = order[step - 10];
            let (client, name) = name(number);
            let parts: [&[u8]; 3] = [name, b"", b"same body"];
            let is_lost = lost.contains(&(C2s, number));
            if is_lost {
                stage.lose(worker, C2s, &parts);
            } else {
                stage.send(worker, C2s, &parts);
            }
            stage.send(client, S2c, &[b"", b"same body"]);
        }
    }
    stage.finish()
}

/// Places in the path of the turn at the worker: its request hop's and its reply hop's key, and its confidence.
fn turn(path: &Path) -> Option<(u64, u64, f64)> {
    let (request, reply) = (path.request.get(1)?, path.reply.first()?);
    (request.conn == reply.conn).then_some((request.key, reply.key, reply.confidence))
}

#[test]
fn a_worker_that_kept_the_order_of_all_is_believed_to_keep_it() {
    let turns = |swapped| pipelined(S::DEALER, swapped, &[]).iter().filter_map(turn).collect::<Vec<_>>();
    let kept = turns(None);
    assert_eq!(kept.len(), 60);
    assert!(kept.iter().all(|(.., confidence)| *confidence >= 0.9), "{kept:?}");
    // 31 is of the one and 32 of the other.
    assert!(turns(Some(31)).iter().any(|(.., confidence)| *confidence < 0.9), "it did not keep it once");
}

#[test]
fn what_a_rep_was_asked_and_did_not_seem_to_answer_shifts_nothing() {
    let whole: std::collections::BTreeMap<u64, usize> = pipelined(S::REP, None, &[])
        .iter()
        .enumerate()
        .flat_map(|(number, path)| path.hops().map(move |hop| (hop.key, number)).collect::<Vec<_>>())
        .collect();
    // Keys are numbers of packets, and the same ones pass whether they are captured or not.
    for lost in [&[(S2c, 20)][..], &[(C2s, 20)], &[(S2c, 20), (C2s, 30)], &[(C2s, 20), (S2c, 30), (S2c, 31), (C2s, 45)]]
    {
        let turns: Vec<_> = pipelined(S::REP, None, lost).iter().filter_map(turn).collect();
        assert!(turns.len() + 2 * lost.len() >= 60, "{lost:?}: {} turns", turns.len());
        for (request, reply, confidence) in turns {
            let right = whole[&request] == whole[&reply];
            assert!(right || confidence < 0.9, "{lost:?}: {request} was answered by {reply}, {confidence}");
            assert!(right, "{lost:?}: {request} was answered by {reply}");
        }
    }
}

/// Equal requests of one client, `under_way` of them at any time, which a proxy passes on one after the other; the capture ends
/// while the rest waits there. Of those that are not `seen` neither what was passed on is in the capture nor the answer to it.
/// Gives numbers of requests: as which one a path has them at the proxy's front and at its back, and how sure.
fn queued(under_way: usize, seen: impl Fn(usize) -> bool) -> Vec<(usize, usize, f64)> {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5000, S::DEALER, S::ROUTER, b"a");
    let worker = stage.connect(5001, S::REP, S::DEALER, b"");
    let (mut asked, mut passed_on) = (Vec::new(), Vec::new());
    for step in 0..400 {
        asked.push(stage.packets + 1);
        stage.send(client, C2s, &[b"", b"same body"]);
        if let Some(number) = (step + 1_usize).checked_sub(under_way) {
            passed_on.push(stage.packets + 1);
            if seen(number) {
                stage.send(worker, S2c, &[b"a", b"", b"same body"]);
                stage.send(worker, C2s, &[b"a", b"", b"same body"]);
            } else {
                stage.position();
                stage.position();
            }
            stage.send(client, S2c, &[b"", b"same body"]);
        }
    }
    let number_of = |keys: &[u64], key| keys.iter().position(|&known| known == key).expect("a request's key");
    let forwarded = stage.finish().into_iter().filter(|path| path.request.len() == 2);
    let numbers = |path: Path| {
        (number_of(&asked, path.request[0].key), number_of(&passed_on, path.request[1].key), path.request[1].confidence)
    };
    forwarded.map(numbers).collect()
}

#[test]
fn what_waits_when_the_capture_ends_came_last() {
    for under_way in [2, 30, 100] {
        let found = queued(under_way, |_| true);
        assert_eq!(found.len(), 401 - under_way, "{under_way} under way");
        assert!(found.iter().all(|(front, back, _)| front == back), "{under_way} under way: {found:?}");
    }
}

#[test]
fn where_every_other_one_goes_elsewhere_nothing_is_sure() {
    for under_way in [2, 30] {
        for (front, back, confidence) in queued(under_way, |number| number % 2 == 0) {
            assert!(front == back || confidence < 0.9, "{under_way} under way: {front} as {back}, {confidence}");
        }
    }
}
