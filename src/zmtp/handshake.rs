//! How far the handshake got. The order of each mechanism: NULL (RFC 37) READY both ways; PLAIN (RFC 24) and CURVE
//! (RFC 26) HELLO, WELCOME, INITIATE from the client in turn with the server, then the server's READY. GSSAPI (libzmq)
//! INITIATE both ways as often as it takes, then READY both ways, in clear or wrapped in a MESSAGE command.

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

/// The last command of the handshake that a side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// None.
    #[default]
    Nothing,
    /// HELLO.
    Hello,
    /// WELCOME.
    Welcome,
    /// INITIATE.
    Initiate,
    /// READY, or what stands for it.
    Ready,
    /// ERROR.
    Error,
}

/// The handshake of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshake {
    ready: PerDirection<bool>,
    steps: PerDirection<Step>,
    failed: bool,
    complete: bool,
}

impl Handshake {
    /// A command was sent.
    pub fn command(&mut self, direction: Direction, name: &[u8], mechanism: MechanismName) {
        let gssapi = mechanism == MechanismName::GSSAPI;
        if !self.complete {
            self.steps[direction] = match name {
                b"HELLO" => Step::Hello,
                b"WELCOME" => Step::Welcome,
                b"INITIATE" => Step::Initiate,
                b"READY" => Step::Ready,
                b"MESSAGE" if gssapi => Step::Ready,
                b"ERROR" => Step::Error,
                _ => self.steps[direction],
            };
        }
        match name {
            b"MESSAGE" if gssapi => self.ready[direction] = true,
            b"READY" => self.ready[direction] = true,
            b"ERROR" if !self.complete => self.failed = true,
            _ => return,
        }
        // Only the server sends READY under PLAIN and CURVE.
        let by_both = gssapi || mechanism == MechanismName::NULL;
        self.complete =
            !self.failed && if by_both { self.ready.c2s && self.ready.s2c } else { self.ready.c2s || self.ready.s2c };
    }

    /// A server did not agree to an upgrade.
    pub fn refuse(&mut self) {
        self.failed = true;
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

    /// The last command of each side.
    pub fn steps(&self) -> PerDirection<Step> {
        self.steps
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
