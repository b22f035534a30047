//! Short nonces count up in each direction, in clear: what was repeated, lost or left out shows without any key.
//!
//! RFC 26 only asks that they increase; libzmq and its ports count one by one, READY or INITIATE and all MESSAGEs alike.
//! The sequence numbers of Kerberos' wrapped tokens (RFC 4121, section 4.2.6) count in the same way.

/// What is odd about a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Not above the highest so far (RFC 26: it must be): replayed, or out of order.
    NotAbove {
        /// The highest so far.
        before: u64,
    },
    /// Some are left out, though no octet is missing between the two frames.
    Skipped {
        /// How many.
        count: u64,
    },
    /// So many frames were lost with the octets that are missing.
    Lost {
        /// How many.
        count: u64,
    },
}

/// What the nonces of one direction say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The first that was seen; above 3, the capture begins later than the connection.
    pub first: Option<u64>,
    /// The highest.
    pub last: Option<u64>,
    /// How many between them were not seen, for whatever reason.
    pub missing: u64,
    /// How many were not above the highest.
    pub repeated: u64,
}

/// The nonces of one direction. Says each kind of oddity that no loss explains once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nonces {
    tally: Tally,
    /// Frames since the last nonce whose own could not be read.
    unread: u64,
    /// Octets are missing since the last nonce.
    gap: bool,
    told_not_above: bool,
    told_skipped: bool,
}

impl Nonces {
    /// The next one that was sent.
    pub fn next(&mut self, nonce: u64) -> Option<Oddity> {
        let (unread, gap) = (std::mem::take(&mut self.unread), std::mem::take(&mut self.gap));
        let Some(before) = self.tally.last else {
            (self.tally.first, self.tally.last) = (Some(nonce), Some(nonce));
            return None;
        };
        if nonce <= before {
            self.tally.repeated += 1;
            let told = std::mem::replace(&mut self.told_not_above, true);
            return (!told).then_some(Oddity::NotAbove { before });
        }
        self.tally.last = Some(nonce);
        let count = (nonce - before - 1).saturating_sub(unread);
        self.tally.missing = self.tally.missing.saturating_add(count);
        if count == 0 {
            return None;
        }
        if gap {
            return Some(Oddity::Lost { count });
        }
        let told = std::mem::replace(&mut self.told_skipped, true);
        (!told).then_some(Oddity::Skipped { count })
    }

    /// A frame was sent whose nonce is not known.
    pub fn unread(&mut self) {
        self.unread += 1;
    }

    /// Octets are missing here.
    pub fn gap(&mut self) {
        self.gap = true;
    }

    /// What they say so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_by_one_is_not_odd() {
        let mut nonces = Nonces::default();
        assert!((2..9).all(|nonce| nonces.next(nonce).is_none()));
        assert_eq!(nonces.tally(), Tally { first: Some(2), last: Some(8), missing: 0, repeated: 0 });
    }

    #[test]
    fn replays_and_gaps_are_told_once_each() {
        let mut nonces = Nonces::default();
        let told: Vec<_> = [1, 2, 2, 5, 3, 9].into_iter().map(|nonce| nonces.next(nonce)).collect();
        let (replay, gap) = (Some(Oddity::NotAbove { before: 2 }), Some(Oddity::Skipped { count: 2 }));
        assert_eq!(told, [None, None, replay, gap, None, None]);
        assert_eq!(nonces.tally(), Tally { first: Some(1), last: Some(9), missing: 5, repeated: 2 });
        nonces.unread();
        assert_eq!(nonces.next(11), None, "10 was that of the frame that could not be read");
    }

    #[test]
    fn frames_lost_with_missing_octets_are_counted_each_time() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.next(3), None);
        for (nonce, count) in [(7, 3), (9, 1)] {
            nonces.gap();
            assert_eq!(nonces.next(nonce), Some(Oddity::Lost { count }));
        }
        nonces.gap();
        nonces.unread();
        assert_eq!(nonces.next(11), None, "only the frame that could not be read is damaged");
    }
}
