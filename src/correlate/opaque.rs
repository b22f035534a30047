//! Brokers that hide the envelope: they ask in their own name, so that no identity leads from what they send to what they
//! received. What is left is content and time: the last part of what arrived is that of what they sent, and the reply came
//! back to them before they replied.
//!
//! Equal content is weak evidence, so it takes several different contents that tell the same of two sockets, each seen only
//! a few times.

use super::nodes::Nodes;
use super::scene::Scene;
use super::sockets::SocketId;
use super::window::Rank;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Nothing but content joins the two.
const SAME_CONTENT: f64 = 0.99;

/// Nothing but length does: the content is one octet over and over.
const SAME_LENGTH: f64 = 0.7;

/// A content that is seen more often says nothing of who passed it on; a broker may ask a few at once.
const MOST_COPIES: usize = 4;

/// So many different contents must tell the same of two sockets.
const LEAST_CONTENTS: usize = 3;

/// Shorter parts are alike by chance.
const LEAST_OCTETS: u64 = 8;

/// Sockets that pass messages on without saying so.
#[derive(Debug, Default)]
pub(super) struct Opaque {
    /// A message that entered a broker, and one that it sent because of it.
    pairs: Vec<(Rank, Rank)>,
    /// Sockets at which these brokers are asked, each with those by which they ask.
    asked: FxHashMap<SocketId, Vec<SocketId>>,
    /// What a socket asked of which nobody knows on whose behalf, in order.
    unexplained: FxHashMap<SocketId, Vec<Rank>>,
    /// For each host: the same, by sockets there that others connect to.
    suspects: FxHashMap<IpAddr, Vec<Rank>>,
}

impl Opaque {
    /// Messages that entered brokers, those that they sent because of them, and how sure that is.
    pub(super) fn pairs(&self, scene: &Scene<'_>) -> impl Iterator<Item = (Rank, Rank, f64)> {
        let sure = |effect| if is_filler(scene, effect) { SAME_LENGTH } else { SAME_CONTENT };
        self.pairs.iter().map(move |&(cause, effect)| (cause, effect, sure(effect)))
    }

