//! Packet → TCP segment, with `etherparse`. Pure: no state, no I/O.

pub mod segment;
