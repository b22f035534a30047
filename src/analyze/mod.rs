//! The engine: wires capture, decapsulation, flows, sessions and correlation together. Knows no format, no terminal.

pub mod accounts;
pub mod clocks;
pub mod connection;
mod datagrams;
pub mod diagnosis;
mod ended;
pub mod engine;
pub mod gate;
pub mod health;
pub mod keys;
pub mod observer;
mod outlet;
pub mod refused;
mod relay;
mod results;
mod sink;
pub mod stages;
mod stray;
