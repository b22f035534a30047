//! The PGM packet (RFC 3208 section 8). In UDP ("EPGM") it is the same, behind a UDP header.
//!
//! ```text
//! | source port 2 | destination port 2 | type 1 | options 1 | checksum 2 | GSI 6 | TSDU length 2 |
//! ODATA, RDATA:   | sequence number 4 | trailing edge 4 | [option extensions] | TSDU |
//! SPM:            | sequence number 4 | trailing edge 4 | leading edge 4 | path address 8 or 20 | [option extensions] |
//! NAK, NNAK, NCF: | sequence number 4 | source address 8 or 20 | group address 8 or 20 | [option extensions] |
//! ```
//!
//! Numbers are big-endian. A NAK or NNAK travels to the source: its ports are the other way round.

use super::datagram::Datagram;

/// Fields that all types share.
const HEADER: usize = 16;

/// What tells the packets of one source from those of all others: its global source identifier, and its port (RFC 3208
/// section 3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tsi {
    /// Six octets, which `OpenPGM` makes from the host's name and address, or at random.
    pub gsi: [u8; 6],
    /// The data-source port.
    pub port: u16,
}

/// A PGM packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pgm<'a> {
    /// Of the source whose data it is, or is about.
    pub tsi: Tsi,
    /// The data-destination port.
    pub destination_port: u16,
    /// It goes to the source, not from it.
    pub upstream: bool,
    /// What it is.
    pub kind: Kind<'a>,
    /// How well its integrity is known.
    pub integrity: Integrity,
}

/// What a PGM packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// ODATA, or RDATA which is the same once more.
    Data(Data<'a>),
    /// Source path message: what the source has in its transmit window, also while it is silent.
    Spm {
        /// The oldest data packet that can be repaired.
        trail: u32,
        /// The latest data packet; one less than the first where there is none yet.
        lead: u32,
    },
    /// A receiver lacks a packet (NAK, NNAK), or the source confirms that it was told (NCF).
    Nak,
    /// POLL, POLR, SPMR: about the group, not about data.
    Other,
}

/// A packet with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Its number.
    pub sequence: u32,
    /// The oldest data packet that can be repaired.
    pub trail: u32,
    /// Sent again on request (RDATA).
    pub is_repair: bool,
    /// It holds parity of other packets (RFC 3208 section 11), and no data of its own.
    pub is_parity: bool,
    /// It is a later fragment of a unit that began in an earlier packet (`OPT_FRAGMENT`).
    pub continues: bool,
    /// What it carries, as far as it was captured.
    pub tsdu: &'a [u8],
    /// Bytes of the TSDU that were not captured.
    pub cut: u32,
}

/// Whether the checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// It does. 16 bits of evidence that this is PGM at all.
    Valid,
    /// There is none, which only packets without data may do, or the packet was not captured whole.
    Unknown,
    /// It does not.
    Wrong,
}

/// Types (RFC 3208 section 8). Version 0 is in the two highest bits, and the next two are zero.
mod packet_type {
    pub(super) const SPM: u8 = 0;
    pub(super) const POLL: u8 = 1;
    pub(super) const POLR: u8 = 2;
    pub(super) const ODATA: u8 = 4;
    pub(super) const RDATA: u8 = 5;
    pub(super) const NAK: u8 = 8;
    pub(super) const NNAK: u8 = 9;
    pub(super) const NCF: u8 = 10;
    pub(super) const SPMR: u8 = 12;
}

/// Bits of the options octet.
mod option_flag {
    pub(super) const PRESENT: u8 = 0x01;
    pub(super) const NETWORK: u8 = 0x02;
    pub(super) const VARIABLE: u8 = 0x40;
    pub(super) const PARITY: u8 = 0x80;
}

/// Option extensions.
mod extension {
    /// On the type of the last one.
    pub(super) const END: u8 = 0x80;
    pub(super) const LENGTH: u8 = 0x00;
    pub(super) const FRAGMENT: u8 = 0x01;
}

