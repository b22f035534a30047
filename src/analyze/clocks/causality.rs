//! What passed a node between two hosts whose captures have no packet in common.
//!
//! A message that left a node came in before. Where as many messages of some content came in at a ROUTER as left with an
//! identity in front, the k-th that left is later than the k-th that came in, whichever belong together: each bounds the
//! difference of the clocks from one side, and the replies bound it from the other.

use super::Difference;
use super::bounds::Bounds;
use super::sightings::connection_hash;
use crate::analyze::connection::ConnectionSummary;
use crate::analyze::engine::{Analyzer, Options};
use crate::analyze::observer::{ConnectionRef, Observer};
use crate::base::direction::Direction;
use crate::base::hash::hash_with_seed;
use crate::base::time::Timestamp;
use crate::capture::error::CaptureError;
use crate::capture::packet::{Next, PacketSource};
use crate::zmtp::event::Message;
use crate::zmtp::wire::socket_type::SocketType;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::RangeInclusive;

/// How deep in an envelope an identity is looked for; see [`crate::correlate::nodes`].
const DEPTHS: usize = 4;

/// Lengths of an identity (RFC 28).
const IDENTITY: RangeInclusive<u64> = 1..=255;

/// Where contents are equal, messages are paired by number alone. They are believed to be the same messages if their delays
/// differ by less than this share of the time that they took together.
const LIKENESS: i64 = 10;

/// Times of messages by their content.
type Times<K> = FxHashMap<K, Vec<Timestamp>>;

/// The content of a message that is tagged with an identity: what follows it, and how deep in the envelope it was.
type TaggedContent = (u64, usize);

/// The messages of one file that may have passed a node.
#[derive(Default)]
pub(super) struct Passages {
    /// Came in at a ROUTER.
    requests_in: Times<u64>,
    /// Left with an identity in front.
    requests_out: Times<TaggedContent>,
    /// Came back with it.
    replies_in: Times<TaggedContent>,
    /// Left a ROUTER.
    replies_out: Times<u64>,
    connections: FxHashSet<u64>,
    messages: usize,
    limit: usize,
}

impl Observer for Passages {
    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, _key: u64) {
        if message.parts.len() as u64 != message.part_count || message.parts.iter().any(|part| part.missing > 0) {
            return;
        }
        self.messages += 1;
        let kind = |direction: Direction| connection.peers[direction].socket_type;
        let (sender, receiver) = (kind(message.direction), kind(message.direction.reverse()));
        let is = |end: Option<SocketType>, types: &[SocketType]| end.is_none_or(|end| types.contains(&end));
        let (router, either) = (&[SocketType::ROUTER][..], &[SocketType::ROUTER, SocketType::DEALER][..]);
        let at = message.end.at;
        let mut content = 0;
        for (number, part) in message.parts.iter().enumerate().rev() {
            if number < DEPTHS && number + 1 < message.parts.len() && IDENTITY.contains(&part.length) {
                if is(sender, either) {
                    self.requests_out.entry((content, number)).or_default().push(at);
                }
                if is(receiver, either) {
                    self.replies_in.entry((content, number)).or_default().push(at);
                }
            }
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&part.hash.to_be_bytes());
            bytes[8..].copy_from_slice(&part.length.to_be_bytes());
            content = hash_with_seed(&bytes, content);
        }
        if is(receiver, router) {
            self.requests_in.entry(content).or_default().push(at);
        }
        if is(sender, router) {
            self.replies_out.entry(content).or_default().push(at);
        }
    }

    fn connection(&mut self, connection: &ConnectionSummary) {
        self.connections.insert(connection_hash(connection.client, connection.server));
    }
}

impl Passages {
    fn is_full(&self) -> bool {
        self.messages >= self.limit
    }
}

/// Reads the messages of each file that can be opened, at most `samples` of each.
pub(super) fn read(
    files: usize,
    samples: usize,
    options: &Options,
    open: &mut dyn FnMut(usize) -> Result<Option<Box<dyn PacketSource>>, CaptureError>,
) -> Result<Vec<Option<Passages>>, CaptureError> {
    (0..files).map(|file| open(file)?.map(|mut source| passages(&mut *source, samples, options)).transpose()).collect()
}

fn passages(source: &mut dyn PacketSource, samples: usize, options: &Options) -> Result<Passages, CaptureError> {
    let passages = Passages { limit: samples, ..Passages::default() };
    let mut analyzer = Analyzer::new(options.clone(), passages);
    while let Next::Packet(packet) = source.next_packet()? {
        analyzer.packet(&packet);
        if analyzer.observer().is_full() {
            break;
        }
    }
    Ok(analyzer.finish().0)
}

/// How far the clock of `other` is ahead of that of `one`; `None` if nothing tells.
pub(super) fn difference(one: &Passages, other: &Passages) -> Option<Difference> {
    // Without a common packet, a connection of both is one capture continued in another file: the clock is the same.
    if !one.connections.is_disjoint(&other.connections) {
        return None;
    }
    let mut bounds = Bounds::default();
    forwards(one, other, &mut bounds);
    let mut reversed = Bounds::default();
    forwards(other, one, &mut reversed);
    bounds.upper.extend(reversed.lower.iter().map(|bound| bound.saturating_neg()));
    bounds.lower.extend(reversed.upper.iter().map(|bound| bound.saturating_neg()));
    bounds.difference()
}

/// What requests that came in at `front` and left at `back`, and their replies, tell about how far the latter's clock is
/// ahead.
fn forwards(front: &Passages, back: &Passages, bounds: &mut Bounds) {
    let cut = front.is_full() || back.is_full();
    for ((content, _), left) in &back.requests_out {
        if let Some(came) = front.requests_in.get(content) {
            bounds.upper.extend(delays(came, left, cut));
        }
    }
    for ((content, _), came) in &back.replies_in {
        if let Some(left) = front.replies_out.get(content) {
            bounds.lower.extend(delays(came, left, cut).iter().map(|delay| delay.saturating_neg()));
        }
    }
}

/// From the k-th that came in to the k-th that left, where they can be the same messages. Where reading was `cut` short
/// there may be more of one.
fn delays(came: &[Timestamp], left: &[Timestamp], cut: bool) -> Vec<i64> {
    if came.len() != left.len() && !cut {
        return Vec::new();
    }
    let sorted = |times: &[Timestamp]| {
        let mut times = times.to_vec();
        times.sort_unstable();
        times
    };
    let (came, left) = (sorted(came), sorted(left));
    let mut delays: Vec<i64> = came.iter().zip(&left).map(|(came, left)| (*left - *came).0).collect();
    if delays.len() > 1 {
        delays.sort_unstable();
        let spread = delays[delays.len() * 3 / 4].saturating_sub(delays[delays.len() / 4]);
        let span = (came[delays.len() - 1] - came[0]).0;
        if spread.saturating_mul(LIKENESS) > span {
            return Vec::new();
        }
    }
    delays
}
