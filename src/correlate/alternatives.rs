//! What else a message could have been joined to, for those who ask why it was not.
//!
//! Looked up for one path at a time: it costs a look at the whole window for each hop, so it is no part of finding paths.

use super::hops::Links;
use super::nodes::Nodes;
use super::path::Alternatives;
use super::scene::Scene;
use super::turns::envelope;
use super::window::Rank;

/// Looks for what a message could have been joined to but for its cause.
#[derive(Debug)]
pub(super) struct Search<'a> {
    scene: &'a Scene<'a>,
    nodes: &'a Nodes,
    /// For each message: the first that it was joined to.
    left_as: Vec<Option<Rank>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, nodes: &'a Nodes, links: &Links) -> Self {
        let mut left_as = vec![None; scene.window.len()];
        for (effect, link) in links.cause.iter().enumerate().rev() {
            if let Some(link) = link {
                left_as[link.cause as usize] = Some(effect as Rank);
            }
        }
        Self { scene, nodes, left_as }
    }

    /// What `effect` could have been joined to instead of `cause`.
    pub(super) fn of(&self, cause: Rank, effect: Rank) -> Alternatives {
        let is_turn = self.is_request(cause) != self.is_request(effect);
        let (key, anonymous) = (self.scene.window.record(cause).key, self.anonymous(cause, effect));
        let mut found = Alternatives { cause: key, anonymous, ..Alternatives::default() };
        for other in (0..effect).filter(|&other| other != cause && self.waits(other, effect)) {
            let is_beside = if is_turn { self.conn(other) == self.conn(cause) } else { self.is_at(other, cause) };
            if !is_beside || self.is_request(other) != self.is_request(cause) {
                continue;
            }
            found.waiting += 1;
            let is_alike = if is_turn {
                envelope(self.scene, self.nodes, other) == envelope(self.scene, self.nodes, cause)
            } else {
                self.is_alike(other, cause, effect)
            };
            if is_alike {
                let delay = self.scene.delay(cause, other);
                found.alike += 1;
                found.nearest = found.nearest.filter(|nearest| nearest.0.abs() <= delay.0.abs()).or(Some(delay));
            }
        }
        found
    }

    /// Whether a message had not been passed on or answered when another left.
    fn waits(&self, rank: Rank, until: Rank) -> bool {
        self.left_as[rank as usize].is_none_or(|left| left > until) && !self.nodes.is_about_work(self.scene, rank)
    }

    fn is_request(&self, rank: Rank) -> bool {
        self.scene.is_request[rank as usize]
    }

    fn conn(&self, rank: Rank) -> u32 {
        self.scene.window.record(rank).conn
    }

    /// Whether two messages came in at the same socket.
    fn is_at(&self, one: Rank, other: Rank) -> bool {
        let receiver = |rank: Rank| self.scene.sockets.receiver(self.scene.window.record(rank));
        receiver(one) == receiver(other)
    }

    /// Whether another message has the name and the content of the one that was passed on.
    fn is_alike(&self, other: Rank, cause: Rank, effect: Rank) -> bool {
        let records = self.scene.window;
        let back_end = |socket| self.nodes.backend(socket).map(|backend| backend.shape);
        if self.is_request(cause) {
            match back_end(self.scene.sockets.sender(records.record(effect))) {
                Some(shape) => {
                    let content = |rank: Rank| self.scene.content(rank, shape.request_strip);
                    self.conn(other) == self.conn(cause) && content(other) == content(cause)
                }
                None => self.is_same_body(other, cause),
            }
        } else {
            match back_end(self.scene.sockets.receiver(records.record(cause))) {
                Some(shape) => self.scene.tag(other, shape) == self.scene.tag(cause, shape),
                None => self.is_same_body(other, cause),
            }
        }
    }

    fn is_same_body(&self, one: Rank, other: Rank) -> bool {
        let body = |rank: Rank| self.scene.parts(rank).last().map(|part| part.hash);
        body(one) == body(other)
    }

    /// How many connections of the ROUTER that a message passed have names that it assigned.
    fn anonymous(&self, cause: Rank, effect: Rank) -> usize {
        let (cause, effect) = (self.scene.window.record(cause), self.scene.window.record(effect));
        let sockets = self.scene.sockets;
        let router = if sockets.is_request(effect) { sockets.receiver(cause) } else { sockets.sender(effect) };
        let frontend = sockets.frontend(router, effect.available);
        let is_anonymous = |conn: &&u32| {
            let connection = sockets.connection(**conn);
            connection.requests.is_some_and(|asks| connection.peers[asks].identity.is_none())
        };
        self.scene.routers.get(&frontend).into_iter().flatten().filter(is_anonymous).count()
    }
}
