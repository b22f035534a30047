//! The block format (draft-ietf-opsawg-pcapng): sections, each with its byte order and interfaces, each interface with
//! its link type and clock.
//!
//! Headers and options of the rare blocks are parsed by `pcap-parser`; the 28 bytes before each packet are read here,
//! because that crate's block type collects the options of every packet in a vector.

use super::buffer::Buffer;
use super::{MAX_CAPTURED, Record, Step, damaged};
use crate::base::time::Timestamp;
use crate::capture::packet::LinkType;
use pcap_parser::{
    Block, InterfaceDescriptionBlock, InterfaceStatisticsBlock, OptionCode, PcapNGOption, parse_block_be,
    parse_block_le,
};
use std::io;

/// Block type of a section header, the same in both byte orders.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// What follows the length of a section header, in big-endian order.
const MAGIC: &[u8] = &[0x1a, 0x2b, 0x3c, 0x4d];
const MAGIC_SWAPPED: &[u8] = &[0x4d, 0x3c, 0x2b, 0x1a];

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// Type and length before the body of a block; the length stands behind the body too.
const BLOCK_START: usize = 8;
const BLOCK_FRAME: u64 = 12;

/// `drops_count` of the obsolete packet block where it is not known.
const DROPS_UNKNOWN: u16 = 0xffff;

/// Where the file stands: the current section.
#[derive(Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Drops told by sections that have ended.
    ended_drops: Option<u64>,
    last: Timestamp,
    /// Packets in blocks that hold no time.
    timeless: u64,
}

struct Interface {
    link: LinkType,
    /// 0 for no limit.
    snaplen: u32,
    clock: Clock,
    /// Drops since the start of the capture, as the statistics of the interface tell them.
    total_drops: Option<u64>,
    /// Sum of the drops that packets tell to have happened before them.
    packet_drops: Option<u64>,
}

/// The unit and origin of an interface's timestamps.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// `if_tsresol`: seconds to the power of -n, of 10 or, with the top bit set, of 2.
    resolution: u8,
    /// `if_tsoffset`, seconds.
    offset: i64,
}

impl Pcapng {
    /// Whether a file that begins so is one of this format: a section header and its byte-order magic.
    pub(super) fn begins(start: &[u8]) -> bool {
        start.starts_with(&SECTION)
            && start
                .get(BLOCK_START..BLOCK_FRAME as usize)
                .is_some_and(|magic| magic == MAGIC || magic == MAGIC_SWAPPED)
    }

    /// Drops that the file tells of so far.
    pub(super) fn dropped(&self) -> Option<u64> {
        // Both count the same drops; the larger number has seen more of them.
        self.interfaces
            .iter()
            .map(|interface| interface.total_drops.max(interface.packet_drops))
            .fold(self.ended_drops, sum)
    }

    pub(super) fn warning(&self) -> Option<String> {
        (self.timeless > 0).then(|| {
            format!(
                "{} packets hold no time (simple packet blocks): the time of the packet before each is taken",
                self.timeless
            )
        })
    }

