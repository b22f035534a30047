//! Which connections' messages the correlator looks at, known before their octets are read: what it would pass over is not
//! hashed and not handed to it.
//!
//! By the types of its sockets a connection carries messages one way, and then they matter only where a device may pass them
//! on (`forwarding/`). Of any other connection all messages matter. This errs on their side, so that the answer is
//! the same as if the correlator had been told all of them.

use super::forwarding::hosts::Hosts;
use super::forwarding::lanes::{EARLY, may_be_held, one_way};
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::zmtp::wire::socket_type::SocketType;

/// What all connections together say.
#[derive(Debug, Default)]
pub struct Attention {
    hosts: Hosts,
    /// Some messages may be passed on, so all matter.
    to_all: bool,
    /// Messages so far that a device may hold before anything shows that there is one.
    early: usize,
}

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// The types of both its sockets are not known: those of who sends in each direction, as far as they are.
    Undecided(PerDirection<Option<SocketType>>),
    /// Messages go both ways.
    Both,
    /// They go one way.
    One {
        /// A device may hold them before anything shows that there is one.
        may_be_held: bool,
    },
}

impl Default for Way {
    fn default() -> Self {
        Self::Undecided(PerDirection::default())
    }
}

impl Attention {
    /// The peer that sends in `direction` of a connection introduced itself; `senders` are the ends of the connection.
    pub fn introduced(
        &mut self,
        way: &mut Way,
        direction: Direction,
        socket_type: Option<SocketType>,
        senders: PerDirection<Endpoint>,
    ) {
        let Way::Undecided(types) = way else { return };
        types[direction] = socket_type;
        if types.iter().any(|(_, socket_type)| socket_type.is_none()) {
            return;
        }
        *way = match one_way(*types) {
            None => Way::Both,
            Some(direction) => {
                let (from, to) = self.hosts.add(senders[direction], senders[direction.reverse()]);
                self.to_all |= self.hosts.is_watched(from) || self.hosts.is_watched(to);
                Way::One { may_be_held: may_be_held(types[direction.reverse()]) }
            }
        };
    }

    /// Whether the messages of such a connection that begin now matter.
    pub fn wants(&self, way: Way) -> bool {
        match way {
            Way::One { may_be_held } => self.to_all || may_be_held && self.early < EARLY,
            Way::Undecided(_) | Way::Both => true,
        }
    }

    /// A message that matters.
    pub fn message(&mut self, way: Way) {
        match way {
            // Nobody knows what it is a part of.
            Way::Undecided(_) => self.to_all = true,
            Way::One { may_be_held: true } => self.early += 1,
            Way::One { may_be_held: false } | Way::Both => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HOSTS: [Ipv4Addr; 3] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)];

    /// A connection from one host to another, and who sends on it in each direction.
    fn connect(attention: &mut Attention, from: usize, to: usize, types: [SocketType; 2]) -> Way {
        let mut way = Way::default();
        let senders = PerDirection { c2s: Endpoint::new(HOSTS[from], 50000), s2c: Endpoint::new(HOSTS[to], 5555) };
        for (direction, socket_type) in Direction::BOTH.into_iter().zip(types) {
            attention.introduced(&mut way, direction, Some(socket_type), senders);
        }
        way
    }

    #[test]
    fn what_nothing_passes_on_does_not_matter() {
        let mut attention = Attention::default();
        let published = connect(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        let asked = connect(&mut attention, 0, 1, [SocketType::REQ, SocketType::REP]);
        assert!(!attention.wants(published));
        assert!(attention.wants(asked));
    }

    #[test]
    fn all_matters_once_a_host_receives_and_sends() {
        let mut attention = Attention::default();
        let published = connect(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        connect(&mut attention, 2, 0, [SocketType::SUB, SocketType::XPUB]);
        assert!(attention.wants(published), "host 0 may pass it on");
    }

    #[test]
    fn a_streamer_may_hold_tasks_before_its_workers_come() {
        let mut attention = Attention::default();
        let tasks = connect(&mut attention, 0, 1, [SocketType::PUSH, SocketType::PULL]);
        for _ in 0..EARLY {
            assert!(attention.wants(tasks));
            attention.message(tasks);
        }
        assert!(!attention.wants(tasks));
        connect(&mut attention, 2, 1, [SocketType::PULL, SocketType::PUSH]);
        assert!(attention.wants(tasks));
    }

    #[test]
    fn who_is_not_known_may_be_a_device() {
        let mut attention = Attention::default();
        let published = connect(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        attention.message(Way::default());
        assert!(attention.wants(published));
    }
}
