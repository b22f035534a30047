//! Packets of one capture file or of standard input: pcap and pcapng, told by their first bytes, compressed with gzip or
//! zstd or not.
//!
//! Invariants: packets come in the order of the file and are numbered as in it, whatever a filter leaves out. What can
//! be read is read: a cut-off tail or a damaged block ends the packets with a warning, not with an error. No length
//! field makes the program allocate more than [`MAX_CAPTURED`]. No packet is copied, none allocates.
//!
//! Why not libpcap's reader, or that of `pcap-parser`: the first must be linked and cannot read files whose interfaces
//! have different link types. The second hands out a parsed block for every packet, with its options collected in a
//! vector, and knows neither binary clock units nor the obsolete packet block. Over 250 MB of small packets, slices over
//! a buffer of our own took about half of libpcap's time; against `pcap-parser`'s reader, somewhat longer for pcap,
//! somewhat less for pcapng, and a quarter for pcapng with an option at each packet.

mod buffer;
mod compressed;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;

use super::batch::{Batch, Entry, Filled};
use super::error::CaptureError;
use super::filter::Filter;
use super::packet::{InputStats, LinkType, Next, Packet, PacketSource, SourceStats};
use crate::base::chunk::PacketId;
use crate::base::time::{Duration, Timestamp};
use buffer::Buffer;
use compressed::Compression;
use pcap::Pcap;
use pcapng::Pcapng;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

/// The longest packet that is believed. The longest that a snapshot length of common tools allows is 256 KiB; beyond
/// this, a length field is damage or malice.
pub const MAX_CAPTURED: usize = 16 << 20;

/// A pipe that gives less at once is empty then: on Linux it holds 64 KiB (`pipe(7)`).
const SHORT_READ: usize = 32 << 10;

/// One capture file, read from its start to its end.
pub struct FileSource {
    name: String,
    index: u16,
    clock_offset: Duration,
    filter: Option<Filter>,
    buffer: Buffer,
    format: Format,
    pending: Option<Record>,
    ended: bool,
    packets: u64,
    filtered: u64,
    damage: Option<String>,
    size: Option<u64>,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// A packet found in the buffer; valid until the buffer is filled again.
#[derive(Debug)]
struct Record {
    at: Timestamp,
    link: LinkType,
    range: Range<usize>,
    wire_length: u32,
}

/// What a format finds next.
enum Step {
    Record(Record),
    /// No more packets, and why: for the reader.
    Damaged(String),
    End,
}

/// A packet longer than [`MAX_CAPTURED`].
fn damaged(number: u64, claimed: u64) -> Step {
    Step::Damaged(format!(
        "the file is damaged: packet {number} claims {claimed} bytes, more than any packet has; reading stopped there"
    ))
}

impl FileSource {
    /// Opens the file at `path`, `-` being standard input, and reads its header.
    ///
    /// # Errors
    /// [`CaptureError::Io`] if it cannot be read, [`CaptureError::Format`] if it is no capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        if path == Path::new("-") {
            return Self::from_reader("standard input", Box::new(io::stdin()), None);
        }
        let name = path.display().to_string();
        let failed = |source| CaptureError::Io { name: name.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let size = metadata.is_file().then_some(metadata.len());
        Self::from_reader(&name, Box::new(file), size)
    }

