//! Which socket is the back end of which ROUTER.
//!
//! A proxy is a ROUTER and a DEALER in one process; nothing on the wire says which. A socket that sends requests is the
//! back end of the ROUTER whose messages explain its own best: what it sends is what arrived there, with one identity in
//! front.

use super::identities::{Fit, Names, Tagged, TaggedMessage, fit, name};
use super::scene::{Scene, Traffic};
use super::sockets::{Frontend, SocketId};
use super::window::Rank;
use std::collections::{BTreeMap, BTreeSet};

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
    frontends: BTreeSet<SocketId>,
    names: BTreeMap<Frontend, Names>,
}

impl Nodes {
    /// Learns from a window of messages.
    pub fn learn(&mut self, scene: &Scene<'_>) {
        let present: BTreeSet<SocketId> = scene.routers.keys().map(|frontend| frontend.socket).collect();
        for (&socket, traffic) in &scene.backends {
            let known = self.backends.get(&socket);
            if known.is_some_and(|backend| backend.settled && present.contains(&backend.frontend)) {
                continue;
            }
            if let Some(backend) = choose(scene, socket, traffic, &present, &self.names) {
                self.backends.insert(socket, backend);
            }
        }
        self.frontends = self.backends.values().map(|backend| backend.frontend).collect();
        let mut names = BTreeMap::new();
        for (router, backends) in self.by_frontend(scene) {
            for (frontend, tagged) in group(scene, router, &backends, Rank::MAX) {
                let mut known = self.names.remove(&frontend).unwrap_or_default();
                let found = name(scene, frontend, &tagged, &known);
                known.extend(found);
                names.insert(frontend, known);
            }
        }
        // What was known of earlier eras is of no more use, but that of the latest is, even if it was silent.
        for (frontend, known) in std::mem::take(&mut self.names) {
            let newer = Frontend { era: u32::MAX, ..frontend };
            if names.range(frontend..=newer).next().is_none() {
                names.insert(frontend, known);
            }
        }
        self.names = names;
    }

    /// The back end that this socket is, if it is one.
    pub fn backend(&self, socket: SocketId) -> Option<&Backend> {
        self.backends.get(&socket)
    }

    /// Whether messages that arrive at this socket are passed on.
    pub fn is_frontend(&self, socket: SocketId) -> bool {
        self.frontends.contains(&socket)
    }

    /// What the identities of a ROUTER name.
    pub fn names(&self, frontend: Frontend) -> Option<&Names> {
        self.names.get(&frontend)
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

/// The messages up to `last` of the back ends of one ROUTER, by the identity that they carry, for each of its eras.
pub fn group(
    scene: &Scene<'_>,
    router: SocketId,
    backends: &[(SocketId, Backend)],
    last: Rank,
) -> BTreeMap<Frontend, BTreeMap<u64, Tagged>> {
    let mut tagged: BTreeMap<Frontend, BTreeMap<u64, Tagged>> = BTreeMap::new();
    let frontend = |rank: Rank| scene.sockets.frontend(router, scene.window.record(rank).available);
    for (identity, message) in in_order(scene, backends, last, |traffic| &traffic.requests) {
        let era = tagged.entry(frontend(message.rank)).or_default();
        era.entry(identity).or_default().requests.push(message);
    }
    for (identity, message) in in_order(scene, backends, last, |traffic| &traffic.replies) {
        let era = tagged.entry(frontend(message.rank)).or_default();
        era.entry(identity).or_default().replies.push(message);
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
    routers: &BTreeSet<SocketId>,
    names: &BTreeMap<Frontend, Names>,
) -> Option<Backend> {
    let requests = &traffic.requests[..traffic.requests.len().min(SAMPLE)];
    let last = requests.last().copied()?;
    let nothing_known = Names::new();
    let mut best: Option<(f64, Backend)> = None;
    for depth in 0..DEPTHS {
        if requests.iter().filter(|&&rank| scene.tag(rank, depth).is_some()).count() * 2 < requests.len() {
            continue;
        }
        for &router in routers {
            if !is_worth_a_look(scene, socket, router, depth, requests) {
                continue;
            }
            let backend = Backend { frontend: router, depth, settled: requests.len() >= ENOUGH };
            let mut total = Fit::default();
            for (frontend, tagged) in group(scene, router, &[(socket, backend)], last) {
                let names = name(scene, frontend, &tagged, names.get(&frontend).unwrap_or(&nothing_known));
                total.add(fit(scene, &tagged, &names));
            }
            let cost = total.mean() + COST_OF_DEPTH * depth as f64;
            if explains_most(&total) && best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, backend));
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
