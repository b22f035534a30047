//! Which socket is the back end of which ROUTER.
//!
//! A proxy is a ROUTER and a DEALER in one process; nothing on the wire says which. A socket that sends requests is the
//! back end of the ROUTER whose messages explain its own best: what it sends is what arrived there, with one identity in
//! front.

use super::carried::{Carried, TaggedMessage};
use super::identities::{Fit, fit, name};
use super::names::Names;
use super::scene::{Front, STRIPS, Scene, Shape, Tag, Traffic};
use super::sockets::{Frontend, SocketId, Sockets};
use super::window::Rank;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};

/// How deep in an envelope an identity is looked for. Plain proxies put it first; Majordomo (RFC 7) puts three parts
/// before it.
const DEPTHS: usize = 4;

/// Messages looked at to choose a front end.
const SAMPLE: usize = 512;

/// Messages looked at to see whether a front end is worth a closer look.
const GLANCE: usize = 16;

/// Of two explanations that are about as good, the one that explains more parts: cost of each part that it leaves. In a
/// chain every ROUTER before the nearest one explains a message too, and where some are missing or captured in the wrong
/// order, by chance better; but what arrives at the nearest one repeats the identities that those before it put in.
const COST_OF_DEPTH: f64 = 2.0;
const COST_OF_STRIP: f64 = 0.2;

/// After so many messages that agree, a choice is kept for good.
const ENOUGH: usize = 16;

/// A socket that is none by enough messages is tried again after one window, after two more, after four, and so on, at most
/// after two to the power of it.
const MOST_PATIENCE: u32 = 5;

/// A back end, seen from its socket.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// The ROUTER whose messages it passes on.
    pub frontend: SocketId,
    /// What it makes of them.
    pub shape: Shape,
    /// Chosen with enough messages not to be asked again.
    settled: bool,
}

/// Who hands out names: a ROUTER, and if several may have been taken for one, which back end it has.
type NameSpace = (Frontend, Option<SocketId>);

/// What passed a node.
#[derive(Debug)]
pub struct Passage {
    /// Which back end tells its ROUTER from others that it may have been taken for one with.
    apart: Option<SocketId>,
    /// Its back ends.
    pub backends: Vec<(SocketId, Backend)>,
    /// Their messages, for each era of the front end.
    pub eras: Vec<Carried>,
}

/// What was learned about nodes.
#[derive(Debug, Default)]
pub struct Nodes {
    backends: FxHashMap<SocketId, Backend>,
    frontends: FxHashSet<SocketId>,
    names: BTreeMap<NameSpace, Names>,
    in_vain: InVain,
}

/// Sockets that were tried and are the back end of no ROUTER: they ask in their own name, as most do.
#[derive(Debug, Default)]
struct InVain {
    sockets: FxHashMap<SocketId, Tries>,
    /// The ROUTERs that were there.
    routers: FxHashSet<SocketId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    /// By so many messages together.
    messages: usize,
    /// How often by enough.
    count: u32,
    /// So many windows are still to be passed over.
    pass_over: u32,
}

impl InVain {
    /// These ROUTERs have messages now. When there is a new one, all sockets are tried again.
    fn look_at(&mut self, routers: &BTreeSet<SocketId>) {
        let before = self.routers.len();
        self.routers.extend(routers);
        if self.routers.len() > before {
            self.sockets.clear();
        }
    }

