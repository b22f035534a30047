//! Where the next frame begins in a stream whose boundaries were lost, or that was joined in the middle.
//!
//! A boundary is believed when the frames that follow it fit one after the other up to the last octet that is known, and
//! chance does not explain that. libzmq writes whole batches, so most packets begin and end at boundaries: such places
//! need less proof. The first frames may still be the end of a message that began earlier, so what is told begins with the
//! first one that begins as another message does.

use super::probe::Framing;
use super::wire::command::is_known_name;
use super::wire::frame::{FrameHeader, frame_header};
use super::wire::legacy;
use crate::base::direction::{Direction, PerDirection};

/// A place at which frames begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Offset in the octets looked at: there begins READY, or the first part of a message.
    pub at: usize,
    /// How much proof there is.
    pub bits: u32,
}

/// How much proof is asked for, in bits: a place is taken for a boundary by chance once in 2 to the so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The stream is known to be ZMTP.
    Usual,
    /// It may be anything.
    Strong,
}

impl Proof {
    /// As a number.
    pub fn bits(self) -> u32 {
        match self {
            Self::Usual => 13,
            Self::Strong => 40,
        }
    }
}

/// Octets of one direction without a gap, and at which of them packets begin.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    /// The octets.
    pub octets: Vec<u8>,
    /// Offsets in them, ascending.
    pub packets: Vec<usize>,
}

/// Whether a stream whose beginning is not known is ZMTP, and with which frames. 1.0 has nothing that others do not have,
/// so there both directions must fit.
pub fn recognise(stretches: &PerDirection<Stretch>) -> Option<Framing> {
    [Framing::V3, Framing::V1].into_iter().find(|&framing| {
        let bits = |stretch: &Stretch| {
            find(framing, &stretch.octets, &stretch.packets, Proof::Usual, None).map(|boundary| boundary.bits)
        };
        let found = PerDirection::from_fn(|direction| bits(&stretches[direction]));
        let contradicted = |direction| found[direction].is_none() && stretches[direction].octets.len() >= TELLING;
        let both = found.c2s.is_some() && found.s2c.is_some();
        let total = found.c2s.unwrap_or(0) + found.s2c.unwrap_or(0);
        total >= Proof::Strong.bits()
            && (both || framing == Framing::V3)
            && !Direction::BOTH.into_iter().any(contradicted)
    })
}

/// A direction that has so many octets and no frames in them speaks against ZMTP.
const TELLING: usize = 512;

/// What it takes more where packets give no hint: there are that many more places to be wrong about.
const NO_HINT: u32 = 12;

/// A short frame's flags have 6 values of 256.
const FLAGS: u32 = 5;

/// The frames end where a packet ends.
const ENDS_WITH_PACKET: u32 = 8;

/// The upper octets of a long frame's length are zero, or the name of a command is known.
const STRUCTURE: u32 = 24;

/// How MESSAGE of CURVE and GSSAPI begins.
const SEALED: &[u8] = b"\x07MESSAGE";

/// No frame that is met in the middle of a stream is longer.
const LONGEST: u64 = 1 << 32;

/// The first believable boundary in `octets`; `packets` has the offset in them at which each packet begins, ascending;
/// `like` is how an earlier message of the stream began. Takes time and memory in proportion to the octets.
pub fn find(
    framing: Framing,
    octets: &[u8],
    packets: &[usize],
    proof: Proof,
    like: Option<FrameHeader>,
) -> Option<Boundary> {
    let proofs = proofs(framing, octets, packets);
    let with_packet = |at: usize| packets.binary_search(&at).is_ok();
    let (at, bits) = (0..octets.len()).find_map(|at| {
        let bits = proofs[at]?;
        let needed = proof.bits() + if with_packet(at) { 0 } else { NO_HINT };
        (bits >= needed && !is_empty_end(framing, octets, at)).then_some((at, bits))
    })?;
    if let Some(ready) = frames(framing, octets, at).find(|frame| ends_handshake(&octets[frame.at..])) {
        return Some(Boundary { at: ready.at, bits });
    }
    // Under CURVE and GSSAPI every frame stands for itself: which are parts of one message is inside.
    if let Some(sealed) = frames(framing, octets, at).find(|frame| is_sealed(framing, &octets[frame.at..])) {
        return Some(Boundary { at: sealed.at, bits });
    }
    // The first frames may be there by chance, and only lead to those that are real.
    let mut begins = with_packet(at);
    for frame in frames(framing, octets, at) {
        if !frame.header.flags.command() {
            let octets = &octets[frame.at..];
            if begins
                && like.or_else(|| next_message(framing, octets)).is_some_and(|other| looks_like(frame.header, other))
            {
                return Some(Boundary { at: frame.at, bits });
            }
            begins = !frame.header.flags.more();
        }
    }
    // A later message may tell.
    None
}

