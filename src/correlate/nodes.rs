//! Which socket is the back end of which ROUTER.
//!
//! A proxy is a ROUTER and a DEALER in one process; nothing on the wire says which. A socket that sends requests is the
//! back end of the ROUTER whose messages explain its own best: what it sends is what arrived there, with one identity in
//! front.

use super::identities::{Fit, Names, Tagged, TaggedMessage, fit, name};
use super::scene::{Scene, Traffic};
use super::sockets::SocketId;
use super::window::Rank;
use std::collections::BTreeMap;

/// How deep in an envelope an identity is looked for. Plain proxies put it first; Majordomo (RFC 7) puts three parts
/// before it.
const DEPTHS: usize = 4;

/// Messages looked at to choose a front end.
const SAMPLE: usize = 512;

/// Messages looked at to see whether a front end is worth a closer look.
const GLANCE: usize = 16;

/// Of two explanations that are about as good, the one that explains more parts: cost of each part that it leaves.
const COST_OF_DEPTH: f64 = 0.2;

/// After so many messages that agree, a choice is kept for good.
const ENOUGH: usize = 16;

/// A back end, seen from its socket.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// The ROUTER whose messages it passes on.
    pub frontend: SocketId,
    /// Parts before the identity.
    pub depth: usize,
    /// Chosen with enough messages not to be asked again.
    settled: bool,
}

/// What was learned about nodes.
#[derive(Debug, Default)]
pub struct Nodes {
    backends: BTreeMap<SocketId, Backend>,
    names: BTreeMap<SocketId, Names>,
}

impl Nodes {
    /// Learns from a window of messages.
    pub fn learn(&mut self, scene: &Scene<'_>) {
        for (&socket, traffic) in &scene.backends {
            if self.backends.get(&socket).is_some_and(|backend| backend.settled) {
                continue;
            }
            match choose(scene, socket, traffic, &self.names) {
                Some(backend) => self.backends.insert(socket, backend),
                None => self.backends.remove(&socket),
            };
        }
        for (router, backends) in self.by_frontend(scene) {
            let tagged = group(scene, &backends, Rank::MAX);
            let known = self.names.entry(router).or_default();
            let names = name(scene, router, &tagged, known);
            known.extend(names);
        }
    }

    /// The back end that this socket is, if it is one.
    pub fn backend(&self, socket: SocketId) -> Option<&Backend> {
        self.backends.get(&socket)
    }

    /// Whether messages that arrive at this socket are passed on.
    pub fn is_frontend(&self, socket: SocketId) -> bool {
        self.names.contains_key(&socket)
    }

    /// What the identities of a ROUTER name.
    pub fn names(&self, router: SocketId) -> Option<&Names> {
        self.names.get(&router)
    }

    /// The back ends that have messages in this window, by front end.
    pub fn by_frontend(&self, scene: &Scene<'_>) -> BTreeMap<SocketId, Vec<(SocketId, Backend)>> {
        let mut by_frontend: BTreeMap<SocketId, Vec<(SocketId, Backend)>> = BTreeMap::new();
        for (&socket, &backend) in &self.backends {
            if scene.backends.contains_key(&socket) {
                by_frontend.entry(backend.frontend).or_default().push((socket, backend));
            }
        }
        by_frontend
    }
}

/// The messages up to `last` of the back ends of one ROUTER, by the identity that they carry.
pub fn group(scene: &Scene<'_>, backends: &[(SocketId, Backend)], last: Rank) -> BTreeMap<u64, Tagged> {
    let mut tagged: BTreeMap<u64, Tagged> = BTreeMap::new();
    for (identity, message) in in_order(scene, backends, last, |traffic| &traffic.requests) {
        tagged.entry(identity).or_default().requests.push(message);
    }
    for (identity, message) in in_order(scene, backends, last, |traffic| &traffic.replies) {
        // A reply to nobody that asked is none of this ROUTER's.
        if let Some(messages) = tagged.get_mut(&identity) {
            messages.replies.push(message);
        }
    }
    tagged
}

fn in_order(
    scene: &Scene<'_>,
    backends: &[(SocketId, Backend)],
    last: Rank,
    direction: impl Fn(&Traffic) -> &Vec<Rank>,
) -> impl Iterator<Item = (u64, TaggedMessage)> {
    let mut messages = Vec::new();
    for (socket, backend) in backends {
        let ranks = scene.backends.get(socket).map_or(&[][..], |traffic| direction(traffic));
        let until = &ranks[..ranks.partition_point(|&rank| rank <= last)];
        messages.extend(until.iter().filter_map(|&rank| Some((rank, scene.tag(rank, backend.depth)?))));
    }
    messages.sort_unstable_by_key(|(rank, _)| *rank);
    messages
        .into_iter()
        .enumerate()
        .map(|(place, (rank, tag))| (tag.identity, TaggedMessage { rank, suffix: tag.suffix, place: place as u32 }))
}

/// The front end and depth that explain a socket's messages best, if any do.
fn choose(
    scene: &Scene<'_>,
    socket: SocketId,
    traffic: &Traffic,
    names: &BTreeMap<SocketId, Names>,
) -> Option<Backend> {
    let requests = &traffic.requests[..traffic.requests.len().min(SAMPLE)];
    let last = requests.last().copied()?;
    let nothing_known = Names::new();
    let mut best: Option<(f64, Backend)> = None;
    for depth in 0..DEPTHS {
        let backend = |frontend| Backend { frontend, depth, settled: requests.len() >= ENOUGH };
        let tagged = group(scene, &[(socket, backend(socket))], last);
        if tagged.values().map(|messages| messages.requests.len()).sum::<usize>() * 2 < requests.len() {
            continue;
        }
        for &router in scene.routers.keys() {
            if !is_worth_a_look(scene, socket, router, depth, requests) {
                continue;
            }
            let names = name(scene, router, &tagged, names.get(&router).unwrap_or(&nothing_known));
            let fit = fit(scene, &tagged, &names);
            let cost = fit.mean() + COST_OF_DEPTH * depth as f64;
            if explains_most(&fit) && best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, backend(router)));
            }
        }
    }
    best.map(|(_, backend)| backend)
}

/// Whether at least half of a few messages of `socket` can have arrived at `router` before.
fn is_worth_a_look(scene: &Scene<'_>, socket: SocketId, router: SocketId, depth: usize, requests: &[Rank]) -> bool {
    let step = requests.len().div_ceil(GLANCE).max(1);
    let (mut looked, mut found) = (0, 0);
    for &forward in requests.iter().step_by(step) {
        let record = scene.window.record(forward);
        if scene.sockets.receiver(record) == router || socket == router {
            return false;
        }
        looked += 1;
        let before = |tag| scene.socket_arrivals.latest_before(router, tag, forward);
        found += usize::from(scene.tag(forward, depth).and_then(|tag| before(tag.suffix)).is_some());
    }
    found * 2 >= looked && found > 0
}

fn explains_most(fit: &Fit) -> bool {
    fit.explained * 2 > fit.messages
}
