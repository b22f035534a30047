//! The classic format: a header of 24 bytes, then records of 16 bytes and a packet (draft-ietf-opsawg-pcap).
//!
//! Both byte orders, microseconds and nanoseconds, and the "modified" records of 24 bytes.

use super::buffer::Buffer;
use super::{MAX_CAPTURED, Record, Step, damaged};
use crate::base::time::Timestamp;
use crate::capture::packet::LinkType;
use pcap_parser::nom::Err::Incomplete;
use pcap_parser::{PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header};
use std::io;

/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;

/// The link type without the bits above it, which tell the length of a frame check sequence (section 4 there).
const LINK_TYPE_BITS: u32 = 0x03ff_ffff;

/// What the file header says about every record.
pub(super) struct Pcap {
    link: LinkType,
    nanoseconds: bool,
    order: Order,
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
    /// Alexey Kuznetzov's format of the nineties, magic `0xa1b2cd34`.
    Modified,
}

impl Order {
    const fn record_header(self) -> usize {
        match self {
            Self::Little | Self::Big => 16,
            Self::Modified => 24,
        }
    }
}

impl Pcap {
    /// From the first [`FILE_HEADER`] bytes, which start with a magic number of this format; `None` otherwise.
    pub(super) fn new(header: &[u8]) -> Option<Self> {
        let (_, header) = parse_pcap_header(header).ok()?;
        let PcapHeader { network, .. } = header;
        Some(Self {
            link: LinkType(network.0 as u32 & LINK_TYPE_BITS),
            nanoseconds: header.is_nanosecond_precision(),
            order: if header.is_modified_format() {
                Order::Modified
            } else if header.is_bigendian() {
                Order::Big
            } else {
                Order::Little
            },
        })
    }

    pub(super) fn name(&self) -> &'static str {
        if self.nanoseconds { "pcap (ns)" } else { "pcap" }
    }

    /// The next record. `read` packets came before it.
    pub(super) fn next(&self, buffer: &mut Buffer, read: u64) -> io::Result<Step> {
        let number = read + 1;
        let header = self.order.record_header();
        loop {
            let window = buffer.window();
            let there = window.len();
            let frame = match self.order {
                Order::Little => parse_pcap_frame(window),
                Order::Big => parse_pcap_frame_be(window),
                Order::Modified => parse_pcap_frame_modified(window),
            };
            let wanted = match frame {
                Ok((_, frame)) if frame.caplen as usize <= MAX_CAPTURED => {
                    let nanoseconds = i64::from(frame.ts_usec);
                    let scale = if self.nanoseconds { 1 } else { 1_000 };
                    let at = Timestamp::from_parts(i64::from(frame.ts_sec), nanoseconds * scale);
                    let (captured, wire) = (frame.caplen, frame.origlen);
                    let mut range = buffer.take(header + captured as usize);
                    range.start += header;
                    return Ok(Step::Record(Record { at, link: self.link, range, wire_length: wire.max(captured) }));
                }
                Ok((_, frame)) => {
                    return Ok(damaged(number, u64::from(frame.caplen)));
                }
                Err(Incomplete(_)) if there < header => header,
                Err(_) => {
                    let length = self.captured_length(window);
                    if length as usize > MAX_CAPTURED {
                        return Ok(damaged(number, u64::from(length)));
                    }
                    header + length as usize
                }
            };
            if !buffer.fill(wanted)? {
                return Ok(match buffer.window().len() {
                    0 => Step::End,
                    left => Step::Damaged(format!(
                        "the file is cut off in the middle of packet {number} ({left} bytes left)"
                    )),
                });
            }
        }
    }

    /// The captured length of the record whose header begins `window`, before its packet is there to be parsed.
    fn captured_length(&self, window: &[u8]) -> u32 {
        let field = window[8..12].try_into().expect("four bytes");
        match self.order {
            Order::Big => u32::from_be_bytes(field),
            Order::Little | Order::Modified => u32::from_le_bytes(field),
        }
    }
}
