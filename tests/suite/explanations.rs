//! What `paths --explain N` says in words, against the truth: which messages, what joins them, and what else there was.

use crate::fixture::{self, Fixture, TrueHop, TrueRequest};
use std::process::Command;

/// The paragraphs of one path: what it is, and one for each hop.
fn explained(fixture: &Fixture, path: usize) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zmtpscope"));
    command.args(["paths", "--explain", &path.to_string()]).arg(&fixture.path).env_remove("COLUMNS");
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// The requests in the order of the paths.
fn in_order(fixture: &Fixture) -> Vec<&TrueRequest> {
    let mut requests: Vec<_> = fixture.truth.requests.iter().collect();
    requests.sort_by_key(|request| request.request_hops[0].pkt);
    requests
}

/// How many other messages of requests, or of replies, had come in where `came_in` did and had not left when `left` did:
/// each is known by when it came and when it left, if ever.
fn waiting(fixture: &Fixture, is_reply: bool, came_in: &TrueHop, left: &TrueHop) -> usize {
    let hops = |request: &TrueRequest| -> Vec<(String, u64, Option<u64>)> {
        let hops = if is_reply { &request.reply_hops } else { &request.request_hops };
        let next = |at: usize| hops.get(at + 1).map(|next| next.pkt);
        hops.iter().enumerate().map(|(at, hop)| (hop.dst.clone(), hop.pkt, next(at))).collect()
    };
    let is_there = |(place, came, gone): &(String, u64, Option<u64>)| {
        *place == came_in.dst && *came < left.pkt && gone.is_none_or(|gone| gone > left.pkt) && *came != came_in.pkt
    };
    fixture.truth.requests.iter().flat_map(hops).filter(is_there).count()
}

/// How many other requests had come to a worker on the same connection and had not been answered when it sent `left`.
fn unanswered(fixture: &Fixture, came_in: &TrueHop, left: &TrueHop) -> usize {
    let waits = |request: &&TrueRequest| {
        let last = &request.request_hops[request.request_hops.len() - 1];
        let is_here = (&last.src, &last.dst) == (&came_in.src, &came_in.dst) && last.ordinal != came_in.ordinal;
        is_here && last.pkt < left.pkt && request.reply_hops.first().is_none_or(|reply| reply.pkt > left.pkt)
    };
    fixture.truth.requests.iter().filter(waits).count()
}

/// The number before ` other …`, or none if nothing else waited.
fn others(paragraph: &str) -> usize {
    if paragraph.contains(" Nothing else waited ") {
        return 0;
    }
    let before = [" other message", " other request"].iter().find_map(|words| Some(paragraph.split_once(words)?.0));
    let before = before.unwrap_or_else(|| panic!("it does not say: {paragraph}"));
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn each_hop_is_what_the_truth_says_it_is() {
    let mut queued = 0;
    for name in ["chain2", "proxy-announced", "lru-broker", "lazy-pirate"] {
        let fixture = fixture::of_paths().into_iter().find(|fixture| fixture.name == name).expect("there is one");
        for (number, request) in in_order(&fixture).into_iter().enumerate().step_by(4) {
            let said = explained(&fixture, number);
            let hops: Vec<&TrueHop> = request.hops().collect();
            assert_eq!(said.len(), 1 + hops.len(), "{name}: path {number}");
            let fate = if request.reply_hops.is_empty() { "not answered" } else { "answered after" };
            let is_stuck = said[0].contains("was not seen to leave it");
            assert!(said[0].contains(fate) || (is_stuck && !request.complete), "{name}: {}", said[0]);
            for (at, hop) in hops.iter().enumerate() {
                let what = format!("{name}: {}", said[1 + at]);
                let TrueHop { src, dst, ordinal, pkt, .. } = hop;
                assert!(said[1 + at].contains(&format!("{src} → {dst}, ")), "{what}");
                assert!(said[1 + at].contains(&format!(" message {ordinal} of that direction, ")), "{what}");
                assert!(said[1 + at].contains(&format!(", packet {}.", pkt + 1)), "{what}");
                let Some(before) = at.checked_sub(1).map(|before| hops[before]) else { continue };
                let is_turn = at == request.request_hops.len();
                assert_eq!(said[1 + at].contains(" turned "), is_turn, "{what}");
                if is_turn {
                    assert_eq!(others(&said[1 + at]), unanswered(&fixture, before, hop), "{what}");
                } else {
                    let is_reply = at > request.request_hops.len();
                    let waited = waiting(&fixture, is_reply, before, hop);
                    assert_eq!(others(&said[1 + at]), waited, "{what}");
                    queued += usize::from(waited > 0);
                    // Every message of these fixtures has a content of its own.
                    assert!(
                        waited == 0 || said[1 + at].contains(", none with the same identity and content."),
                        "{what}"
                    );
                    let announced = ["proxy-announced", "lazy-pirate"].contains(&name);
                    let words = if announced { "announced in its handshake" } else { "The ROUTER assigned" };
                    assert!(said[1 + at].contains(words), "{what}");
                }
            }
        }
    }
    assert!(queued >= 5, "only {queued} messages that were not alone");
}

#[test]
fn each_reply_of_a_stream_is_joined_to_its_request() {
    let fixture = fixture::of_paths().into_iter().find(|fixture| fixture.name == "zerorpc").expect("there is one");
    let streamed =
        fixture.truth.requests.iter().position(|request| request.reply_hops.len() > 2).expect("there is one");
    let said = explained(&fixture, streamed);
    // Of the hops back one is the client's, asking for more.
    assert_eq!(said.len(), 1 + fixture.truth.requests[streamed].hops().count() - 1);
    assert!(said[2].contains(" The worker turned the message before round: "), "{}", said[2]);
    for reply in &said[3..] {
        assert!(reply.contains(" The worker turned message 1 round: "), "{reply}");
        assert!(reply.contains(" 1 other request waited on this connection, 1 with the same envelope;"), "{reply}");
    }
}