    /// The next packet. `read` packets came before it.
    pub(super) fn next(&mut self, buffer: &mut Buffer, read: u64) -> io::Result<Step> {
        loop {
            if !buffer.fill(BLOCK_FRAME as usize)? {
                return Ok(match buffer.window().len() {
                    0 => Step::End,
                    left => cut(None, read, left as u64),
                });
            }
            let window = buffer.window();
            if window[..4] == SECTION {
                if !Self::begins(window) {
                    return Ok(broken("has no byte-order magic", read));
                }
                self.big_endian = window[8..].starts_with(MAGIC);
            }
            let kind = self.u32(window, 0);
            let length = u64::from(self.u32(window, 4));
            if length < BLOCK_FRAME {
                return Ok(broken("claims to be shorter than its own frame", read));
            }
            let is_packet = matches!(kind, ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET);
            let kept = is_packet || matches!(kind, SECTION_HEADER | INTERFACE_DESCRIPTION | INTERFACE_STATISTICS);
            if !kept {
                let before = buffer.consumed();
                if !buffer.skip(length)? {
                    return Ok(cut(None, read, buffer.consumed() - before));
                }
                continue;
            }
            if length > MAX_CAPTURED as u64 {
                return Ok(if is_packet {
                    damaged(read + 1, length)
                } else {
                    broken("claims to be longer than any of its kind", read)
                });
            }
            let length = length as usize;
            if !buffer.fill(length)? {
                let number = is_packet.then_some(read + 1);
                return Ok(cut(number, read, buffer.window().len() as u64));
            }
            let block = &buffer.window()[..length];
            if self.u32(block, length - 4) as usize != length {
                return Ok(broken("ends with another length than it began with", read));
            }
            if is_packet {
                let Some(mut record) = self.packet(kind, block) else {
                    return Ok(broken("contradicts itself", read));
                };
                let taken = buffer.take(length);
                record.range = taken.start + record.range.start..taken.start + record.range.end;
                self.last = record.at;
                return Ok(Step::Record(record));
            }
            let parse = if self.big_endian { parse_block_be } else { parse_block_le };
            match parse(block) {
                Ok((_, Block::SectionHeader(_))) => {
                    self.ended_drops = self.dropped();
                    self.interfaces.clear();
                }
                Ok((_, Block::InterfaceDescription(block))) => {
                    let interface = self.interface(&block);
                    self.interfaces.push(interface);
                }
                Ok((_, Block::InterfaceStatistics(block))) => self.statistics(&block),
                _ => return Ok(broken("cannot be parsed", read)),
            }
            buffer.take(length);
        }
    }

    /// The packet in a block, its range relative to the block; `None` if the block contradicts itself.
    fn packet(&mut self, kind: u32, block: &[u8]) -> Option<Record> {
        let body = block.get(BLOCK_START..block.len() - 4)?;
        if kind == SIMPLE_PACKET {
            return self.simple_packet(body);
        }
        let index = match kind {
            ENHANCED_PACKET => self.u32(body.get(..20)?, 0) as usize,
            _ => usize::from(self.u16(body.get(..20)?, 0)),
        };
        let ticks = u64::from(self.u32(body, 4)) << 32 | u64::from(self.u32(body, 8));
        let captured = self.u32(body, 12) as usize;
        let wire_length = self.u32(body, 16).max(captured as u32);
        if body.len() - 20 < captured {
            return None;
        }
        let dropped = match kind {
            OBSOLETE_PACKET => Some(self.u16(body, 2)).filter(|&drops| drops != DROPS_UNKNOWN).map(u64::from),
            _ => self.drop_count(body.get(20 + captured.next_multiple_of(4)..).unwrap_or_default()),
        };
        let interface = self.interfaces.get_mut(index)?;
        if dropped.is_some() {
            interface.packet_drops = sum(interface.packet_drops, dropped);
        }
        let start = BLOCK_START + 20;
        Some(Record {
            at: interface.clock.time(ticks),
            link: interface.link,
            range: start..start + captured,
            wire_length,
        })
    }

    /// `epb_dropcount` among the options of a packet (section 4.3).
    fn drop_count(&self, mut options: &[u8]) -> Option<u64> {
        const END: u16 = 0;
        const DROP_COUNT: u16 = 4;
        while options.len() >= 4 {
            let (code, length) = (self.u16(options, 0), usize::from(self.u16(options, 2)));
            let value = options.get(4..4 + length)?;
            match code {
                END => break,
                DROP_COUNT => return Some(self.u64(value)),
                _ => options = options.get(4 + length.next_multiple_of(4)..)?,
            }
        }
        None
    }

