//! CURVE connections opened with keys from a log (RFC 26); [`super::wire::curve`] has what is in clear.
//!
//! Any of these is enough for a connection, in whatever order its keys become known:
//!
//! ```text
//! k            the key that both transient pairs agree on: opens INITIATE, READY and every MESSAGE
//! s'           with C', which HELLO says
//! c' and S'    S' from the log, or out of WELCOME, which opens with c' and S
//! s            opens WELCOME, and so tells S'; not the traffic: long-term keys alone never do
//! ```

pub mod boxes;
pub mod likely;
pub mod nonces;
pub mod opening;
#[cfg(test)]
mod tests;
