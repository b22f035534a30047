//! Where packets come from: files, several files merged by time, live interfaces. The only layer with I/O below `cli`.
//!
//! What needs libpcap (`filter`, `interfaces`, `live`) has the same functions without it; they then say so.

pub mod batch;
pub mod error;
pub mod file;
pub mod filter;
pub mod interfaces;
pub mod live;
pub mod merge;
pub mod packet;
