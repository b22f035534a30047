//! What a message is for, and which of its parts are its envelope, as far as the socket types tell.

use super::event::{Message, Part};
use super::wire::socket_type::SocketType as S;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// From a REQ, or to a REP (RFC 28); from a CLIENT (RFC 41).
    Request,
    /// To a REQ, or from a REP (RFC 28); from a SERVER (RFC 41).
    Reply,
    /// From a publisher (RFC 29); from a RADIO, its group in the first part (RFC 48).
    Publish,
    /// To a publisher: a topic is wanted; ZMTP 3.0 sends this as a message (RFC 23).
    Subscribe,
    /// To a publisher: a topic is no longer wanted.
    Cancel,
    /// Along a pipeline (RFC 30, 49).
    Push,
}

impl Role {
    /// As in the `role` of the JSON contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "reply",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Cancel => "cancel",
            Self::Push => "push",
        }
    }
}

/// The role of `message`, sent by a socket of type `sender` to one of type `receiver`; `None` where the types leave it
/// open, as between DEALER and ROUTER.
pub fn role(message: &Message<'_>, sender: Option<S>, receiver: Option<S>) -> Option<Role> {
    match (sender, receiver) {
        (Some(S::REQ | S::CLIENT), _) | (_, Some(S::REP | S::SERVER)) => Some(Role::Request),
        (Some(S::REP | S::SERVER), _) | (_, Some(S::REQ | S::CLIENT)) => Some(Role::Reply),
        (Some(S::PUB | S::XPUB | S::RADIO), _) | (_, Some(S::SUB | S::DISH)) => Some(Role::Publish),
        (Some(S::SUB | S::XSUB), _) | (_, Some(S::PUB | S::XPUB)) => {
            match message.parts.first().and_then(|part| message.head(part).first()) {
                Some(1) if !message.encrypted => Some(Role::Subscribe),
                Some(0) if !message.encrypted => Some(Role::Cancel),
                _ => None,
            }
        }
        (Some(S::PUSH | S::SCATTER), _) | (_, Some(S::PULL | S::GATHER)) => Some(Role::Push),
        _ => None,
    }
}

/// Whether messages between these types carry an address envelope (RFC 28).
pub fn has_envelope(sender: Option<S>, receiver: Option<S>) -> bool {
    let routes = |t| matches!(t, Some(S::REQ | S::REP | S::DEALER | S::ROUTER));
    routes(sender) || routes(receiver)
}

/// How many leading parts are the address envelope (RFC 28): identities, then an empty delimiter. 0 where there is no
/// delimiter with something behind it, or where a part before it is too long for an identity.
pub fn envelope_length(parts: &[Part]) -> usize {
    let delimiter = parts.iter().position(|part| part.length == 0 || part.length > 255);
    delimiter.filter(|&at| parts[at].length == 0 && at + 1 < parts.len()).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(lengths: &[u64]) -> Vec<Part> {
        lengths.iter().map(|&length| Part { length, missing: 0, hash: 0, head: 0..0 }).collect()
    }

    #[test]
    fn the_envelope_ends_with_the_first_delimiter() {
        assert_eq!(envelope_length(&parts(&[0, 7])), 1);
        assert_eq!(envelope_length(&parts(&[5, 5, 0, 300, 0, 1])), 3);
        assert_eq!(envelope_length(&parts(&[5, 7])), 0, "no delimiter");
        assert_eq!(envelope_length(&parts(&[5, 0])), 0, "nothing behind the delimiter");
        assert_eq!(envelope_length(&parts(&[300, 0, 7])), 0, "no identity is that long");
        assert_eq!(envelope_length(&parts(&[])), 0);
    }
}
