//! Which connection a segment belongs to, whichever way it travels.
//!
//! Keys are chosen by whoever sends the packets, so their hash depends on a number that is drawn anew in each process: nobody
//! can choose very many that all fall together, and make each look-up as long as the table.

use crate::base::endpoint::Endpoint;
use crate::base::hash::hash_with_seed;
use crate::decap::segment::Segment;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

/// What nobody knows who makes up packets.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

/// Octets of an address and a port.
const ENDPOINT: usize = 16 + 2;

/// The two endpoints of a connection in a fixed order, so that both directions have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
}

impl FlowKey {
    /// The key of the connection that `segment` belongs to.
    pub fn of(segment: &Segment<'_>) -> Self {
        let (a, b) = (segment.source, segment.destination);
        if a <= b { Self { low: a, high: b } } else { Self { low: b, high: a } }
    }

    /// The two endpoints, the lower one first.
    pub fn endpoints(&self) -> (Endpoint, Endpoint) {
        (self.low, self.high)
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut octets = [0; 2 * ENDPOINT];
        let (low, high) = octets.split_at_mut(ENDPOINT);
        for (octets, endpoint) in [(low, self.low), (high, self.high)] {
            match endpoint.ip {
                IpAddr::V4(ip) => octets[..4].copy_from_slice(&ip.octets()),
                IpAddr::V6(ip) => octets[..16].copy_from_slice(&ip.octets()),
            }
            octets[16..].copy_from_slice(&endpoint.port.to_be_bytes());
        }
        state.write_u64(hash_with_seed(&octets, *SEED));
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;
    use rustc_hash::{FxBuildHasher, FxHashSet};
    use std::net::Ipv6Addr;

    /// Each half of such an address cancels out what the other does to the hash that is used for keys which nobody chooses.
    #[test]
    fn addresses_that_fall_together_for_one_hash_do_not_for_this() {
        const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;
        let addresses = (0..1000_u64).map(|number| {
            let other = number.wrapping_mul(MULTIPLIER).wrapping_neg();
            Ipv6Addr::from((u128::from(other) << 64 | u128::from(number)).to_ne_bytes())
        });
        let fixed: FxHashSet<u64> = addresses.clone().map(|ip| FxBuildHasher.hash_one(ip)).collect();
        assert_eq!(fixed.len(), 1, "what makes this test worth something");
        let server = Endpoint::new(Ipv6Addr::LOCALHOST, 5555);
        let keys = addresses.map(|ip| FlowKey { low: server, high: Endpoint::new(ip, 40_000) });
        let hashes: FxHashSet<u64> = keys.map(|key| FxBuildHasher.hash_one(key)).collect();
        assert!(hashes.len() > 990, "{}", hashes.len());
    }
}