/// The first header of the message after the one that begins here.
fn next_message(framing: Framing, octets: &[u8]) -> Option<FrameHeader> {
    let mut parts = frames(framing, octets, 0).map(|frame| frame.header).filter(|header| !header.flags.command());
    while parts.next()?.flags.more() {}
    parts.next()
}

/// Whether a frame is READY, after which nothing but whole messages comes.
fn ends_handshake(frame: &[u8]) -> bool {
    frame_header(frame).is_ok_and(|(body, _)| body.starts_with(b"\x05READY"))
}

/// Whether a frame is a MESSAGE, sent as a message frame.
fn is_sealed(framing: Framing, frame: &[u8]) -> bool {
    framing.header(frame).is_ok_and(|(body, header)| !header.flags.more() && body.starts_with(SEALED))
}

/// Whether two frames can be the first of messages of the same shape.
fn looks_like(a: FrameHeader, b: FrameHeader) -> bool {
    let shape = |header: FrameHeader| (header.flags, header.flags.more() && header.length == 0);
    shape(a) == shape(b)
}

/// A header and where it is.
struct Found {
    at: usize,
    header: FrameHeader,
}

/// The frames that follow each other from `start` on.
fn frames(framing: Framing, octets: &[u8], start: usize) -> impl Iterator<Item = Found> + '_ {
    let mut at = start;
    std::iter::from_fn(move || {
        let (body, header) = framing.header(octets.get(at..)?).ok()?;
        let found = Found { at, header };
        // One that goes on beyond the octets is the last.
        at = (octets.len() - body.len()).saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX));
        Some(found)
    })
}

/// An empty frame that ends a message proves nothing, since zeros look like it; alone, it is no message that many send.
fn is_empty_end(framing: Framing, octets: &[u8], at: usize) -> bool {
    framing
        .header(&octets[at..])
        .is_ok_and(|(_, header)| header.length == 0 && !header.flags.more() && !header.flags.command())
}

/// For each offset: bits of proof that frames begin there, `None` if they cannot. Each builds on the one of the next
/// frame, so they are found from the end.
fn proofs(framing: Framing, octets: &[u8], packets: &[usize]) -> Vec<Option<u32>> {
    let mut proofs: Vec<Option<u32>> = vec![Some(0); octets.len() + 1];
    for at in (0..octets.len()).rev() {
        let rest = &octets[at..];
        proofs[at] = match framing.header(rest) {
            Ok((body, header)) => proof_of(framing, rest, body, header).and_then(|bits| {
                let next = usize::try_from(header.length).ok().filter(|&length| length <= body.len());
                let Some(length) = next else { return Some(bits) };
                let next = octets.len() - body.len() + length;
                if !header.flags.more() && is_empty_end(framing, octets, next) {
                    return None;
                }
                let with_packet = next == octets.len() || packets.binary_search(&next).is_ok();
                let end = with_packet && !header.flags.more() && header.length > 0;
                Some(bits + if end { ENDS_WITH_PACKET } else { 0 } + proofs[next]?)
            }),
            Err(error) => error.is_incomplete().then_some(0),
        };
    }
    proofs
}

