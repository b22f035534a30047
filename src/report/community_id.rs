//! Community ID version 1: a name for a connection that Zeek, Suricata and others give it too.
//!
//! `"1:" + base64(sha1(seed, address, address, protocol, 0, port, port))`, the smaller endpoint first, seed 0.
//! Specification: <https://github.com/corelight/community-id-spec>.

use crate::base::endpoint::Endpoint;
use crate::base::transport::Transport;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use std::net::IpAddr;

const SEED: u16 = 0;

/// The Community ID of a connection between these endpoints, whichever is the client. Without the ports where the protocol's
/// are unknown to the specification (PGM), and none for PGM in UDP, which has several ports of UDP.
pub fn community_id(transport: Transport, one: Endpoint, other: Endpoint) -> Option<String> {
    let (protocol, has_ports) = match transport {
        Transport::Tcp | Transport::WebSocket => (6, true),
        Transport::Udp => (17, true),
        Transport::Pgm => (113, false),
        Transport::Epgm => return None,
    };
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    let mut hash = Sha1::new();
    hash.update(SEED.to_be_bytes());
    for endpoint in [first, second] {
        match endpoint.ip {
            IpAddr::V4(ip) => hash.update(ip.octets()),
            IpAddr::V6(ip) => hash.update(ip.octets()),
        }
    }
    hash.update([protocol, 0]);
    if has_ports {
        hash.update(first.port.to_be_bytes());
        hash.update(second.port.to_be_bytes());
    }
    Some(format!("1:{}", STANDARD.encode(hash.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of the specification's baseline.
    #[test]
    fn published_vectors() {
        let id = |a: &str, ap, b: &str, bp| {
            let endpoint = |ip: &str, port| Endpoint::new(ip.parse::<IpAddr>().expect("an address"), port);
            community_id(Transport::Tcp, endpoint(a, ap), endpoint(b, bp)).expect("TCP has one")
        };
        let expected = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(id("128.232.110.120", 34855, "66.35.250.204", 80), expected);
        assert_eq!(id("66.35.250.204", 80, "128.232.110.120", 34855), expected);
    }
}
