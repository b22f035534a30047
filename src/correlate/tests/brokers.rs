//! Brokers that are more than a proxy: they know their workers, or hide who asked.

use super::*;

#[test]
fn workers_of_a_broker_speak_first_and_are_asked_all_the_same() {
    let mut stage = Stage::new(&Limits::default());
    let clients = [stage.connect(5555, S::REQ, S::ROUTER, b""), stage.connect(5555, S::REQ, S::ROUTER, b"")];
    let worker = stage.connect(5556, S::REQ, S::ROUTER, b"");
    stage.send(worker, C2s, &[b"", b"READY"]);
    for round in 0..6 {
        let number = round % 2;
        let (client, address) = (clients[number], id(0x67 + number as u8));
        let body = [b'a' + round as u8];
        stage.send(client, C2s, &[b"", &body]);
        stage.send(worker, S2c, &[b"", &address, b"", &body]);
        stage.send(worker, C2s, &[b"", &address, b"", b"done"]);
        stage.send(client, S2c, &[b"", b"done"]);
    }
    let paths: Vec<_> = stage.finish().into_iter().filter(|path| path.status == Status::Complete).collect();
    assert_eq!(paths.len(), 6);
    for (round, path) in paths.iter().enumerate() {
        let client = clients[round % 2];
        assert_eq!(route(path), (vec![client, worker], vec![worker, client]), "{path:?}");
        assert_eq!(path.request[1].identity.as_deref(), Some(&id(0x67 + (round % 2) as u8)[..]));
    }
}

#[test]
fn majordomo_has_clients_and_workers_on_one_router() {
    let mut stage = Stage::new(&Limits::default());
    let clients = [stage.connect(5555, S::REQ, S::ROUTER, b""), stage.connect(5555, S::REQ, S::ROUTER, b"")];
    let workers = [stage.connect(5555, S::DEALER, S::ROUTER, b""), stage.connect(5555, S::DEALER, S::ROUTER, b"")];
    for worker in workers {
        stage.send(worker, C2s, &[b"", b"MDPW01", b"\x01", b"echo"]);
    }
    for round in 0..8 {
        let (client, worker) = (clients[round % 2], workers[round / 2 % 2]);
        let address = id(0x67 + (round % 2) as u8);
        let body = [b'a' + round as u8];
        stage.send(client, C2s, &[b"", b"MDPC01", b"echo", &body]);
        stage.send(worker, S2c, &[b"", b"MDPW01", b"\x02", &address, b"", &body]);
        stage.send(workers[0], C2s, &[b"", b"MDPW01", b"\x04"]);
        stage.send(worker, C2s, &[b"", b"MDPW01", b"\x03", &address, b"", &body]);
        stage.send(client, S2c, &[b"", b"MDPC01", b"echo", &body]);
        stage.send(workers[1], S2c, &[b"", b"MDPW01", b"\x04"]);
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 8, "READY and heartbeats are none: {paths:#?}");
    for (round, path) in paths.iter().enumerate() {
        let (client, worker) = (clients[round % 2], workers[round / 2 % 2]);
        assert_eq!(route(path), (vec![client, worker], vec![worker, client]));
        assert_eq!(path.request[1].identity.as_deref(), Some(&id(0x67 + (round % 2) as u8)[..]));
        assert_eq!(path.status, Status::Complete);
        assert!(path.confidence >= 0.9, "{}", path.confidence);
    }
}

#[test]
fn a_broker_that_asks_in_its_own_name_is_followed_by_content() {
    let mut stage = Stage::new(&Limits::default());
    let clients = [stage.connect(5555, S::REQ, S::ROUTER, b""), stage.connect(5555, S::REQ, S::ROUTER, b"")];
    let worker = stage.connect(5556, S::REP, S::REQ, b"");
    for number in 0..5 {
        let (asked, told) = (format!("request {number}").into_bytes(), format!("response {number}").into_bytes());
        stage.send(clients[number % 2], C2s, &[b"", &asked]);
        stage.send(worker, S2c, &[b"", &asked]);
        stage.send(worker, C2s, &[b"", &told]);
        stage.send(clients[number % 2], S2c, &[b"", &told]);
    }
    stage.send(clients[0], C2s, &[b"", b"in the cache"]);
    stage.send(clients[0], S2c, &[b"", b"here it is"]);
    let paths = stage.finish();
    assert_eq!(paths.len(), 6);
    for (number, path) in paths[..5].iter().enumerate() {
        let client = clients[number % 2];
        assert_eq!(route(path), (vec![client, worker], vec![worker, client]));
        assert_eq!(path.request[1].evidence, Evidence::Content);
    }
    assert_eq!(route(&paths[5]), (vec![clients[0]], vec![clients[0]]));
    assert!(paths[5].confidence < 0.9, "it may have asked somebody all the same: {}", paths[5].confidence);
}

#[test]
fn a_broker_whose_workers_connect_is_followed_from_the_middle() {
    let mut stage = Stage::new(&Limits::default());
    let clients = [stage.join(5555), stage.join(5555)];
    let workers = [stage.join(5561), stage.join(5562)];
    for number in 0..9 {
        let (client, worker) = (clients[number % 2], workers[number / 2 % 2]);
        let (asked, told) = (format!("request {number}").into_bytes(), format!("response {number}").into_bytes());
        stage.send(client, C2s, &[b"", &asked]);
        stage.send(worker, S2c, &[b"", &asked]);
        stage.send(worker, C2s, &[b"", &told]);
        stage.send(client, S2c, &[b"", &told]);
    }
    let paths = stage.finish();
    assert_eq!(paths.len(), 9);
    for (number, path) in paths.iter().enumerate() {
        let (client, worker) = (clients[number % 2], workers[number / 2 % 2]);
        assert_eq!(route(path), (vec![client, worker], vec![worker, client]));
    }
}
