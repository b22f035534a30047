//! Whether a stream whose beginning is not known is ZMTP.
//!
//! Frames that fit one after the other are weighed against chance, in bits: a header counts by how much likelier its octets
//! are in a header than among the other octets of the direction, so that tables of small numbers, where everything fits,
//! prove nothing. Packets that are too short to have been cut by TCP, and yet lie inside of one frame, speak against it.
//!
//! What has an explanation that is as good is waited for while more can come: short frames that are all messages of their
//! own are the same octets as 16-bit lengths, the commonest framing of all, and long ones alone are as 64-bit lengths
//! behind a type. If there is an empty one before each that is not, they are lengths of 32 or 64 bits. Where both sides send nothing but the former, what they say decides: text is believed, other content is
//! not (DNS over TCP, ISO 8583, RTP as RFC 4571 has it).

use super::candidates::Candidates;
use super::excerpt::Excerpt;
use super::proof::{Reading, STRUCTURE};
use super::weight::Weight;
use super::{Proof, SHORTEST_CUT};
use crate::base::direction::{Direction, PerDirection};
use crate::zmtp::probe::Framing;

/// A direction that has so many octets and no frames in them speaks against ZMTP.
const TELLING: usize = 512;

/// Where packets are longer than the shortest that can be cut, those of less than that can not: every link that carries
/// IPv6 carries 1280 octets.
const CUT_AT_LEAST: usize = 1220;

/// libzmq writes 8192 octets at a time: behind so many packets that were cut there may be what remained of a write.
const CUTS: usize = 4;

/// A write that begins and ends inside of a frame: so many bits against it. Senders write headers with bodies, and bodies
/// that are longer than their buffers whole.
const INSIDE: f64 = 16.0;

/// What one direction of 1.0 has to prove more where the other says nothing: any octet but zero can be its first.
const ALONE: f64 = 20.0;

/// What is asked for more of frames that other framings explain as well, while more can come: some ten messages.
const PATIENCE: f64 = 160.0;

/// Shorter bodies are text by chance too often.
const SHORTEST_TEXT: usize = 4;

/// What is known of a stream whose beginning is not.
#[derive(Clone, Copy, Debug)]
pub struct Middle<'a> {
    /// The most that each direction carried without a gap.
    pub excerpts: &'a PerDirection<Excerpt>,
    /// One direction carried nothing, not even what is not in the capture.
    pub one_way: bool,
    /// No more will come.
    pub is_final: bool,
}

/// What one direction says.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// For ZMTP; against it if negative.
    bits: f64,
    /// Frames follow each other up to its end.
    found: bool,
    /// How many frames neither lengths of 16 bits nor those of 64 bits explain.
    parts: usize,
    /// How many short ones hold something, and how many are long.
    short: usize,
    long: usize,
    /// How many short ones hold something and follow an empty one that is a message of its own.
    padded: usize,
    /// Bodies are text.
    is_text: bool,
}

/// Whether a stream whose beginning is not known is ZMTP, and with which frames.
pub fn recognise(middle: Middle<'_>) -> Option<Framing> {
    let Middle { excerpts, one_way, is_final } = middle;
    [Framing::V3, Framing::V1].into_iter().find(|&framing| {
        let evidence = PerDirection::from_fn(|direction| weigh(framing, &excerpts[direction]));
        let any = |of: fn(&Evidence) -> bool| evidence.iter().any(|(_, evidence)| of(evidence));
        let contradicted = |direction: Direction| !evidence[direction].found && excerpts[direction].len() >= TELLING;
        let both = evidence.c2s.found && evidence.s2c.found;
        let is_16_bit = !any(|evidence| evidence.parts + evidence.long > 0);
        let is_64_bit = !any(|evidence| evidence.parts + evidence.short > 0);
        let is_padded = any(|evidence| evidence.padded > 0 && evidence.padded + 1 >= evidence.short);
        let is_text = any(|evidence| evidence.is_text);
        let mut needed = f64::from(Proof::Strong.bits());
        if framing == Framing::V1 && !both {
            needed += ALONE;
        }
        if (is_16_bit && !is_text || is_64_bit) && !is_final {
            needed += PATIENCE;
        }
        evidence.c2s.bits + evidence.s2c.bits >= needed
            && !Direction::BOTH.into_iter().any(contradicted)
            // 1.0 has nothing that others do not have.
            && (framing != Framing::V1 || both || one_way && !is_16_bit)
            && (!is_16_bit || (is_text || one_way) && !is_padded)
    })
}

