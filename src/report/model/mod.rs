//! The public JSON contract, schema 1: field names, their order, their types. Adding a field is fine; renaming or
//! removing one makes a new schema.
//!
//! Times are RFC 3339 UTC with nine fractional digits, durations integers of nanoseconds, bytes lower-case hexadecimal,
//! `packet` the 1-based number in its file. What is unknown is `null`. The structs borrow what they show: serializing a
//! row allocates nothing.

pub mod bytes;
pub mod connection;
pub mod fields;
pub mod finding;
pub mod frame;
pub mod interface;
pub mod message;
pub mod overview;
pub mod path;
#[cfg(test)]
mod tests;
pub mod topology;

/// Version of the contract, in every object.
pub const SCHEMA: u32 = 1;

/// One `T` a direction, as JSON.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Both<T> {
    /// Client to server.
    pub c2s: T,
    /// Server to client.
    pub s2c: T,
}

impl<T> Both<T> {
    pub(crate) fn of<U>(values: &crate::base::direction::PerDirection<U>, value: impl Fn(&U) -> T) -> Self {
        Self { c2s: value(&values.c2s), s2c: value(&values.s2c) }
    }
}