    /// Reads a capture from anything that yields its bytes, compressed or not; `size` is how many, where known.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_reader(name: &str, reader: Box<dyn Read + Send>, size: Option<u64>) -> Result<Self, CaptureError> {
        let mut buffer = Buffer::new(reader);
        let failed = |source| CaptureError::Io { name: name.to_owned(), source };
        buffer.fill(pcap::FILE_HEADER).map_err(failed)?;
        if let Some(compression) = Compression::of(buffer.window()) {
            buffer = buffer.decompressed(compression);
            buffer.fill(pcap::FILE_HEADER).map_err(failed)?;
        }
        let start = buffer.window();
        let start = &start[..start.len().min(pcap::FILE_HEADER)];
        let format = if Pcapng::begins(start) {
            Format::Pcapng(Pcapng::default())
        } else if let Some(pcap) = Pcap::new(start) {
            buffer.take(pcap::FILE_HEADER);
            Format::Pcap(pcap)
        } else {
            let what = match buffer.compression() {
                None => not_a_capture(start),
                Some((_, Some(damage))) => format!("nothing in it can be read: {damage}"),
                Some((compression, None)) => format!("inside {}: {}", compression.name(), not_a_capture(start)),
            };
            return Err(CaptureError::Format { name: name.to_owned(), what });
        };
        Ok(Self {
            name: name.to_owned(),
            index: 0,
            clock_offset: Duration::default(),
            filter: None,
            buffer,
            format,
            pending: None,
            ended: false,
            packets: 0,
            filtered: 0,
            damage: None,
            size,
        })
    }

    /// Sets [`PacketId::file`] of the packets; 0 otherwise.
    #[must_use]
    pub fn with_index(mut self, index: u16) -> Self {
        self.index = index;
        self
    }

    /// Adds `offset` to the time of each packet.
    #[must_use]
    pub fn with_clock_offset(mut self, offset: Duration) -> Self {
        self.clock_offset = offset;
        self
    }

    /// Leaves out packets that do not match the BPF expression; their numbers stay theirs.
    ///
    /// # Errors
    /// [`CaptureError::Filter`] if it does not compile, [`CaptureError::WithoutLibpcap`].
    pub fn with_filter(mut self, expression: &str) -> Result<Self, CaptureError> {
        self.filter = Some(Filter::new(expression)?);
        Ok(self)
    }

    /// The time of the packet that [`PacketSource::next_packet`] will yield, `None` at the end.
    ///
    /// # Errors
    /// As [`PacketSource::next_packet`].
    pub fn peek_time(&mut self) -> Result<Option<Timestamp>, CaptureError> {
        if self.pending.is_none() {
            self.pending = self.read()?;
        }
        Ok(self.pending.as_ref().map(|record| record.at))
    }

    /// The next packet that the filter lets through. `None` at the end, and where the buffer is not to wait for it.
    fn read(&mut self) -> Result<Option<Record>, CaptureError> {
        while !self.ended {
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.next(&mut self.buffer, self.packets),
                Format::Pcapng(pcapng) => pcapng.next(&mut self.buffer, self.packets),
            };
            match step {
                Ok(Step::Record(mut record)) => {
                    self.packets += 1;
                    record.at = record.at + self.clock_offset;
                    if let Some(filter) = &mut self.filter {
                        let bytes = self.buffer.bytes(record.range.clone());
                        match filter.matches(record.link, bytes) {
                            Ok(true) => {}
                            Ok(false) => {
                                self.filtered += 1;
                                continue;
                            }
                            Err(error) => {
                                self.ended = true;
                                return Err(error);
                            }
                        }
                    }
                    return Ok(Some(record));
                }
                Ok(Step::Damaged(how)) => {
                    self.ended = true;
                    self.damage = Some(how);
                }
                Ok(Step::End) => self.ended = true,
                Err(source) if source.kind() == ErrorKind::WouldBlock && !self.buffer.waits() => return Ok(None),
                Err(source) => {
                    self.ended = true;
                    return Err(CaptureError::Io { name: self.name.clone(), source });
                }
            }
        }
        Ok(None)
    }
}

