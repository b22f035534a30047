//! Which connection a segment belongs to, whichever way it travels.

use crate::base::endpoint::Endpoint;
use crate::decap::segment::Segment;

/// The two endpoints of a connection in a fixed order, so that both directions have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