/// The PGM packet that is the payload of a datagram; `None` if that is none. All length fields must agree with the length
/// of the datagram, whether it was captured whole or not.
pub fn pgm<'a>(datagram: &Datagram<'a>) -> Option<Pgm<'a>> {
    let bytes = datagram.payload;
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let &[s1, s2, d1, d2, kind, flags, c1, c2, g1, g2, g3, g4, g5, g6, t1, t2] = header;
    let tsdu_length = usize::from(u16::from_be_bytes([t1, t2]));
    let known = option_flag::PRESENT | option_flag::NETWORK | option_flag::VARIABLE | option_flag::PARITY;
    if flags & !known != 0 {
        return None;
    }
    let wire = bytes.len() + datagram.cut as usize;
    let has_data = matches!(kind, packet_type::ODATA | packet_type::RDATA);
    let (mut at, kind_of) = match kind {
        packet_type::ODATA | packet_type::RDATA => (24, None),
        packet_type::SPM => {
            let spm = Kind::Spm { trail: u32_at(bytes, 20)?, lead: u32_at(bytes, 24)? };
            (28 + address(bytes, 28)?, Some(spm))
        }
        packet_type::NAK | packet_type::NNAK | packet_type::NCF => {
            let group = 20 + address(bytes, 20)?;
            (group + address(bytes, group)?, Some(Kind::Nak))
        }
        packet_type::POLL | packet_type::POLR | packet_type::SPMR => (wire, Some(Kind::Other)),
        _ => return None,
    };
    let mut continues = false;
    if flags & option_flag::PRESENT != 0 && kind_of != Some(Kind::Other) {
        let options = options(bytes.get(at..)?)?;
        continues = options.continues;
        at += options.length;
    }
    if at + tsdu_length != wire || !has_data && tsdu_length != 0 {
        return None;
    }
    let integrity = match u16::from_be_bytes([c1, c2]) {
        0 => Integrity::Unknown,
        _ if datagram.cut > 0 => Integrity::Unknown,
        _ if sum(bytes) == 0xffff => Integrity::Valid,
        _ => Integrity::Wrong,
    };
    let (source, destination) = (u16::from_be_bytes([s1, s2]), u16::from_be_bytes([d1, d2]));
    let upstream = matches!(kind, packet_type::NAK | packet_type::NNAK | packet_type::SPMR);
    let (port, destination_port) = if upstream { (destination, source) } else { (source, destination) };
    let kind = match kind_of {
        Some(kind) => kind,
        None => Kind::Data(Data {
            sequence: u32_at(bytes, 16)?,
            trail: u32_at(bytes, 20)?,
            is_repair: kind == packet_type::RDATA,
            is_parity: flags & option_flag::PARITY != 0,
            continues,
            tsdu: bytes.get(at..)?,
            cut: datagram.cut,
        }),
    };
    Some(Pgm { tsi: Tsi { gsi: [g1, g2, g3, g4, g5, g6], port }, destination_port, upstream, kind, integrity })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Length of the network-layer address at `at`: family (IANA: 1 IPv4, 2 IPv6), two zero octets, address.
fn address(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..)?.first_chunk()? {
        [0, 1, 0, 0] => Some(8),
        [0, 2, 0, 0] => Some(20),
        _ => None,
    }
}

struct Options {
    /// Of all of them.
    length: usize,
    continues: bool,
}

/// Option extensions (RFC 3208 section 9.1): `OPT_LENGTH` with the length of all, then each with type and length, the last
/// one marked.
fn options(bytes: &[u8]) -> Option<Options> {
    let &[first, 4, high, low] = bytes.first_chunk()? else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if first & !extension::END != extension::LENGTH {
        return None;
    }
    let all = bytes.get(..length)?;
    let mut rest = all.get(4..)?;
    let mut continues = false;
    let mut is_last = first & extension::END != 0;
    while !is_last {
        let &[kind, length] = rest.first_chunk()?;
        // Of the unit: sequence number of its first packet, offset of this one's data, length.
        if kind & !extension::END == extension::FRAGMENT {
            continues = u32_at(rest, 8)? != 0;
        }
        is_last = kind & extension::END != 0;
        rest = rest.get(usize::from(length).max(2)..)?;
    }
    rest.is_empty().then_some(Options { length, continues })
}

