//! Where WebSocket frames begin again after a loss. As in [`crate::zmtp::resync`], a place is believed when the frames
//! that follow it fit one after the other up to the last octet that is known, and chance does not explain that.

use crate::zmtp::resync::{Excerpt, Proof};
use crate::zmtp::wire::websocket::{LONGEST_CONTROL, Opcode, WsHeader, ZwsFlags, frame_header};

/// What it takes more inside of a packet: there are that many more places to be wrong about.
const NO_HINT: u32 = 12;

/// One of four first octets of 256, and a mask bit as the sender has to set it.
const FIRST_OCTETS: u32 = 7;

/// The flag octet is one of three.
const FLAGS: u32 = 6;

/// A length of 64 bits whose upper half is zero.
const LONG: u32 = 32;

/// The first index in an excerpt without holes at which frames are believed to begin; `masked`: they come from the client.
/// Takes time and memory in proportion to the octets.
pub(super) fn find(excerpt: &Excerpt, masked: bool, proof: Proof) -> Option<usize> {
    let octets = excerpt.octets();
    let mut proofs: Vec<Option<u32>> = vec![Some(0); octets.len() + 1];
    for at in (0..octets.len()).rev() {
        proofs[at] = match frame_header(&octets[at..]) {
            Ok((payload, header)) => bits(header, payload, masked).and_then(|bits| {
                let length = usize::try_from(header.length).unwrap_or(usize::MAX);
                // One that goes on beyond the octets is the last.
                let next = (octets.len() - payload.len()).saturating_add(length).min(octets.len());
                Some(bits + proofs[next]?)
            }),
            Err(error) => error.is_incomplete().then_some(0),
        };
    }
    (0..octets.len()).find(|&at| {
        let needed = proof.bits() + if excerpt.is_packet(at) { 0 } else { NO_HINT };
        proofs[at].is_some_and(|bits| bits >= needed)
    })
}

/// Bits of proof in one frame; `None` if a sender of ZWS would not send it. Fragments prove too little.
fn bits(header: WsHeader, payload: &[u8], masked: bool) -> Option<u32> {
    let WsHeader { is_final, reserved, opcode, mask, length, is_shortest } = header;
    if !is_final || reserved != 0 || mask.is_some() != masked || !is_shortest || length >> 32 != 0 {
        return None;
    }
    match opcode {
        Opcode::BINARY if length > 0 => {
            let Some(&first) = payload.first() else { return Some(0) };
            let flags = ZwsFlags(mask.map_or(first, |mask| mask.first(first)));
            (flags.0 <= 2).then_some(FIRST_OCTETS + FLAGS + if length > 0xFFFF { LONG } else { 0 })
        }
        Opcode::PING | Opcode::PONG | Opcode::CLOSE if length <= LONGEST_CONTROL => Some(FIRST_OCTETS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::chunk::Position;

    /// Another packet begins at this index.
    fn find(octets: &[u8], packet: usize, masked: bool, proof: Proof) -> Option<usize> {
        let mut excerpt = Excerpt::default();
        let (before, after) = octets.split_at(packet);
        for (offset, octets) in [(0, before), (packet as u64, after)] {
            excerpt.push(offset, Position::default(), octets, usize::MAX);
        }
        super::find(&excerpt, masked, proof)
    }

    fn message(length: u8) -> Vec<u8> {
        let mut octets = vec![0x82, length + 1, 0];
        octets.extend((0..length).map(|number| b'a' + number % 26));
        octets
    }

    fn masked(length: u8) -> Vec<u8> {
        let clear = message(length);
        let mask = [0xA1, 0x7B, 0x00, 0x5C];
        let mut octets = vec![clear[0], clear[1] | 0x80];
        octets.extend(mask);
        octets.extend(clear[2..].iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
        octets
    }

    #[test]
    fn the_rest_of_a_payload_is_passed_over() {
        let octets = [b"the rest of some payload".to_vec(), message(20), message(9)].concat();
        assert_eq!(find(&octets, 0, false, Proof::Usual), Some(24));
        let octets = [b"rest".to_vec(), message(20)].concat();
        assert_eq!(find(&octets, 4, false, Proof::Usual), Some(4), "a packet begins there");
        assert_eq!(find(&octets, 0, false, Proof::Usual), None, "one frame within a packet may be chance");
    }

    #[test]
    fn only_clients_mask() {
        let octets = [vec![7; 5], masked(20), masked(30)].concat();
        assert_eq!(find(&octets, 1, true, Proof::Usual), Some(5));
        assert_eq!(find(&octets, 1, false, Proof::Usual), None);
    }

    #[test]
    fn noise_has_no_frames() {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(50_000)
        .collect();
        for octets in [&noise[..], &[0; 4000], &[b'x'; 4000]] {
            for masked in [true, false] {
                assert_eq!(find(octets, 0, masked, Proof::Strong), None);
            }
        }
    }
}