/// What the first chain of frames says.
fn weigh(framing: Framing, excerpt: &Excerpt) -> Evidence {
    let reading = Reading::new(framing, excerpt);
    let mut candidates = Candidates::default();
    let mut proofs = reading.proofs(&mut candidates, true);
    let Some((start, _)) = proofs.next_believed(0, Proof::Usual) else {
        let possible = |offset| excerpt.index(offset).is_none_or(|index| proofs.at(index).is_some());
        return Evidence { bits: -INSIDE * inside(excerpt, possible), ..Evidence::default() };
    };
    // The first frame of the chain may be there by chance, and only lead to those that are real.
    let chance = usize::from(!excerpt.is_packet(start));
    let chain = || reading.frames(start).skip(chance);
    let mut boundaries = chain().map(|frame| excerpt.offset(frame.at)).chain(chain().last().map(|frame| frame.end));
    let mut next = boundaries.next();
    let is_boundary = |offset| {
        while next.is_some_and(|boundary| boundary < offset) {
            next = boundaries.next();
        }
        next == Some(offset)
    };
    let against = INSIDE * inside(excerpt, is_boundary);
    let mut evidence = Evidence {
        bits: Weight::new(excerpt, chain()).of(framing, chain()) - against,
        found: true,
        ..Evidence::default()
    };
    let (mut octets, mut text) = (0, 0);
    let mut after_empty = false;
    for frame in chain() {
        let known = reading.body(frame);
        let body = &known[..known.len().min(frame.header.length.try_into().unwrap_or(usize::MAX))];
        if body.len() >= SHORTEST_TEXT {
            octets += body.len();
            text += if is_text(body) { body.len() } else { 0 };
        }
        let proves_itself = frame.bits > STRUCTURE || frame.header.flags.command();
        let is_part = proves_itself || frame.header.flags.more() && !frame.header.flags.long();
        evidence.parts += usize::from(is_part);
        evidence.long += usize::from(frame.header.flags.long());
        let is_short = !frame.header.flags.long() && frame.header.length > 0;
        evidence.short += usize::from(is_short);
        evidence.padded += usize::from(is_short && after_empty);
        after_empty = frame.header.length == 0 && !frame.header.flags.more();
    }
    evidence.is_text = text > octets / 4;
    evidence
}

/// How many packets lie inside of a frame and are too short to have been cut there, but for the ends of long writes. Asked
/// with ascending offsets.
fn inside(excerpt: &Excerpt, mut is_boundary: impl FnMut(u64) -> bool) -> f64 {
    let longest = excerpt.pieces(0).map(|piece| piece.octets.len()).max().unwrap_or(0);
    let shortest_cut = longest.clamp(SHORTEST_CUT as usize, CUT_AT_LEAST);
    let (short, cut): (Vec<_>, Vec<_>) = excerpt.pieces(0).partition(|piece| piece.octets.len() < shortest_cut);
    let within = short.iter().filter(|piece| {
        let begins = is_boundary(piece.offset);
        let ends = is_boundary(piece.offset + piece.octets.len() as u64);
        !begins && !ends
    });
    within.count().saturating_sub(cut.len() / CUTS) as f64
}

