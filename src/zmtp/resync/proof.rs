//! How much one header, and the chain of frames that begins with it, proves.

use super::excerpt::Excerpt;
use crate::zmtp::probe::Framing;
use crate::zmtp::wire::command::{NAME_OCTETS, is_known_name};
use crate::zmtp::wire::frame::FrameHeader;
use crate::zmtp::wire::legacy;

/// A short frame's flags have 6 values of 256.
pub(super) const FLAGS: u32 = 5;

/// The frames end where a packet ends.
const ENDS_WITH_PACKET: u32 = 8;

/// The upper octets of a long frame's length are zero, or the name of a command is known. Enough anywhere in a stream of
/// ZMTP: chance needs 39 bits for a long header, though tables of numbers are not chance.
pub(super) const STRUCTURE: u32 = 26;

/// No frame that is met in the middle of a stream is longer.
const LONGEST: u64 = 1 << 32;

/// How a MESSAGE of CURVE begins, which libzmq sends without the COMMAND flag.
const SEALED: &[u8] = b"\x07MESSAGE";

/// For each index: bits of proof that frames begin there, `None` if they cannot. Each builds on the one of the next
/// frame, so they are found from the end.
pub(super) fn proofs(framing: Framing, excerpt: &Excerpt, empties: bool) -> Vec<Option<u32>> {
    let mut proofs: Vec<Option<u32>> = vec![Some(0); excerpt.len() + 1];
    for (start, run, offset) in excerpt.runs().rev() {
        for within in (0..run.len()).rev() {
            let rest = &run[within..];
            let at = start + within;
            if !can_begin(framing, rest[0]) {
                proofs[at] = None;
                continue;
            }
            proofs[at] = match framing.header(rest) {
                Ok((body, header)) => of_header(framing, rest, body, header).and_then(|bits| {
                    let body_at = within + rest.len() - body.len();
                    let next_offset = (offset + body_at as u64).saturating_add(header.length);
                    let next = match usize::try_from(header.length).ok().filter(|&length| length < body.len()) {
                        Some(length) => Some(start + body_at + length),
                        None => excerpt.index(next_offset),
                    };
                    if let Some(next) = next.filter(|_| !empties && !header.flags.more())
                        && is_empty_end(framing, excerpt.run(next))
                    {
                        return None;
                    }
                    let whole = !header.flags.more() && header.length > 0;
                    let end = if whole && excerpt.is_packet_end(next_offset) { ENDS_WITH_PACKET } else { 0 };
                    let rest = next.map_or(Some(0), |next| proofs[next])?;
                    Some(bits.saturating_add(end).saturating_add(rest))
                }),
                Err(error) => error.is_incomplete().then_some(0),
            };
        }
    }
    proofs
}

/// Whether a frame can begin with this octet: a quick look that most octets fail.
fn can_begin(framing: Framing, octet: u8) -> bool {
    match framing {
        Framing::V1 => octet != 0,
        Framing::V2 | Framing::V3 => octet < 8,
    }
}

/// Whether a header can be one in the middle of a stream. `flags_octet` is the flags as they were sent.
pub fn is_plausible(framing: Framing, header: FrameHeader, flags_octet: u8) -> bool {
    let FrameHeader { flags, length } = header;
    let possible = match framing {
        Framing::V1 => legacy::is_plausible_flags(flags_octet) && (!flags.long() || length >= 254),
        Framing::V2 => flags.reserved() == 0 && !flags.command() && (!flags.long() || length > 255),
        Framing::V3 => flags.reserved() == 0 && (!flags.long() || length > 255),
    };
    possible && length <= LONGEST && !(flags.command() && flags.more())
}

/// Bits of proof in one header; `None` if there is none such. `rest` begins with it, `body` is what follows.
pub(super) fn of_header(framing: Framing, rest: &[u8], body: &[u8], header: FrameHeader) -> Option<u32> {
    let FrameHeader { flags, length } = header;
    if !is_plausible(framing, header, rest[rest.len() - body.len() - 1]) {
        return None;
    }
    if is_rest_of_greeting(rest) {
        return None;
    }
    if flags.command() {
        let cut = (body.len() as u64) < length.min(NAME_OCTETS as u64);
        return is_known_name(body).then_some(STRUCTURE).or(cut.then_some(0));
    }
    if is_sealed(framing, header, body) {
        return Some(2 * STRUCTURE);
    }
    Some(match (flags.long(), length) {
        (true, _) => STRUCTURE,
        // Runs of zeros look like this.
        (false, 0) if !flags.more() => 0,
        (false, _) => FLAGS,
    })
}

/// Whether the minor version of a greeting and its mechanism (RFC 23, greeting) are taken for a header: its first packet may
/// be lost alone.
fn is_rest_of_greeting(rest: &[u8]) -> bool {
    let mechanisms: [&[u8]; 4] = [b"NULL\0\0\0\0", b"PLAIN\0\0\0", b"CURVE\0\0\0", b"GSSAPI\0\0"];
    rest.get(1..).is_some_and(|rest| mechanisms.iter().any(|mechanism| rest.starts_with(mechanism)))
}

/// An empty frame that ends a message proves nothing, since zeros look like it; alone, it is no message that many send.
pub(super) fn is_empty_end(framing: Framing, run: &[u8]) -> bool {
    framing.header(run).is_ok_and(|(_, header)| header.length == 0 && !header.flags.more() && !header.flags.command())
}

/// Whether a frame is a MESSAGE of CURVE: each is a message of its own.
pub(super) fn is_sealed(framing: Framing, header: FrameHeader, body: &[u8]) -> bool {
    framing == Framing::V3 && !header.flags.more() && header.length >= 33 && body.starts_with(SEALED)
}
