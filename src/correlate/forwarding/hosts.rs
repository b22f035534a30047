//! The hosts on which something may pass messages on: one socket receives there, and another one sends.

use crate::base::endpoint::Endpoint;
use foldhash::fast::RandomState;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

/// Number of a host.
pub(in crate::correlate) type HostId = u32;

/// All hosts at which connections that carry messages one way end, as far as they are not forgotten.
#[derive(Debug, Default)]
pub(in crate::correlate) struct Hosts {
    /// Ordered: a sender may choose its address.
    numbers: BTreeMap<IpAddr, HostId>,
    known: Vec<Host>,
    /// Numbers of hosts that were forgotten.
    free: Vec<HostId>,
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

fn take_one<T: Eq + Hash>(counts: &mut Counts<T>, of: T) {
    if let Entry::Occupied(mut count) = counts.entry(of) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

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

    /// Such a connection is forgotten.
    pub(in crate::correlate) fn remove(&mut self, sender: Endpoint, receiver: Endpoint) {
        for (endpoint, is_sender) in [(sender, true), (receiver, false)] {
            let ip = of_host(endpoint.ip);
            let Some(&number) = self.numbers.get(&ip) else { continue };
            let host = &mut self.known[number as usize];
            let ends = if is_sender { &mut host.leaving } else { &mut host.entering };
            ends.remove(sender, receiver);
            if host.entering.all + host.leaving.all == 0 {
                *host = Host::default();
                self.numbers.remove(&ip);
                self.free.push(number);
            }
        }
    }

    #[cfg(test)]
    pub(in crate::correlate) fn known_ends(&self) -> usize {
        self.known.iter().map(|host| (host.entering.all + host.leaving.all) as usize).sum()
    }

    /// Whether one socket receives and another one sends there.
    pub(in crate::correlate) fn is_watched(&self, host: HostId) -> bool {
        self.known[host as usize].is_watched
    }

    fn number(&mut self, ip: IpAddr) -> HostId {
        *self.numbers.entry(of_host(ip)).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.known.push(Host::default());
                self.known.len() as HostId - 1
            })
        })
    }
}

/// One address for each host: all loopback addresses are the same one.
fn of_host(ip: IpAddr) -> IpAddr {
    if ip.is_loopback() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip }
}

impl Ends {
    fn add(&mut self, sender: Endpoint, receiver: Endpoint) {
        self.all += 1;
        *self.of_sender.entry(sender).or_default() += 1;
        *self.of_receiver.entry(receiver).or_default() += 1;
        *self.of_both.entry((sender, receiver)).or_default() += 1;
    }

    fn remove(&mut self, sender: Endpoint, receiver: Endpoint) {
        self.all = self.all.saturating_sub(1);
        take_one(&mut self.of_sender, sender);
        take_one(&mut self.of_receiver, receiver);
        take_one(&mut self.of_both, (sender, receiver));
    }

    /// Whether there is a connection that has neither end in common with this one.
    fn has_other_than(&self, sender: Endpoint, receiver: Endpoint) -> bool {
        let of = |counts: Option<&u32>| counts.copied().unwrap_or_default();
        let alike = of(self.of_sender.get(&sender)) + of(self.of_receiver.get(&receiver));
        self.all + of(self.of_both.get(&(sender, receiver))) > alike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_leaves_nothing_behind() {
        let end = |host: u8, port| Endpoint::new(Ipv4Addr::new(10, 0, 0, host), port);
        let mut hosts = Hosts::default();
        let (_, between) = hosts.add(end(1, 5555), end(2, 40000));
        hosts.add(end(2, 5556), end(3, 40001));
        assert!(hosts.is_watched(between));
        hosts.remove(end(1, 5555), end(2, 40000));
        hosts.remove(end(2, 5556), end(3, 40001));
        assert_eq!((hosts.known_ends(), hosts.numbers.len()), (0, 0));
        let (again, _) = hosts.add(end(2, 5556), end(3, 40001));
        assert!(!hosts.is_watched(again), "nothing enters there any more");
        assert_eq!(hosts.known.len(), 3, "numbers are used again");
    }
}
