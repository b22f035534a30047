//! What is known of one direction while its frames are looked for: octets in runs, with holes between them.
//!
//! Offsets are those of the stream, so a frame whose body reaches over a hole still says where the next one begins.

use crate::base::chunk::Position;
use std::cell::OnceCell;

/// So many runs are kept: each costs a look, and what came before so many holes says little about what comes now.
const RUNS: usize = 64;

/// Octets of one direction, where packets begin in them, and where they stand in the stream.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    octets: Vec<u8>,
    /// Ascending in both; never empty.
    runs: Vec<Mark<u64>>,
    packets: Vec<Mark<Position>>,
    /// Octets that were dropped.
    forgotten: usize,
    /// How many there are of each octet: counted when that is first asked for, and kept up from then on.
    counts: OnceCell<Box<[u32; 256]>>,
}

/// From an index in the octets on: the stream's offset there, or the packet that begins there.
#[derive(Clone, Copy, Debug)]
struct Mark<T> {
    start: usize,
    value: T,
}

/// The octets of one packet, or as many of them as are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Offset of the first.
    pub offset: u64,
    /// The packet.
    pub position: Position,
    /// The octets.
    pub octets: &'a [u8],
}

impl Excerpt {
    /// Adds the octets of a packet, which come after all that were added before. When there are more than `limit`, the
    /// oldest go.
    pub fn push(&mut self, offset: u64, position: Position, octets: &[u8], limit: usize) {
        let octets = &octets[..octets.len().min(limit)];
        if self.octets.len() + octets.len() > limit {
            self.forget(self.octets.len().div_ceil(2).max((self.octets.len() + octets.len()).saturating_sub(limit)));
        }
        if self.runs.len() > RUNS {
            self.forget(self.runs[RUNS / 2].start);
        }
        let start = self.octets.len();
        if self.end() != Some(offset) {
            self.runs.push(Mark { start, value: offset });
        }
        self.packets.push(Mark { start, value: position });
        self.octets.extend_from_slice(octets);
        if let Some(counts) = self.counts.get_mut() {
            count(octets, counts);
        }
    }

    /// Drops the octets before this index, and the rest of a packet that it cuts.
    fn forget(&mut self, before: usize) {
        let kept = self.packets.partition_point(|mark| mark.start < before);
        let cut = self.packets.get(kept).map_or(self.octets.len(), |mark| mark.start);
        if cut == self.octets.len() {
            *self = Self { forgotten: self.forgotten + cut, ..Self::default() };
            return;
        }
        let offset = self.offset(cut);
        self.forgotten += cut;
        self.counts.take();
        self.octets.drain(..cut);
        self.packets.drain(..kept);
        self.runs.retain(|run| run.start > cut);
        self.runs.insert(0, Mark { start: cut, value: offset });
        self.runs.iter_mut().for_each(|run| run.start -= cut);
        self.packets.iter_mut().for_each(|packet| packet.start -= cut);
    }

    /// The octets, holes left out.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// How many octets were dropped, before the first that is kept.
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// Octets of memory.
    pub fn held(&self) -> usize {
        let marks = (self.runs.capacity() + self.packets.capacity()) * size_of::<Mark<Position>>();
        self.octets.capacity() + marks + self.counts.get().map_or(0, |counts| size_of_val(&**counts))
    }

    /// How many octets there are.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// How many there are of one octet.
    pub fn count(&self, octet: u8) -> usize {
        let counted = || {
            let mut counts = Box::new([0; 256]);
            count(&self.octets, &mut counts);
            counts
        };
        self.counts.get_or_init(counted)[usize::from(octet)] as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The offset after the last octet.
    pub fn end(&self) -> Option<u64> {
        self.runs.last().map(|run| run.value + (self.octets.len() - run.start) as u64)
    }

    /// The octets from this index on, up to the next hole.
    pub fn run(&self, index: usize) -> &[u8] {
        self.place(index).0
    }

    /// The same, and the offset of the first of them.
    pub fn place(&self, index: usize) -> (&[u8], u64) {
        let next = self.runs.partition_point(|run| run.start <= index);
        let run = &self.runs[next.saturating_sub(1)];
        let end = self.runs.get(next).map_or(self.octets.len(), |run| run.start);
        (&self.octets[index..end], run.value + (index - run.start) as u64)
    }

    /// The offset of the octet at this index.
    pub fn offset(&self, index: usize) -> u64 {
        self.place(index).1
    }

    /// The index of the octet at this offset, if it is known.
    pub fn index(&self, offset: u64) -> Option<usize> {
        let next = self.runs.partition_point(|run| run.value <= offset);
        let run = self.runs.get(next.checked_sub(1)?)?;
        let index = run.start + usize::try_from(offset - run.value).ok()?;
        let end = self.runs.get(next).map_or(self.octets.len(), |run| run.start);
        (index < end).then_some(index)
    }

    /// The runs: the index of the first octet of each, its octets, and the offset of the first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = (usize, &[u8], u64)> {
        (0..self.runs.len()).map(|number| {
            let run = self.runs[number];
            let end = self.runs.get(number + 1).map_or(self.octets.len(), |next| next.start);
            (run.start, &self.octets[run.start..end], run.value)
        })
    }

