//! Where the next frame begins in a stream whose boundaries were lost, or that was joined in the middle.
//!
//! A boundary is believed when the frames that follow it fit one after the other up to the last octet that is known, and
//! chance does not explain that. Frames are followed over holes in the capture and over bodies that are still under way,
//! by their offsets. libzmq writes whole batches, so most packets begin and end at boundaries: such places need less
//! proof. The first frames may still be the end of a message that began earlier, so what is told begins with the first
//! one of which it is known that a message begins there.

mod candidates;
mod excerpt;
mod hunt;
mod long_frames;
mod proof;
mod recognise;
mod shape;
mod weight;

pub use candidates::Candidates;
pub use excerpt::{Excerpt, Piece};
pub use hunt::Hunt;
pub use long_frames::LongFrames;
pub use proof::is_plausible;
pub use recognise::{Middle, recognise};
pub use shape::Shape;
use shape::are_alike;

use super::probe::Framing;
use proof::{Found, Proofs, Reading, STRUCTURE, is_sealed};

/// A place at which frames begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Index in the octets looked at.
    pub at: usize,
    /// How much proof there is.
    pub bits: u32,
    /// READY or the first part of a message begins there. If not, it is the last frame that is known, whose end is not.
    pub begins_message: bool,
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

/// While it is not known how messages look, frames inside of a packet are believed if one of them ends where a packet does,
/// or if there are so many octets of them: else they may be the content of one.
const LONG_CONTENT: usize = 16 << 10;

/// Packets that are shorter were not cut out of a longer write: every host takes datagrams of 576 octets (RFC 9293, section
/// 3.7.1), of which timestamps take some.
const SHORTEST_CUT: u64 = 524;

/// So many packets that begin with a frame show that messages have changed.
const ALIGNED: usize = 4;

/// The first chain of frames in which a message begins. Takes time and memory in proportion to the octets.
/// `candidates` are what earlier looks at the same excerpt left, while it was shorter.
pub fn find(
    framing: Framing,
    excerpt: &Excerpt,
    candidates: &mut Candidates,
    proof: Proof,
    shape: &Shape,
) -> Option<Boundary> {
    let reading = Reading::new(framing, excerpt);
    let mut proofs = reading.proofs(candidates, false);
    let found = first_chain(&reading, &mut proofs, proof, shape);
    proofs.end();
    found
}

fn first_chain(
    reading: &Reading<'_>,
    proofs: &mut Proofs<'_, '_, '_>,
    proof: Proof,
    shape: &Shape,
) -> Option<Boundary> {
    let excerpt = reading.excerpt;
    let mut pending = None;
    let mut from = 0;
    while let Some((at, bits)) = proofs.next_believed(from, proof) {
        if let Some(begin) = first_message(reading, at, shape) {
            return Some(Boundary { at: begin, bits, begins_message: true });
        }
        let last = reading.frames(at).last()?;
        let open = last.end > excerpt.end().unwrap_or(0);
        pending = open.then_some(Boundary { at: last.at, bits, begins_message: false });
        // What lies between two frames of the chain is in bodies, so the next chain begins after the last frame.
        from = excerpt.index(last.end).unwrap_or_else(|| excerpt.next_run(last.at, last.end)).max(last.at + 1);
    }
    pending
}

/// Where in a chain of frames that begins here the first message does.
fn first_message(reading: &Reading<'_>, at: usize, shape: &Shape) -> Option<usize> {
    let excerpt = reading.excerpt;
    if let Some(ready) = reading.frames(at).find(|&frame| reading.body(frame).starts_with(b"\x05READY")) {
        return ready.header.flags.command().then_some(ready.at);
    }
    // Where ZMTP is carried in ZMTP, its packets do not begin with what is inside.
    let aligned = || reading.frames(at).skip(1).filter(|frame| excerpt.is_packet(frame.at)).count();
    if shape.contradicts(&mut reading.headers(at)) && aligned() < ALIGNED {
        return None;
    }
    let ends_with_packet = || reading.frames(at).any(|frame| excerpt.is_packet_end(frame.end));
    if !shape.is_settled() && !excerpt.is_packet(at) && excerpt.len() - at < LONG_CONTENT && !ends_with_packet() {
        return None;
    }
    let mut begins = if excerpt.is_packet(at) { Begins::PacketDoes } else { Begins::No };
    for (number, frame) in reading.frames(at).enumerate() {
        if frame.header.flags.command() {
            continue;
        }
        let mut parts = reading.headers(frame.at);
        let is_first = match begins {
            Begins::No => false,
            Begins::Yes => true,
            Begins::PacketDoes if shape.packets_begin_messages() => true,
            Begins::PacketDoes => shape.fits(&mut parts) || !shape.is_settled() && is_own_write(reading, frame.at),
            Begins::Maybe => shape.fits(&mut parts) && (shape.is_settled() || are_alike(reading.headers(frame.at))),
        };
        if is_first || is_sealed(reading.framing, frame.header, reading.body(frame)) {
            return Some(frame.at);
        }
        // The first frame of the chain may be there by chance, and only lead to those that are real.
        let sure = number > 0 || excerpt.is_packet(at) || frame.bits >= STRUCTURE;
        begins = match (frame.header.flags.more(), sure) {
            (true, true) => Begins::No,
            (false, true) => Begins::Yes,
            (_, false) => Begins::Maybe,
        };
    }
    None
}