    /// Whether nothing is asked of others but by nodes that say for whom.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.suspects.is_empty()
    }

    /// Whether what is asked at a socket is asked elsewhere, in the name of its node.
    pub(super) fn is_asked(&self, socket: SocketId) -> bool {
        self.asked.contains_key(&socket)
    }

    /// Whether a socket may have asked others before it answered: a broker asked somebody meanwhile, nobody knows for whom.
    pub(super) fn may_have_asked(&self, scene: &Scene<'_>, request: Rank, reply: Rank) -> bool {
        let connection = scene.connection(request);
        let socket = connection.sockets.s2c;
        let is_meanwhile = |asked: &Vec<Rank>| {
            asked.get(asked.partition_point(|&rank| rank < request)).is_some_and(|&next| next < reply)
        };
        let is_router = || scene.sockets.socket_type(socket) == Some(SocketType::ROUTER);
        match self.asked.get(&socket) {
            Some(asking) => asking.iter().filter_map(|socket| self.unexplained.get(socket)).any(is_meanwhile),
            None => self.suspects.get(&connection.server.ip).is_some_and(|asked| is_router() && is_meanwhile(asked)),
        }
    }

    /// Looks at messages that no node explains.
    pub(super) fn find(scene: &Scene<'_>, nodes: &Nodes, is_linked: impl Fn(Rank) -> bool) -> Self {
        let mut found = Self::default();
        // Sorted and not hashed: peers choose contents.
        let mut contents: Vec<(bool, u64, Rank)> = Vec::new();
        for rank in (0..scene.window.len() as Rank).filter(|&rank| !is_linked(rank)) {
            let is_request = scene.is_request[rank as usize];
            let Some(part) = scene.parts(rank).last() else { continue };
            if part.length >= LEAST_OCTETS && !part.is_closed {
                contents.push((is_request, part.suffix, rank));
            }
            let asking = scene.asking(rank);
            if is_request && nodes.backend(asking).is_none() {
                let connection = scene.connection(rank);
                if connection.sockets.s2c == asking {
                    found.suspects.entry(connection.server.ip).or_default().push(rank);
                }
            }
        }
        contents.sort_unstable();
        let same = contents.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
        let several = same.filter(|same| (2..=MOST_COPIES).contains(&same.len()));
        let mut alike: Vec<(bool, Vec<Rank>)> =
            several.map(|same| (same[0].0, same.iter().map(|(.., rank)| *rank).collect())).collect();
        if alike.is_empty() {
            return found;
        }
        alike.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        let answers = Answers::new(scene);
        let mut by_sockets: BTreeMap<(SocketId, SocketId), Vec<(Rank, Rank)>> = BTreeMap::new();
        for (is_request, ranks) in &alike {
            for (cause, effect) in chain(*is_request, ranks) {
                let (entered, left) = (scene.window.record(cause), scene.window.record(effect));
                let (asked, asking) = if *is_request {
                    (scene.sockets.receiver(entered), scene.sockets.sender(left))
                } else {
                    (scene.sockets.sender(left), scene.sockets.receiver(entered))
                };
                let apart = asked != asking && entered.conn != left.conn && !nodes.is_frontend(asked);
                if apart && (!is_request || answers.is_inside(scene, effect, cause)) {
                    by_sockets.entry((asked, asking)).or_default().push((cause, effect));
                }
            }
        }
        for ((asked, asking), pairs) in by_sockets {
            if pairs.iter().filter(|(cause, _)| scene.is_request[*cause as usize]).count() >= LEAST_CONTENTS {
                found.asked.entry(asked).or_default().push(asking);
                found.pairs.extend(pairs);
            }
        }
        found.pairs.sort_unstable();
        found.explain(scene, &is_linked);
        found
    }

    /// What was joined is explained, the rest of what these brokers asked is not.
    fn explain(&mut self, scene: &Scene<'_>, is_linked: impl Fn(Rank) -> bool) {
        let explained: FxHashSet<Rank> = self.pairs.iter().map(|&(_, effect)| effect).collect();
        for asked in self.suspects.values_mut() {
            asked.retain(|rank| !explained.contains(rank));
        }
        let asking: FxHashSet<SocketId> = self.asked.values().flatten().copied().collect();
        if asking.is_empty() {
            return;
        }
        for (rank, record) in scene.window.records().iter().enumerate() {
            let (rank, sender) = (rank as Rank, scene.sockets.sender(record));
            if scene.is_request[rank as usize]
                && asking.contains(&sender)
                && !explained.contains(&rank)
                && !is_linked(rank)
            {
                self.unexplained.entry(sender).or_default().push(rank);
            }
        }
    }
}

/// Which of some copies led to which: the request that came first to all others, all replies to the last one.
fn chain(is_request: bool, ranks: &[Rank]) -> Vec<(Rank, Rank)> {
    match (is_request, ranks) {
        (true, [first, others @ ..]) => others.iter().map(|&other| (*first, other)).collect(),
        (false, [.., before, last]) => vec![(*before, *last)],
        _ => Vec::new(),
    }
}

/// Whether the last part of a message is, as far as it is kept, one octet over and over.
fn is_filler(scene: &Scene<'_>, rank: Rank) -> bool {
    let octets = scene.window.head(rank, scene.window.parts(rank).len().saturating_sub(1));
    octets.iter().all(|octet| *octet == octets[0])
}

/// The replies of each connection.
struct Answers(FxHashMap<u32, Vec<Rank>>);

impl Answers {
    fn new(scene: &Scene<'_>) -> Self {
        let mut answers: FxHashMap<u32, Vec<Rank>> = FxHashMap::default();
        for (rank, record) in scene.window.records().iter().enumerate() {
            if !scene.is_request[rank] {
                answers.entry(record.conn).or_default().push(rank as Rank);
            }
        }
        Self(answers)
    }

    /// Whether one request was answered before another that was asked earlier: as a broker does that asks on behalf.
    fn is_inside(&self, scene: &Scene<'_>, inner: Rank, outer: Rank) -> bool {
        let answer = |request: Rank| {
            let answers = self.0.get(&scene.window.record(request).conn)?;
            answers.get(answers.partition_point(|&answer| answer < request)).copied()
        };
        match (answer(inner), answer(outer)) {
            (Some(inner), Some(outer)) => inner < outer,
            (inner, None) => inner.is_some(),
            (None, Some(_)) => false,
        }
    }
}
