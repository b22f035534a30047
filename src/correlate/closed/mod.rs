//! CURVE connections that stay closed: which frames are one message, and which message was passed on as which, by what
//! is to be seen without keys.
//!
//! Each MESSAGE (RFC 26) holds one part, a flags octet in front of it, so that the length of each part is known exactly;
//! MORE is inside. Contents, identities and mostly socket types are not known. What is left of the rule in
//! [`super`]: behind a node a request has one part more in front, as long as an identity can be, and then the
//! same lengths; a reply one less.
//!
//! * [`grouping`]: frames put together to messages, before anything else looks at them;
//! * [`following`]: messages joined through nodes where at least one side is closed.
//!
//! Invariants: nothing of this touches a window without closed messages; no link of a closed message has a confidence of 0.9
//! or more, whoever joins it; a message is known by the key, ordinal and packet of its last part, with which it is complete.

pub(super) mod following;
pub(super) mod grouping;

use super::hops::Link;
use super::path::Evidence;
use super::scene::Scene;
use super::window::Rank;
use crate::zmtp::curve::likely::MESSAGE_OVERHEAD;
use crate::zmtp::event::Message;

/// What any link of a closed message is worth of what it would be in clear: below 0.9, whatever joins it.
const CLOSED: f64 = 0.89;

/// Octets of the part in a closed message of CURVE; `None` if it is something else. GSSAPI's MESSAGE has the same name, but
/// a token behind it (RFC 4121: `05 04`, or `60` of ASN.1), where CURVE has a nonce that counts from 1.
pub(super) fn content(message: &Message<'_>) -> Option<u64> {
    const BEGINS: &[u8] = b"\x07MESSAGE\0\0";
    let [part] = message.parts else { return None };
    message.head(part).starts_with(BEGINS).then_some(part.length.checked_sub(MESSAGE_OVERHEAD)?)
}

/// A link, less sure if either end is closed; and lengths that are equal are no contents that are.
pub(super) fn doubt(scene: &Scene<'_>, effect: Rank, link: Link) -> Link {
    if scene.window.record(link.cause).is_closed || scene.window.record(effect).is_closed {
        Link { evidence: Evidence::Order, confidence: link.confidence * CLOSED, ..link }
    } else {
        link
    }
}
