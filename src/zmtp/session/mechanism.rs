//! Under which mechanism a direction is sent, as far as it is known, and what that means for its messages.

use super::State;
use super::words::needs_delimiter;
use crate::base::direction::Direction;
use crate::zmtp::assembler::WholeFrame;
use crate::zmtp::curve::likely::MESSAGE_OVERHEAD;
use crate::zmtp::wire::command;
use crate::zmtp::wire::greeting::MechanismName;

/// The mechanisms that seal messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealing {
    Curve,
    Gssapi,
}

impl Sealing {
    #[inline]
    pub(super) fn of(mechanism: &MechanismName) -> Option<Self> {
        match *mechanism {
            MechanismName::CURVE => Some(Self::Curve),
            MechanismName::GSSAPI => Some(Self::Gssapi),
            _ => None,
        }
    }
}

impl State {
    /// Whether nothing is to be said about a whole message that does not look sealed: it may come, would not have to be sealed,
    /// and needs no delimiter.
    pub(super) fn takes_messages_as_they_are(&self, direction: Direction) -> bool {
        let receiver = self.peers[direction.reverse()].socket_type;
        let may_come = self.in_place[direction] || self.peers[direction].mechanism().is_none();
        may_come
            && self.opening.is_none()
            && self.mechanism(direction).is_none_or(|mechanism| Sealing::of(mechanism).is_none())
            && !receiver.is_some_and(needs_delimiter)
    }

    /// The mechanism under which frames of `direction` are sent, as far as is known.
    #[inline]
    pub(super) fn mechanism(&self, direction: Direction) -> Option<&MechanismName> {
        let offered = self.peers[direction].mechanism();
        offered.or_else(|| self.peers[direction.reverse()].mechanism()).or(self.inferred.as_ref())
    }

    /// How the messages are sealed of which a frame is complete. It shows that itself where no greeting was seen.
    #[inline]
    pub(super) fn sealing(&mut self, direction: Direction, ended: &WholeFrame) -> Option<Sealing> {
        match self.mechanism(direction) {
            Some(mechanism) => Sealing::of(mechanism),
            None if Direction::BOTH.iter().any(|&side| self.peers[side].version.is_some()) => None,
            None => self.infer_mechanism(direction, ended),
        }
    }

    #[cold]
    fn infer_mechanism(&mut self, direction: Direction, ended: &WholeFrame) -> Option<Sealing> {
        let message = self.sides[direction].assembler.message();
        let length = ended.header.length;
        self.inferred = if ended.header.flags.more() {
            None
        } else if command::gssapi_message(&message.heads, length).is_some() {
            Some(MechanismName::GSSAPI)
        } else if command::curve_message(&message.heads).is_some() && length >= MESSAGE_OVERHEAD {
            Some(MechanismName::CURVE)
        } else {
            None
        };
        self.inferred.as_ref().and_then(Sealing::of)
    }
}
