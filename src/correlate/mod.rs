//! Messages of many connections → request/reply paths: which message was forwarded as which, which reply answers which
//! request.
//!
//! Pure: sees messages, never packets. Works on a window of messages at a time, so memory does not grow with the input;
//! what was learned about sockets and identities is kept from window to window. For each window:
//!
//! 1. [`sockets`]: which connections end in the same socket, and in which direction requests flow on each;
//! 2. [`nodes`]: which sending socket is the back end of which ROUTER, and where the identity stands in the envelope;
//! 3. [`identities`]: which identity names which connection on that ROUTER;
//! 4. [`hops`]: messages that entered a node joined to those that left it, and requests to replies at the worker;
//!    `pairing` of what is alike, in the order of `sending`; `opaque` brokers; `turns` at workers by `likeness`;
//!    what is `closed` is joined first, by the lengths of its parts;
//! 5. [`assemble`]: hops joined into paths.
//!
//! The rule behind it (RFC 28): at a node a request `[f1 … fn]` from connection *a* leaves as `[id, f1 … fn]`, where *id*
//! names *a* on that ROUTER; the reply `[id, g1 … gm]` leaves as `[g1 … gm]` on *a*. Equal ids on two ROUTERs are two
//! different things: the key is (ROUTER, id). In general: part *p* of a message names connection *a* on a ROUTER, and
//! the parts after it are the end of a message of *a*.

mod across_gaps;
mod alignment;
mod alternatives;
mod answers;
pub mod assemble;
pub mod attention;
pub mod carried;
pub mod clock;
mod closed;
pub mod connection;
mod connections;
pub mod correlator;
mod directions;
pub mod findings;
mod forwarding;
pub mod handshakes;
pub mod hops;
pub mod identities;
pub mod index;
mod kept_order;
mod likeness;
pub mod losses;
pub mod names;
pub mod nodes;
mod numbering;
mod opaque;
mod overtaken;
mod pairing;
pub mod path;
pub mod scene;
mod sending;
pub mod sockets;
#[cfg(test)]
mod tests;
mod turns;
pub mod window;
#[cfg(test)]
mod written;
