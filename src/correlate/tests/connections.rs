//! What connections tell by how they began and ended.

use super::*;

/// A request of nothing in particular passes a proxy and is answered, without any pause.
fn pass(stage: &mut Stage, client: u32, worker: u32, identity: &[u8]) {
    stage.send(client, C2s, &[b"", b"x"]);
    stage.send(worker, S2c, &[identity, b"", b"x"]);
    stage.send(worker, C2s, &[identity, b"", b"x"]);
    stage.send(client, S2c, &[b"", b"x"]);
}

/// The same of two clients at once, passed on in the order of these numbers.
fn pass_at_once(stage: &mut Stage, clients: [u32; 2], worker: u32, numbers: [u8; 2]) {
    for client in clients {
        stage.send(client, C2s, &[b"", b"x"]);
    }
    for direction in [S2c, C2s] {
        for number in numbers {
            stage.send(worker, direction, &[&id(number), b"", b"x"]);
        }
    }
    for client in clients {
        stage.send(client, S2c, &[b"", b"x"]);
    }
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
    pass_at_once(&mut stage, [first, second], worker, [4, 5]);
    let paths = stage.finish();
    assert_eq!(names(&paths, [first, second]), [(first, id(5).into()), (second, id(4).into())]);
}

/// Under which identities the requests of two connections were passed on.
fn names(paths: &[Path], conns: [u32; 2]) -> Vec<(u32, Box<[u8]>)> {
    let names = paths.iter().filter_map(|path| Some((path.request[0].conn, path.request.get(1)?.identity.clone()?)));
    names.filter(|(conn, _)| conns.contains(conn)).collect()
}

#[test]
fn peers_that_were_not_captured_were_numbered_too() {
    let mut stage = Stage::new(&Limits::default());
    let worker = stage.connect(5001, S::REP, S::DEALER, b"");
    for number in (0..12).chain(15..21) {
        let client = stage.connect(5000, S::REQ, S::ROUTER, b"");
        pass(&mut stage, client, worker, &id(number));
        stage.pause(Duration::from_micros(5000));
    }
    // Nothing but the numbers tells which of these is which.
    let [first, second] = [0, 1].map(|_| {
        stage.pause(Duration::from_micros(5000));
        stage.connect(5000, S::REQ, S::ROUTER, b"")
    });
    pass_at_once(&mut stage, [first, second], worker, [22, 21]);
    assert_eq!(names(&stage.finish(), [first, second]), [(first, id(21).into()), (second, id(22).into())]);
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

#[test]
fn a_restarted_proxy_numbers_its_peers_anew() {
    let mut stage = Stage::new(&Limits::default());
    for _ in 0..3 {
        let client = stage.connect(5555, S::REQ, S::ROUTER, b"");
        let worker = stage.connect(5556, S::REP, S::DEALER, b"");
        for _ in 0..20 {
            stage.send(client, C2s, &[b"", b"same"]);
            stage.send(worker, S2c, &[&id(1), b"", b"same"]);
            stage.send(worker, C2s, &[&id(1), b"", b"same"]);
            stage.send(client, S2c, &[b"", b"same"]);
        }
        // The peers close first, as they do when their applications end.
        stage.close(client, false);
        stage.close(worker, false);
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 60);
    assert!(paths.iter().all(|path| path.status == Status::Complete && path.request.len() == 2), "{paths:?}");
}

#[test]
fn short_lived_clients_of_a_proxy_that_stays() {
    let mut stage = Stage::new(&Limits { window_messages: 64, ..Limits::default() });
    let worker = stage.connect(5556, S::REP, S::DEALER, b"");
    for number in 0..100 {
        let client = stage.connect(5555, S::REQ, S::ROUTER, b"");
        stage.send(client, C2s, &[b"", b"same"]);
        stage.send(worker, S2c, &[&id(number), b"", b"same"]);
        stage.send(worker, C2s, &[&id(number), b"", b"same"]);
        stage.send(client, S2c, &[b"", b"same"]);
        stage.close(client, false);
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 100);
    assert!(paths.iter().all(|path| path.status == Status::Complete && path.request.len() == 2), "{paths:?}");
}

#[test]
fn connections_that_are_over_are_forgotten_once_nothing_of_them_is_pending() {
    let limits = Limits { window_messages: 256, ended_connections: 32, ..Limits::default() };
    let mut stage = Stage::new(&limits);
    let worker = stage.connect(9001, S::REP, S::DEALER, b"");
    let stays = stage.connect(9000, S::REQ, S::ROUTER, b"");
    let mut most = 0;
    for number in 0..2000_u32 {
        let comes = stage.connect(9000, S::REQ, S::ROUTER, b"");
        let sender = stage.connect(9002, S::PUSH, S::PULL, b"");
        for (client, name) in [(comes, number + 1), (stays, 0)] {
            // As libzmq numbers its peers.
            let [a, b, c, d] = (0x6b8b_4567 + name).to_be_bytes();
            let id = &[0, a, b, c, d];
            let body = &number.to_be_bytes();
            stage.send(client, C2s, &[b"", body]);
            stage.send(worker, S2c, &[id, b"", body]);
            stage.send(worker, C2s, &[id, b"", body]);
            stage.send(client, S2c, &[b"", body]);
        }
        stage.send(sender, C2s, &[b"one way"]);
        stage.close(comes, false);
        stage.close(sender, false);
        most = most.max(stage.correlator.known_connections());
    }
    assert!(most < 400, "{most} connections were known at once");
    let paths = stage.finish();
    assert_eq!(paths.len(), 4000);
    assert!(paths.iter().all(|path| path.status == Status::Complete && path.hops().count() == 4));
    assert!(paths.iter().all(|path| path.confidence > 0.9));
}

#[test]
fn connections_without_requests_are_forgotten_too() {
    let limits = Limits { ended_connections: 32, ..Limits::default() };
    let mut stage = Stage::new(&limits);
    for _ in 0..1000 {
        let sender = stage.connect(9002, S::PUSH, S::PULL, b"");
        stage.send(sender, C2s, &[b"one way"]);
        stage.close(sender, false);
    }
    assert!(stage.correlator.known_connections() <= 65);
}

#[test]
fn a_router_that_connects_to_its_clients_is_one_socket() {
    let mut stage = Stage::new(&Limits::default());
    let clients = [6001, 6002, 6003].map(|port| stage.connect(port, S::ROUTER, S::REQ, b""));
    let worker = stage.connect(5001, S::REP, S::DEALER, b"");
    for round in 0..6 {
        // They ask in turns, and nothing but identities tells them apart.
        let turn = [round % 3, (round + 1) % 3, (round + 2) % 3];
        for client in turn {
            stage.send(clients[client], S2c, &[b"", b"x"]);
        }
        for direction in [S2c, C2s] {
            for client in turn {
                stage.send(worker, direction, &[&id(client as u8), b"", b"x"]);
            }
        }
        for client in turn {
            stage.send(clients[client], C2s, &[b"", b"x"]);
        }
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 18);
    for (number, path) in paths.iter().enumerate() {
        let client = (number / 3 + number % 3) % 3;
        assert_eq!(route(path), (vec![clients[client], worker], vec![worker, clients[client]]));
        assert_eq!(path.request[1].identity.as_deref(), Some(&id(client as u8)[..]));
    }
}
