//! The engine: wires capture, decapsulation, flows, sessions and correlation together. Knows no format, no terminal.

pub mod clocks;
pub mod connection;
pub mod engine;
pub mod gate;
pub mod health;
pub mod keys;
pub mod observer;
mod stray;