/// Whether this is UTF-8 without control characters, as far as it is known.
fn is_text(body: &[u8]) -> bool {
    let control = body.iter().any(|octet| octet.is_ascii_control() && !octet.is_ascii_whitespace());
    // An error without a length is a character that is cut.
    !control && std::str::from_utf8(body).err().is_none_or(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::chunk::Position;

    type Packets = Vec<Vec<u8>>;

    fn recognise(c2s: &Packets, s2c: &Packets, is_final: bool) -> Option<Framing> {
        let excerpt = |packets: &Packets| {
            let mut excerpt = Excerpt::default();
            for packet in packets {
                excerpt.push(excerpt.end().unwrap_or(1000), Position::default(), packet, usize::MAX);
            }
            excerpt
        };
        let excerpts = PerDirection { c2s: excerpt(c2s), s2c: excerpt(s2c) };
        let one_way = c2s.is_empty() || s2c.is_empty();
        super::recognise(Middle { excerpts: &excerpts, one_way, is_final })
    }

    /// Numbers that are the same each time, from 0 to below `limit`.
    fn numbers(limit: u32) -> impl FnMut() -> u32 {
        let mut state = 7_u32;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % limit
        }
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut octet = numbers(256);
        (0..length).map(|_| octet() as u8).collect()
    }

    fn text(length: usize) -> Vec<u8> {
        b"it was the best of times ".iter().copied().cycle().take(length).collect()
    }

    fn short(flags: u8, body: &[u8]) -> Vec<u8> {
        [&[flags, body.len() as u8][..], body].concat()
    }

    fn long(first: u8, body: &[u8]) -> Vec<u8> {
        [&[first][..], &(body.len() as u64).to_be_bytes(), body].concat()
    }

    /// A REQ's message, or the reply to it.
    fn request(body: &[u8]) -> Vec<u8> {
        [short(1, b""), short(0, body)].concat()
    }

    #[test]
    fn one_request_and_its_reply_are_enough_at_the_end() {
        let (request, reply) = (vec![request(b"hello")], vec![request(b"world!")]);
        assert_eq!(recognise(&request, &reply, true), Some(Framing::V3));
        assert_eq!(recognise(&request, &vec![], true), None, "but not one of them");
    }

    #[test]
    fn sixteen_bit_lengths_are_believed_of_text_or_of_one_side() {
        let lengths = || (20..60_usize).map(|number| number * 37 % 180 + 5);
        let binary: Packets = lengths().map(|length| short(0, &noise(length))).collect();
        let texts: Packets = lengths().map(|length| short(0, &text(length))).collect();
        assert_eq!(recognise(&binary, &binary, true), None);
        assert_eq!(recognise(&texts, &texts, true), Some(Framing::V3));
        assert_eq!(recognise(&texts, &binary, true), Some(Framing::V3), "text is rarely sent so by others");
        assert_eq!(recognise(&binary, &vec![], false), Some(Framing::V3), "PUSH and PUB are not answered");
        assert_eq!(recognise(&binary[..4].to_vec(), &vec![], false), None, "an answer may still come");
        assert_eq!(recognise(&binary[..4].to_vec(), &vec![], true), Some(Framing::V3));
        let mixed: Packets = lengths().map(|length| [short(1, b"id"), short(0, &noise(length))].concat()).collect();
        assert_eq!(recognise(&mixed, &mixed, false), Some(Framing::V3), "no lengths of 16 bits are like this");
    }

    #[test]
    fn wider_lengths_are_not_zmtp() {
        let wide = |width: usize, length: usize| [&(length as u64).to_be_bytes()[8 - width..], &noise(length)].concat();
        for width in [4, 8] {
            let packets: Packets = (20..60_usize).map(|number| wide(width, number * 37 % 180 + 5)).collect();
            assert_eq!(recognise(&packets, &vec![], true), None, "{width} octets");
            assert_eq!(recognise(&packets, &packets, true), None, "{width} octets, both ways");
        }
    }

    #[test]
    fn one_octet_over_and_over_is_not_zmtp() {
        for octet in 0..8 {
            for length in [20, 150] {
                let packets: Packets = (0..20).map(|number| vec![octet; length + number]).collect();
                assert_eq!(recognise(&packets, &vec![], true), None, "{octet}, {length} times");
                assert_eq!(recognise(&packets, &packets, true), None, "{octet}, {length} times, both ways");
            }
        }
    }

    /// RFC 1035, sections 4.1.1 and 4.2.2.
    #[test]
    fn dns_over_tcp_is_not_zmtp() {
        let header = b"\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
        let query = |id: usize| short(0, &[&noise(id + 2)[id..], header].concat());
        let packets: Packets = (0..40).map(query).collect();
        assert_eq!(recognise(&packets, &packets, true), None);
    }

    #[test]
    fn tables_of_numbers_are_not_zmtp() {
        for (limit, width) in [(300, 2), (10, 4), (900, 8), (4, 1)] {
            let mut number = numbers(limit);
            let mut row = || -> Vec<u8> {
                (0..300).flat_map(|_| u64::from(number()).to_be_bytes()[8 - width..].to_vec()).collect()
            };
            let (one, other): (Packets, Packets) = ((0..40).map(|_| row()).collect(), (0..40).map(|_| row()).collect());
            for is_final in [false, true] {
                for packets in 1..one.len() {
                    let (one, other) = (one[..packets].to_vec(), other[..packets].to_vec());
                    assert_eq!(
                        recognise(&one, &other, is_final),
                        None,
                        "{packets} packets of numbers of {width} octets"
                    );
                }
            }
        }
    }

    /// MODBUS messaging on TCP/IP, section 3.1.3: transaction, protocol 0, length, unit; then function, address, count.
    #[test]
    fn modbus_is_not_zmtp() {
        let mut number = numbers(300);
        let mut poll = || [&(number() as u16).to_be_bytes()[..], b"\0\0\0\x06\x01\x03\0\0\0\x0a"].concat();
        let (polls, others): (Packets, Packets) =
            ((0..60).map(|_| poll()).collect(), (0..60).map(|_| poll()).collect());
        assert_eq!(recognise(&polls, &others, true), None);
        assert_eq!(recognise(&polls, &vec![], true), None);
    }

    /// AMQP 0-9-1, section 2.3.5; method 40 of class 60 in a frame of 42 octets, which fits as a length too.
    #[test]
    fn frames_that_begin_in_no_packet_are_not_zmtp() {
        let mut octet = numbers(256);
        let mut frame = || {
            let arguments: Vec<u8> = (0..30).map(|_| octet() as u8).collect();
            [&b"\x01\0\x01\0\0\0\x22\0\x3c\0\x28"[..], &arguments, b"\xce"].concat()
        };
        let (frames, others): (Packets, Packets) =
            ((0..60).map(|_| frame()).collect(), (0..60).map(|_| frame()).collect());
        assert_eq!(recognise(&frames, &others, true), None);
        assert_eq!(recognise(&frames, &vec![], true), None);
    }

    #[test]
    fn long_frames_alone_are_waited_for() {
        let frames: Packets = (0..20).map(|number| long(2, &noise(300 + number * 31))).collect();
        assert_eq!(recognise(&frames[..3].to_vec(), &vec![], false), None, "others have lengths of 64 bits too");
        assert_eq!(recognise(&frames[..3].to_vec(), &vec![], true), Some(Framing::V3));
        assert_eq!(recognise(&frames, &vec![], false), Some(Framing::V3));
        let mut length = numbers(900);
        let mut typed = |number: u8| long(number % 3 + 1, &noise(length() as usize));
        let (typed, others): (Packets, Packets) =
            ((0..60).map(&mut typed).collect(), (0..60).map(&mut typed).collect());
        assert_eq!(recognise(&typed, &others, true), None, "those are of any length");
    }

    #[test]
    fn a_capture_may_begin_in_a_long_body() {
        let mut packets: Packets = vec![noise(1448); 6];
        packets.push(noise(952));
        packets.extend((0..6).map(|number| request(&text(10 + number))));
        let replies: Packets = (0..6).map(|number| request(&text(3 + number))).collect();
        assert_eq!(recognise(&packets, &replies, true), Some(Framing::V3));
        let mut writes: Packets = vec![noise(40); 12];
        writes.extend((0..2).map(|number| request(&text(10 + number))));
        assert_eq!(recognise(&writes, &vec![], true), None, "but not in one that is written so");
    }

    #[test]
    fn one_direction_of_1_0_needs_messages_of_several_parts() {
        let frame = |flags: u8, body: &[u8]| [&[body.len() as u8 + 1, flags][..], body].concat();
        let topics: Packets =
            (0..10).map(|number| [frame(1, b"topic"), frame(0, &noise(20 + number))].concat()).collect();
        assert_eq!(recognise(&topics, &vec![], true), Some(Framing::V1));
        let plain: Packets = (0..10).map(|number| frame(0, &text(20 + number))).collect();
        assert_eq!(recognise(&plain, &vec![], true), None);
        assert_eq!(recognise(&plain, &plain, true), Some(Framing::V1));
    }
}
