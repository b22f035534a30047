//! Captures whose times are wrong.

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
