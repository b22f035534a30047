//! Several captures as one, by time.
//!
//! Invariants: the order within a file stays as it is, even where its clock runs backwards; of packets with equal times,
//! that of the file named first comes first. No packet is copied: a file is asked for the time of its next packet and
//! keeps the packet.

use super::error::CaptureError;
use super::file::FileSource;
use super::packet::{Next, PacketSource, SourceStats};
use crate::base::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Files merged by the times of their packets, clock offsets applied.
pub struct MergedSource {
    files: Vec<FileSource>,
    /// The files that have packets left, the earliest on top.
    heads: BinaryHeap<Reverse<Head>>,
    state: State,
}

/// A file and the time of its next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    at: Timestamp,
    file: usize,
}

enum State {
    /// The files from this one on were not asked yet.
    Start(usize),
    /// The top of the heap was yielded: its file has another head now.
    Yielded,
    /// The heap is right.
    Ready,
}

impl MergedSource {
    /// Merges `files`; [`crate::base::chunk::PacketId::file`] becomes their place in it.
    ///
    /// # Errors
    /// [`CaptureError::Format`] if there are more than 65 536.
    pub fn new(files: Vec<FileSource>) -> Result<Self, CaptureError> {
        let count = files.len();
        let files = files
            .into_iter()
            .enumerate()
            .map(|(index, file)| Ok(file.with_index(u16::try_from(index)?)))
            .collect::<Result<_, std::num::TryFromIntError>>()
            .map_err(|_| CaptureError::Format {
                name: format!("{count} files"),
                what: "more than 65536 cannot be merged".to_owned(),
            })?;
        Ok(Self { files, heads: BinaryHeap::with_capacity(count), state: State::Start(0) })
    }

    /// Brings the heap up to date. After an error the file that failed is left out, and the others can be read on.
    fn settle(&mut self) -> Result<(), CaptureError> {
        if let State::Yielded = self.state {
            self.state = State::Ready;
            let mut top = self.heads.peek_mut().expect("what was yielded is on top");
            match self.files[top.0.file].peek_time() {
                Ok(Some(at)) => top.0.at = at,
                Ok(None) => {
                    PeekMut::pop(top);
                }
                Err(error) => {
                    PeekMut::pop(top);
                    return Err(error);
                }
            }
        }
        while let State::Start(file) = self.state {
            let Some(source) = self.files.get_mut(file) else {
                self.state = State::Ready;
                break;
            };
            self.state = State::Start(file + 1);
            if let Some(at) = source.peek_time()? {
                self.heads.push(Reverse(Head { at, file }));
            }
        }
        Ok(())
    }
}

impl PacketSource for MergedSource {
    fn next_packet(&mut self) -> Result<Next<'_>, CaptureError> {
        self.settle()?;
        let Some(Reverse(head)) = self.heads.peek() else {
            return Ok(Next::End);
        };
        self.state = State::Yielded;
        self.files[head.file].next_packet()
    }

    /// Each packet is copied.
    fn is_slow(&self) -> bool {
        true
    }

    fn stats(&self) -> SourceStats {
        let mut all = SourceStats { total_bytes: Some(0), ..SourceStats::default() };
        for file in &self.files {
            let stats = file.stats();
            all.inputs.extend(stats.inputs);
            all.read_bytes += stats.read_bytes;
            all.total_bytes = all.total_bytes.zip(stats.total_bytes).map(|(a, b)| a + b);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use std::io::Cursor;

    /// A capture of packets with these times, in seconds.
    fn file(seconds: &[u32]) -> FileSource {
        let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 4, 0, 1, 0, 0, 0]);
        for second in seconds {
            bytes.extend(second.to_le_bytes());
            bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0xaa]);
        }
        FileSource::from_reader("test", Box::new(Cursor::new(bytes)), None).expect("a capture")
    }

    fn order(files: Vec<FileSource>) -> Vec<(u16, u64, i64)> {
        let mut source = MergedSource::new(files).expect("few files");
        let mut order = Vec::new();
        while let Next::Packet(packet) = source.next_packet().expect("nothing fails") {
            let second = packet.at.0 / 1_000_000_000;
            order.push((packet.id.file(), packet.id.number(), second));
        }
        assert!(matches!(source.next_packet(), Ok(Next::End)));
        order
    }

    #[test]
    fn by_time_then_by_file() {
        let files = vec![file(&[5, 7, 7]), file(&[]), file(&[1, 5, 7, 9])];
        let expected = [(2, 1, 1), (0, 1, 5), (2, 2, 5), (0, 2, 7), (0, 3, 7), (2, 3, 7), (2, 4, 9)];
        assert_eq!(order(files), expected);
    }

    #[test]
    fn a_clock_that_runs_backwards_does_not_reorder_its_file() {
        let files = vec![file(&[5, 1, 6]), file(&[2, 5])];
        assert_eq!(order(files), [(1, 1, 2), (0, 1, 5), (0, 2, 1), (1, 2, 5), (0, 3, 6)]);
    }

    #[test]
    fn a_clock_offset_moves_one_file() {
        let late = file(&[1, 2]).with_clock_offset(Duration::from_secs(10));
        assert_eq!(order(vec![late, file(&[5])]), [(1, 1, 5), (0, 1, 11), (0, 2, 12)]);
    }
}
