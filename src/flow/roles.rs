//! Which side of a connection is the server.
//!
//! The SYN says so. A connection that was open before the capture began shows none: then an endpoint that accepted
//! other connections is the server, else the lower port is (ephemeral ports are high, RFC 6335 section 6).

use crate::base::endpoint::Endpoint;
use crate::decap::segment::Segment;
use std::collections::HashSet;

/// The endpoints that were seen to accept connections.
#[derive(Debug, Default)]
pub struct Listeners {
    endpoints: HashSet<Endpoint>,
    limit: usize,
}

impl Listeners {
    /// Remembers at most `limit` endpoints.
    pub fn new(limit: usize) -> Self {
        Self { endpoints: HashSet::default(), limit }
    }

    /// Whether the source of `segment`, the first of its connection, is the client.
    pub fn source_is_client(&mut self, segment: &Segment<'_>) -> bool {
        let (source, destination) = (segment.source, segment.destination);
        if segment.flags.syn {
            let (client, server) = if segment.flags.ack { (destination, source) } else { (source, destination) };
            if self.endpoints.len() < self.limit {
                self.endpoints.insert(server);
            }
            return client == source;
        }
        match (self.endpoints.contains(&source), self.endpoints.contains(&destination)) {
            (true, false) => false,
            (false, true) => true,
            _ => (destination.port, destination.ip) < (source.port, source.ip),
        }
    }
}
