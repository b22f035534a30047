//! Paths put together by the way they took: who talks to whom through which proxies, how often, how fast.

use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::time::Duration;
use crate::correlate::path::{Hop, Path, Status};
use hdrhistogram::Histogram;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

/// Routes told apart. Each has histograms of some ten KiB; a capture with more routes than this has something to hide.
const ROUTES: usize = 100;

/// Steps of a route with a histogram each.
const STEPS: usize = 32;

/// One connection on the way of a request: the endpoint that accepted it, and whether the request goes there or comes
/// from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// The side that accepted the connection.
    pub server: Endpoint,
    /// Which way the request goes.
    pub direction: Direction,
}

/// All paths that took the same way.
#[derive(Clone, Debug)]
pub struct Route {
    /// The way of a request.
    pub legs: Vec<Leg>,
    /// Paths by status.
    pub counts: BTreeMap<Status, u64>,
    /// Connections on which requests began.
    pub clients: FxHashSet<u32>,
    /// Connections on which requests ended.
    pub workers: FxHashSet<u32>,
    /// Latency of complete paths, nanoseconds.
    pub latency: Histogram<u32>,
    /// From each hop to the next, of complete paths with one reply hop a request hop; nanoseconds.
    pub steps: Vec<Histogram<u32>>,
    /// The least of any path.
    pub confidence: f64,
    /// A path to show: the first complete one, else the first.
    pub example: Option<Path>,
    /// Nothing comes back.
    pub is_one_way: bool,
}

/// The routes of a capture.
#[derive(Debug, Default)]
pub struct Routes {
    routes: BTreeMap<Vec<Leg>, Route>,
    /// Paths whose route would have been one too many.
    pub not_told_apart: u64,
}

impl Routes {
    /// One more path.
    pub fn add(&mut self, path: &Path) {
        let legs = legs(path);
        let full = self.routes.len() >= ROUTES;
        match self.routes.entry(legs) {
            Entry::Occupied(route) => route.into_mut().add(path),
            Entry::Vacant(_) if full => self.not_told_apart += 1,
            Entry::Vacant(place) => {
                let legs = place.key().clone();
                place.insert(Route::new(legs)).add(path);
            }
        }
    }

    /// The routes, the busiest first. Paths that ended on the way count for the route that they had begun, where there
    /// is only one.
    pub fn finish(mut self) -> Vec<Route> {
        let begun: Vec<_> = self.routes.keys().cloned().collect();
        for legs in begun {
            let mut longer = self.routes.keys().filter(|other| other.len() > legs.len() && other.starts_with(&legs));
            let (Some(only), None) = (longer.next().cloned(), longer.next()) else { continue };
            let complete = self.routes.get(&legs).is_some_and(|route| route.count(Status::Complete) > 0);
            if complete {
                continue;
            }
            if let Some(short) = self.routes.remove(&legs)
                && let Some(long) = self.routes.get_mut(&only)
            {
                long.absorb(short);
            }
        }
        let mut routes: Vec<_> = self.routes.into_values().collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.paths()));
        routes
    }
}

impl Route {
    fn new(legs: Vec<Leg>) -> Self {
        Self {
            legs,
            counts: BTreeMap::new(),
            clients: FxHashSet::default(),
            workers: FxHashSet::default(),
            latency: histogram(),
            steps: Vec::new(),
            confidence: 1.0,
            example: None,
            is_one_way: false,
        }
    }

    fn add(&mut self, path: &Path) {
        *self.counts.entry(path.status).or_default() += 1;
        let (first, last) = match (path.request.first(), path.request.last()) {
            (Some(first), Some(last)) => (Some(first), Some(last).filter(|_| !path.reply.is_empty())),
            _ => (path.reply.last(), path.reply.first()),
        };
        self.clients.extend(first.map(|hop| hop.conn));
        self.workers.extend(last.map(|hop| hop.conn));
        self.confidence = self.confidence.min(path.confidence);
        self.is_one_way |= path.is_one_way();
        if path.status == Status::Delivered {
            self.workers.extend(path.ends().map(|hop| hop.conn));
            if let Some(latency) = path.latency {
                record(&mut self.latency, latency);
            }
        }
        if path.status == Status::Complete {
            if let Some(latency) = path.latency {
                record(&mut self.latency, latency);
            }
            if path.request.len() == path.reply.len() {
                self.add_steps(path);
            }
        }
        let better = path.status == Status::Complete
            && self.example.as_ref().is_some_and(|example| example.status != Status::Complete);
        if self.example.is_none() || better {
            self.example = Some(path.clone());
        }
    }

