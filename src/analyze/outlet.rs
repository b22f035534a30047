//! Where the sessions of an analysis put what they tell: [`super::results::Results`] at once, or [`super::relay::Relay`]
//! for another thread.

use super::connection::ConnectionSummary;
use super::observer::{ConnectionRef, Ends, Interest};
use crate::base::direction::Direction;
use crate::base::time::Timestamp;
use crate::correlate::findings::Finding;
use crate::zmtp::event::{Frame, Message};
use crate::zmtp::peer::Peer;

/// Receives what all connections tell, in the order in which the capture tells it.
pub(super) trait Outlet {
    /// What is wanted; the rest need not be told.
    fn interest(&self) -> Interest;
    /// A connection got its number.
    fn connection(&mut self, conn: u32, ends: &Ends);
    /// Messages of a direction may be missing, from here to its next one.
    fn incomplete(&mut self, conn: u32, direction: Direction);
    /// A peer introduced itself.
    fn peer(&mut self, conn: u32, direction: Direction, peer: &Peer);
    /// A greeting or frame.
    fn frame(&mut self, connection: &ConnectionRef<'_>, frame: &Frame<'_>);
    /// A message that is compared, and its key.
    fn message(&mut self, connection: &ConnectionRef<'_>, message: &Message<'_>, key: u64);
    /// Something to be said, or to be counted where too much was said.
    fn finding(&mut self, finding: Finding);
    /// A connection is over.
    fn closed(&mut self, summary: ConnectionSummary);
    /// Time passes without a packet.
    fn tick(&mut self, now: Timestamp);
}
