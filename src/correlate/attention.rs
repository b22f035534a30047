//! Which connections' messages the correlator looks at, known before their octets are read: what it would pass over is not
//! hashed and not handed to it.
//!
//! Where a connection carries messages one way, by the types of its sockets or by all that it carried so far, they matter only
//! if a device may pass them on (`forwarding/`). Of any other connection all messages matter. This errs on their side, so that the
//! answer is the same as if the correlator had been told all of them.

use super::forwarding::hosts::Hosts;
use super::forwarding::lanes::{EARLY, is_subscription, may_be_held, one_way};
use super::sockets::ONE_WAY;
use crate::base::direction::{Direction, PerDirection};
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::zmtp::event::Message;
use crate::zmtp::wire::socket_type::SocketType;
use std::collections::VecDeque;

/// What all connections together say.
#[derive(Debug)]
pub struct Attention {
    hosts: Hosts,
    /// Senders and receivers of connections that are over and still count, those that ended first in front: as many at most as
    /// the correlator knows.
    ended: VecDeque<(Endpoint, Endpoint)>,
    remembered: usize,
    /// Some messages may be passed on, so all matter.
    to_all: bool,
    /// Messages so far that a device may hold before anything shows that there is one.
    early: usize,
}

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// It has carried nothing yet, and the types of both its sockets are not known: those of who sends in each direction, as far
    /// as they are.
    Undecided(PerDirection<Option<SocketType>>),
    /// Messages go both ways.
    Both,
    /// By their types they go one way.
    One {
        /// Which.
        direction: Direction,
        /// A device may hold them before anything shows that there is one.
        may_be_held: bool,
    },
    /// No type is known, and all so far went one way.
    Guessed {
        /// Which.
        direction: Direction,
        /// How many of them the correlator was told.
        messages: u64,
    },
}

impl Default for Way {
    fn default() -> Self {
        Self::Undecided(PerDirection::default())
    }
}

impl Attention {
    /// Nothing known.
    pub fn new(limits: &Limits) -> Self {
        let remembered = limits.ended_connections;
        Self { hosts: Hosts::default(), ended: VecDeque::new(), remembered, to_all: false, early: 0 }
    }

    /// The peer that sends in `direction` of a connection introduced itself; `senders` are the ends of the connection.
    pub fn introduced(
        &mut self,
        way: &mut Way,
        direction: Direction,
        socket_type: Option<SocketType>,
        senders: PerDirection<Endpoint>,
    ) {
        match way {
            Way::Undecided(types) => {
                types[direction] = socket_type;
                if types.iter().all(|(_, socket_type)| socket_type.is_some()) {
                    *way = self.by_types(*types, senders);
                }
            }
            Way::Guessed { direction, .. } => {
                self.let_go(*direction, senders);
                *way = Way::Both;
            }
            Way::Both | Way::One { .. } => {}
        }
    }

    /// A connection is over; `senders` are its ends.
    pub fn ended(&mut self, way: &Way, senders: PerDirection<Endpoint>) {
        if let Way::One { direction, .. } | Way::Guessed { direction, .. } = *way {
            self.let_go(direction, senders);
        }
    }

    /// A connection that carried messages this way counts until enough others were let go.
    fn let_go(&mut self, direction: Direction, senders: PerDirection<Endpoint>) {
        self.ended.push_back((senders[direction], senders[direction.reverse()]));
        if self.ended.len() > self.remembered
            && let Some((sender, receiver)) = self.ended.pop_front()
        {
            self.hosts.remove(sender, receiver);
        }
    }

    /// Whether the messages of `direction` of such a connection that begin now matter.
    pub fn wants(&self, way: &Way, direction: Direction) -> bool {
        match *way {
            Way::One { may_be_held, .. } => self.may_be_passed_on(may_be_held),
            Way::Guessed { direction: so_far, messages } => {
                direction != so_far || messages < ONE_WAY || self.may_be_passed_on(true)
            }
            Way::Undecided(_) | Way::Both => true,
        }
    }

    fn may_be_passed_on(&self, may_be_held: bool) -> bool {
        self.to_all || may_be_held && self.early < EARLY
    }

    /// A message that matters; `senders` are the ends of its connection.
    pub fn message(&mut self, way: &mut Way, message: &Message<'_>, senders: PerDirection<Endpoint>) {
        match way {
            Way::Undecided(types) if types.iter().any(|(_, socket_type)| socket_type.is_some()) => {
                *way = self.by_types(*types, senders);
            }
            Way::Undecided(_) if is_subscription(message) => {}
            Way::Undecided(_) => {
                self.add(message.direction, senders);
                *way = Way::Guessed { direction: message.direction, messages: 1 };
            }
            Way::Guessed { direction, messages } if *direction == message.direction => {
                (*messages, self.early) = (*messages + 1, self.early + 1);
            }
            Way::Guessed { direction, .. } if !is_subscription(message) => {
                self.hosts.remove(senders[*direction], senders[direction.reverse()]);
                *way = Way::Both;
            }
            Way::One { may_be_held: true, .. } => self.early += 1,
            Way::Guessed { .. } | Way::One { may_be_held: false, .. } | Way::Both => {}
        }
    }

    /// The way of a connection of which at least one type is known.
    fn by_types(&mut self, types: PerDirection<Option<SocketType>>, senders: PerDirection<Endpoint>) -> Way {
        let Some(direction) = one_way(types) else { return Way::Both };
        self.add(direction, senders);
        Way::One { direction, may_be_held: may_be_held(types[direction.reverse()]) }
    }

