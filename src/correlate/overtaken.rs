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

/// The messages of complete paths.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    /// For each connection of a window: its requests, and its replies, in order.
    on_line: FxHashMap<(u32, bool), Vec<Rank>>,
    /// For each socket: those that came to it.
    at_socket: FxHashMap<(SocketId, bool), Vec<Rank>>,
}

impl Overtaken {
    /// By these complete paths.
    pub(super) fn new<'a>(scene: &Scene<'_>, links: &Links, complete: impl Iterator<Item = &'a [Rank]>) -> Self {
        if scene.losses.is_empty() {
            return Self::default();
        }
        let mut overtaken = Self::default();
        let is_sure = |&rank: &Rank| links.cause[rank as usize].is_none_or(|link| link.confidence >= SURE);
        for &rank in complete.filter(|ranks| ranks.iter().all(is_sure)).flatten() {
            overtaken.on_line.entry(line(scene, rank)).or_default().push(rank);
            overtaken.at_socket.entry(receiver(scene, rank)).or_default().push(rank);
        }
        let Self { on_line, at_socket } = &mut overtaken;
        on_line.values_mut().chain(at_socket.values_mut()).for_each(|ranks| ranks.sort_unstable());
        overtaken
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
            && self.later_on_line(scene, last) > 0
        {
            // The replies of one connection are told of in order.
            return true;
        }
        let newest = scene.window.len() as Rank - 1;
        if scene.delay(last, newest) <= patience {
            return false;
        }
        let has_asked_again = is_request(root) && scene.sockets.asks_one_at_a_time(scene.window.record(root).conn);
        (is_passed_on && self.later_at_socket(scene, last) >= MANY)
            || (has_asked_again && self.later_on_line(scene, root) > 0)
            // What it lacks came before it.
            || !(is_request(root) || is_passed_on)
    }

    /// How many of its kind were served that came later on the connection of a message.
    fn later_on_line(&self, scene: &Scene<'_>, rank: Rank) -> usize {
        later(self.on_line.get(&line(scene, rank)), rank)
    }

    /// How many of its kind were served that came later to the same socket.
    fn later_at_socket(&self, scene: &Scene<'_>, rank: Rank) -> usize {
        later(self.at_socket.get(&receiver(scene, rank)), rank)
    }
}

/// The connection of a message among those of the window, and whether it is a request.
fn line(scene: &Scene<'_>, rank: Rank) -> (u32, bool) {
    (scene.line(rank), scene.is_request[rank as usize])
}

/// The socket that a message came to, and whether it is a request.
fn receiver(scene: &Scene<'_>, rank: Rank) -> (SocketId, bool) {
    let is_request = scene.is_request[rank as usize];
    (if is_request { scene.asked(rank) } else { scene.asking(rank) }, is_request)
}

fn later(served: Option<&Vec<Rank>>, rank: Rank) -> usize {
    served.map_or(0, |served| served.len() - served.partition_point(|&other| other <= rank))
}
