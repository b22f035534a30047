//! Does a stream speak ZMTP? Told by its first octets, on any port.

use super::wire::greeting::{MechanismName, SIGNATURE_FIRST, SIGNATURE_LAST};

/// What the octets seen so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is ZMTP.
    Zmtp,
    /// It is something else.
    NotZmtp,
    /// Too few octets to tell.
    NeedMore,
}

/// Octets up to the end of the mechanism: with these a greeting is beyond doubt.
const CERTAIN: usize = 32;

/// Judges the first octets of one direction of a stream (from its offset 0).
///
/// ZMTP 3.x: signature, a major version of 3 or more, and a mechanism (RFC 37). The signature alone could be chance.
pub fn probe(head: &[u8]) -> Verdict {
    let fits = |at: usize, test: &dyn Fn(u8) -> bool| head.get(at).is_none_or(|&octet| test(octet));
    let signature = fits(0, &|o| o == SIGNATURE_FIRST) && fits(9, &|o| o == SIGNATURE_LAST);
    let mechanism = head.get(12..head.len().min(CERTAIN)).unwrap_or_default();
    if !signature || !fits(10, &|major| major >= 3) || !MechanismName::is_plausible(mechanism) {
        Verdict::NotZmtp
    } else if head.len() >= CERTAIN {
        Verdict::Zmtp
    } else {
        Verdict::NeedMore
    }
}

/// Judges a stream that ended, or grew no further, before [`probe`] could tell: two peers that both got as far as the
/// major version, and nothing against it, are ZMTP.
pub fn probe_at_end(c2s: &[u8], s2c: &[u8]) -> Verdict {
    let far_enough = |head: &[u8]| head.len() > 10 && probe(head) != Verdict::NotZmtp;
    if far_enough(c2s) && far_enough(s2c) { Verdict::Zmtp } else { Verdict::NotZmtp }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_recognised_and_its_prefixes_wait() {
        let mut greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01CURVE".to_vec();
        greeting.resize(64, 0);
        for end in 0..32 {
            assert_eq!(probe(&greeting[..end]), Verdict::NeedMore, "{end}");
        }
        assert_eq!(probe(&greeting[..32]), Verdict::Zmtp);
        assert_eq!(probe(&greeting), Verdict::Zmtp);
    }

    #[test]
    fn other_protocols_are_left_alone() {
        assert_eq!(probe(b"GET / HTTP/1.1\r\n"), Verdict::NotZmtp);
        assert_eq!(probe(b"\x16\x03\x01\x02\0"), Verdict::NotZmtp);
        assert_eq!(probe(b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x1f\xff"), Verdict::NotZmtp, "telnet options");
        assert_eq!(probe(&[0xFF; 64]), Verdict::NotZmtp);
        let mut no_mechanism = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01".to_vec();
        no_mechanism.resize(64, 0);
        assert_eq!(probe(&no_mechanism), Verdict::NotZmtp);
    }

    #[test]
    fn two_signatures_with_a_version_are_enough_when_no_more_comes() {
        let eleven = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03";
        assert_eq!(probe_at_end(eleven, eleven), Verdict::Zmtp);
        assert_eq!(probe_at_end(eleven, b""), Verdict::NotZmtp);
        assert_eq!(probe_at_end(&eleven[..10], eleven), Verdict::NotZmtp);
    }
}
