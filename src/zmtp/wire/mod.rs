//! Stateless parsers of what is on the wire, one grammar group a file. Each file has the same order: layout, types,
//! parser, meaning, tests.
//!
//! Headers are parsed with `nom`'s streaming parsers (more bytes may follow), delimited bodies with its complete ones.

pub mod command;
pub mod curve;
pub mod frame;
pub mod greeting;
pub mod gssapi;
pub mod http;
pub mod legacy;
pub mod metadata;
pub mod plain;
pub mod radio;
pub mod socket_type;
pub mod tsdu;
pub mod websocket;