    /// Section 4.4: only the length on the wire, then the packet and its padding, captured on the first interface.
    fn simple_packet(&mut self, body: &[u8]) -> Option<Record> {
        let wire_length = self.u32(body.get(..4)?, 0);
        let interface = self.interfaces.first()?;
        let limit = match interface.snaplen {
            0 => wire_length,
            snaplen => snaplen.min(wire_length),
        };
        let captured = (body.len() - 4).min(limit as usize);
        self.timeless += 1;
        let start = BLOCK_START + 4;
        Some(Record { at: self.last, link: interface.link, range: start..start + captured, wire_length })
    }

    fn interface(&self, block: &InterfaceDescriptionBlock<'_>) -> Interface {
        let resolution = option(&block.options, OptionCode::IfTsresol);
        let offset = option(&block.options, OptionCode::IfTsoffset);
        Interface {
            link: LinkType(block.linktype.0 as u32),
            snaplen: block.snaplen,
            clock: Clock {
                resolution: resolution.and_then(|value| value.first()).map_or(6, |&n| n),
                offset: offset.map_or(0, |value| self.u64(value) as i64),
            },
            total_drops: None,
            packet_drops: None,
        }
    }

    /// Section 4.6. The counters run from the start of the capture, so the last block of an interface counts.
    fn statistics(&mut self, block: &InterfaceStatisticsBlock<'_>) {
        let counters = [OptionCode::IsbIfDrop, OptionCode::IsbOsDrop];
        let drops =
            counters.into_iter().map(|code| option(&block.options, code).map(|value| self.u64(value))).fold(None, sum);
        if let Some(interface) = self.interfaces.get_mut(block.if_id as usize) {
            interface.total_drops = drops.or(interface.total_drops);
        }
    }

    fn u16(&self, bytes: &[u8], at: usize) -> u16 {
        let field = bytes[at..at + 2].try_into().expect("two bytes");
        if self.big_endian { u16::from_be_bytes(field) } else { u16::from_le_bytes(field) }
    }

    fn u32(&self, bytes: &[u8], at: usize) -> u32 {
        let field = bytes[at..at + 4].try_into().expect("four bytes");
        if self.big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }
    }

    /// An option of eight bytes; 0 if it is shorter.
    fn u64(&self, value: &[u8]) -> u64 {
        let Some(field) = value.first_chunk() else {
            return 0;
        };
        if self.big_endian { u64::from_be_bytes(*field) } else { u64::from_le_bytes(*field) }
    }
}

impl Clock {
    /// Nanoseconds since the epoch, saturating.
    fn time(self, ticks: u64) -> Timestamp {
        let ticks = u128::from(ticks);
        let exponent = u32::from(self.resolution & 0x7f);
        let nanoseconds = if self.resolution & 0x80 != 0 {
            (ticks * 1_000_000_000) >> exponent
        } else if exponent <= 9 {
            ticks * 10_u128.pow(9 - exponent)
        } else {
            10_u128.checked_pow(exponent - 9).map_or(0, |unit| ticks / unit)
        };
        let offset = i128::from(self.offset) * 1_000_000_000;
        let time = nanoseconds.cast_signed() + offset;
        Timestamp(time.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }
}

fn option<'a>(options: &'a [PcapNGOption<'_>], code: OptionCode) -> Option<&'a [u8]> {
    let found = options.iter().find(|option| option.code == code)?;
    Some(&found.value[..usize::from(found.len).min(found.value.len())])
}

fn sum(total: Option<u64>, more: Option<u64>) -> Option<u64> {
    match (total, more) {
        (Some(total), Some(more)) => Some(total.saturating_add(more)),
        (total, more) => total.or(more),
    }
}

fn cut(packet: Option<u64>, read: u64, left: u64) -> Step {
    Step::Damaged(match packet {
        Some(number) => {
            format!("the file is cut off in the middle of packet {number} ({left} bytes left)")
        }
        None => format!("the file is cut off in the middle of a block after packet {read} ({left} bytes left)"),
    })
}

fn broken(how: &str, read: u64) -> Step {
    Step::Damaged(format!("the file is damaged: the block after packet {read} {how}; reading stopped there"))
}
