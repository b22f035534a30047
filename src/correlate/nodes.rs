//! Which socket is the back end of which ROUTER.
//!
//! A proxy is a ROUTER and a DEALER in one process; nothing on the wire says which. A socket that sends requests is the
//! back end of the ROUTER whose messages explain its own best: what it sends is what arrived there, with one identity in
//! front.

use super::identities::{Fit, Names, Tagged, name};
use super::scene::Scene;
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
            match choose(scene, socket, &traffic.requests, &traffic.replies, &self.names) {
                Some(backend) => self.backends.insert(socket, backend),
                None => self.backends.remove(&socket),
            };
        }
        for (router, backends) in self.by_frontend(scene) {
            let depth = backends.first().map_or(0, |(_, backend)| backend.depth);
            let mut tagged = BTreeMap::new();
            for (socket, backend) in &backends {
                let traffic = &scene.backends[socket];
                group(scene, backend.depth, &traffic.requests, &traffic.replies, &mut tagged);
            }
            for messages in tagged.values_mut() {
                messages.requests.sort_unstable();
                messages.replies.sort_unstable();
            }
            let known = self.names.entry(router).or_default();
            let (names, _) = name(scene, router, depth, &tagged, known);
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

/// Sorts the messages of a back end by the identity that they carry.
pub fn group(
    scene: &Scene<'_>,
    depth: usize,
    requests: &[Rank],
    replies: &[Rank],
    tagged: &mut BTreeMap<u64, Tagged>,
) {
    for &rank in requests {
        if let Some(tag) = scene.tag(rank, depth) {
            tagged.entry(tag.identity).or_default().requests.push(rank);
        }
    }
    for &rank in replies {
        if let Some(tag) = scene.tag(rank, depth)
            && let Some(messages) = tagged.get_mut(&tag.identity)
        {
            messages.replies.push(rank);
        }
    }
}

/// The front end and depth that explain a socket's messages best, if any do.
fn choose(
    scene: &Scene<'_>,
    socket: SocketId,
    requests: &[Rank],
    replies: &[Rank],
    names: &BTreeMap<SocketId, Names>,
) -> Option<Backend> {
    let requests = &requests[..requests.len().min(SAMPLE)];
    let end = requests.last().copied().unwrap_or(0);
    let replies = &replies[..replies.partition_point(|&rank| rank < end)];
    let nothing_known = Names::new();
    let mut best: Option<(f64, Backend)> = None;
    for depth in 0..DEPTHS {
        let mut tagged = BTreeMap::new();
        group(scene, depth, requests, replies, &mut tagged);
        if tagged.values().map(|messages| messages.requests.len()).sum::<usize>() * 2 < requests.len() {
            continue;
        }
        for &router in scene.routers.keys() {
            if !is_worth_a_look(scene, socket, router, depth, requests) {
                continue;
            }
            let known = names.get(&router).unwrap_or(&nothing_known);
            let (_, fit) = name(scene, router, depth, &tagged, known);
            let cost = fit.mean() + COST_OF_DEPTH * depth as f64;
            if explains_most(&fit) && best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, Backend { frontend: router, depth, settled: requests.len() >= ENOUGH }));
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
