//! Whole messages of which nobody wants to see more than how many they are.

use super::probe::Framing;
use super::resync::{Shape, is_plausible};
use super::wire::frame::FrameHeader;
use smallvec::SmallVec;

/// What a message that is sealed by CURVE or GSSAPI begins with.
const MESSAGE: &[u8] = b"\x07MESSAGE";

/// Some messages, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub messages: u64,
    /// Their frames.
    pub frames: u64,
    /// Octets of their bodies.
    pub body_bytes: u64,
}

/// Counts the messages with which these octets begin, up to the first that is not whole, is a command, or could be anything
/// but what it looks like; and what follows them. How they look is learnt from them; `begins_packet` if a packet does where the
/// first one does.
pub(super) fn skim<'a>(
    framing: Framing,
    octets: &'a [u8],
    shape: &mut Shape,
    begins_packet: bool,
) -> (Tally, &'a [u8]) {
    let mut tally = Tally::default();
    let (mut rest, mut begins_packet) = (octets, begins_packet);
    let mut parts = SmallVec::<[FrameHeader; 8]>::new();
    while let Some(after) = message(framing, rest, &mut parts) {
        for &header in &parts {
            shape.frame(header, std::mem::take(&mut begins_packet));
            tally.body_bytes += header.length;
        }
        tally.messages += 1;
        tally.frames += parts.len() as u64;
        rest = after;
    }
    (tally, rest)
}

/// The parts of the message that begins here, and what follows it.
fn message<'a>(framing: Framing, octets: &'a [u8], parts: &mut SmallVec<[FrameHeader; 8]>) -> Option<&'a [u8]> {
    parts.clear();
    let mut rest = octets;
    loop {
        let (header, after) = frame(framing, rest)?;
        parts.push(header);
        rest = after;
        if !header.flags.more() {
            return Some(rest);
        }
    }
}

/// A part of a message, and what follows it.
#[inline]
fn frame(framing: Framing, octets: &[u8]) -> Option<(FrameHeader, &[u8])> {
    let (rest, header) = framing.header(octets).ok()?;
    let last_octet = octets[octets.len() - rest.len() - 1];
    // An empty message may be the beginning of something else (`super::doubt`), and one that looks sealed may be.
    let is_plain = !header.flags.command()
        && !header.is_empty_message()
        && !rest.starts_with(MESSAGE)
        && is_plausible(framing, header, last_octet);
    let body = usize::try_from(header.length).ok().filter(|_| is_plain)?;
    rest.get(body..).map(|after| (header, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_are_counted_up_to_what_is_not() {
        let octets = b"\x00\x02ab\x01\x00\x00\x03xyz\x00\x01c";
        for (odd, why) in [
            (&b""[..], "the end"),
            (b"\x00\x05ab", "a body that goes on"),
            (b"\x01\x01a\x00", "a message that goes on"),
            (b"\x04\x06\x04PING\0", "a command"),
            (b"\x00\x00", "an empty message"),
            (b"\x00\x0a\x07MESSAGE\0\0", "a message that may be sealed"),
            (b"\x08\x01a", "reserved flags"),
            (b"\x02\0\0\0\0\0\0\0\x01a", "a long frame that is short"),
        ] {
            let all = [octets, odd].concat();
            let (tally, rest) = skim(Framing::V3, &all, &mut Shape::default(), true);
            assert_eq!(tally, Tally { messages: 3, frames: 4, body_bytes: 6 }, "{why}");
            assert_eq!(rest, odd, "{why}");
        }
    }
}
