//! One path in words: why each hop was joined to the one before.

use super::table::messages::identity;
use crate::correlate::path::{Evidence, Hop, Path, Status};
use std::fmt::Write;

/// The path as sentences, one paragraph a hop.
pub fn explained(path: &Path) -> Vec<String> {
    let mut paragraphs = vec![summary(path)];
    let mut before: Option<(&Hop, bool)> = None;
    let hops = path.request.iter().map(|hop| (hop, false)).chain(path.reply.iter().map(|hop| (hop, true)));
    for (number, (hop, reply)) in hops.enumerate() {
        let mut text = format!(
            "{}. {} → {}, connection #{}, message {} of that direction, packet {}.",
            number + 1,
            hop.source,
            hop.destination,
            hop.conn,
            hop.ordinal,
            hop.position.packet.number
        );
        match before {
            None => text.push_str(first(reply)),
            Some((before, was_reply)) => {
                let cause = hop.after.and_then(|after| path.request.get(after)).unwrap_or(before);
                joined(&mut text, cause, hop, reply && !was_reply);
            }
        }
        paragraphs.push(text);
        before = Some((hop, reply));
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

fn joined(text: &mut String, cause: &Hop, hop: &Hop, turned: bool) {
    let delay = hop.position.at - cause.position.at;
    // Writing to a String cannot fail.
    let _ = if turned {
        write!(text, " The worker turned the request round: this is its reply, {delay} later.")
    } else if let Some(after) = hop.after {
        write!(text, " It left the node where hop {} came in, {delay} later.", after + 1)
    } else {
        write!(text, " It left the node where the message before came in, {delay} later.")
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
            " The ROUTER assigned the identity {name} itself, so it is on no handshake. Of the connections of that \
             ROUTER, the messages of this one fit best those that carry it: by the content behind it, their number, \
             order and delay."
        ),
        Evidence::Content => write!(text, " Its parts repeat those of the message before."),
        Evidence::Order if turned => write!(
            text,
            " It repeats the request's envelope, and of the requests with that envelope on this connection it is the \
             oldest that was not answered."
        ),
        Evidence::Order => write!(text, " Sockets keep the order of messages, and it is next in that order."),
    };
    let _ = write!(text, " Confidence {:.3}: {}.", hop.confidence, doubt(hop.confidence));
}

fn doubt(confidence: f64) -> &'static str {
    if confidence >= 0.99 {
        "nothing else fits"
    } else if confidence >= 0.9 {
        "other messages fit clearly worse"
    } else if confidence >= 0.6 {
        "other messages fit nearly as well, or some are missing"
    } else {
        "other messages fit as well; this is the likeliest of several"
    }
}
