//! The correlator's front: takes what sessions tell, gives paths.

use super::path::Path;
use crate::base::direction::Direction;
use crate::base::endpoint::Endpoint;
use crate::base::limits::Limits;
use crate::base::time::Timestamp;
use crate::zmtp::event::Message;
use crate::zmtp::session::Peer;

/// Joins messages of many connections into paths.
#[derive(Debug)]
pub struct Correlator {
    given_up: u64,
}

impl Correlator {
    /// Nothing seen yet.
    pub fn new(_limits: &Limits) -> Self {
        Self { given_up: 0 }
    }

    /// A connection got its number.
    pub fn connection(&mut self, _conn: u32, _client: Endpoint, _server: Endpoint, _opened: Timestamp) {}

    /// A peer introduced itself.
    pub fn peer(&mut self, _conn: u32, _direction: Direction, _peer: &Peer) {}

    /// A connection is over.
    pub fn ended(&mut self, _conn: u32, _by_server: bool) {}

    /// A message is complete.
    pub fn message(&mut self, _conn: u32, _key: u64, _message: &Message<'_>, _on: &mut impl FnMut(&Path)) {}

    /// Time passes.
    pub fn tick(&mut self, _now: Timestamp, _on: &mut impl FnMut(&Path)) {}

    /// No more messages.
    pub fn finish(&mut self, _on: &mut impl FnMut(&Path)) {}

    /// Messages given up because there were too many at once.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }
}
