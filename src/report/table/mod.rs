//! Tables for people: as wide as the terminal, colour if wanted, no control character from the wire.

pub mod boxed;
pub mod connections;
pub mod drawn;
pub mod findings;
pub mod frames;
pub mod interfaces;
pub mod lines;
pub mod messages;
pub mod overview;
pub mod paths;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod topology;
