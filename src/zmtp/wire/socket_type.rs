//! Socket types: the octet of ZMTP 2.0 (RFC 15) and the `Socket-Type` property of 3.x (RFC 37).

use std::fmt;

/// A socket type, numbered as in the greeting of ZMTP 2.0 (and as libzmq's `ZMQ_*` constants).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketType(pub u8);

const NAMES: [&str; 21] = [
    "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM", "SERVER",
    "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "DGRAM", "PEER", "CHANNEL",
];

#[allow(missing_docs)] // the names say it; RFC 28, 29, 30, 31, 41, 48, 49, 51, 52 say the rest
impl SocketType {
    pub const PAIR: Self = Self(0);
    pub const PUB: Self = Self(1);
    pub const SUB: Self = Self(2);
    pub const REQ: Self = Self(3);
    pub const REP: Self = Self(4);
    pub const DEALER: Self = Self(5);
    pub const ROUTER: Self = Self(6);
    pub const PULL: Self = Self(7);
    pub const PUSH: Self = Self(8);
    pub const XPUB: Self = Self(9);
    pub const XSUB: Self = Self(10);
    pub const CLIENT: Self = Self(13);
    pub const SERVER: Self = Self(12);
    pub const RADIO: Self = Self(14);
    pub const DISH: Self = Self(15);
    pub const GATHER: Self = Self(16);
    pub const SCATTER: Self = Self(17);
    pub const DGRAM: Self = Self(18);
    pub const PEER: Self = Self(19);
    pub const CHANNEL: Self = Self(20);
}

impl SocketType {
    /// The type that a `Socket-Type` property names; `None` for names that no RFC has.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        NAMES.iter().position(|known| known.as_bytes() == name).map(|number| Self(number as u8))
    }

    /// The type's name; `None` for numbers that nothing has.
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }

    /// Whether what such a socket sends can be a request or a reply that is passed on (RFC 28, 41).
    pub fn asks_or_answers(self) -> bool {
        matches!(self, Self::REQ | Self::REP | Self::DEALER | Self::ROUTER | Self::CLIENT | Self::SERVER)
    }

    /// Whether a socket of this type may talk to one of the other type.
    pub fn may_talk_to(self, other: Self) -> bool {
        const PAIRS: &[(SocketType, &[SocketType])] = &[
            (SocketType::PAIR, &[SocketType::PAIR]),
            (SocketType::REQ, &[SocketType::REP, SocketType::ROUTER]),
            (SocketType::REP, &[SocketType::DEALER]),
            (SocketType::DEALER, &[SocketType::DEALER, SocketType::ROUTER]),
            (SocketType::ROUTER, &[SocketType::ROUTER]),
            (SocketType::PUB, &[SocketType::SUB, SocketType::XSUB]),
            (SocketType::XPUB, &[SocketType::SUB, SocketType::XSUB]),
            (SocketType::PUSH, &[SocketType::PULL]),
            (SocketType::CLIENT, &[SocketType::SERVER]),
            (SocketType::RADIO, &[SocketType::DISH]),
            (SocketType::SCATTER, &[SocketType::GATHER]),
            (SocketType::PEER, &[SocketType::PEER]),
            (SocketType::CHANNEL, &[SocketType::CHANNEL]),
        ];
        let listed = |a, b| PAIRS.iter().any(|(one, others)| *one == a && others.contains(&b));
        listed(self, other) || listed(other, self)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_libzmq() {
        assert_eq!(SocketType::from_name(b"ROUTER"), Some(SocketType::ROUTER));
        assert_eq!(SocketType::from_name(b"XSUB").map(|t| t.0), Some(10));
        assert_eq!(SocketType::from_name(b"CHANNEL").map(|t| t.0), Some(20));
        assert_eq!(SocketType::from_name(b"router"), None);
        assert_eq!(SocketType(99).to_string(), "type 99");
    }

    #[test]
    fn legal_pairs_are_symmetric() {
        assert!(SocketType::REQ.may_talk_to(SocketType::ROUTER) && SocketType::ROUTER.may_talk_to(SocketType::REQ));
        assert!(SocketType::ROUTER.may_talk_to(SocketType::DEALER));
        assert!(!SocketType::REQ.may_talk_to(SocketType::PUB));
        assert!(!SocketType::REP.may_talk_to(SocketType::ROUTER));
    }
}
