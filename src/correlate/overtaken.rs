//! Paths that nothing will continue: what should have followed is missing in the capture, and those who came later were served.
//!
//! Else they would wait for an answer as long as any may take, and be looked through again and again. And once what lies between
//! is reported and gone, what is left over of two requests looks like one.

use super::hops::Links;
use super::nodes::Nodes;
use super::scene::Scene;
use super::sockets::SocketId;
use super::window::Rank;
use crate::base::time::Duration;
use rustc_hash::FxHashMap;

/// As sure as a path must be for others to be judged by it.
const SURE: f64 = 0.9;

/// A node passes on at once what it does not hold back for a reason: so many that came to it later were passed on.
const MANY: usize = 512;

/// The latest messages of complete paths.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    /// For each connection of a window: its latest reply, and its latest request.
    on_line: Vec<[Option<Rank>; 2]>,
    /// For each socket to which as many came: the first of the latest [`MANY`] requests, or replies, that did.
    at_socket: FxHashMap<(SocketId, bool), Rank>,
}

impl Overtaken {
    /// By these complete paths.
    pub(super) fn new<'a>(scene: &Scene<'_>, links: &Links, complete: impl Iterator<Item = &'a [Rank]>) -> Self {
        if scene.losses.is_empty() {
            return Self::default();
        }
        let mut on_line = vec![[None; 2]; scene.lines()];
        let mut at_socket: FxHashMap<(SocketId, bool), Vec<Rank>> = FxHashMap::default();
        let is_sure = |&rank: &Rank| links.cause[rank as usize].is_none_or(|link| link.confidence >= SURE);
        for &rank in complete.filter(|ranks| ranks.iter().all(is_sure)).flatten() {
            let (line, kind) = place(scene, rank);
            on_line[line][kind] = on_line[line][kind].max(Some(rank));
            at_socket.entry(receiver(scene, rank)).or_default().push(rank);
        }
        let latest = |(socket, mut ranks): (_, Vec<Rank>)| {
            let first = ranks.len().checked_sub(MANY)?;
            Some((socket, *ranks.select_nth_unstable(first).1))
        };
        Self { on_line, at_socket: at_socket.into_iter().filter_map(latest).collect() }
    }

    /// Whether a path lacks a message that will not come any more, but must be among those that are missing; `patience` is how
    /// long after others a message may be told of.
    pub(super) fn contains(&self, scene: &Scene<'_>, nodes: &Nodes, ranks: &[Rank], patience: Duration) -> bool {
        let (Some(&root), Some(&last)) = (ranks.first(), ranks.last()) else { return false };
        if scene.losses.is_empty() {
            return false;
        }
        let is_request = |rank: Rank| scene.is_request[rank as usize];
        let is_passed_on = if is_request(last) {
            nodes.is_frontend(scene.asked(last))
        } else {
            nodes.backend(scene.asking(last)).is_some()
        };
        if is_request(last)
            && !is_passed_on
            && scene.sockets.answers_in_order(scene.window.record(last).conn)
            && self.is_overtaken_on_line(scene, last)
        {
            // The replies of one connection are told of in order.
            return true;
        }
        let newest = scene.window.len() as Rank - 1;
        if scene.delay(last, newest) <= patience {
            return false;
        }
        let has_asked_again = is_request(root) && scene.sockets.asks_one_at_a_time(scene.window.record(root).conn);
        (is_passed_on && self.is_overtaken_at_socket(scene, last))
            || (has_asked_again && self.is_overtaken_on_line(scene, root))
            // What it lacks came before it.
            || !(is_request(root) || is_passed_on)
    }

    /// Whether one of its kind was served that came later on the connection of a message.
    fn is_overtaken_on_line(&self, scene: &Scene<'_>, rank: Rank) -> bool {
        let (line, kind) = place(scene, rank);
        self.on_line[line][kind] > Some(rank)
    }

    /// Whether [`MANY`] of its kind were served that came later to the same socket.
    fn is_overtaken_at_socket(&self, scene: &Scene<'_>, rank: Rank) -> bool {
        self.at_socket.get(&receiver(scene, rank)).is_some_and(|&first| first > rank)
    }
}

/// The connection of a message among those of the window, and 1 for a request, 0 for a reply.
fn place(scene: &Scene<'_>, rank: Rank) -> (usize, usize) {
    (scene.line(rank) as usize, usize::from(scene.is_request[rank as usize]))
}

/// The socket that a message came to, and whether it is a request.
fn receiver(scene: &Scene<'_>, rank: Rank) -> (SocketId, bool) {
    let is_request = scene.is_request[rank as usize];
    (if is_request { scene.asked(rank) } else { scene.asking(rank) }, is_request)
}
