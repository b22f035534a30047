//! The greeting of ZMTP 3.x (RFC 37, section "The Greeting"): 64 octets.
//!
//! ```text
//!  0      1                 9    10      11      12            32          33        64
//! +------+-----------------+----+-------+-------+-------------+-----------+---------+
//! | FF   | padding (8)     | 7F | major | minor | mechanism   | as-server | filler  |
//! |      | not validated   |    |       |       | 20, NUL pad | 0 or 1    | 31 × 00 |
//! +------+-----------------+----+-------+-------+-------------+-----------+---------+
//! ```
//!
//! libzmq sends it in three pieces (10, 1 and 53 octets), each once it has seen enough of the peer's.
//!
//! To a peer of ZMTP 2.0 (RFC 15) everybody sends 12 octets instead: the signature, a revision (1 for 2.0; a newer peer
//! sends 3) and the socket type.

use super::socket_type::SocketType;
use nom::bytes::streaming::{tag, take};
use nom::number::streaming::{be_u64, u8};
use nom::{IResult, Parser};
use std::fmt;

/// Octets of the signature: all that every version since 2.0 begins with.
pub const SIGNATURE_LENGTH: usize = 10;

/// Octets of the whole greeting.
pub const GREETING_LENGTH: usize = 64;

/// Octets of the greeting of ZMTP 2.0.
pub const SHORT_GREETING_LENGTH: usize = 12;

/// First octet of the signature.
pub const SIGNATURE_FIRST: u8 = 0xFF;

/// Last octet of the signature.
pub const SIGNATURE_LAST: u8 = 0x7F;

/// A version of what a peer speaks; newer ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Of ZMTP, on a stream of its own.
    Zmtp {
        /// 3 for every version that has this greeting; a peer must accept more.
        major: u8,
        /// 0 or 1 so far.
        minor: u8,
    },
    /// Of its mapping to WebSocket, where peers do not tell which version of ZMTP they come from.
    Zws {
        /// 2 (RFC 45).
        major: u8,
        /// 0.
        minor: u8,
    },
}

impl Version {
    /// RFC 13.
    pub const V1_0: Self = Self::Zmtp { major: 1, minor: 0 };
    /// RFC 15.
    pub const V2_0: Self = Self::Zmtp { major: 2, minor: 0 };
    /// RFC 37.
    pub const V3_1: Self = Self::Zmtp { major: 3, minor: 1 };
    /// RFC 45.
    pub const ZWS_2_0: Self = Self::Zws { major: 2, minor: 0 };
}

/// `3.1`, `ZWS2.0`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zmtp { major, minor } => write!(f, "{major}.{minor}"),
            Self::Zws { major, minor } => write!(f, "ZWS{major}.{minor}"),
        }
    }
}

/// The name of a security mechanism: up to 20 octets, NUL padded. Unknown names are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MechanismName(pub [u8; 20]);

impl MechanismName {
    /// No security (RFC 37).
    pub const NULL: Self = Self::new(b"NULL");
    /// User name and password (RFC 24).
    pub const PLAIN: Self = Self::new(b"PLAIN");
    /// Elliptic curves (RFC 25).
    pub const CURVE: Self = Self::new(b"CURVE");
    /// Kerberos and others (RFC 38).
    pub const GSSAPI: Self = Self::new(b"GSSAPI");

    const fn new(name: &[u8]) -> Self {
        let mut octets = [0; 20];
        let mut i = 0;
        while i < name.len() {
            octets[i] = name[i];
            i += 1;
        }
        Self(octets)
    }

    /// From a name without padding; `None` if it cannot be one.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let fits = (1..=20).contains(&name.len()) && Self::is_plausible(name);
        fits.then(|| Self::new(name))
    }

    /// The name without its padding.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        &self.0[..end]
    }

    /// Whether the octets seen so far can be a mechanism: `mechanism-char = %x41-5A | DIGIT | "-" | "_" | "." | "+"`,
    /// then only NUL. An empty name is none.
    pub fn is_plausible(prefix: &[u8]) -> bool {
        let name = prefix.iter().take_while(|&&octet| octet != 0).count();
        let is_mechanism_char = |c: &u8| c.is_ascii_uppercase() || c.is_ascii_digit() || b"-_.+".contains(c);
        (prefix.is_empty() || name > 0)
            && prefix[..name].iter().all(is_mechanism_char)
            && prefix[name..].iter().all(|&octet| octet == 0)
    }
}

impl fmt::Display for MechanismName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::base::text::preview(self.as_bytes(), 80))
    }
}

