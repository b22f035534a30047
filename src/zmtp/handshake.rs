//! How far the handshake got. The order of each mechanism: NULL (RFC 37) READY both ways; PLAIN (RFC 24) and CURVE
//! (RFC 26) HELLO, WELCOME, INITIATE from the client in turn with the server, then the server's READY.

use super::wire::greeting::MechanismName;
use crate::base::direction::{Direction, PerDirection};

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Traffic may flow.
    Complete,
    /// A peer sent ERROR.
    Failed,
    /// Neither.
    Partial,
}

/// The handshake of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshake {
    ready: PerDirection<bool>,
    failed: bool,
    complete: bool,
}

impl Handshake {
    /// A command was sent.
    pub fn command(&mut self, direction: Direction, name: &[u8], mechanism: MechanismName) {
        match name {
            b"READY" => self.ready[direction] = true,
            b"ERROR" if !self.complete => self.failed = true,
            _ => return,
        }
        // Only the server sends READY under the other mechanisms.
        let by_both = mechanism == MechanismName::NULL;
        self.complete =
            !self.failed && if by_both { self.ready.c2s && self.ready.s2c } else { self.ready.c2s || self.ready.s2c };
    }

    /// A peer of ZMTP 1.0 or 2.0 sent its identity, which is all of the handshake there.
    pub fn identity(&mut self, direction: Direction) {
        self.ready[direction] = true;
        self.complete = self.ready.c2s && self.ready.s2c;
    }

    /// Whether the side that sends in `direction` said READY, or its identity before ZMTP 3.0.
    pub fn is_ready(&self, direction: Direction) -> bool {
        self.ready[direction]
    }

    /// How far it got.
    pub fn progress(&self) -> Progress {
        match (self.failed, self.complete) {
            (true, _) => Progress::Failed,
            (false, true) => Progress::Complete,
            (false, false) => Progress::Partial,
        }
    }
}