    fn add_steps(&mut self, path: &Path) {
        let hops: Vec<&Hop> = path.hops().collect();
        for (at, pair) in hops.windows(2).take(STEPS).enumerate() {
            if self.steps.len() <= at {
                self.steps.push(histogram());
            }
            let step = pair[1].position.at - pair[0].position.at;
            record(&mut self.steps[at], step);
        }
    }

    fn absorb(&mut self, begun: Self) {
        for (status, count) in begun.counts {
            *self.counts.entry(status).or_default() += count;
        }
        self.clients.extend(begun.clients);
        self.confidence = self.confidence.min(begun.confidence);
    }

    /// Paths of this status.
    pub fn count(&self, status: Status) -> u64 {
        self.counts.get(&status).copied().unwrap_or_default()
    }

    /// All paths.
    pub fn paths(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The way in words: `4 clients (REQ) → 127.0.0.1:5555 [proxy] 127.0.0.1:5556 → 3 workers (REP)`.
    pub fn text(&self, client_type: Option<&str>, worker_type: Option<&str>) -> String {
        let kind = |name: Option<&str>| name.map(|name| format!(" ({name})")).unwrap_or_default();
        let (client, worker) = if self.is_one_way { ("sender", "receiver") } else { ("client", "worker") };
        let mut text = match self.legs.first() {
            Some(Leg { server, direction: Direction::ServerToClient }) => format!("{server}{}", kind(client_type)),
            _ => format!("{}{}", count_of(self.clients.len(), client), kind(client_type)),
        };
        for (at, leg) in self.legs.iter().enumerate() {
            let next = self.legs.get(at + 1);
            text.push_str(" →");
            // The node behind a leg is known by the endpoint that it accepts connections on, where it does.
            if leg.direction == Direction::ClientToServer {
                let _ = write!(text, " {}", leg.server);
            } else if next.is_none() {
                let _ = write!(text, " {}", count_of(self.workers.len(), worker));
            }
            match next {
                Some(Leg { server, direction: Direction::ServerToClient }) => {
                    let _ = write!(text, " [proxy] {server}");
                }
                Some(_) => text.push_str(" [proxy]"),
                None => text.push_str(&kind(worker_type)),
            }
        }
        text
    }
}

/// `4 clients`.
fn count_of(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The way of the request; where only a reply is known, its way turned round.
fn legs(path: &Path) -> Vec<Leg> {
    let leg = |hop: &Hop, direction| {
        let server = match hop.direction {
            Direction::ClientToServer => hop.destination,
            Direction::ServerToClient => hop.source,
        };
        Leg { server, direction }
    };
    if path.request.is_empty() {
        return path.reply.iter().rev().map(|hop| leg(hop, hop.direction.reverse())).collect();
    }
    let mut legs: Vec<Leg> = path.request.iter().map(|hop| leg(hop, hop.direction)).collect();
    // Copies of a one-way message take the same way, however many there are.
    let mut seen = FxHashSet::default();
    legs.retain(|leg| !path.is_one_way() || seen.insert(*leg));
    legs
}

/// Two significant digits, any range: some ten KiB. A third one would take ten times as much.
fn histogram() -> Histogram<u32> {
    let mut histogram = Histogram::new(2).expect("2 significant digits are allowed");
    histogram.auto(true);
    histogram
}

/// Adds a value. What was captured before its cause counts as 0.
fn record(histogram: &mut Histogram<u32>, value: Duration) {
    // It fails for values beyond its largest bucket only, and grows instead.
    let _ = histogram.record(value.0.max(0) as u64);
}

/// The value below which `share` of the recorded ones are; `None` if there are none.
pub fn quantile(histogram: &Histogram<u32>, share: f64) -> Option<Duration> {
    (!histogram.is_empty()).then(|| Duration(histogram.value_at_quantile(share) as i64))
}