/// A decoded greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Octets 1 to 8. libzmq puts the length of its identity plus one here.
    pub padding: u64,
    /// What the peer speaks, on this connection.
    pub version: Version,
    /// What the peer wants; both peers must want the same. ZMTP 2.0 has none.
    pub mechanism: Option<MechanismName>,
    /// ZMTP 2.0 only; later versions tell it in READY.
    pub socket_type: Option<SocketType>,
    /// Octet 32. libzmq always sends 0, on security servers too.
    pub as_server: u8,
    /// Whether octets 33 to 63 are all zero, as they must be.
    pub filler_is_zero: bool,
}

/// Parses a whole greeting.
pub fn greeting(input: &[u8]) -> IResult<&[u8], Greeting> {
    let (input, _) = tag(&[SIGNATURE_FIRST][..]).parse(input)?;
    let (input, padding) = be_u64(input)?;
    let (input, _) = tag(&[SIGNATURE_LAST][..]).parse(input)?;
    let (input, (major, minor)) = (u8, u8).parse(input)?;
    let (input, mechanism) = take(20_usize)(input)?;
    let (input, as_server) = u8(input)?;
    let (input, filler) = take(31_usize)(input)?;
    let mechanism = Some(MechanismName(mechanism.try_into().expect("take(20) gives 20 octets")));
    let filler_is_zero = filler.iter().all(|&octet| octet == 0);
    let version = Version::Zmtp { major, minor };
    Ok((input, Greeting { padding, version, mechanism, socket_type: None, as_server, filler_is_zero }))
}

/// Parses the 12 octets that are a greeting where one of the peers speaks ZMTP 2.0.
pub fn short_greeting(input: &[u8]) -> IResult<&[u8], Greeting> {
    let (input, _) = tag(&[SIGNATURE_FIRST][..]).parse(input)?;
    let (input, padding) = be_u64(input)?;
    let (input, (_, _revision, socket_type)) = (tag(&[SIGNATURE_LAST][..]), u8, u8).parse(input)?;
    let socket_type = Some(SocketType(socket_type));
    let version = Version::V2_0;
    Ok((input, Greeting { padding, version, mechanism: None, socket_type, as_server: 0, filler_is_zero: true }))
}

impl Greeting {
    /// The length of the identity that libzmq will announce, even under CURVE, where the identity itself is encrypted.
    /// Other implementations put other things in the padding.
    pub fn identity_length(&self) -> Option<u8> {
        self.padding.checked_sub(1).and_then(|length| length.try_into().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libzmq 4.3.5, identity "ident", mechanism NULL.
    fn libzmq_greeting() -> Vec<u8> {
        let mut octets = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 6, 0x7F, 3, 1];
        octets.extend(b"NULL");
        octets.resize(64, 0);
        octets
    }

    #[test]
    fn a_libzmq_greeting_is_decoded() {
        let octets = libzmq_greeting();
        let (rest, parsed) = greeting(&octets).expect("valid");
        assert!(rest.is_empty());
        assert_eq!(parsed.version, Version::V3_1);
        assert_eq!(parsed.mechanism, Some(MechanismName::NULL));
        assert_eq!(MechanismName::NULL.as_bytes(), b"NULL");
        assert_eq!(parsed.identity_length(), Some(5));
        assert!(parsed.filler_is_zero && parsed.as_server == 0);
    }

    #[test]
    fn every_prefix_asks_for_more() {
        let octets = libzmq_greeting();
        for end in 0..GREETING_LENGTH {
            assert!(greeting(&octets[..end]).is_err_and(|e| e.is_incomplete()), "{end} octets");
        }
    }

    #[test]
    fn to_a_2_0_peer_the_twelfth_octet_is_a_socket_type() {
        // libzmq 4.3.5, DEALER "ident": not version 3.5.
        let (rest, parsed) = short_greeting(b"\xff\0\0\0\0\0\0\0\x06\x7f\x03\x05\0\x05ident").expect("valid");
        assert_eq!((rest, parsed.version), (&b"\0\x05ident"[..], Version::V2_0));
        assert_eq!((parsed.socket_type, parsed.mechanism), (Some(SocketType::DEALER), None));
    }

    #[test]
    fn mechanisms_are_upper_case_names_padded_with_nul() {
        assert!(MechanismName::is_plausible(b"PLA"));
        assert!(MechanismName::is_plausible(b"NULL\0\0\0\0"));
        assert!(MechanismName::is_plausible(b"X-MY_OWN.2+"));
        assert!(!MechanismName::is_plausible(b"null\0"));
        assert!(!MechanismName::is_plausible(b"NULL\0\0X"));
        assert!(!MechanismName::is_plausible(b"\0\0\0\0"));
    }
}
