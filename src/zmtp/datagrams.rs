//! ZMTP without a stream, from one side only: RADIO over UDP (RFC 48) and DGRAM (bare bodies), where each datagram is a
//! message, and PUB over PGM (ZMTP 1.0 frames, RFC 13), where a message may span packets.
//!
//! There is no greeting and no handshake: what a peer is follows from the transport alone.
//!
//! Invariants: what a UDP datagram holds has no effect on the next; after a loss in PGM nothing is told until a packet says
//! where a message begins, which is exact and needs no search.

use super::anomaly::{Anomaly, Severity};
use super::assembler::{Assembler, WholeFrame};
use super::event::{EventSink, Frame, FrameKind, Message, Seal};
use super::framer::{At, Framer, Item};
use super::peer::Peer;
use super::probe::Preamble;
use super::session::Traffic;
use super::wire::frame::{FrameFlags, FrameHeader};
use super::wire::greeting::Version;
use super::wire::radio;
use super::wire::socket_type::SocketType;
use super::wire::tsdu::tsdu;
use crate::base::chunk::{Chunk, Data, Position};
use crate::base::direction::{Direction, PerDirection};
use crate::base::limits::Limits;

/// The only way that messages go.
const DIRECTION: Direction = Direction::ClientToServer;

/// A datagram, or the TSDU of a PGM packet.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it was found.
    pub position: Position,
    /// Of its first octet, in whatever counts the octets of its sender; only ever grows.
    pub offset: u64,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// Octets behind `bytes` that were not captured.
    pub cut: u64,
}

/// What the datagrams of a session hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    /// A group and a body.
    Radio,
    /// A body.
    Dgram,
    /// A piece of a stream of frames.
    Tsdu,
}

/// What one sender sends to one destination.
#[derive(Debug)]
pub struct DatagramSession {
    carries: Carries,
    peers: PerDirection<Peer>,
    assembler: Assembler,
    traffic: Traffic,
    /// PGM: `None` while it is not known where a frame begins.
    framer: Option<Framer>,
}

impl DatagramSession {
    /// RADIO to DISH.
    pub fn radio() -> Self {
        Self::between(Carries::Radio, [SocketType::RADIO, SocketType::DISH].map(Peer::of_type))
    }

    /// DGRAM to DGRAM.
    pub fn dgram() -> Self {
        Self::between(Carries::Dgram, [SocketType::DGRAM; 2].map(Peer::of_type))
    }

    /// PUB or XPUB to SUB or XSUB; which is not said.
    pub fn pgm() -> Self {
        let peer = || Peer { version: Some(Version::V1_0), ..Peer::default() };
        Self::between(Carries::Tsdu, [peer(), peer()])
    }

    fn between(carries: Carries, [c2s, s2c]: [Peer; 2]) -> Self {
        let peers = PerDirection { c2s, s2c };
        Self { carries, peers, assembler: Assembler::default(), traffic: Traffic::default(), framer: None }
    }

    /// What is known about both ends; the sender is the client.
    pub fn peers(&self) -> &PerDirection<Peer> {
        &self.peers
    }

    /// What was sent.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Octets held of a message under way.
    pub fn held(&self) -> usize {
        self.assembler.held()
    }

    /// Memory is short: gives them up, so that less will be known about it.
    pub fn release(&mut self) {
        self.assembler.release();
    }

    /// The next datagram, or of PGM the TSDU that follows the one before. `continues`: that is a later fragment of one.
    pub fn datagram(&mut self, datagram: &Datagram<'_>, continues: bool, limits: &Limits, sink: &mut impl EventSink) {
        self.assembler.want(sink.content(DIRECTION));
        match self.carries {
            Carries::Radio => self.radio_datagram(datagram, limits, sink),
            Carries::Dgram => {
                let Datagram { position, offset, bytes, cut } = *datagram;
                let body = FrameHeader { flags: FrameFlags::default(), length: bytes.len() as u64 + cut };
                self.frame(body, position, offset, bytes, limits, sink);
            }
            Carries::Tsdu => self.tsdu(datagram, continues, limits, sink),
        }
    }

    fn radio_datagram(&mut self, datagram: &Datagram<'_>, limits: &Limits, sink: &mut impl EventSink) {
        let Datagram { position, offset, bytes, cut } = *datagram;
        let length = bytes.len() as u64 + cut;
        let group_length = radio::group_length(bytes).map(u64::from);
        let Some(group_length) = group_length.filter(|&group| group < length) else {
            self.traffic.undecoded_bytes += length;
            // Where not even the length was captured, nothing is wrong with it.
            if cut == 0 || group_length.is_some() {
                let text = match group_length {
                    Some(group) => {
                        format!("a datagram of {length} bytes begins with a group of {group}: not from a RADIO")
                    }
                    None => "an empty datagram: not from a RADIO".to_owned(),
                };
                sink.anomaly(Anomaly {
                    code: "radio-datagram",
                    severity: Severity::Warning,
                    direction: DIRECTION,
                    position,
                    offset,
                    text,
                    spec: "48/RADIO-DISH",
                });
            }
            return;
        };
        let split = bytes.len().min(1 + group_length as usize);
        let (group, body) = (&bytes[1..split], &bytes[split..]);
        let body_length = length - 1 - group_length;
        let more = FrameFlags::of(true, false, false);
        self.frame(FrameHeader { flags: more, length: group_length }, position, offset, group, limits, sink);
        let last = FrameHeader { flags: FrameFlags::default(), length: body_length };
        self.frame(last, position, offset + 1 + group_length, body, limits, sink);
    }