    /// A connection carries messages this way.
    fn add(&mut self, direction: Direction, senders: PerDirection<Endpoint>) {
        let (from, to) = self.hosts.add(senders[direction], senders[direction.reverse()]);
        self.to_all |= self.hosts.is_watched(from) || self.hosts.is_watched(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::chunk::Position;
    use crate::correlate::written::Written;
    use std::net::Ipv4Addr;

    const HOSTS: [Ipv4Addr; 3] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)];

    /// A connection from one host to another.
    struct Link {
        way: Way,
        senders: PerDirection<Endpoint>,
    }

    impl Link {
        fn new(from: usize, to: usize) -> Self {
            let senders = PerDirection { c2s: Endpoint::new(HOSTS[from], 50000), s2c: Endpoint::new(HOSTS[to], 5555) };
            Self { way: Way::default(), senders }
        }

        /// One of which the types are known, first the client's.
        fn introduced(attention: &mut Attention, from: usize, to: usize, types: [SocketType; 2]) -> Self {
            let mut link = Self::new(from, to);
            for (direction, socket_type) in Direction::BOTH.into_iter().zip(types) {
                link.introduce(attention, direction, socket_type);
            }
            link
        }

        fn introduce(&mut self, attention: &mut Attention, direction: Direction, socket_type: SocketType) {
            attention.introduced(&mut self.way, direction, Some(socket_type), self.senders);
        }

        /// Whether the next message of a direction matters; if so, it comes.
        fn message(&mut self, attention: &mut Attention, direction: Direction) -> bool {
            let matters = attention.wants(&self.way, direction);
            if matters {
                let written = Written::new(&[b"body"]);
                let message = written.message(direction, 0, 0, Position::default());
                attention.message(&mut self.way, &message, self.senders);
            }
            matters
        }
    }

    const UP: Direction = Direction::ClientToServer;
    const DOWN: Direction = Direction::ServerToClient;

    #[test]
    fn what_nothing_passes_on_does_not_matter() {
        let mut attention = Attention::new(&Limits::default());
        let mut published = Link::introduced(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        let mut asked = Link::introduced(&mut attention, 0, 1, [SocketType::REQ, SocketType::REP]);
        assert!(!published.message(&mut attention, DOWN));
        assert!(asked.message(&mut attention, DOWN));
    }

    #[test]
    fn all_matters_once_a_host_receives_and_sends() {
        let mut attention = Attention::new(&Limits::default());
        let mut published = Link::introduced(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        Link::introduced(&mut attention, 2, 0, [SocketType::SUB, SocketType::XPUB]);
        assert!(published.message(&mut attention, DOWN), "host 0 may pass it on");
    }

    #[test]
    fn a_streamer_may_hold_tasks_before_its_workers_come() {
        let mut attention = Attention::new(&Limits::default());
        let mut tasks = Link::introduced(&mut attention, 0, 1, [SocketType::PUSH, SocketType::PULL]);
        assert!((0..EARLY).all(|_| tasks.message(&mut attention, UP)));
        assert!(!tasks.message(&mut attention, UP));
        Link::introduced(&mut attention, 2, 1, [SocketType::PULL, SocketType::PUSH]);
        assert!(tasks.message(&mut attention, UP));
    }

    #[test]
    fn one_type_tells_the_way() {
        let mut attention = Attention::new(&Limits::default());
        let mut published = Link::introduced(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        let mut asked = Link::new(0, 1);
        asked.introduce(&mut attention, UP, SocketType::DEALER);
        assert!(asked.message(&mut attention, UP));
        assert!(asked.message(&mut attention, DOWN), "it is asked and answers");
        assert!(!published.message(&mut attention, DOWN), "which does not make it a device");
    }

    #[test]
    fn what_always_went_one_way_matters_no_more_until_something_comes_back() {
        let mut attention = Attention::new(&Limits::default());
        let mut unknown = Link::new(0, 1);
        let told = (0..2 * EARLY).filter(|_| unknown.message(&mut attention, DOWN)).count();
        assert_eq!(told, EARLY + 1, "a device may have held the others");
        let mut other = Link::new(0, 1);
        let told = (0..EARLY as u64).filter(|_| other.message(&mut attention, DOWN)).count();
        assert_eq!(told as u64, ONE_WAY, "they may have been requests");
        assert!(other.message(&mut attention, UP), "so they were");
        assert!(other.message(&mut attention, DOWN));
        assert!(!unknown.message(&mut attention, DOWN));
    }

    #[test]
    fn connections_that_are_over_are_forgotten_in_the_end() {
        let mut attention = Attention::new(&Limits { ended_connections: 2, ..Limits::default() });
        for client in [0, 2, 2] {
            let over = Link::introduced(&mut attention, client, 1, [SocketType::SUB, SocketType::PUB]);
            attention.ended(&over.way, over.senders);
        }
        let mut published = Link::introduced(&mut attention, 2, 0, [SocketType::SUB, SocketType::PUB]);
        assert!(!published.message(&mut attention, DOWN), "what host 0 received is too long ago");
        Link::introduced(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        assert!(published.message(&mut attention, DOWN), "now it may pass it on");
    }

    #[test]
    fn who_is_not_known_may_be_a_device() {
        let mut attention = Attention::new(&Limits::default());
        let mut published = Link::introduced(&mut attention, 0, 1, [SocketType::SUB, SocketType::PUB]);
        Link::new(2, 0).message(&mut attention, DOWN);
        assert!(published.message(&mut attention, DOWN));
    }
}
