//! Which connection a segment belongs to, whichever way it travels.
//!
//! Keys are chosen by whoever sends the packets, so tables of them are seeded: nobody can choose very many that all fall
//! together, and make each look-up as long as the table.

use crate::base::endpoint::Endpoint;
use crate::decap::segment::Segment;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// Something of connections.
pub type Flows<T> = HashMap<FlowKey, T, RandomState>;

/// Some connections.
pub type FlowSet = HashSet<FlowKey, RandomState>;

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
        let Self { low, high } = self;
        for endpoint in [low, high] {
            state.write_u128(match endpoint.ip {
                IpAddr::V4(ip) => ip.to_bits().into(),
                IpAddr::V6(ip) => ip.to_bits(),
            });
        }
        state.write_u32(u32::from(low.port) << 16 | u32::from(high.port));
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;
    use rustc_hash::{FxBuildHasher, FxHashSet};
    use std::hash::BuildHasher;
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
        let table = RandomState::default();
        let hashes: FxHashSet<u64> = keys.map(|key| table.hash_one(key)).collect();
        assert!(hashes.len() > 990, "{}", hashes.len());
    }
}
