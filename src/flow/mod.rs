//! PGM packets → the data of each source in order; TCP segments → the ordered bytes of each direction of each connection, gaps explicit (RFC 9293).
//!
//! Pure: no I/O, no clock; time is what the packets say. This layer does not know what the bytes mean.
//!
//! Invariants: chunks of one direction are contiguous (`offset` of one is the end of the one before); a byte of the
//! stream is handed on once, the first copy that could be placed; what is missing is handed on as a gap, when evidence
//! (the peer acknowledged it, a limit, the end) says that it will not come.

pub mod key;
pub mod patience;
pub mod pending;
pub mod reassembly;
pub mod roles;
pub mod sequence;
pub mod table;
#[cfg(test)]
mod tests;
mod tracked;
