//! Does a stream speak ZMTP, and which version? Told by the first octets of both directions, on any port.
//!
//! What a peer's first octets mean depends on the other peer's: the signature of a newer peer is a frame header to one of
//! 1.0, and `03 05` after it is a version to a 3.x peer, but a revision and a socket type to one of 2.0. Both speak the
//! lower of their versions.

use super::wire::frame::{FrameHeader, frame_header};
use super::wire::greeting::{MechanismName, SIGNATURE_FIRST, SIGNATURE_LAST, SIGNATURE_LENGTH};
use super::wire::legacy;
use super::wire::socket_type::SocketType;
use super::ws::exchange::Upgrade;
use crate::base::direction::{Direction, PerDirection};
use nom::IResult;

/// How many octets of each direction are worth keeping for the probe.
pub const PROBED: usize = 512;

/// The grammar of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// ZMTP 1.0 (RFC 13).
    V1,
    /// ZMTP 2.0 (RFC 15): as 3.x, without commands.
    V2,
    /// ZMTP 3.x (RFC 23, 37).
    V3,
}

impl Framing {
    /// Parses a frame header.
    pub fn header(self, octets: &[u8]) -> IResult<&[u8], FrameHeader> {
        match self {
            Self::V1 => legacy::frame_header(octets),
            Self::V2 | Self::V3 => frame_header(octets),
        }
    }
}

/// How one direction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// With the 64 octets of ZMTP 3.x.
    Greeting,
    /// With the 12 octets of ZMTP 2.0, then frames.
    ShortGreeting(Framing),
    /// With frames of ZMTP 1.0.
    Frames,
    /// Before the capture did: what comes first may be the middle of a frame.
    Midstream(Framing),
}

/// What the octets seen so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is ZMTP, and each direction begins so.
    Zmtp(PerDirection<Preamble>),
    /// It is ZMTP over WebSocket. (Not told by [`probe`], but by [`super::ws::exchange`].)
    WebSocket(Upgrade),
    /// It is ZMTP in datagrams. (Not told by [`probe`], but by whoever saw them.)
    Datagrams,
    /// It is something else.
    NotZmtp,
    /// Too few octets to tell.
    NeedMore,
}

impl Verdict {
    /// ZMTP 3.x both ways.
    pub const V3: Self = Self::Zmtp(PerDirection { c2s: Preamble::Greeting, s2c: Preamble::Greeting });
}

/// Octets up to the end of the mechanism: with these a greeting is beyond doubt.
const CERTAIN: usize = 32;

/// Frames of ZMTP 1.0, which has no signature, that must fit before a connection is believed to be of it.
const V1_FRAMES: usize = 3;

/// The flags of a part of a message of 1.0 that others follow (RFC 13).
const MORE_ALONE: u8 = 0x01;

/// What the first octets of one direction can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Nothing was sent yet.
    Silent,
    /// A signature, or the beginning of one.
    Undecided,
    /// A signature and a revision.
    Revision(u8),
    /// A whole greeting of 3.x up to the mechanism.
    Greeting,
    /// Frames of 1.0: so many complete ones.
    V1(usize),
    /// None of these.
    Other,
}

/// Judges the first octets of both directions (from offset 0). `is_final`: no more will come.
pub fn probe(heads: &PerDirection<Vec<u8>>, is_final: bool) -> Verdict {
    let (a, b) = (head(&heads.c2s), head(&heads.s2c));
    match (a, b) {
        (Head::Greeting, _) | (_, Head::Greeting) => Verdict::V3,
        (Head::Other, _) | (_, Head::Other) => Verdict::NotZmtp,
        (Head::Revision(a), Head::Revision(b)) => agreed(heads, a, b, is_final),
        (Head::V1(a), Head::V1(b)) => {
            let anonymous_or_named = a > 0 && b > 0;
            if anonymous_or_named && a + b >= V1_FRAMES { both(Preamble::Frames) } else { undecided(is_final) }
        }
        // To a 1.0 peer the signature is the header of the identity.
        (Head::V1(frames), Head::Undecided | Head::Revision(_)) if frames > 0 => one_old(&heads.s2c),
        (Head::Undecided | Head::Revision(_), Head::V1(frames)) if frames > 0 => one_old(&heads.c2s),
        (Head::Revision(_), Head::Silent) if is_final => alone(heads, &heads.c2s),
        (Head::Silent, Head::Revision(_)) if is_final => alone(heads, &heads.s2c),
        _ => undecided(is_final),
    }
}

