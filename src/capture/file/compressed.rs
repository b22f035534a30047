//! Inputs compressed with gzip (RFC 1952) or zstd (RFC 8878), decompressed as they are read.
//!
//! Invariants: memory is bounded, whatever the input claims: 32 KiB of history for gzip, [`MAX_WINDOW`] for zstd, and one
//! block. What can be decompressed is yielded: damage and a missing end end the bytes with a word in
//! [`Decompressor::damage`], not with an error. Only a failure of the reader below is an error.
//!
//! Members and frames that follow each other are one input, as the command line tools have it.
//!
//! Both decoders are in Rust: the C libraries are faster (zstd's two to three times), but reading a capture is seldom
//! bound by that, and no C compiler is needed to build without libpcap.

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::error::Error;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// The largest window that a zstd frame may ask for, which is what the `zstd` command accepts unless told otherwise
/// (`--long=27`).
const MAX_WINDOW: u64 = 128 << 20;

/// Compressed bytes read at once.
const READ_AT_ONCE: usize = 64 << 10;

/// The gzip decoder yields nothing of a call in which it meets damage: so much is lost at most.
const INFLATED_AT_ONCE: usize = 16 << 10;

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Of an input that begins with `start`; `None` if it is not compressed in a way that is known.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match *start {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // A frame, or one to be skipped, with which files of parallel compressors begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// A compressed input.
pub(super) struct Decompressor {
    compression: Compression,
    decoder: Decoder,
    damage: Option<String>,
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<BufReader<Source>>>),
    Zstd(Box<Zstd>),
}

impl Decompressor {
    pub(super) fn new(compression: Compression, reader: Box<dyn Read + Send>) -> Self {
        let reader = BufReader::with_capacity(READ_AT_ONCE, Source { reader, count: 0, failure: None });
        let decoder = match compression {
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(reader))),
            Compression::Zstd => Decoder::Zstd(Box::new(Zstd::new(reader))),
        };
        Self { compression, decoder, damage: None }
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Compressed bytes read so far.
    pub(super) fn read_bytes(&self) -> u64 {
        match &self.decoder {
            Decoder::Gzip(gzip) => gzip.get_ref().get_ref().count,
            Decoder::Zstd(zstd) => zstd.reader.get_ref().count,
        }
    }

    /// Why the bytes ended too early, in words.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// What the reader below failed with, if that is why the decoder failed.
    fn failure(&mut self) -> Option<io::Error> {
        match &mut self.decoder {
            Decoder::Gzip(gzip) => gzip.get_mut().get_mut().failure.take(),
            Decoder::Zstd(zstd) => zstd.reader.get_mut().failure.take(),
        }
    }
}

impl Read for Decompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.damage.is_some() {
            return Ok(0);
        }
        let read = match &mut self.decoder {
            Decoder::Gzip(gzip) => {
                let length = buffer.len().min(INFLATED_AT_ONCE);
                gzip.read(&mut buffer[..length])
            }
            Decoder::Zstd(zstd) => zstd.read(buffer),
        };
        read.or_else(|error| {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            let name = self.compression.name();
            self.damage = Some(if ends_early(&error) {
                format!("the {name} data are cut off; all that could be decompressed was read")
            } else if error.kind() == ErrorKind::Unsupported {
                format!("the {name} data {error}")
            } else {
                format!("the {name} data are damaged ({error}); what could be decompressed before that was read")
            });
            Ok(0)
        })
    }
}

/// Whether the reason behind an error is that the input ended.
fn ends_early(error: &io::Error) -> bool {
    let mut reason: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = reason {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == ErrorKind::UnexpectedEof) {
            return true;
        }
        reason = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

/// The compressed bytes, counted. Decoders wrap and discard what a reader fails with, so it is kept here.
struct Source {
    reader: Box<dyn Read + Send>,
    count: u64,
    failure: Option<io::Error>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Ok(count) => {
                    self.count += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("the input failed"));
                }
            }
        }
    }
}

/// Frames of zstd, one after the other.
struct Zstd {
    reader: BufReader<Source>,
    decoder: FrameDecoder,
    in_frame: bool,
    /// What ended the last frame early; told when all of it that there is has been yielded.
    error: Option<io::Error>,
}

impl Zstd {
    fn new(reader: BufReader<Source>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self { reader, decoder, in_frame: false, error: None }
    }

    /// Goes to the next frame with content; `false` if there is none.
    fn enter_frame(&mut self) -> io::Result<bool> {
        while !self.reader.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.reader) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())? < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(refusal(error)),
            }
        }
        Ok(false)
    }

    /// The decoder holds back a window of what it has decoded until the last block of the frame. Where that does not
    /// come, an empty one lets go of it.
    fn end_frame(&mut self) {
        /// Last, raw, empty; then a checksum, should one be expected.
        const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
        if self.decoder.decode_blocks(&LAST_BLOCK[..], BlockDecodingStrategy::UptoBlocks(1)).is_err() {
            self.in_frame = false;
        }
    }
}

/// Why a frame is not entered: what is merely not done here is told from damage.
fn refusal(error: FrameDecoderError) -> io::Error {
    let what = match error {
        FrameDecoderError::WindowSizeTooBig { requested, max } => {
            format!("ask for {requested} bytes of memory, more than {max}: decompress first, `zstd -dc --long=31 FILE`")
        }
        FrameDecoderError::DictNotProvided { dict_id } => format!("need a dictionary (number {dict_id})"),
        error => return io::Error::other(error),
    };
    io::Error::new(ErrorKind::Unsupported, what)
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame && self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            if !self.in_frame {
                if !self.enter_frame()? {
                    return Ok(0);
                }
            } else if self.decoder.is_finished() {
                self.in_frame = false;
                let told = self.decoder.get_checksum_from_data();
                if told.is_some() && told != self.decoder.get_calculated_checksum() {
                    return Err(io::Error::new(ErrorKind::InvalidData, "the checksum is wrong"));
                }
            } else if let Err(error) =
                self.decoder.decode_blocks(&mut self.reader, BlockDecodingStrategy::UptoBlocks(1))
            {
                self.error = Some(io::Error::other(error));
                self.end_frame();
            }
        }
    }
}
