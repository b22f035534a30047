//! One path in words: why each hop was joined to the one before, and to nothing else.

use super::table::messages::identity;
use crate::base::time::Duration;
use crate::correlate::path::{Alternatives, Evidence, Hop, Path, Status};
use std::fmt::Write;

/// The path as sentences, one paragraph a hop.
pub fn explained(path: &Path) -> Vec<String> {
    let mut paragraphs = vec![summary(path)];
    let hops: Vec<&Hop> = path.hops().collect();
    let is_reply = |at: usize| at >= path.request.len();
    for (at, hop) in hops.iter().enumerate() {
        let mut text = format!(
            "{}. {} → {}, connection #{}, message {} of that direction, packet {}.",
            at + 1,
            hop.source,
            hop.destination,
            hop.conn,
            hop.ordinal,
            hop.position.packet.number()
        );
        if let Some(before) = at.checked_sub(1) {
            let known =
                hop.alternatives.and_then(|it| hops.iter().position(|other| other.key == it.cause)).or(hop.after);
            let cause = known.unwrap_or(before);
            let name = if cause == before { "the message before".to_owned() } else { format!("message {}", cause + 1) };
            joined(&mut text, &name, hops[cause], hop, is_reply(at) && !is_reply(cause));
        } else {
            text.push_str(first(is_reply(at)));
        }
        paragraphs.push(text);
    }
    paragraphs
}

fn first(reply: bool) -> &'static str {
    if reply {
        " The path begins here: the request that it answers is not in the capture."
    } else {
        " The path begins here: nothing in the capture caused this message."
    }
}

fn summary(path: &Path) -> String {
    let fate = match path.status {
        Status::Complete => "was answered",
        Status::Unanswered => "was not answered in this capture",
        Status::Unrequested => "is a reply without its request",
        Status::Broken => "entered a node and was not seen to leave it",
        Status::Delivered => "was passed on",
    };
    let latency = path.latency.map(|latency| format!(" after {latency}")).unwrap_or_default();
    let sure = if path.confidence >= 0.9 { "" } else { "; it is in doubt where the text says so" };
    format!(
        "Path {} {fate}{latency}. Its confidence, the least of its hops', is {:.3}{sure}.",
        path.number, path.confidence
    )
}

fn joined(text: &mut String, which: &str, cause: &Hop, hop: &Hop, turned: bool) {
    let delay = hop.position.at - cause.position.at;
    // Writing to a String cannot fail.
    let _ = if turned {
        write!(text, " The worker turned {which} round: this is its reply, {delay} later.")
    } else {
        write!(text, " It left the node where {which} came in, {delay} later.")
    };
    let name = hop.identity.as_deref().or(cause.identity.as_deref()).map(identity).unwrap_or_default();
    let _ = match hop.evidence {
        Evidence::Origin => Ok(()),
        Evidence::Announced => write!(
            text,
            " The identity {name} in the envelope is the one that the peer on the other side of the node announced in \
             its handshake, and the parts behind it are the same."
        ),
        Evidence::Assigned => write!(
            text,
            " The ROUTER assigned the identity {name} itself, so it is on no handshake. Of {} of that ROUTER, the \
             messages of this one fit best those that carry it: by the content behind it, their number, order and delay.",
            anonymous(hop.alternatives)
        ),
        Evidence::Content if turned => {
            write!(text, " It repeats octets of that request that others do not have, or had later.")
        }
        Evidence::Content => write!(text, " Its last part repeats that of {which}."),
        Evidence::Order if turned => write!(
            text,
            " It repeats the request's envelope, and of the requests with that envelope on this connection that one was \
             the next to be answered."
        ),
        Evidence::Order => write!(text, " Sockets keep the order of messages, and it is next in that order."),
    };
    if let Some(alternatives) = hop.alternatives {
        others(text, alternatives, turned);
    }
    let is_one_of_several = hop.alternatives.is_some_and(|alternatives| alternatives.alike > 0);
    let _ = write!(text, " Confidence {:.3}: {}.", hop.confidence, doubt(hop.confidence, is_one_of_several));
}

fn anonymous(alternatives: Option<Alternatives>) -> String {
    match alternatives.map(|alternatives| alternatives.anonymous) {
        Some(count @ 2..) => format!("{count} connections without a name of their own"),
        _ => "the connections".to_owned(),
    }
}

/// What else there was, and how near it came.
fn others(text: &mut String, alternatives: Alternatives, turned: bool) {
    let Alternatives { waiting, alike, nearest, .. } = alternatives;
    let (what, place) = if turned { ("request", "on this connection") } else { ("message", "at that node") };
    let _ = match waiting {
        0 => write!(text, " Nothing else waited {place}"),
        1 => write!(text, " 1 other {what} waited {place}"),
        _ => write!(text, " {waiting} other {what}s waited {place}"),
    };
    let same = if turned { "the same envelope" } else { "the same identity and content" };
    let _ = match (waiting, alike, nearest) {
        (0, ..) => Ok(()),
        (_, 0, _) => write!(text, ", none with {same}"),
        (_, _, None) => write!(text, ", {alike} with {same}"),
        (_, _, Some(nearest)) => {
            let (apart, side) = if nearest.0 < 0 { (Duration(-nearest.0), "before") } else { (nearest, "after") };
            write!(text, ", {alike} with {same}; the nearest came in {apart} {side} the right one")
        }
    };
    text.push('.');
}

fn doubt(confidence: f64, is_one_of_several: bool) -> &'static str {
    if confidence >= 0.99 && is_one_of_several {
        "the order of messages decides, and sockets keep it"
    } else if confidence >= 0.99 {
        "nothing else fits"
    } else if confidence >= 0.9 {
        "other messages fit clearly worse"
    } else if confidence >= 0.6 {
        "other messages fit nearly as well, or some are missing"
    } else {
        "other messages fit as well; this is the likeliest of several"
    }
}