/// The Internet checksum (RFC 1071) over a packet that holds its own: 0xffff if it is right. No pseudo-header.
fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let mut sum: u64 = words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum();
    sum += rest.first().map_or(0, |&last| u64::from(last) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::endpoint::Endpoint;

    // As libzmq 4.3.4 sent them, with OpenPGM 5.3.
    const SPM: &str = "133f15b30000\
        3ff5b7c6d1bc038a00000000000000000000ffffffff000100000a090001";
    const SPM_WITH_FIN: &str = "133f15b30001affab7c6d1bc038a0000\
        0000000900000000000001e0000100000a090001000400088e040000";
    const NAK_WITH_LIST: &str = "15b36177080376d9b7c6d1bc038a0000\
        00000002000100000a09000100010000efc001010004000c8208000000000003";
    const NCF: &str = "133f15b30a004532b7c6d1bc038a000000000001000100000a09000100010000efc00101";

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex")).collect()
    }

    fn datagram(payload: &[u8]) -> Datagram<'_> {
        let endpoint = |last| Endpoint::new([10, 9, 0, last], 0);
        Datagram { source: endpoint(1), destination: endpoint(2), payload, cut: 0 }
    }

    #[test]
    fn real_packets() {
        let spm = octets(SPM);
        let found = pgm(&datagram(&spm)).expect("an SPM");
        assert_eq!(found.tsi, Tsi { gsi: [0xb7, 0xc6, 0xd1, 0xbc, 0x03, 0x8a], port: 0x133f });
        assert_eq!((found.destination_port, found.upstream, found.integrity), (5555, false, Integrity::Valid));
        assert_eq!(found.kind, Kind::Spm { trail: 0, lead: u32::MAX });
        let spm = octets(SPM_WITH_FIN);
        let found = pgm(&datagram(&spm)).expect("an SPM with options");
        assert_eq!((found.kind, found.integrity), (Kind::Spm { trail: 0, lead: 480 }, Integrity::Valid));
        let nak = octets(NAK_WITH_LIST);
        let found = pgm(&datagram(&nak)).expect("a NAK");
        assert_eq!((found.kind, found.integrity, found.upstream), (Kind::Nak, Integrity::Valid, true));
        assert_eq!(
            (found.tsi.port, found.destination_port),
            (0x6177, 5555),
            "the source's ports, as in its own packets"
        );
        let ncf = octets(NCF);
        assert_eq!(pgm(&datagram(&ncf)).map(|ncf| (ncf.kind, ncf.upstream)), Some((Kind::Nak, false)));
    }

    #[test]
    fn lengths_must_agree_and_the_checksum_tells_damage() {
        for whole in [SPM, SPM_WITH_FIN, NAK_WITH_LIST, NCF].map(octets) {
            for end in 0..whole.len() {
                assert_eq!(pgm(&datagram(&whole[..end])), None, "{end} of {}", whole.len());
            }
            let cut = Datagram { payload: &whole[..whole.len() - 1], cut: 1, ..datagram(&whole) };
            assert_ne!(pgm(&cut).map(|found| found.integrity), Some(Integrity::Valid));
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                assert_ne!(pgm(&datagram(&damaged)).map(|found| found.integrity), Some(Integrity::Valid), "{at}");
            }
        }
        assert_eq!(pgm(&datagram(&[0; 36])).map(|found| found.integrity), None, "zeros are no address");
    }

    #[test]
    fn a_fragment_and_parity_are_told() {
        // ODATA number 7 with OPT_LENGTH and OPT_FRAGMENT (first 6, offset 100, of 200), then two octets.
        let packet = |offset: u8, flags: u8| {
            let header = [0x13, 0x3f, 0x15, 0xb3, 4, flags, 0, 0, 1, 2, 3, 4, 5, 6, 0, 2];
            let options = [0, 4, 0, 20, 0x81, 16, 0, 0, 0, 0, 0, 6, 0, 0, 0, offset, 0, 0, 0, 200];
            [&header[..], &[0, 0, 0, 7, 0, 0, 0, 0], &options, &[9, 9]].concat()
        };
        for (offset, flags, continues, is_parity) in
            [(100, 1, true, false), (0, 1, false, false), (0, 0x81, false, true)]
        {
            let packet = packet(offset, flags);
            let Some(Pgm { kind: Kind::Data(data), integrity, .. }) = pgm(&datagram(&packet)) else { panic!("ODATA") };
            assert_eq!((data.continues, data.is_parity, data.tsdu), (continues, is_parity, &[9, 9][..]));
            assert_eq!((data.sequence, integrity), (7, Integrity::Unknown));
        }
    }
}
