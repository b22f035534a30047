//! Where packets come from: files, several files merged by time, live interfaces. The only layer with I/O below `cli`.

pub mod error;
pub mod packet;
