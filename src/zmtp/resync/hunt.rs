//! The search for the next frame while octets come in.

use super::{Candidates, Excerpt, Proof};
use crate::base::chunk::Position;

/// So many octets are looked at each time that there are more.
const OFTEN: usize = 4096;

/// What was skipped last, and when it is looked at next.
#[derive(Debug)]
pub struct Hunt {
    proof: Proof,
    excerpt: Excerpt,
    candidates: Candidates,
    /// So many octets have to come before the next look.
    patience: usize,
}

impl Hunt {
    /// With nothing yet to look at.
    pub fn new(proof: Proof) -> Self {
        Self { proof, excerpt: Excerpt::default(), candidates: Candidates::default(), patience: 0 }
    }

    /// The same from its beginning.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(self.proof)
    }

    /// Octets of memory.
    pub fn held(&self) -> usize {
        self.excerpt.held() + self.candidates.held()
    }

    /// What is kept.
    pub fn excerpt(&self) -> &Excerpt {
        &self.excerpt
    }

    /// The same, as the search is over.
    pub fn into_excerpt(self) -> Excerpt {
        self.excerpt
    }

    /// Keeps the octets of a packet for a later look; the oldest packets go when there are more than `limit`.
    pub fn keep(&mut self, offset: u64, position: Position, bytes: &[u8], limit: usize) {
        self.excerpt.push(offset, position, bytes, limit);
        self.patience = self.patience.saturating_sub(bytes.len());
    }

    /// Looks for a boundary: each time while there is little to look at, then each time that it has grown by a quarter.
    pub fn look<T>(&mut self, find: impl FnOnce(&Excerpt, &mut Candidates, Proof) -> Option<T>) -> Option<T> {
        if self.patience > 0 {
            return None;
        }
        let length = self.excerpt.len();
        self.patience = if length > OFTEN { length / 4 } else { 0 };
        find(&self.excerpt, &mut self.candidates, self.proof)
    }
}