    /// A whole frame of which the first octets were captured.
    fn frame(
        &mut self,
        header: FrameHeader,
        position: Position,
        offset: u64,
        captured: &[u8],
        limits: &Limits,
        sink: &mut impl EventSink,
    ) {
        self.assembler.begin(header, At { position, offset });
        if !captured.is_empty() {
            self.assembler.body(Data::Bytes(captured), position, limits);
        }
        let missing = header.length - captured.len() as u64;
        if missing > 0 {
            self.assembler.body(Data::Gap(missing), position, limits);
        }
        self.end_frame(position, limits, sink);
    }

    fn tsdu(&mut self, datagram: &Datagram<'_>, continues: bool, limits: &Limits, sink: &mut impl EventSink) {
        let Datagram { position, offset, bytes, cut } = *datagram;
        let (mut octets, mut message, mut offset) = (bytes, None, offset);
        if !continues {
            let Ok((_, parsed)) = tsdu(bytes) else {
                self.lose(sink);
                return;
            };
            offset += 2;
            // Beyond what was captured nothing can begin.
            let end = parsed.octets.len() + usize::from(cut == 0);
            (octets, message) = (parsed.octets, parsed.message.filter(|&at| at < end));
        }
        if self.framer.is_none() {
            let begins = message.unwrap_or(octets.len());
            self.traffic.undecoded_bytes += begins as u64;
            if message.is_none() {
                self.traffic.undecoded_bytes += cut;
                return;
            }
            octets = &octets[begins..];
            offset += begins as u64;
            self.framer = Some(Framer::new(Preamble::Frames));
        }
        self.stream(Chunk { position, offset, data: Data::Bytes(octets) }, limits, sink);
        if cut > 0 {
            let data = Data::Gap(cut);
            self.stream(Chunk { position, offset: offset + octets.len() as u64, data }, limits, sink);
        }
    }

    /// Packets of PGM are missing.
    pub fn lost(&mut self, position: Position, offset: u64, packets: u64, sink: &mut impl EventSink) {
        let s = if packets == 1 { "" } else { "s" };
        sink.anomaly(Anomaly {
            code: "pgm-loss",
            severity: Severity::Warning,
            direction: DIRECTION,
            position,
            offset,
            text: format!(
                "{packets} data packet{s} of this source not in the capture, neither sent first nor repaired; messages go on \
                 with the next that begins"
            ),
            spec: "RFC 3208",
        });
        self.lose(sink);
    }

    fn lose(&mut self, sink: &mut impl EventSink) {
        if self.framer.take().is_some() {
            self.traffic.broken_messages += u64::from(self.assembler.abandon());
            sink.lost(DIRECTION);
        }
    }

    /// The next piece of the stream of frames.
    fn stream(&mut self, chunk: Chunk<'_>, limits: &Limits, sink: &mut impl EventSink) {
        if chunk.data.length() == 0 {
            return;
        }
        let Some(mut framer) = self.framer.take() else { return };
        let mut in_step = true;
        framer.push(&chunk, limits, &mut |at: At, item| match item {
            // What the framer finds by searching on is not needed: the next packet that begins a message says so.
            _ if !in_step => {}
            Item::Header(header) => self.assembler.begin(header, at),
            Item::Body(data) => self.assembler.body(data, at.position, limits),
            Item::End => self.end_frame(at.position, limits, sink),
            Item::Frame(header, body) => {
                let frame = self.assembler.whole(header, at, body, limits);
                self.frame_end(&frame, at.position, sink);
            }
            Item::Desync(why) => {
                in_step = false;
                self.traffic.broken_messages += u64::from(self.assembler.abandon());
                sink.lost(DIRECTION);
                let text =
                    format!("frames cannot be followed here ({why:?}); messages go on with the next that begins");
                sink.anomaly(Anomaly {
                    code: "sync-lost",
                    severity: Severity::Warning,
                    direction: DIRECTION,
                    position: at.position,
                    offset: at.offset,
                    text,
                    spec: "13/ZMTP",
                });
            }
            Item::Skipped(length) => self.traffic.undecoded_bytes += length,
            _ => {}
        });
        self.framer = Some(framer).filter(|_| in_step);
    }

    fn end_frame(&mut self, end: Position, limits: &Limits, sink: &mut impl EventSink) {
        if let Some(frame) = self.assembler.end(limits) {
            self.frame_end(&frame, end, sink);
        }
    }

    fn frame_end(&mut self, frame: &WholeFrame, end: Position, sink: &mut impl EventSink) {
        let message = self.assembler.message();
        let described = message.parts.last().filter(|_| message.parts.len() as u64 == message.part_count);
        let head = described.map_or(&[][..], |part| &message.heads[part.head.clone()]);
        let ordinal = self.traffic.messages;
        let kind = FrameKind::Part { ordinal, part: message.part_count - 1, seal: Seal::Clear };
        sink.frame(
            self.peers.as_ref(),
            &Frame {
                direction: DIRECTION,
                offset: frame.at.offset,
                start: frame.at.position,
                end,
                flags: frame.header.flags,
                length: frame.header.length,
                missing: frame.missing,
                head,
                kind,
            },
        );
        if frame.header.flags.more() {
            return;
        }
        let told = Message {
            direction: DIRECTION,
            ordinal,
            offset: message.offset,
            start: message.start,
            end,
            available: message.available.unwrap_or(end),
            parts: &message.parts,
            part_count: message.part_count,
            heads: &message.heads,
            encrypted: false,
            is_compared: message.is_compared(),
        };
        sink.message(self.peers.as_ref(), &told);
        self.traffic.messages += 1;
        self.traffic.frames += message.part_count;
        self.traffic.body_bytes += message.body_bytes;
        self.assembler.clear_message();
    }
}