/// Whether the packet that begins here is a whole message of several parts: senders write whole messages, and one that is
/// so short was not cut.
fn is_own_write(reading: &Reading<'_>, at: usize) -> bool {
    let begin = reading.excerpt.offset(at);
    let mut parts = reading.frames(at).take_while(|frame| frame.end - begin < SHORTEST_CUT);
    let is_multipart =
        |parts: &mut dyn Iterator<Item = Found>| parts.next().is_some_and(|first| first.header.flags.more());
    let last = |frame: &Found| !frame.header.flags.more() || reading.excerpt.is_packet_end(frame.end);
    is_multipart(&mut parts)
        && parts.find(last).is_some_and(|frame| !frame.header.flags.more() && reading.excerpt.is_packet_end(frame.end))
}

/// Whether a message begins at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Yes,
    /// It begins with a packet.
    PacketDoes,
    Maybe,
    No,
}

#[cfg(test)]
mod tests {
    use super::super::wire::frame::{FrameFlags, FrameHeader};
    use super::*;
    use crate::base::chunk::Position;

    /// REQ's messages: a delimiter and so many octets.
    fn request(length: u8) -> Vec<u8> {
        let mut octets = vec![1, 0, 0, length];
        octets.extend((0..length).map(|number| b'a' + number % 26));
        octets
    }

    /// Packets begin at these offsets; octets before the first are of one whose beginning is not known.
    fn excerpt(octets: &[u8], packets: &[usize]) -> Excerpt {
        let mut excerpt = Excerpt::default();
        let before = packets.first().copied().unwrap_or(octets.len());
        excerpt.push(0, Position::default(), &[&[b'z'][..], &octets[..before]].concat(), 1 << 20);
        for (number, &start) in packets.iter().enumerate() {
            let end = packets.get(number + 1).copied().unwrap_or(octets.len());
            excerpt.push(1 + start as u64, Position::default(), &octets[start..end], 1 << 20);
        }
        excerpt
    }

    fn find(framing: Framing, octets: &[u8], packets: &[usize], proof: Proof) -> Option<usize> {
        find_like(framing, octets, packets, proof, &Shape::default())
    }

    fn find_like(framing: Framing, octets: &[u8], packets: &[usize], proof: Proof, shape: &Shape) -> Option<usize> {
        let found = super::find(framing, &excerpt(octets, packets), &mut Candidates::default(), proof, shape)?;
        found.begins_message.then_some(found.at - 1)
    }

    #[test]
    fn a_packet_of_a_whole_message_is_enough() {
        let octets = request(20);
        assert_eq!(find(Framing::V3, &octets, &[0], Proof::Usual), Some(0), "senders write whole messages");
        let part = &octets[2..];
        assert_eq!(find(Framing::V3, part, &[0], Proof::Usual), None, "one part may be the last of a message");
        let followed = [&octets[..], b"\x01\x05first"].concat();
        let cut = find(Framing::V3, &followed, &[0], Proof::Usual);
        assert_eq!(cut, Some(24), "a packet that was cut out of a longer write may begin with any part");
        let delimiter = FrameHeader { flags: FrameFlags(1), length: 0 };
        let mut shape = Shape::default();
        shape.frame(delimiter, true);
        shape.frame(FrameHeader { flags: FrameFlags(0), length: 7 }, false);
        let found = find_like(Framing::V3, &octets, &[0], Proof::Usual, &shape);
        assert_eq!(found, Some(0), "it begins as an earlier one did");
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
        let hidden = find(Framing::V3, &octets, &[], Proof::Usual);
        assert_eq!(hidden, Some(45), "in the middle of a packet, the first one that follows the end of another");
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
