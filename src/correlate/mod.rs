//! Events of many connections → meaning: which message was forwarded as which, which reply answers which request.
//!
//! Pure: sees messages, never packets. Works on a window of messages at a time, so memory does not grow with the input;
//! what was learned about sockets and identities is kept from window to window. ARCHITECTURE.md tells the method.

pub mod correlator;
pub mod findings;
pub mod path;