    /// Whether a socket is passed over in this window.
    fn pass_over(&mut self, socket: SocketId) -> bool {
        let left = self.sockets.get_mut(&socket).map(|tries| &mut tries.pass_over).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// A socket is none by so many messages.
    fn add(&mut self, socket: SocketId, messages: usize) {
        let tries = self.sockets.entry(socket).or_default();
        tries.messages += messages;
        if tries.messages >= ENOUGH {
            tries.pass_over = 1 << tries.count.min(MOST_PATIENCE);
            tries.count += 1;
        }
    }

    fn forget(&mut self, sockets: &Sockets) {
        self.sockets.retain(|&socket, _| sockets.is_known_socket(socket));
        self.routers.retain(|&socket| sockets.is_known_socket(socket));
    }
}

impl Nodes {
    /// Learns from a window of messages, and says what passed each node.
    pub fn learn(&mut self, scene: &Scene<'_>) -> Vec<Passage> {
        let present: BTreeSet<SocketId> = scene.routers.keys().map(|frontend| frontend.socket).collect();
        let mut elsewhere = Elsewhere::default();
        let mut has_moved = false;
        self.in_vain.look_at(&present);
        for (&socket, traffic) in &scene.backends {
            let known = self.backends.get(&socket);
            if known.is_some_and(|backend| backend.settled && present.contains(&backend.frontend)) {
                continue;
            }
            if known.is_none() && self.in_vain.pass_over(socket) {
                continue;
            }
            if let Some(backend) = choose(scene, socket, traffic, &present, &self.names, &mut elsewhere) {
                self.frontends.insert(backend.frontend);
                let before = self.backends.insert(socket, backend);
                has_moved |= before.is_some_and(|before| before.frontend != backend.frontend);
            } else {
                self.in_vain.add(socket, traffic.requests.len());
            }
        }
        if has_moved {
            self.count_frontends();
        }
        let mut passages = Vec::new();
        let mut present = BTreeSet::new();
        for (router, backends) in self.by_frontend(scene) {
            for backends in
                backends.chunk_by(|(one, _), (other, _)| apart(scene, router, *one) == apart(scene, router, *other))
            {
                let apart = apart(scene, router, backends[0].0);
                let eras = group(scene, router, backends, Rank::MAX);
                for carried in &eras {
                    let known = self.names.entry((carried.frontend, apart)).or_default();
                    let found = name(scene, carried, known);
                    known.extend(found);
                    present.insert(carried.frontend);
                }
                passages.push(Passage { apart, backends: backends.to_vec(), eras });
            }
        }
        // What was known of earlier eras is of no more use, but that of the latest is, even if it was silent.
        self.names.retain(|&(frontend, _), _| {
            let newer = Frontend { era: u32::MAX, ..frontend };
            present.contains(&frontend) || present.range(frontend..=newer).next().is_none()
        });
        passages
    }

    /// Forgets what was learned of sockets and connections that were released.
    pub fn forget(&mut self, sockets: &Sockets) {
        self.backends
            .retain(|&socket, backend| sockets.is_known_socket(socket) && sockets.is_known_socket(backend.frontend));
        self.count_frontends();
        self.in_vain.forget(sockets);
        self.names.retain(|_, names| names.retain(sockets));
    }

    fn count_frontends(&mut self) {
        self.frontends = self.backends.values().map(|backend| backend.frontend).collect();
    }

    /// The back end that this socket is, if it is one.
    pub fn backend(&self, socket: SocketId) -> Option<&Backend> {
        self.backends.get(&socket)
    }

    /// Whether a message between a broker and its workers carries no client's identity: it is about work to come, as READY
    /// and heartbeats are, and no request or reply.
    pub fn is_about_work(&self, scene: &Scene<'_>, rank: Rank) -> bool {
        self.backend(scene.asking(rank)).is_some_and(|backend| scene.tag(rank, backend.shape).is_none())
    }

    /// Whether messages that arrive at this socket are passed on.
    pub fn is_frontend(&self, socket: SocketId) -> bool {
        self.frontends.contains(&socket)
    }

    /// What the identities of a ROUTER name in one of its eras.
    pub fn names(&self, passage: &Passage, carried: &Carried) -> Option<&Names> {
        self.names.get(&(carried.frontend, passage.apart))
    }

