//! Where frames may begin in an excerpt that is looked at again and again while it grows.
//!
//! Where no frame can begin none can later on, so each octet is refused once.

use super::excerpt::Excerpt;

/// So many candidates a look usually adds, or fewer.
const NEW: usize = 32;

/// What earlier looks left. Octets are counted from the excerpt's first, those that it forgot included.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Those of the octets that were judged at which frames may begin, ascending.
    possible: Vec<usize>,
    /// So many octets were judged.
    judged: usize,
}

/// One look.
pub(super) struct Look<'c> {
    earlier: &'c mut Candidates,
    now: Candidates,
    forgotten: usize,
}

impl Candidates {
    /// Octets of memory.
    pub fn held(&self) -> usize {
        self.possible.capacity() * size_of::<usize>()
    }

    /// A look at what the excerpt has by now.
    pub(super) fn look(&mut self, excerpt: &Excerpt) -> Look<'_> {
        let forgotten = excerpt.forgotten();
        let possible = Vec::with_capacity(self.possible.len() + NEW);
        Look { earlier: self, now: Self { possible, judged: forgotten }, forgotten }
    }
}

impl Look<'_> {
    /// The first index from this one on that is worth a look. `first_new` is asked for that of octets that were not judged.
    pub(super) fn next(&self, from: usize, first_new: impl FnOnce(usize) -> Option<usize>) -> Option<usize> {
        let Candidates { possible, judged } = &*self.earlier;
        let from = from + self.forgotten;
        match possible.get(possible.partition_point(|&at| at < from)) {
            Some(&at) => Some(at - self.forgotten),
            None => first_new(from.max(*judged) - self.forgotten),
        }
    }

    /// None was worth it before this index, from where [`Self::next`] was asked on; and whether a frame may begin there.
    pub(super) fn judge(&mut self, from: usize, index: usize, is_possible: bool) {
        // What is passed over stays for another look.
        if from + self.forgotten == self.now.judged {
            self.now.judged = index + self.forgotten + 1;
            if is_possible {
                self.now.possible.push(index + self.forgotten);
            }
        }
    }

    /// The look is over.
    pub(super) fn end(self) {
        let Self { earlier, mut now, .. } = self;
        let later = earlier.possible.partition_point(|&at| at < now.judged);
        now.possible.extend_from_slice(&earlier.possible[later..]);
        now.judged = now.judged.max(earlier.judged);
        *earlier = now;
    }
}
