//! What is odd about some captures: times that are wrong, packets in the wrong order, several handshakes at once.

use super::*;

#[test]
fn a_packet_with_a_time_far_ahead_harms_none_after_it() {
    let mut stage = Stage::new(&Limits::default());
    let client = stage.connect(5555, S::DEALER, S::ROUTER, b"");
    let worker = stage.connect(5556, S::REP, S::DEALER, b"");
    for round in 0..40 {
        if round == 10 {
            stage.pause(Duration::from_secs(86_400 * 365));
        }
        stage.send(client, C2s, &[b"", b"same"]);
        if round == 10 {
            stage.pause(Duration::from_secs(-86_400 * 365));
        }
        stage.send(worker, S2c, &[&id(1), b"", b"same"]);
        stage.send(worker, C2s, &[&id(1), b"", b"same"]);
        stage.send(client, S2c, &[b"", b"same"]);
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 40);
    for path in &paths {
        let ordinals: Vec<u64> = path.hops().map(|hop| hop.ordinal).collect();
        assert_eq!(ordinals, [path.number; 4]);
        assert!(path.latency.is_some_and(|latency| latency < Duration::from_millis(1)), "{:?}", path.latency);
    }
}

/// A request of nothing in particular passes a proxy and is answered, without any pause.
fn pass(stage: &mut Stage, client: u32, worker: u32, identity: &[u8]) {
    stage.send(client, C2s, &[b"", b"x"]);
    stage.send(worker, S2c, &[identity, b"", b"x"]);
    stage.send(worker, C2s, &[identity, b"", b"x"]);
    stage.send(client, S2c, &[b"", b"x"]);
}

#[test]
fn a_router_numbers_those_that_came_at_once_in_the_order_in_which_it_answered_them() {
    let mut stage = Stage::new(&Limits::default());
    let worker = stage.connect(5001, S::REP, S::DEALER, b"");
    for number in 0..4 {
        let client = stage.connect(5000, S::REQ, S::ROUTER, b"");
        pass(&mut stage, client, worker, &id(number));
        stage.pause(Duration::from_micros(5000));
    }
    // Nothing but the numbers tells which of these is which: the ROUTER answered the second client first.
    let [first, second] = stage.connect_at_once(5000, 2)[..] else { panic!("there are two") };
    for client in [first, second] {
        stage.send(client, C2s, &[b"", b"x"]);
    }
    for direction in [S2c, C2s] {
        for number in [4, 5] {
            stage.send(worker, direction, &[&id(number), b"", b"x"]);
        }
    }
    for client in [first, second] {
        stage.send(client, S2c, &[b"", b"x"]);
    }
    let paths = stage.finish();
    let names = paths.iter().filter_map(|path| Some((path.request[0].conn, path.request.get(1)?.identity.clone()?)));
    let names: Vec<_> = names.filter(|(conn, _)| [first, second].contains(conn)).collect();
    assert_eq!(names, [(first, id(5).into()), (second, id(4).into())]);
}

#[test]
fn one_connection_that_seems_to_be_ended_by_the_server_is_no_new_server() {
    let mut stage = Stage::new(&Limits::default());
    let worker = stage.connect(5001, S::REP, S::DEALER, b"");
    let clients = [b"a", b"b"].map(|name| stage.connect(5000, S::REQ, S::ROUTER, name));
    for (client, name) in clients.into_iter().zip([b"a", b"b"]) {
        for _ in 0..20 {
            pass(&mut stage, client, worker, name);
        }
    }
    // The last packets of the second are captured in the wrong order.
    stage.close(clients[0], false);
    stage.close(clients[1], true);
    let again = stage.connect(5000, S::REQ, S::ROUTER, b"a");
    pass(&mut stage, again, worker, b"a");
    let paths = stage.finish();
    assert_eq!(paths.len(), 41);
    assert_eq!(route(&paths[40]), (vec![again, worker], vec![worker, again]));
}