impl PacketSource for FileSource {
    fn next_packet(&mut self) -> Result<Next<'_>, CaptureError> {
        let record = match self.pending.take() {
            Some(record) => Some(record),
            None => self.read()?,
        };
        Ok(record.map_or(Next::End, |record| {
            Next::Packet(Packet {
                id: PacketId::new(self.index, self.packets),
                at: record.at,
                link: record.link,
                bytes: self.buffer.bytes(record.range),
                wire_length: record.wire_length,
            })
        }))
    }

    /// The batch takes over the buffer in which its packets are.
    fn fill(&mut self, batch: &mut Batch, most: u64) -> Result<Filled, CaptureError> {
        self.buffer.lend(std::mem::take(&mut batch.octets));
        let mut filled = Filled::More;
        while (batch.packets.len() as u64) < most {
            // What comes through a pipe is handed on before the next packet is waited for.
            self.buffer.set_waits(self.size.is_some() || batch.packets.is_empty());
            let record = match self.pending.take() {
                Some(record) => Ok(Some(record)),
                None => self.read(),
            };
            let record = match record {
                Ok(Some(record)) => record,
                Ok(None) if self.ended => {
                    filled = Filled::End;
                    break;
                }
                Ok(None) => {
                    if self.buffer.latest_read() < SHORT_READ {
                        filled = Filled::Drained;
                    }
                    break;
                }
                Err(error) => {
                    batch.octets = self.buffer.retire();
                    return Err(error);
                }
            };
            if self.buffer.has_retired() {
                // It is in the next buffer already.
                self.pending = Some(record);
                break;
            }
            let Record { at, link, range, wire_length } = record;
            let id = PacketId::new(self.index, self.packets);
            batch.packets.push(Entry { id, at, link, wire_length, range });
            self.buffer.keep();
        }
        self.buffer.set_waits(true);
        batch.octets = self.buffer.retire();
        Ok(filled)
    }

    /// What is decompressed, or is no regular file.
    fn is_slow(&self) -> bool {
        self.size.is_none() || self.buffer.compression().is_some()
    }

    fn stats(&self) -> SourceStats {
        let (format, dropped, warning) = match &self.format {
            Format::Pcap(pcap) => (pcap.name(), None, None),
            Format::Pcapng(pcapng) => ("pcapng", pcapng.dropped(), pcapng.warning()),
        };
        let compression_damage = self.buffer.compression().and_then(|(_, damage)| damage).map(str::to_owned);
        SourceStats {
            inputs: vec![InputStats {
                name: self.name.clone(),
                format,
                packets: self.packets,
                filtered: self.filtered,
                dropped,
                warnings: compression_damage.into_iter().chain(self.damage.clone()).chain(warning).collect(),
            }],
            read_bytes: self.buffer.read_bytes(),
            total_bytes: self.size,
        }
    }
}

/// What a file is that begins with `start` and is no capture.
fn not_a_capture(start: &[u8]) -> String {
    /// First bytes, name, and the program that undoes it.
    const COMPRESSED: [(&[u8], &str, &str); 5] = [
        (b"\x1f\x8b", "gzip", "gzip -dc"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
        (b"\xfd7zXZ\0", "xz", "xz -dc"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
        (b"BZh", "bzip2", "bzip2 -dc"),
    ];
    const CAPTURES: [&[u8]; 6] = [
        b"\xd4\xc3\xb2\xa1",
        b"\xa1\xb2\xc3\xd4",
        b"\x4d\x3c\xb2\xa1",
        b"\xa1\xb2\x3c\x4d",
        b"\x34\xcd\xb2\xa1",
        &pcapng::SECTION,
    ];
    if start.is_empty() {
        return "empty: not even the header of a capture".to_owned();
    }
    if start.len() < pcap::FILE_HEADER && CAPTURES.iter().any(|magic| start.starts_with(magic)) {
        return format!("the file is cut off in its header: it has {} bytes only", start.len());
    }
    for (magic, name, program) in COMPRESSED {
        if start.starts_with(magic) {
            return format!("compressed with {name}: decompress it first, as in {program} FILE | zmtpscope analyze -");
        }
    }
    if start.starts_with(b"snoop\0\0\0") {
        return "a snoop file: convert it to pcapng first, as in editcap FILE FILE.pcapng".to_owned();
    }
    let magic = crate::base::text::hex(&start[..start.len().min(4)]);
    format!("not a capture: neither pcap nor pcapng (it begins with {magic})")
}