/// The same for what the user says is ZMTP, where [`probe`] does not find it to be.
pub fn requested(heads: &PerDirection<Vec<u8>>) -> Verdict {
    match (head(&heads.c2s), head(&heads.s2c)) {
        // Of one direction alone it could be anything; but here it is not.
        (Head::V1(2..), Head::Silent) | (Head::Silent, Head::V1(2..)) => both(Preamble::Frames),
        _ => Verdict::V3,
    }
}

/// A signature of which the other direction is not in the capture. It is told by what follows: a peer of 3.x is known by its
/// mechanism; to one of 2.0 whoever it is sends a socket type and its identity's frame, which has no flags; and to one of
/// 1.0 the signature is the header of the identity, and frames follow. No octets are two of these: a frame of 1.0 never has
/// length 0, which is where the flags of the identity are.
fn alone(heads: &PerDirection<Vec<u8>>, octets: &[u8]) -> Verdict {
    let flags = SIGNATURE_LENGTH + 2;
    // A mechanism without a name would be read as empty frames.
    let nameless = octets.get(flags..CERTAIN).is_some_and(|name| name.iter().all(|&octet| octet == 0));
    let short = match octets.get(flags) {
        // No peer has a revision above 3: that is the length of a frame of 1.0.
        Some(0) if !nameless && octets[SIGNATURE_LENGTH] <= 3 => short(heads, Framing::V2, true),
        _ => Verdict::NotZmtp,
    };
    match short {
        Verdict::NotZmtp if v1_frames(octets).is_some_and(|frames| frames >= V1_FRAMES) => both(Preamble::Frames),
        verdict => verdict,
    }
}

fn both(preamble: Preamble) -> Verdict {
    Verdict::Zmtp(PerDirection { c2s: preamble, s2c: preamble })
}

fn undecided(is_final: bool) -> Verdict {
    if is_final { Verdict::NotZmtp } else { Verdict::NeedMore }
}

/// Two signatures with revisions: the lower decides.
fn agreed(heads: &PerDirection<Vec<u8>>, a: u8, b: u8, is_final: bool) -> Verdict {
    match a.min(b) {
        0 => short(heads, Framing::V1, is_final),
        1 | 2 => short(heads, Framing::V2, is_final),
        _ => {
            let mechanism = |direction| MechanismName::is_plausible(heads[direction].get(12..).unwrap_or_default());
            let plausible = Direction::BOTH.into_iter().all(mechanism);
            // Both got as far as their version, and nothing speaks against it.
            if is_final && plausible { Verdict::V3 } else { undecided(is_final) }
        }
    }
}

/// Greetings of 2.0, if what follows them is what has to: a known socket type, and the frame of an identity.
fn short(heads: &PerDirection<Vec<u8>>, framing: Framing, is_final: bool) -> Verdict {
    let mut complete = 0;
    for (_, head) in heads.iter() {
        let rest = head.get(SIGNATURE_LENGTH + 1..).unwrap_or_default();
        let Some((&socket_type, frame)) = rest.split_first() else { continue };
        let identity = match framing.header(frame) {
            Ok((_, header)) => Some(header.length <= 255 && header.flags.reserved() == 0 && !header.flags.command()),
            Err(error) => (!error.is_incomplete()).then_some(false),
        };
        if SocketType(socket_type).name().is_none() || identity == Some(false) {
            return Verdict::NotZmtp;
        }
        complete += usize::from(identity.is_some());
    }
    let seen = heads.iter().filter(|(_, head)| !head.is_empty()).count();
    if complete == 2 || is_final && complete == seen {
        both(Preamble::ShortGreeting(framing))
    } else {
        undecided(is_final)
    }
}

/// A peer of 1.0 on one side, a newer one on the other, which sent `newer`.
fn one_old(newer: &[u8]) -> Verdict {
    if newer.len() < SIGNATURE_LENGTH { Verdict::NeedMore } else { both(Preamble::Frames) }
}

