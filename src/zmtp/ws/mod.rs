//! ZMTP over WebSocket: ZWS 2.0 (RFC 45) on WebSocket (RFC 6455). An HTTP exchange instead of greetings, then one
//! WebSocket message for each ZMTP frame.
//!
//! `exchange` finds the upgrade in the HTTP with which a connection begins, `framer` makes of what follows the same items
//! as [`super::framer`] makes of ZMTP's own stream, so that sessions need not know the difference.

pub mod exchange;
pub mod framer;
pub mod oddity;
mod resync;
#[cfg(test)]
mod tests;
