//! The hosts on which something may pass messages on: one socket receives there, and another one sends.

use crate::base::endpoint::Endpoint;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// Number of a host.
pub(in crate::correlate) type HostId = u32;

/// All hosts at which connections that carry messages one way end.
#[derive(Debug, Default)]
pub(in crate::correlate) struct Hosts {
    /// Ordered: a sender may choose its address.
    numbers: BTreeMap<IpAddr, HostId>,
    known: Vec<Host>,
}

#[derive(Debug, Default)]
struct Host {
    entering: Ends,
    leaving: Ends,
    is_watched: bool,
}

/// Counts connections by the sockets at their ends.
#[derive(Debug, Default)]
struct Ends {
    all: u32,
    of_sender: Counts<Endpoint>,
    of_receiver: Counts<Endpoint>,
    of_both: Counts<(Endpoint, Endpoint)>,
}

/// Peers choose their ports, so it must not be known which meet in a table.
type Counts<T> = HashMap<T, u32, RandomState>;

impl Hosts {
    /// A connection that carries messages this way; the hosts of both.
    pub(in crate::correlate) fn add(&mut self, sender: Endpoint, receiver: Endpoint) -> (HostId, HostId) {
        let (from, to) = (self.number(sender.ip), self.number(receiver.ip));
        let [sends_here, receives_here] = [from, to].map(|host| host as usize);
        self.known[receives_here].is_watched |= self.known[receives_here].leaving.has_other_than(sender, receiver);
        self.known[sends_here].is_watched |= self.known[sends_here].entering.has_other_than(sender, receiver);
        self.known[receives_here].entering.add(sender, receiver);
        self.known[sends_here].leaving.add(sender, receiver);
        (from, to)
    }

    /// Whether one socket receives and another one sends there.
    pub(in crate::correlate) fn is_watched(&self, host: HostId) -> bool {
        self.known[host as usize].is_watched
    }

    fn number(&mut self, ip: IpAddr) -> HostId {
        // All loopback addresses are the same host.
        let ip = if ip.is_loopback() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip };
        let next = self.known.len() as HostId;
        let number = *self.numbers.entry(ip).or_insert(next);
        if number == next {
            self.known.push(Host::default());
        }
        number
    }
}

impl Ends {
    fn add(&mut self, sender: Endpoint, receiver: Endpoint) {
        self.all += 1;
        *self.of_sender.entry(sender).or_default() += 1;
        *self.of_receiver.entry(receiver).or_default() += 1;
        *self.of_both.entry((sender, receiver)).or_default() += 1;
    }

    /// Whether there is a connection that has neither end in common with this one.
    fn has_other_than(&self, sender: Endpoint, receiver: Endpoint) -> bool {
        let of = |counts: Option<&u32>| counts.copied().unwrap_or_default();
        let alike = of(self.of_sender.get(&sender)) + of(self.of_receiver.get(&receiver));
        self.all + of(self.of_both.get(&(sender, receiver))) > alike
    }
}
