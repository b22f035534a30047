//! Copies joined into paths: from where a message first was to all its ends.

use super::copies::Link;
use super::devices::Devices;
use super::{Rank, Traffic};
use crate::base::direction::Direction;
use crate::base::time::Duration;
use crate::correlate::correlator::Report;
use crate::correlate::path::{Evidence, Hop, Path, Status};
use crate::correlate::sockets::Sockets;

/// What became of a window.
pub(super) struct Found {
    /// Paths to be reported, not numbered yet.
    pub(super) paths: Vec<Path>,
    /// For each message: whether it is to be kept.
    pub(super) keep: Vec<bool>,
}

/// Follows the links.
pub(super) fn paths(
    sockets: &Sockets,
    traffic: Traffic<'_>,
    devices: &Devices,
    links: &[Option<Link>],
    report: Report,
    answer_time: Duration,
) -> Found {
    let count = links.len();
    let mut roots: Vec<Rank> = Vec::with_capacity(count);
    let mut is_cause = vec![false; count];
    for (rank, link) in (0..).zip(links) {
        // Causes are earlier.
        roots.push(link.map_or(rank, |link| roots[link.cause as usize]));
        if let Some(link) = link {
            is_cause[link.cause as usize] = true;
        }
    }
    let mut by_root: Vec<(Rank, Rank)> = roots.into_iter().zip(0..).collect();
    by_root.sort_unstable_by_key(|&(root, rank)| u64::from(root) << 32 | u64::from(rank));
    let mut found = Found { paths: Vec::new(), keep: vec![false; count] };
    // A task that came into a device and is not seen to leave it.
    let is_stuck = |rank: Rank| {
        let lane = traffic.lane(rank);
        lane.is_exclusive() && !is_cause[rank as usize] && devices.passes_all(lane.receiver)
    };
    for tree in by_root.chunk_by(|a, b| a.0 == b.0) {
        let stuck = tree.iter().any(|&(_, rank)| is_stuck(rank));
        let last = tree.iter().map(|&(_, rank)| traffic.record(rank).available).max().unwrap_or_default();
        let is_reported = match report {
            Report::Everything => true,
            Report::Before(time) if stuck => time - last > answer_time,
            Report::Before(time) => last < time,
        };
        if !is_reported {
            for &(_, rank) in tree {
                found.keep[rank as usize] = true;
            }
        } else if stuck || tree.len() > 1 {
            found.paths.push(path(
                sockets,
                traffic,
                links,
                tree,
                if stuck { Status::Broken } else { Status::Delivered },
            ));
        }
    }
    found
}

fn path(
    sockets: &Sockets,
    traffic: Traffic<'_>,
    links: &[Option<Link>],
    tree: &[(Rank, Rank)],
    status: Status,
) -> Path {
    let hop = |(at, &(_, rank)): (usize, &(Rank, Rank))| {
        let record = traffic.record(rank);
        let direction = traffic.lane(rank).direction;
        let connection = sockets.connection(record.conn);
        let (source, destination) = match direction {
            Direction::ClientToServer => (connection.client, connection.server),
            Direction::ServerToClient => (connection.server, connection.client),
        };
        let link = links[rank as usize];
        let after = link.and_then(|link| tree.binary_search(&(tree[0].0, link.cause)).ok());
        Hop {
            key: record.key,
            conn: record.conn,
            direction,
            source,
            destination,
            ordinal: record.ordinal,
            position: record.position,
            identity: None,
            evidence: link.map_or(Evidence::Origin, |link| link.evidence),
            confidence: link.map_or(1.0, |link| link.confidence),
            alternatives: None,
            after: after.filter(|&after| after + 1 != at),
        }
    };
    let request: Vec<Hop> = tree.iter().enumerate().map(hop).collect();
    let confidence = request.iter().map(|hop| hop.confidence).fold(1.0, f64::min);
    let first = tree[0].1;
    let last = tree.last().map_or(first, |(_, rank)| *rank);
    let latency = (status == Status::Delivered).then(|| traffic.delay(first, last));
    Path { number: 0, status, pattern: traffic.lane(first).pattern(), request, reply: Vec::new(), latency, confidence }
}
