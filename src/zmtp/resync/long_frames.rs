//! Long frames in a stream that was joined in the middle and is too long to be kept.
//!
//! Where bodies are longer than what is kept of an undecided stream, no two headers are ever looked at together. So, once
//! such a stream was given up, nothing of it is kept any more, and a header is looked for by its form alone: flags, and a
//! length of eight octets (RFC 23, long-size) whose upper half is zero. It says where the next one has to be, and after so
//! many that were where they had to be, the stream is ZMTP. Bodies in between are passed over, and may be missing.

use crate::base::chunk::{Chunk, Data};
use crate::zmtp::probe::Framing;
use crate::zmtp::wire::frame::FrameHeader;
use memchr::memmem::find;

/// So many long headers that lead from one to the next are believed: as many as [`super::recognise()`] asks for of streams
/// that hold nothing else.
const ENOUGH: u32 = 5;

/// The upper octets of the length of any body below 4 GiB.
const UPPER: [u8; 4] = [0; 4];

/// Octets of a long header.
const HEADER: usize = 9;

/// Where the next header of one direction has to be, if that is known.
#[derive(Debug, Default)]
pub struct LongFrames {
    awaited: Option<Awaited>,
}

#[derive(Debug)]
struct Awaited {
    /// Offset of the header, and what came of it.
    at: u64,
    octets: [u8; HEADER],
    have: usize,
    /// How many long headers led here.
    headers: u32,
}

impl LongFrames {
    /// The next piece of the direction. Whether it is ZMTP, now that this came; the piece then holds the end of a header.
    pub fn push(&mut self, chunk: &Chunk<'_>) -> bool {
        let Data::Bytes(bytes) = chunk.data else {
            let end = chunk.offset + chunk.data.length();
            self.awaited.take_if(|awaited| awaited.at + (awaited.have as u64) < end);
            return false;
        };
        let mut from = 0;
        while from < bytes.len() {
            let Some(awaited) = &mut self.awaited else {
                let Some((at, length)) = long_header(&bytes[from..]) else { return false };
                let next = from + at + HEADER;
                from = next.min(bytes.len());
                self.awaited = Some(Awaited::new(chunk.offset + next as u64 + length, 1));
                continue;
            };
            let wanted = (awaited.at + awaited.have as u64).saturating_sub(chunk.offset);
            let Some(&octet) = usize::try_from(wanted).ok().and_then(|index| bytes.get(index)) else { return false };
            from = wanted as usize + 1;
            awaited.octets[awaited.have] = octet;
            awaited.have += 1;
            let octets = &awaited.octets[..awaited.have];
            match Framing::V3.header(octets) {
                Ok((_, header)) if is_usual(header) => {
                    let headers = awaited.headers + u32::from(header.flags.long());
                    if headers >= ENOUGH {
                        return true;
                    }
                    *awaited = Awaited::new(awaited.at + octets.len() as u64 + header.length, headers);
                }
                Err(error) if error.is_incomplete() => {}
                _ => self.awaited = None,
            }
        }
        false
    }
}

impl Awaited {
    fn new(at: u64, headers: u32) -> Self {
        Self { at, octets: [0; HEADER], have: 0, headers }
    }
}

/// Whether libzmq could have sent it, with a body below 4 GiB.
fn is_usual(header: FrameHeader) -> bool {
    let FrameHeader { flags, length } = header;
    let as_long_as_said = flags.long() == (length > 255);
    flags.reserved() == 0 && as_long_as_said && length < 1 << 32 && !(flags.command() && flags.more())
}

/// The first long header of a message's part: its index, and the length it gives.
fn long_header(octets: &[u8]) -> Option<(usize, u64)> {
    let mut from = 1;
    loop {
        // A body of up to 4 GiB: its length begins a run of zeros.
        let at = from + find(octets.get(from..)?, &UPPER)?;
        let flags = octets[at - 1];
        let length =
            octets.get(at..at + 8).map(|length| length.iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet)));
        if let Some(length) = length.filter(|&length| matches!(flags, 2 | 3) && length > 255) {
            return Some((at - 1, length));
        }
        from = at + octets[at..].iter().position(|&octet| octet != 0)? + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::chunk::Position;

    fn long(flags: u8, length: usize) -> Vec<u8> {
        [&[flags][..], &(length as u64).to_be_bytes(), &vec![b'x'; length]].concat()
    }

    /// The index of the piece with which a stream is believed, cut into pieces of this size.
    fn believed(octets: &[u8], piece: usize) -> Option<usize> {
        let mut frames = LongFrames::default();
        let chunk = |(number, bytes)| Chunk {
            position: Position::default(),
            offset: 7 + (number * piece) as u64,
            data: Data::Bytes(bytes),
        };
        octets.chunks(piece).enumerate().map(chunk).position(|chunk| frames.push(&chunk))
    }

    #[test]
    fn headers_that_lead_from_one_to_the_next_are_believed() {
        let frames: Vec<u8> = (0..5).flat_map(|number| long(2 + number % 2, 300 + usize::from(number))).collect();
        let octets = [vec![b'x'; 1000], frames].concat();
        let header = 1000 + 4 * 309 + 1 + 2 + 3;
        for piece in [10, 20, 100, 1000, 5000] {
            assert_eq!(believed(&octets, piece), Some((header + 8) / piece), "{piece}");
        }
        // Cut by a piece, the first header is not seen.
        assert_eq!(believed(&octets, 13), None);
        assert_eq!(believed(&octets[..octets.len() - 305], 100), None, "four are not enough");
    }

    #[test]
    fn short_frames_may_be_between_them() {
        let message = |length| [b"\x01\0\x01\x05topic".to_vec(), long(2, length)].concat();
        let octets: Vec<u8> = (0..5).flat_map(|number| message(300 + number)).collect();
        assert!(believed(&octets, 100).is_some());
    }

    #[test]
    fn a_body_may_be_missing_and_a_header_may_not() {
        let octets: Vec<u8> = (0..5).flat_map(|_| long(2, 1000)).collect();
        let lost = |from: usize, to: usize| {
            let mut frames = LongFrames::default();
            let pieces = [
                (0, Data::Bytes(&octets[..from])),
                (from, Data::Gap((to - from) as u64)),
                (to, Data::Bytes(&octets[to..])),
            ];
            pieces.into_iter().any(|(offset, data)| {
                frames.push(&Chunk { position: Position::default(), offset: offset as u64, data })
            })
        };
        assert!(lost(20, 1009));
        assert!(!lost(20, 1010));
        assert!(!lost(1010, 1015));
    }

    #[test]
    fn other_lengths_are_not_believed() {
        let other: Vec<u8> =
            (0..50_u64).flat_map(|number| [&[2][..], &(300 + number).to_be_bytes()].concat()).collect();
        assert_eq!(believed(&other, 100), None, "nothing is where it says");
        assert_eq!(believed(&[0; 5000], 100), None);
        let typed: Vec<u8> = (0..50).flat_map(|number| long(number % 7, 400)).collect();
        assert_eq!(believed(&typed, 100), None, "types are no flags");
    }
}