fn head(octets: &[u8]) -> Head {
    let Some(&first) = octets.first() else { return Head::Silent };
    if first != SIGNATURE_FIRST {
        return v1_frames(octets).map_or(Head::Other, Head::V1);
    }
    let Some(&last) = octets.get(SIGNATURE_LENGTH - 1) else { return Head::Undecided };
    if last & 1 == 0 {
        // A 1.0 peer whose identity has the long form.
        return v1_frames(octets).map_or(Head::Other, Head::V1);
    }
    if last != SIGNATURE_LAST {
        return Head::Other;
    }
    let Some(&revision) = octets.get(SIGNATURE_LENGTH) else { return Head::Undecided };
    let mechanism = octets.get(12..CERTAIN);
    if revision >= 3 && mechanism.is_some_and(MechanismName::is_plausible) {
        Head::Greeting
    } else {
        Head::Revision(revision)
    }
}

/// How many whole frames of ZMTP 1.0 these octets hold, an identity first; `None` if they cannot be that.
fn v1_frames(octets: &[u8]) -> Option<usize> {
    let mut rest = octets;
    let mut frames = 0;
    while !rest.is_empty() {
        let (body, header) = match legacy::frame_header(rest) {
            Ok(parsed) => parsed,
            Err(error) if error.is_incomplete() => break,
            Err(_) => return None,
        };
        let flags = rest[rest.len() - body.len() - 1];
        let is_identity = frames == 0;
        // Identities that begin with a zero octet are the ROUTER's own, and never sent.
        let is_reserved = is_identity && body.first() == Some(&0) && header.length > 0;
        // Of an identity 0MQ 2.1 sets all flags or none; MORE alone is a message's first part.
        let is_part = is_identity && flags == MORE_ALONE;
        if !legacy::is_plausible_flags(flags) || is_identity && header.length > 255 || is_reserved || is_part {
            return None;
        }
        let Some(next) = usize::try_from(header.length).ok().and_then(|length| body.get(length..)) else { break };
        rest = next;
        frames += 1;
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(c2s: &[u8], s2c: &[u8]) -> Verdict {
        probe(&PerDirection { c2s: c2s.to_vec(), s2c: s2c.to_vec() }, false)
    }

    fn judge_at_end(c2s: &[u8], s2c: &[u8]) -> Verdict {
        probe(&PerDirection { c2s: c2s.to_vec(), s2c: s2c.to_vec() }, true)
    }

    const SIGNATURE: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f";

    fn greeting(mechanism: &[u8]) -> Vec<u8> {
        let mut octets = [SIGNATURE, b"\x03\x01", mechanism].concat();
        octets.resize(64, 0);
        octets
    }

    #[test]
    fn a_greeting_is_recognised_and_its_prefixes_wait() {
        let greeting = greeting(b"CURVE");
        for end in 0..32 {
            assert_eq!(judge(&greeting[..end], b""), Verdict::NeedMore, "{end}");
        }
        assert_eq!(judge(&greeting[..32], b""), Verdict::V3);
        assert_eq!(judge(b"", &greeting), Verdict::V3);
    }

    #[test]
    fn other_protocols_are_left_alone() {
        for octets in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\0",
            b"*1\r\n$4\r\nPING\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x1f\xff",
            &[0xFF; 64],
            b"\x4a\0\0\0\x0a8.0.36\0",
            &[0; 40],
        ] {
            assert_eq!(judge_at_end(octets, b""), Verdict::NotZmtp, "{octets:?}");
            assert_eq!(judge(octets, octets), Verdict::NotZmtp, "{octets:?} both ways");
        }
        assert_eq!(judge_at_end(&greeting(b""), b""), Verdict::NotZmtp, "no mechanism");
    }

    #[test]
    fn two_signatures_with_a_version_are_enough_when_no_more_comes() {
        let eleven = [SIGNATURE, b"\x03"].concat();
        assert_eq!(judge(&eleven, &eleven), Verdict::NeedMore);
        assert_eq!(judge_at_end(&eleven, &eleven), Verdict::V3);
        assert_eq!(judge_at_end(&eleven, b""), Verdict::NotZmtp);
        assert_eq!(judge_at_end(SIGNATURE, &eleven), Verdict::NotZmtp);
    }

    #[test]
    fn the_lower_revision_decides() {
        let old = [SIGNATURE, b"\x01\x04\0\0"].concat();
        let new = [SIGNATURE, b"\x03\x05\0\x05ident"].concat();
        let short = |framing| both(Preamble::ShortGreeting(framing));
        assert_eq!(judge(&old, SIGNATURE), Verdict::NeedMore);
        assert_eq!(judge(&old, &new[..12]), Verdict::NeedMore, "its identity is still to come");
        assert_eq!(judge(&old, &new), short(Framing::V2));
        assert_eq!(judge(&old, &old), short(Framing::V2));
        let oldest = [SIGNATURE, b"\x00\x04\x01\0"].concat();
        assert_eq!(judge(&oldest, &[SIGNATURE, b"\x03\x05\x06\0ident"].concat()), short(Framing::V1));
        let noise = [SIGNATURE, b"\x02\x46\x3e\x04\x13"].concat();
        assert_eq!(judge(&noise, &[SIGNATURE, b"\xe3\xfb\x7b\x4d"].concat()), Verdict::NotZmtp);
    }

    #[test]
    fn one_direction_is_told_by_what_follows_the_signature() {
        let alone = |rest: &[u8]| {
            let octets = [SIGNATURE, rest].concat();
            assert_eq!(judge(&octets, b""), Verdict::NeedMore, "the other direction may still come");
            assert_eq!(judge_at_end(&octets, b""), judge_at_end(b"", &octets));
            judge_at_end(&octets, b"")
        };
        let short = both(Preamble::ShortGreeting(Framing::V2));
        assert_eq!(alone(b"\x01\x04\0\0"), short, "of 2.0");
        assert_eq!(alone(b"\x03\x05\0\x05ident\x01\x01p\0\x01q"), short, "of 3.x, to one of 2.0");
        let named = b"\xff\0\0\0\0\0\0\0\x06\x7fident\x02\x01p\x06\0hello";
        assert_eq!(judge_at_end(named, b""), both(Preamble::Frames), "of 3.x, to one of 1.0");
        assert_eq!(alone(b"\x01\x01\x06\0hello"), both(Preamble::Frames), "the same without an identity");
        let assigned = b"\x06\x01\0\x6b\x8b\x45\x67\x01\x01\x06\0hello";
        assert_eq!(alone(assigned), both(Preamble::Frames), "a ROUTER's identity in front");
        for rest in [&b"\x03"[..], b"\x03\x01", b"\x03\x01NUL", b"\x03\x05\0", b"\x01\x63\0\0", b"\x01\x04\x01\0"] {
            assert_eq!(alone(rest), Verdict::NotZmtp, "{rest:?}");
        }
    }

    #[test]
    fn version_1_0_is_believed_on_evidence_from_both_sides() {
        assert_eq!(judge(b"\x01\0", b"\x01\0"), Verdict::NeedMore);
        assert_eq!(judge(b"\x01\0\x06\0hello", b"\x01\0"), both(Preamble::Frames));
        assert_eq!(judge(b"\x01\x7e\x01\x7f\x06\x7ehello", b"\x01\x7e"), both(Preamble::Frames), "0MQ 2.1's flags");
        assert_eq!(
            judge_at_end(b"\x01\0\x06\0hello\x06\0hello", b""),
            Verdict::NotZmtp,
            "one side alone could be anything"
        );
        assert_eq!(judge(b"\x01\0\x06\x33hello", b"\x01\0"), Verdict::NotZmtp);
    }

    #[test]
    fn a_newer_peer_falls_back_to_1_0() {
        assert_eq!(judge(b"\x01\0", &SIGNATURE[..9]), Verdict::NeedMore);
        assert_eq!(judge(b"\x01\0", SIGNATURE), both(Preamble::Frames));
        assert_eq!(judge(&[SIGNATURE, b"ident"].concat(), b"\x06\0other"), both(Preamble::Frames));
    }
}
