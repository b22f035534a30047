//! What carries ZMTP from one host to another.

use std::fmt;

/// The transport of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP: a stream each way.
    #[default]
    Tcp,
    /// WebSocket in TCP (RFC 45).
    WebSocket,
    /// RADIO to DISH in UDP datagrams: one way, each datagram a message.
    Udp,
    /// PUB to SUB in PGM (IP protocol 113): one way, to a multicast group, repaired on request.
    Pgm,
    /// The same, PGM in UDP.
    Epgm,
}

impl Transport {
    /// As in the `transport` of the JSON contract, and as the scheme of an endpoint of libzmq.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "ws",
            Self::Udp => "udp",
            Self::Pgm => "pgm",
            Self::Epgm => "epgm",
        }
    }

    /// Whether a publisher sends and nobody answers.
    pub fn is_one_way(self) -> bool {
        matches!(self, Self::Udp | Self::Pgm | Self::Epgm)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
