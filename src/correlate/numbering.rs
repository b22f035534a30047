//! The numbers that libzmq's ROUTERs give their anonymous peers, one by one in about the order of their handshakes.

use super::connection::Connection;
use super::handshakes::Order;
use super::scene::Scene;
use super::sockets::Frontend;
use std::collections::BTreeMap;

/// What the order of handshakes weighs: it is kept almost always.
const PREDICTION: f64 = 6.0;

/// So many identities that agree say in which order their like were handed out, or more than half of them.
const ENOUGH_VOTES: usize = 3;

/// So many with the next lower numbers are asked for that of one, and as many with the next higher ones.
const NEAR: usize = 6;

/// Handshakes that peers completed less apart than this many nanoseconds may change places: an I/O thread takes what came
/// while it was busy in any order. The weight of the order grows with the distance, up to this.
const SIMULTANEOUS: f64 = 1e6;

/// Identities that are numbers, one more for each anonymous peer in the order of their handshakes.
pub(super) struct HandshakeOrder<'a> {
    /// Identities by number, each with the number that the first connection in `order` has if it names the one that it seems
    /// to. Peers whose handshakes are not in the capture were numbered too, so this grows now and then.
    firsts: Vec<(u32, u32)>,
    order: Order<'a>,
}

impl<'a> HandshakeOrder<'a> {
    /// Learns from identities and the connections that they seem to name; `None` if they are not numbered.
    pub(super) fn learn(
        scene: &'a Scene<'_>,
        frontend: Frontend,
        named: impl Iterator<Item = (u64, u32)>,
    ) -> Option<Self> {
        let order = scene.sockets.handshakes(frontend);
        let place = |conn: u32| {
            let connection = scene.sockets.connection(conn);
            order.place(frontend, connection.handshake?, conn)
        };
        let first = |(identity, conn): (u64, u32)| {
            let number = number(scene, identity)?;
            Some((number, number.wrapping_sub(place(conn)?)))
        };
        let mut firsts: Vec<(u32, u32)> = named.filter_map(first).collect();
        firsts.sort_unstable();
        agreed(&firsts)?;
        Some(Self { firsts, order })
    }

    /// What the identities with about this number say.
    pub(super) fn predict<'s>(&self, scene: &'s Scene<'_>, identity: u64) -> Option<Predicted<'s>> {
        let number = number(scene, identity)?;
        let at = self.firsts.partition_point(|(other, _)| *other < number);
        let near = &self.firsts[at.saturating_sub(NEAR)..(at + NEAR + 1).min(self.firsts.len())];
        let conn = self.order.at(number.wrapping_sub(agreed(near)?))?;
        Some(Predicted { scene, conn })
    }
}

/// The first number that enough identities agree on.
fn agreed(firsts: &[(u32, u32)]) -> Option<u32> {
    let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
    for (_, first) in firsts {
        *votes.entry(*first).or_default() += 1;
    }
    let (first, most) = votes.into_iter().max_by_key(|(_, count)| *count)?;
    (most * 2 > firsts.len() || most >= ENOUGH_VOTES).then_some(first)
}

/// The connection that the order of handshakes says has an identity.
pub(super) struct Predicted<'a> {
    scene: &'a Scene<'a>,
    pub(super) conn: u32,
}

impl Predicted<'_> {
    /// What that weighs for a connection.
    pub(super) fn weight(&self, conn: u32) -> f64 {
        if conn == self.conn {
            return PREDICTION;
        }
        let [here, there] = [conn, self.conn].map(|conn| self.scene.sockets.connection(conn));
        let was_welcomed =
            |connection: &Connection| connection.requests.is_some_and(|peer| connection.was_welcomed(peer));
        let (Some((here_at, _)), Some((there_at, _))) = (here.handshake, there.handshake) else { return 0.0 };
        if was_welcomed(here) && was_welcomed(there) {
            return 0.0;
        }
        PREDICTION * (1.0 - here_at.0.abs_diff(there_at.0) as f64 / SIMULTANEOUS).max(0.0)
    }
}

/// The number in an identity that libzmq assigned: a zero octet, then 32 bits, big-endian.
fn number(scene: &Scene<'_>, identity: u64) -> Option<u32> {
    match scene.window.identity(identity)? {
        [0, number @ ..] => number.try_into().ok().map(u32::from_be_bytes),
        _ => None,
    }
}
