//! Packet → TCP segment, with `etherparse`. Pure: no state, no I/O.

pub mod segment;

use crate::capture::packet::Packet;
use segment::{Segment, Skip};

/// The TCP segment in `packet`, or why there is none.
pub fn segment<'a>(_packet: &Packet<'a>) -> Result<Segment<'a>, Skip> {
    Err(Skip::LinkType)
}