/// Bits of proof in one header; `None` if there is none such.
fn proof_of(framing: Framing, rest: &[u8], body: &[u8], header: FrameHeader) -> Option<u32> {
    let FrameHeader { flags, length } = header;
    let commands = framing == Framing::V3;
    let flags_octet = rest[rest.len() - body.len() - 1];
    let possible = match framing {
        Framing::V1 => legacy::is_plausible_flags(flags_octet) && (!flags.long() || length >= 254),
        _ => flags.reserved() == 0 && (commands || !flags.command()) && (!flags.long() || length > 255),
    };
    if !possible || length > LONGEST || flags.command() && flags.more() {
        return None;
    }
    if flags.command() {
        return is_known_name(body).then_some(STRUCTURE);
    }
    if body.starts_with(SEALED) && !flags.more() {
        return Some(STRUCTURE);
    }
    Some(match (flags.long(), length) {
        (true, _) => STRUCTURE,
        // Runs of zeros look like this.
        (false, 0) if !flags.more() => 0,
        (false, _) => FLAGS,
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire::frame::FrameFlags;
    use super::*;

    /// REQ's messages: a delimiter and so many octets.
    fn request(length: u8) -> Vec<u8> {
        let mut octets = vec![1, 0, 0, length];
        octets.extend((0..length).map(|number| b'a' + number % 26));
        octets
    }

    fn find(framing: Framing, octets: &[u8], packets: &[usize], proof: Proof) -> Option<usize> {
        super::find(framing, octets, packets, proof, None).map(|found| found.at)
    }

    #[test]
    fn the_first_packet_of_whole_messages_is_enough() {
        let octets = request(20);
        assert_eq!(find(Framing::V3, &octets, &[0], Proof::Usual), None, "nothing to compare it with yet");
        let delimiter = FrameHeader { flags: FrameFlags(1), length: 0 };
        let found = super::find(Framing::V3, &octets, &[0], Proof::Usual, Some(delimiter));
        assert_eq!(found.map(|found| found.at), Some(0), "it begins as an earlier one did");
        assert_eq!(find(Framing::V3, &octets, &[0], Proof::Strong), None, "not for a stream of unknown kind");
        let octets = [request(20), request(30), request(7)].concat();
        assert_eq!(find(Framing::V3, &octets, &[0, 24, 58], Proof::Strong), Some(0));
    }

    #[test]
    fn the_rest_of_a_body_is_passed_over() {
        let octets = [b"the rest of some body".to_vec(), request(20), request(30)].concat();
        assert_eq!(find(Framing::V3, &octets, &[0, 21, 45], Proof::Usual), Some(21));
        let last_part = [b"\0\x05tails".to_vec(), request(20), request(30)].concat();
        assert_eq!(find(Framing::V3, &last_part, &[0, 7, 31], Proof::Usual), Some(7), "others begin otherwise");
        let hidden = find(Framing::V3, &octets, &[0], Proof::Usual);
        assert_eq!(hidden, None, "in the middle of a packet it may be in the middle of a message");
        let more = [octets, request(9)].concat();
        assert_eq!(find(Framing::V3, &more, &[0], Proof::Usual), Some(45), "the next one can be compared");
    }

    #[test]
    fn a_zero_before_a_delimiter_is_no_frame() {
        // 00 01 00 and then 00 14 … fit as frames, and so does what follows; but only this begins as its next does.
        let octets = [vec![0], request(20), request(20), request(20)].concat();
        assert_eq!(find(Framing::V3, &octets, &[], Proof::Usual), Some(25));
    }

    #[test]
    fn nothing_is_found_in_what_is_no_frames() {
        let text = b"It was the best of times, it was the worst of times".repeat(20);
        assert_eq!(find(Framing::V3, &text, &[0, 100, 200], Proof::Usual), None);
        assert_eq!(find(Framing::V3, &[0; 4000], &[0, 100], Proof::Usual), None, "zeros");
        assert_eq!(find(Framing::V3, &[b'x'; 4000], &[0], Proof::Usual), None);
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(20_000)
        .collect();
        assert_eq!(find(Framing::V3, &noise, &(0..20_000).step_by(500).collect::<Vec<_>>(), Proof::Strong), None);
    }

    #[test]
    fn long_frames_and_commands_prove_themselves() {
        let long = [&[2, 0, 0, 0, 0, 0, 0, 1, 44][..], &[b'y'; 300]].concat();
        let octets = [b"zz".to_vec(), long.clone(), long.clone(), long].concat();
        assert_eq!(find(Framing::V3, &octets, &[0], Proof::Usual), Some(2 + 309));
        let ping = b"\x04\x07\x04PING\0\0".to_vec();
        let octets = [b"zz".to_vec(), ping.clone(), ping, request(5), request(5), request(5)].concat();
        assert_eq!(find(Framing::V3, &octets, &[0], Proof::Usual), Some(2 + 18 + 9));
        let ready = b"\x04\x0a\x05READY\x01a\0\0".to_vec();
        let octets = [vec![0; 30], ready, request(5), request(5)].concat();
        assert_eq!(find(Framing::V3, &octets, &[0], Proof::Usual), Some(30));
    }

    #[test]
    fn encrypted_frames_are_recognised_by_their_name() {
        let sealed = |length: u8| [&[0, length][..], b"\x07MESSAGE", &vec![0xE5; usize::from(length) - 8]].concat();
        let octets = [b"zz".to_vec(), sealed(33), sealed(200), sealed(33)].concat();
        assert_eq!(find(Framing::V3, &octets, &[0], Proof::Usual), Some(2), "each stands for itself");
    }

    #[test]
    fn zmtp_1_0_has_its_own_frames() {
        let octets = b"rest\x01\x01\x06\0hello\x01\x01\x06\0world";
        assert_eq!(find(Framing::V1, octets, &[0, 4, 13], Proof::Usual), Some(4));
        assert_eq!(find(Framing::V3, b"\x01\x01\x06\0hello", &[0], Proof::Usual), None);
    }
}
