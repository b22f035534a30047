//! One-way messages through devices, against what the applications say that they sent and received.

use crate::fixture::{self, Fixture};
use crate::packets::{analyze, analyze_with};
use crate::recording::{MessageRecord, Recording};
use std::collections::{BTreeMap, BTreeSet};
use zmtpscope::analyze::engine::Options;
use zmtpscope::base::limits::Limits;
use zmtpscope::correlate::path::{Hop, Path, Pattern, Status, joined_to};

/// The text of the last part: a token that one message of an application has, and its copies.
fn token(message: &MessageRecord) -> String {
    String::from_utf8(message.part_heads().last().unwrap_or_default().to_vec()).expect("tokens are text")
}

fn by_key(found: &Recording) -> BTreeMap<u64, &MessageRecord> {
    found.messages().map(|(_, message)| (message.key, message)).collect()
}

/// Whether a device of the fixture joins where one hop came in to where the other went out: one end of each is where the
/// device or its neighbour accepts connections.
fn is_through_a_device(fixture: &Fixture, entered: &Hop, left: &Hop) -> bool {
    let is_at =
        |hop: &Hop, endpoint: &String| [hop.source, hop.destination].iter().any(|end| end.to_string() == *endpoint);
    fixture.truth.devices.iter().any(|[inlet, outlet]| is_at(entered, inlet) && is_at(left, outlet))
}

/// Where messages of each token went, as the applications say: how often from which endpoint.
fn received(fixture: &Fixture) -> BTreeMap<&str, Vec<&str>> {
    let mut received: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for sink in fixture.truth.received.values() {
        for token in &sink.tokens {
            received.entry(token).or_default().push(&sink.from);
        }
    }
    for from in received.values_mut() {
        from.sort_unstable();
    }
    received
}

fn assert_delivered(fixture: &Fixture, found: &Recording, pattern: Pattern) {
    let name = &fixture.name;
    let messages = by_key(found);
    let mut delivered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in &found.paths {
        assert_eq!((path.status, path.pattern), (Status::Delivered, Some(pattern)), "{name}: {path:#?}");
        assert!(path.confidence >= 0.9 && path.reply.is_empty(), "{name}: {path:#?}");
        let token = token(messages[&path.request[0].key]);
        for (at, hop) in path.request.iter().enumerate().skip(1) {
            let entered = joined_to(&path.request, at).expect("it is not the first");
            assert_eq!(self::token(messages[&hop.key]), token, "{name}: path {}", path.number);
            assert!(is_through_a_device(fixture, entered, hop), "{name}: {entered:?} {hop:?}");
        }
        let mut from: Vec<String> = path.ends().map(|hop| hop.source.to_string()).collect();
        from.sort_unstable();
        assert_eq!(delivered.insert(token, from), None, "{name}: one path a message");
    }
    let delivered: BTreeMap<_, Vec<_>> =
        delivered.iter().map(|(token, from)| (token.as_str(), from.iter().map(String::as_str).collect())).collect();
    assert_eq!(delivered, received(fixture), "{name}");
}

#[test]
fn a_publication_is_followed_through_a_chain_of_devices_to_all_its_subscribers() {
    let fixture = fixture::named("forwarder-chain");
    assert_eq!(received(&fixture).len(), 32, "what was sent on the way to topics that somebody wants");
    assert_delivered(&fixture, &analyze(&fixture.packets()), Pattern::PubSub);
}

#[test]
fn a_task_is_followed_through_a_streamer_to_the_one_that_gets_it() {
    let fixture = fixture::named("streamer");
    assert_eq!(received(&fixture).values().map(Vec::len).collect::<BTreeSet<_>>(), BTreeSet::from([1]));
    assert_delivered(&fixture, &analyze(&fixture.packets()), Pattern::PushPull);
}

#[test]
fn paths_do_not_depend_on_the_window() {
    for name in ["forwarder-chain", "streamer"] {
        let fixture = fixture::named(name);
        let whole = analyze(&fixture.packets());
        let limits = Limits { window_messages: 64, ..Limits::default() };
        let found = analyze_with(Options { limits, ..Options::default() }, &fixture.packets());
        let hops = |path: &Path| path.request.iter().map(|hop| (hop.key, hop.after)).collect::<Vec<_>>();
        assert_eq!(
            found.paths.iter().map(hops).collect::<Vec<_>>(),
            whole.paths.iter().map(hops).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

#[test]
fn without_handshakes_nothing_wrong_is_sure() {
    for name in ["forwarder-chain", "streamer"] {
        let fixture = fixture::named(name);
        let mut packets = fixture.packets();
        let cut = packets.len() * 2 / 5;
        let found = analyze(&packets.split_off(cut));
        let messages = by_key(&found);
        let mut sure = 0;
        for path in &found.paths {
            for (at, hop) in path.request.iter().enumerate().skip(1).filter(|(_, hop)| hop.confidence >= 0.9) {
                let entered = joined_to(&path.request, at).expect("it is not the first");
                assert_eq!(token(messages[&entered.key]), token(messages[&hop.key]), "{name}");
                assert!(is_through_a_device(&fixture, entered, hop), "{name}: {entered:?} {hop:?}");
                sure += 1;
            }
        }
        assert!(sure >= 10, "{name}: only {sure}");
    }
}

#[test]
fn where_nothing_is_passed_on_no_path_is_told() {
    let found = analyze(&fixture::named("pubsub").packets());
    assert!(found.messages().count() > 50);
    assert_eq!(found.paths, []);
}