    /// The back ends that have messages in this window, by front end.
    pub fn by_frontend(&self, scene: &Scene<'_>) -> BTreeMap<SocketId, Vec<(SocketId, Backend)>> {
        let mut by_frontend: BTreeMap<SocketId, Vec<(SocketId, Backend)>> = BTreeMap::new();
        for &socket in scene.backends.keys() {
            if let Some(&backend) = self.backends.get(&socket) {
                by_frontend.entry(backend.frontend).or_default().push((socket, backend));
            }
        }
        by_frontend
    }
}

/// The back end by which a ROUTER is told from others of its host.
fn apart(scene: &Scene<'_>, router: SocketId, backend: SocketId) -> Option<SocketId> {
    scene.sockets.is_caller(router).then_some(backend)
}

/// The messages up to `last` of the back ends of one ROUTER, for each of its eras.
pub fn group(scene: &Scene<'_>, router: SocketId, backends: &[(SocketId, Backend)], last: Rank) -> Vec<Carried> {
    let requests = in_order(scene, backends, last, |traffic| &traffic.requests, |shape| shape.request_strip);
    let replies = in_order(scene, backends, last, |traffic| &traffic.replies, |shape| shape.reply_strip);
    let (mut requests, mut replies) = (&requests[..], &replies[..]);
    let era = |rank: Rank| scene.sockets.frontend(router, scene.window.record(rank).available);
    let mut eras = Vec::new();
    // Both are in order of time, so an era is a piece of each.
    while let Some(first) = requests.first().into_iter().chain(replies.first()).map(|(_, message)| message.rank).min() {
        let frontend = era(first);
        let of_era = |messages: &[(u64, TaggedMessage)]| match messages.last() {
            Some((_, last)) if era(last.rank) == frontend => messages.len(),
            _ => messages.partition_point(|(_, message)| era(message.rank) <= frontend),
        };
        let (these, later) = requests.split_at(of_era(requests));
        let (answers, later_answers) = replies.split_at(of_era(replies));
        eras.push(Carried::new(frontend, these, answers));
        (requests, replies) = (later, later_answers);
    }
    eras
}

fn in_order(
    scene: &Scene<'_>,
    backends: &[(SocketId, Backend)],
    last: Rank,
    direction: impl Fn(&Traffic) -> &Vec<Rank>,
    strip: impl Fn(Shape) -> usize,
) -> Vec<(u64, TaggedMessage)> {
    let mut messages = Vec::new();
    for (socket, backend) in backends {
        let ranks = scene.backends.get(socket).map_or(&[][..], |traffic| direction(traffic));
        let until = &ranks[..ranks.partition_point(|&rank| rank <= last)];
        let strip = strip(backend.shape);
        messages.extend(until.iter().filter_map(|&rank| Some((rank, scene.tag(rank, backend.shape)?, strip))));
    }
    if backends.len() > 1 {
        messages.sort_unstable_by_key(|(rank, ..)| *rank);
    }
    let numbered = messages.into_iter().zip(0..);
    numbered
        .map(|((rank, Tag { identity, suffix }, strip), place)| {
            (identity, TaggedMessage { rank, suffix, strip, place })
        })
        .collect()
}

/// The front end and shape that explain a socket's messages best, if any do.
fn choose(
    scene: &Scene<'_>,
    socket: SocketId,
    traffic: &Traffic,
    routers: &BTreeSet<SocketId>,
    names: &BTreeMap<NameSpace, Names>,
    elsewhere: &mut Elsewhere,
) -> Option<Backend> {
    let requests = &traffic.requests[..traffic.requests.len().min(SAMPLE)];
    let last = requests.last().copied()?;
    let nothing_known = Names::default();
    let mut best: Option<(f64, Backend)> = None;
    for (router, shape) in hypotheses(scene, socket, traffic, requests, routers) {
        let backend = Backend { frontend: router, shape, settled: requests.len() >= ENOUGH };
        let mut total = Fit::default();
        for mut carried in group(scene, router, &[(socket, backend)], last) {
            carried.set_parts(|identity| elsewhere.has(scene, socket, shape, identity));
            let known = names.get(&(carried.frontend, apart(scene, router, socket))).unwrap_or(&nothing_known);
            let found = name(scene, &carried, known);
            total.add(fit(scene, &carried, known, &found));
        }
        let cost = total.mean() + COST_OF_DEPTH * shape.depth as f64 + COST_OF_STRIP * shape.request_strip as f64;
        if explains_most(&total) && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, backend));
        }
    }
    best.map(|(_, backend)| backend)
}

/// Identities that more than one socket sent: proxies whose DEALER connects to several endpoints have one at each.
#[derive(Debug, Default)]
struct Elsewhere {
    /// For each depth: who sent an identity first, and whether others did too.
    senders: BTreeMap<usize, FxHashMap<u64, (SocketId, bool)>>,
}

impl Elsewhere {
    /// Whether any socket but this one sent an identity.
    fn has(&mut self, scene: &Scene<'_>, socket: SocketId, shape: Shape, identity: u64) -> bool {
        let senders = self.senders.entry(shape.depth).or_insert_with(|| {
            let mut senders: FxHashMap<u64, (SocketId, bool)> = FxHashMap::default();
            for (&socket, traffic) in &scene.backends {
                for &rank in &traffic.requests[..traffic.requests.len().min(SAMPLE)] {
                    if let Some(Tag { identity, .. }) =
                        scene.tag(rank, Shape { depth: shape.depth, ..Shape::default() })
                    {
                        let (first, others) = senders.entry(identity).or_insert((socket, false));
                        *others |= *first != socket;
                    }
                }
            }
            senders
        });
        senders.get(&identity).is_some_and(|&(first, others)| others || first != socket)
    }
}

