//! What the two ends of a connection say of themselves: greeting and metadata.

use super::properties::Properties;
use super::wire::greeting::{Greeting, MechanismName, Version};
use super::wire::http::Subprotocol;
use super::wire::socket_type::SocketType;
use crate::base::chunk::Position;

/// Octets of metadata that stay when memory is short: several times what libzmq sends.
const KEPT_METADATA: usize = 512;

/// The longest identity (RFC 28) stays, too.
const LONGEST_IDENTITY: usize = 255;

/// What is known about one peer of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its greeting; ZMTP 1.0 has none.
    pub greeting: Option<Greeting>,
    /// What it speaks on this connection.
    pub version: Option<Version>,
    /// Over WebSocket, what both agreed on.
    pub subprotocol: Option<Subprotocol>,
    /// Its socket type, where it is one that an RFC has; the property holds it otherwise.
    pub socket_type: Option<SocketType>,
    /// The identity it announced; empty is not the same as none.
    pub identity: Option<Box<[u8]>>,
    /// All metadata properties, in order; if memory was short, the first ones.
    pub properties: Properties,
    /// Where it introduced itself.
    pub introduced: Option<Position>,
}

impl Peer {
    /// One of which only its socket type is known.
    pub fn of_type(socket_type: SocketType) -> Self {
        Self { socket_type: Some(socket_type), ..Self::default() }
    }

    /// The mechanism that it offers.
    #[inline]
    pub fn mechanism(&self) -> Option<&MechanismName> {
        let agreed = || self.subprotocol.as_ref().and_then(|subprotocol| subprotocol.mechanism.as_ref());
        self.greeting.as_ref().and_then(|greeting| greeting.mechanism.as_ref()).or_else(agreed)
    }

    /// Octets held beyond its own.
    pub fn held(&self) -> usize {
        self.properties.held() + self.identity.as_ref().map_or(0, |identity| identity.len())
    }

    /// Memory is short: gives up what no peer needs to say.
    pub fn release(&mut self) {
        self.properties.shorten(KEPT_METADATA);
        self.identity.take_if(|identity| identity.len() > LONGEST_IDENTITY);
    }
}
