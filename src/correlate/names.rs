//! What is known of the identities of a ROUTER.

use super::sockets::Sockets;
use foldhash::fast::RandomState;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::collections::HashMap;

/// What an identity names.
#[derive(Clone, Debug)]
pub struct Name {
    /// The connections: one, or for an announced identity all that announced it, oldest first.
    pub conns: SmallVec<[u32; 2]>,
    /// Whether it was announced.
    pub announced: bool,
    /// How sure, 0 to 1.
    pub confidence: f64,
}

/// Names of the connections of one ROUTER.
#[derive(Debug, Default)]
pub struct Names {
    /// By hash of the identity. Peers choose what they announce, so it must not be known which meet in a table.
    by_identity: HashMap<u64, Name, RandomState>,
    /// The connections that have one.
    taken: FxHashSet<u32>,
}

impl Names {
    /// What an identity names.
    pub fn get(&self, identity: u64) -> Option<&Name> {
        self.by_identity.get(&identity)
    }

    /// Whether a connection has a name.
    pub fn has(&self, conn: u32) -> bool {
        self.taken.contains(&conn)
    }

    /// Takes over what was found.
    pub fn extend(&mut self, found: Vec<(u64, Name)>) {
        for (identity, name) in found {
            self.taken.extend(&name.conns);
            self.by_identity.insert(identity, name);
        }
    }

    /// Forgets released connections. Says whether any is left.
    pub fn retain(&mut self, sockets: &Sockets) -> bool {
        self.by_identity.retain(|_, name| {
            name.conns.retain(|conn| sockets.is_known(*conn));
            !name.conns.is_empty()
        });
        self.taken.retain(|&conn| sockets.is_known(conn));
        !self.by_identity.is_empty()
    }
}
