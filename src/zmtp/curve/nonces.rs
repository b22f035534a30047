//! Short nonces count up in each direction, in clear: what was repeated or left out shows without any key.

/// What is odd about a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Not above the one before (RFC 26: it must be): replayed, or out of order.
    NotAbove {
        /// The one before.
        before: u64,
    },
    /// Some are left out, though libzmq counts one by one.
    Skipped {
        /// How many.
        count: u64,
    },
}

/// The nonces of one direction. Says each kind of oddity once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nonces {
    last: Option<u64>,
    told_not_above: bool,
    told_skipped: bool,
}

impl Nonces {
    /// The next one that was sent.
    pub fn next(&mut self, nonce: u64) -> Option<Oddity> {
        let before = self.last.replace(nonce)?;
        if nonce <= before {
            let told = std::mem::replace(&mut self.told_not_above, true);
            return (!told).then_some(Oddity::NotAbove { before });
        }
        let count = nonce - before - 1;
        let told = count == 0 || std::mem::replace(&mut self.told_skipped, true);
        (!told).then_some(Oddity::Skipped { count })
    }

    /// A frame was sent whose nonce is not known.
    pub fn unknown(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_by_one_is_not_odd() {
        let mut nonces = Nonces::default();
        assert!((2..9).all(|nonce| nonces.next(nonce).is_none()));
    }

    #[test]
    fn replays_and_gaps_are_told_once_each() {
        let mut nonces = Nonces::default();
        let told: Vec<_> = [1, 2, 2, 5, 5, 9].into_iter().map(|nonce| nonces.next(nonce)).collect();
        let (replay, gap) = (Some(Oddity::NotAbove { before: 2 }), Some(Oddity::Skipped { count: 2 }));
        assert_eq!(told, [None, None, replay, gap, None, None]);
        nonces.unknown();
        assert_eq!(nonces.next(3), None);
    }
}
