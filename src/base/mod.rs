//! Words that every layer may use. Nothing in here knows what a packet, a stream or a frame is.

pub mod budget;
pub mod chunk;
pub mod direction;
pub mod endpoint;
pub mod hash;
pub mod limits;
pub mod text;
pub mod time;
pub mod transport;
