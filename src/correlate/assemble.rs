//! Links joined into paths.

use super::alternatives::Search;
use super::hops::Links;
use super::index::Lists;
use super::nodes::Nodes;
use super::path::{Evidence, Hop, Path, Pattern, Status};
use super::scene::Scene;
use super::window::Rank;
use crate::base::direction::Direction;
use crate::base::time::Timestamp;

/// The messages of one path, in order, and how far it got.
#[derive(Debug)]
pub struct Component {
    /// Its messages.
    pub ranks: Vec<Rank>,
    /// How it fared.
    pub status: Status,
    /// Whether it is a request or a reply at all, and not a message of another pattern.
    pub is_path: bool,
}

/// Where a message stands on its path. Sorts by time, but never an effect before its cause, however they were captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    root: Rank,
    /// The latest of it and all before it.
    latest: Rank,
    depth: u32,
}

/// Splits the messages of a window into paths, in the order in which they begin.
pub fn components(scene: &Scene<'_>, nodes: &Nodes, links: &Links) -> Vec<Component> {
    let count = scene.window.len();
    let mut place: Vec<Option<Place>> = vec![None; count];
    let mut way = Vec::new();
    for rank in 0..count as Rank {
        // To the first message of its path, or the first whose place is known; then back.
        let mut at = rank;
        let mut found = loop {
            if let Some(place) = place[at as usize] {
                break place;
            }
            match links.cause[at as usize] {
                Some(link) => {
                    way.push(at);
                    at = link.cause;
                }
                None => break *place[at as usize].insert(Place { root: at, latest: at, depth: 0 }),
            }
        };
        while let Some(at) = way.pop() {
            found = Place { root: found.root, latest: found.latest.max(at), depth: found.depth + 1 };
            place[at as usize] = Some(found);
        }
    }
    let place: Vec<Place> = place.into_iter().flatten().collect();
    let mut by_root = Lists::new(count, place.iter().zip(0..).map(|(place, rank)| (place.root, rank)));
    let roots = (0..count as Rank).filter(|&root| place[root as usize].root == root);
    roots
        .map(|root| {
            let ranks = by_root.get_mut(root);
            ranks.sort_unstable_by_key(|&rank| (place[rank as usize], rank));
            Component {
                status: status(scene, nodes, links, ranks),
                is_path: ranks.len() > 1 || can_stand_alone(scene, nodes, links, ranks[0]),
                ranks: ranks.to_vec(),
            }
        })
        .collect()
}

/// Whether a message that nothing is joined to is a request or a reply at all.
fn can_stand_alone(scene: &Scene<'_>, nodes: &Nodes, links: &Links, rank: Rank) -> bool {
    if nodes.is_about_work(scene, rank) {
        return false;
    }
    let conn = scene.window.record(rank).conn;
    scene.sockets.is_strictly_request_reply(conn)
        || scene.sockets.connection(conn).joined
        || links.has_joined(scene, rank)
}

fn status(scene: &Scene<'_>, nodes: &Nodes, links: &Links, ranks: &[Rank]) -> Status {
    let origin = scene.window.record(ranks[0]);
    if !scene.is_request[ranks[0] as usize] {
        return Status::Unrequested;
    }
    let replies = || ranks.iter().filter(|&&rank| !scene.is_request[rank as usize]);
    let is_back = |rank: &Rank| {
        let record = scene.window.record(*rank);
        record.conn == origin.conn || same_originator(scene, origin.conn, record.conn)
    };
    if replies().any(is_back) {
        return Status::Complete;
    }
    let stuck = ranks.iter().any(|&rank| {
        let enters = if scene.is_request[rank as usize] {
            nodes.is_frontend(scene.asked(rank))
        } else {
            nodes.backend(scene.asking(rank)).is_some()
        };
        enters && !links.is_cause[rank as usize]
    });
    if stuck || replies().next().is_some() { Status::Broken } else { Status::Unanswered }
}

/// Whether two connections lead to the same socket and announced the same identity.
fn same_originator(scene: &Scene<'_>, origin: u32, other: u32) -> bool {
    let end = |conn: u32| {
        let connection = scene.sockets.connection(conn);
        let asks = connection.requests?;
        Some((connection.peers[asks].identity?, connection.sockets[asks.reverse()]))
    };
    end(origin).is_some_and(|origin| end(other) == Some(origin))
}

/// The path that a component is.
pub fn path(scene: &Scene<'_>, nodes: &Nodes, links: &Links, component: &Component, number: u64) -> Path {
    let requests = component.ranks.iter().filter(|&&rank| scene.is_request[rank as usize]).count();
    let mut request = Vec::with_capacity(requests);
    let mut reply = Vec::with_capacity(component.ranks.len() - requests);
    for &rank in &component.ranks {
        let hops = if scene.is_request[rank as usize] { &mut request } else { &mut reply };
        hops.push(hop(scene, nodes, links, rank));
    }
    let confidence = request.iter().chain(&reply).map(|hop: &Hop| hop.confidence).fold(1.0, f64::min);
    let latency = (component.status == Status::Complete)
        .then(|| scene.delay(component.ranks[0], component.ranks[component.ranks.len() - 1]));
    Path { number, status: component.status, pattern: Some(Pattern::ReqRep), request, reply, latency, confidence }
}

/// Adds to the hops of a path what else they could have been joined to.
pub fn explain(scene: &Scene<'_>, nodes: &Nodes, links: &Links, component: &Component, path: &mut Path) {
    let search = Search::new(scene, nodes, links);
    let (requests, replies): (Vec<Rank>, Vec<Rank>) =
        component.ranks.iter().partition(|&&rank| scene.is_request[rank as usize]);
    for (hop, rank) in path.request.iter_mut().chain(&mut path.reply).zip(requests.into_iter().chain(replies)) {
        hop.alternatives = links.cause[rank as usize].map(|link| search.of(link.cause, rank));
    }
}

fn hop(scene: &Scene<'_>, nodes: &Nodes, links: &Links, rank: Rank) -> Hop {
    let record = scene.window.record(rank);
    let connection = scene.sockets.connection(record.conn);
    let (source, destination) = match record.direction {
        Direction::ClientToServer => (connection.client, connection.server),
        Direction::ServerToClient => (connection.server, connection.client),
    };
    let link = links.cause[rank as usize];
    // The end of this connection that belongs to the node nearer to the originator.
    let tagged = nodes.backend(scene.asking(rank)).filter(|_| link.is_some());
    let tag = tagged.and_then(|backend| scene.tag(rank, backend.shape));
    Hop {
        key: record.key,
        conn: record.conn,
        direction: record.direction,
        source,
        destination,
        ordinal: record.ordinal,
        position: record.position,
        identity: tag.and_then(|tag| scene.window.identity(tag.identity)).map(Box::from),
        evidence: link.map_or(Evidence::Origin, |link| link.evidence),
        confidence: link.map_or(1.0, |link| link.confidence),
        after: None,
        alternatives: None,
    }
}

/// When the last message of a component was captured.
pub fn last_time(scene: &Scene<'_>, component: &Component) -> Timestamp {
    component.ranks.iter().max().map(|&last| scene.window.record(last).available).unwrap_or_default()
}