    /// The index of the first octet after this one that stands at this offset or behind it, beyond a hole.
    pub fn next_run(&self, after: usize, offset: u64) -> usize {
        let next = self.runs.iter().find(|run| run.start > after && run.value >= offset);
        next.map_or(self.octets.len(), |run| run.start)
    }

    /// Whether a packet begins at this index.
    pub fn is_packet(&self, index: usize) -> bool {
        self.packets.binary_search_by_key(&index, |mark| mark.start).is_ok()
    }

    /// Whether a packet ends before this offset: the next one begins there, a hole does, or nothing more is known.
    pub fn is_packet_end(&self, offset: u64) -> bool {
        match self.index(offset) {
            Some(index) => self.is_packet(index),
            None => offset.checked_sub(1).is_some_and(|last| self.index(last).is_some()),
        }
    }

    /// Packet by packet from this index on.
    pub fn pieces(&self, from: usize) -> impl Iterator<Item = Piece<'_>> {
        let ends = self.packets.iter().skip(1).map(|mark| mark.start).chain([self.octets.len()]);
        self.packets.iter().zip(ends).filter(move |&(_, end)| end > from).map(move |(mark, end)| {
            let start = mark.start.max(from);
            Piece { offset: self.offset(start), position: mark.value, octets: &self.octets[start..end] }
        })
    }
}

fn count(octets: &[u8], counts: &mut [u32; 256]) {
    for &octet in octets {
        counts[usize::from(octet)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(pieces: &[(u64, &[u8])], limit: usize) -> Excerpt {
        let mut excerpt = Excerpt::default();
        for (offset, octets) in pieces {
            excerpt.push(*offset, Position::default(), octets, limit);
        }
        excerpt
    }

    #[test]
    fn offsets_go_over_holes() {
        let excerpt = excerpt(&[(100, b"abc"), (103, b"de"), (110, b"fg")], 100);
        assert_eq!(excerpt.octets(), b"abcdefg");
        assert_eq!([0, 3, 4, 5, 6].map(|index| excerpt.offset(index)), [100, 103, 104, 110, 111]);
        assert_eq!(
            [99, 100, 104, 105, 109, 110, 112].map(|offset| excerpt.index(offset)),
            [None, Some(0), Some(4), None, None, Some(5), None]
        );
        assert_eq!(excerpt.run(1), b"bcde");
        assert_eq!(
            [103, 104, 105, 106, 110, 112, 113].map(|offset| excerpt.is_packet_end(offset)),
            [true, false, true, false, true, true, false]
        );
        let pieces: Vec<_> = excerpt.pieces(4).map(|piece| (piece.offset, piece.octets)).collect();
        assert_eq!(pieces, [(104, &b"e"[..]), (110, b"fg")]);
    }

    #[test]
    fn octets_are_counted_as_they_come_and_go() {
        let mut excerpt = excerpt(&[(0, b"aab")], 6);
        assert_eq!([b'a', b'b', b'c'].map(|octet| excerpt.count(octet)), [2, 1, 0]);
        excerpt.push(3, Position::default(), b"ca", 6);
        assert_eq!([b'a', b'b', b'c'].map(|octet| excerpt.count(octet)), [3, 1, 1]);
        excerpt.push(5, Position::default(), b"cc", 6);
        assert_eq!(excerpt.octets(), b"cacc");
        assert_eq!([b'a', b'b', b'c'].map(|octet| excerpt.count(octet)), [1, 0, 3]);
    }

    #[test]
    fn the_oldest_packets_go_first() {
        let mut excerpt = excerpt(&[(0, b"abcd"), (4, b"efgh"), (9, b"ij")], 10);
        excerpt.push(11, Position::default(), b"kl", 10);
        assert!(excerpt.len() <= 10, "{}", excerpt.len());
        assert_eq!(excerpt.end(), Some(13));
        let index = excerpt.index(9).expect("the latest are kept");
        assert_eq!(excerpt.run(index), b"ijkl");
        assert_eq!(excerpt.index(0), None);
        excerpt.push(13, Position::default(), &[b'x'; 30], 10);
        assert_eq!(excerpt.len(), 10, "never more than the limit");
    }
}
