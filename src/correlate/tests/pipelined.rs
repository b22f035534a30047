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
