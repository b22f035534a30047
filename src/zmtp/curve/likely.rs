//! What sizes alone say about closed frames and boxes: guesses, and shown as such.
//!
//! libzmq's PING has a TTL and no context, 7 octets in all, its PONG 5. A message of that size looks the same, so a frame
//! is taken for a PING only as long as each such frame was answered by one of PONG's size before the next.

use crate::base::direction::{Direction, PerDirection};

/// Octets that a MESSAGE has beyond its content: name, nonce, authenticator, flags.
pub const MESSAGE_OVERHEAD: u64 = 8 + 8 + 16 + 1;

/// Content of libzmq's PING: `04 "PING"` and a TTL.
const PING: u64 = 7;

/// Content of libzmq's PONG: `04 "PONG"`.
const PONG: u64 = 5;

/// The heartbeats of one connection, as far as sizes tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heartbeats {
    sides: PerDirection<Side>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Side {
    /// Nothing speaks against it.
    #[default]
    Idle,
    /// A frame of PING's size was not answered yet.
    Asked,
    /// Frames of this size are something else.
    Refuted,
}

impl Heartbeats {
    /// What a closed MESSAGE with so many octets of content is likely to be.
    pub fn frame(&mut self, direction: Direction, content: u64) -> Option<&'static str> {
        let other = direction.reverse();
        match content {
            PING => {
                let side = &mut self.sides[direction];
                *side = if *side == Side::Idle { Side::Asked } else { Side::Refuted };
                (*side == Side::Asked).then_some("PING")
            }
            PONG if self.sides[other] == Side::Asked => {
                self.sides[other] = Side::Idle;
                Some("PONG")
            }
            _ => None,
        }
    }
}

/// The socket types whose metadata, as libzmq writes them, have this length. `identity` is the length of the identity, as
/// the greeting says it. Empty where an application added properties.
pub fn socket_types(metadata: u64, identity: Option<u8>) -> &'static [&'static str] {
    const PROPERTY: u64 = 1 + "Socket-Type".len() as u64 + 4;
    let with_identity = 1 + "Identity".len() as u64 + 4 + u64::from(identity.unwrap_or(0));
    let Some(rest) = metadata.checked_sub(PROPERTY) else { return &[] };
    // Only these three announce an identity, be it empty.
    match rest.checked_sub(with_identity) {
        Some(3) => return &["REQ"],
        Some(6) => return &["DEALER", "ROUTER"],
        _ => {}
    }
    match rest {
        3 => &["REP", "PUB", "SUB"],
        4 => &["PUSH", "PULL", "PAIR", "XPUB", "XSUB"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{ClientToServer as C2s, ServerToClient as S2c};

    #[test]
    fn heartbeats_are_pings_that_are_answered() {
        let mut heartbeats = Heartbeats::default();
        for _ in 0..3 {
            assert_eq!(heartbeats.frame(C2s, 7), Some("PING"));
            assert_eq!(heartbeats.frame(S2c, 300), None, "a message on the way");
            assert_eq!(heartbeats.frame(S2c, 5), Some("PONG"));
        }
        assert_eq!(heartbeats.frame(S2c, 5), None, "nobody asked");
    }

    #[test]
    fn messages_of_a_pings_size_are_not_taken_for_it_for_long() {
        let mut heartbeats = Heartbeats::default();
        let told: Vec<_> = (0..5).map(|_| heartbeats.frame(C2s, 7)).collect();
        assert_eq!(told, [Some("PING"), None, None, None, None]);
    }

    #[test]
    fn metadata_of_libzmq_have_the_length_of_their_type() {
        // READY of 65 octets, box of 51: ROUTER with an empty Identity, as libzmq 4.3.5 sends it.
        assert_eq!(socket_types(65 - 30, Some(0)), ["DEALER", "ROUTER"]);
        assert_eq!(socket_types(16 + 3 + 13 + 14, Some(14)), ["REQ"]);
        assert_eq!(socket_types(16 + 3, Some(0)), ["REP", "PUB", "SUB"]);
        assert_eq!(socket_types(16 + 4, None), ["PUSH", "PULL", "PAIR", "XPUB", "XSUB"]);
        assert!(socket_types(3, None).is_empty() && socket_types(100, None).is_empty());
    }
}
