//! The protocol, pure and reusable alone: bytes of both directions of a stream in, events out.
//!
//! Specifications: ZMTP 1.0 (RFC 13), 2.0 (RFC 15), 3.0 (RFC 23), 3.1 (RFC 37), PLAIN (RFC 24), CURVE (RFC 25, 26), WebSocket (RFC 45). This layer does not know that
//! TCP exists; offsets and positions pass through it unchanged.
//!
//! Invariants: a header is parsed, a body is streamed (no buffer grows with a message); a violation is an [`anomaly`],
//! never an error; an unknown value is kept as data.

pub mod anomaly;
pub mod assembler;
pub mod carrier;
pub mod curve;
pub mod datagrams;
pub mod doubt;
pub mod event;
pub mod framer;
pub mod handshake;
pub mod keylog;
pub mod peer;
pub mod probe;
pub mod properties;
pub mod resync;
pub mod role;
pub mod session;
pub mod skim;
#[cfg(test)]
mod tests;
pub mod wire;
pub mod ws;