/// The front ends and shapes that are worth a closer look.
fn hypotheses(
    scene: &Scene<'_>,
    socket: SocketId,
    traffic: &Traffic,
    requests: &[Rank],
    routers: &BTreeSet<SocketId>,
) -> Vec<(SocketId, Shape)> {
    let mut found = Vec::new();
    let is_tagged = |shape: Shape| {
        // Majordomo's words and heartbeats are not.
        requests.iter().filter(|&&rank| scene.tag(rank, shape).is_some()).count() * 4 > requests.len()
    };
    for depth in 0..DEPTHS {
        let shape = Shape { depth, ..Shape::default() };
        if !is_tagged(shape) {
            continue;
        }
        let routers = routers.iter().filter(|&&router| router != socket);
        found.extend(
            routers.filter(|&&router| explains_glance(scene, router, shape, requests)).map(|&router| (router, shape)),
        );
    }
    if !found.is_empty() {
        // Who passes requests on as they are may put something else in front of the replies (schedulers of ipyparallel do).
        for (router, shape) in &mut found {
            if !explains_replies(scene, *router, *shape, &traffic.replies) {
                shape.reply_strip = reply_strip(scene, *router, *shape, &traffic.replies);
            }
        }
        return found;
    }
    for depth in 0..DEPTHS {
        for drops_delimiter in [false, true] {
            if !is_tagged(Shape { depth, drops_delimiter, ..Shape::default() }) {
                continue;
            }
            for &router in routers {
                let strips = usize::from(router != socket)..STRIPS;
                let shape = strips
                    .map(|request_strip| Shape { depth, drops_delimiter, request_strip, reply_strip: request_strip })
                    .find(|&shape| explains_glance(scene, router, shape, requests));
                if let Some(shape) = shape {
                    found.push((
                        router,
                        Shape { reply_strip: reply_strip(scene, router, shape, &traffic.replies), ..shape },
                    ));
                }
            }
        }
    }
    found
}

/// Whether at least half of a few tagged messages can have arrived at `router` before.
fn explains_glance(scene: &Scene<'_>, router: SocketId, shape: Shape, requests: &[Rank]) -> bool {
    let step = requests.len().div_ceil(GLANCE).max(1);
    let (mut looked, mut found) = (0, 0);
    let arrivals = scene.front(Front::SocketArrivals, shape.request_strip);
    for &forward in requests.iter().step_by(step) {
        if scene.sockets.receiver(scene.window.record(forward)) == router {
            return false;
        }
        if let Some(tag) = scene.tag(forward, shape) {
            looked += 1;
            found += usize::from(arrivals.latest_before(router, tag.suffix, forward).is_some());
        }
    }
    found * 2 >= looked && found > 0
}

/// Whether most of a few replies left the router as the shape says.
fn explains_replies(scene: &Scene<'_>, router: SocketId, shape: Shape, replies: &[Rank]) -> bool {
    let tags = glance_at_replies(scene, shape, replies);
    count_departed(scene, router, shape.reply_strip, &tags) * 2 >= tags.len()
}

/// The number of parts before what the worker replied, in what most replies left the router as.
fn reply_strip(scene: &Scene<'_>, router: SocketId, shape: Shape, replies: &[Rank]) -> usize {
    let tags = glance_at_replies(scene, shape, replies);
    let explained = |strip: usize| count_departed(scene, router, strip, &tags);
    // The first of the best: a longer match says more.
    (0..STRIPS)
        .rev()
        .max_by_key(|&strip| explained(strip))
        .filter(|&strip| explained(strip) > 0)
        .unwrap_or(shape.reply_strip)
}

fn glance_at_replies(scene: &Scene<'_>, shape: Shape, replies: &[Rank]) -> Vec<(Rank, Tag)> {
    let step = replies.len().div_ceil(GLANCE).max(1);
    replies.iter().step_by(step).filter_map(|&rank| Some((rank, scene.tag(rank, shape)?))).collect()
}

/// How many replies left the router later with so many parts in front.
fn count_departed(scene: &Scene<'_>, router: SocketId, strip: usize, tags: &[(Rank, Tag)]) -> usize {
    let departures = scene.front(Front::SocketDepartures, strip);
    tags.iter().filter(|(rank, tag)| departures.earliest_after(router, tag.suffix, *rank).is_some()).count()
}

fn explains_most(fit: &Fit) -> bool {
    fit.explained * 2 > fit.messages
}
