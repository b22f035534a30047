//! The GSSAPI mechanism (RFC 38, which leaves most of it open) as libzmq sends it.
//!
//! ```text
//! INITIATE token-length (4) token      both ways, until the context is established
//! MESSAGE  token-length (4) wrapped    READY too is in one, of which the frame has the COMMAND flag
//! ```
//!
//! A client whose last token needs no answer sends an empty command. With `ZMQ_GSSAPI_PLAINTEXT` nothing is wrapped.
//! Tokens begin as RFC 2743, section 3.1 says; Kerberos' wrapped ones as RFC 4121, section 4.2.6.2. Nothing is opened here.

use nom::bytes::complete::{tag, take};
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u32, be_u64};
use nom::{IResult, Parser};
use std::fmt::Write as _;

/// INITIATE: a token with which a context is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// All of it.
    pub octets: &'a [u8],
    /// The mechanism that it is of, as DER has it: object identifier without tag and length.
    pub oid: Option<&'a [u8]>,
    /// What follows the object identifier: of Kerberos, two octets that say what it is.
    inner: &'a [u8],
}

impl Token<'_> {
    /// The object identifier in dotted form.
    pub fn dotted_oid(&self) -> Option<String> {
        self.oid.and_then(dotted)
    }

    /// The name of the mechanism, where it is one that is met.
    pub fn mechanism(&self) -> Option<&'static str> {
        Some(match self.oid? {
            b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02" => "Kerberos 5",
            b"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02" => "Kerberos 5 (Microsoft)",
            b"\x2b\x06\x01\x05\x05\x02" => "SPNEGO",
            b"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a" => "NTLMSSP",
            _ => return None,
        })
    }

    /// What a token of Kerberos is (RFC 4121, section 4.1).
    pub fn kind(&self) -> Option<&'static str> {
        self.mechanism().filter(|name| name.starts_with("Kerberos"))?;
        Some(match self.inner.get(..2)? {
            [1, 0] => "AP-REQ",
            [2, 0] => "AP-REP",
            [3, 0] => "KRB-ERROR",
            _ => return None,
        })
    }
}

/// MESSAGE: what was wrapped, and how many octets it has, is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Octets of the token.
    pub length: u32,
    /// Kerberos numbers its tokens in each direction, in clear.
    pub sequence: Option<u64>,
}

/// Parses the data of an INITIATE command.
pub fn initiate(input: &[u8]) -> IResult<&[u8], Token<'_>> {
    let (rest, octets) = length_data(be_u32).parse(input)?;
    let (inner, oid) = framed(octets).map_or((octets, None), |(inner, oid)| (inner, Some(oid)));
    Ok((rest, Token { octets, oid, inner }))
}

/// `60 length 06 length oid`, then the token of that mechanism.
fn framed(token: &[u8]) -> IResult<&[u8], &[u8]> {
    let (input, _) = tag(&b"\x60"[..])(token)?;
    let (input, first) = be_u8(input)?;
    // DER: the length itself, or how many octets have it.
    let (input, _) = take(if first < 0x80 { 0 } else { usize::from(first & 0x7F) })(input)?;
    let (input, _) = tag(&b"\x06"[..])(input)?;
    length_data(be_u8).parse(input)
}

/// Parses the beginning of the data of a MESSAGE; the token need not be all there.
pub fn wrapped(input: &[u8]) -> IResult<&[u8], Wrapped> {
    let (token, length) = be_u32(input)?;
    Ok((token, Wrapped { length, sequence: kerberos(token).ok().map(|(_, sequence)| sequence) }))
}

/// `05 04 flags FF EC (2) RRC (2) SND_SEQ (8)`.
fn kerberos(token: &[u8]) -> IResult<&[u8], u64> {
    let (input, _) = tag(&b"\x05\x04"[..])(token)?;
    let (input, _flags) = be_u8(input)?;
    let (input, _) = tag(&b"\xff"[..])(input)?;
    let (input, _) = take(4_usize)(input)?;
    be_u64(input)
}

/// Base 128, the first two numbers in one.
fn dotted(oid: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut number = 0_u64;
    for octet in oid {
        number = number.checked_mul(128)?.checked_add(u64::from(octet & 0x7F))?;
        if octet & 0x80 == 0 {
            let written = if text.is_empty() {
                let first = (number / 40).min(2);
                write!(text, "{first}.{}", number - 40 * first)
            } else {
                write!(text, ".{number}")
            };
            written.ok()?;
            number = 0;
        }
    }
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Beginnings of what MIT Kerberos and libzmq 4.3.4 sent.
    const AP_REP: &[u8] = b"\x60\x81\x99\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x00\x6f\x81\x89";

    fn sent(token: &[u8]) -> Vec<u8> {
        [&(token.len() as u32).to_be_bytes()[..], token].concat()
    }

    #[test]
    fn a_token_of_kerberos() {
        let data = sent(AP_REP);
        let (rest, token) = initiate(&data).expect("a token");
        assert!(rest.is_empty());
        assert_eq!(token.dotted_oid().as_deref(), Some("1.2.840.113554.1.2.2"));
        assert_eq!((token.mechanism(), token.kind()), (Some("Kerberos 5"), Some("AP-REP")));
        let spnego = sent(b"\x60\x10\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x06");
        let (_, token) = initiate(&spnego).expect("a token");
        assert_eq!((token.dotted_oid().as_deref(), token.mechanism()), (Some("1.3.6.1.5.5.2"), Some("SPNEGO")));
        assert_eq!(token.kind(), None);
    }

    #[test]
    fn a_token_of_no_known_form_is_one_all_the_same() {
        for octets in [&b""[..], b"\x60", b"\x60\xff\x06", b"NTLMSSP\0", b"\x60\x03\x06\x01\x80"] {
            let data = sent(octets);
            let (_, token) = initiate(&data).expect("a token");
            assert_eq!((token.octets, token.mechanism(), token.kind()), (octets, None, None));
            assert_eq!(token.dotted_oid(), None);
        }
        assert!(initiate(b"\0\0\0\x05abc").is_err(), "shorter than it says");
        assert!(initiate(b"\0\0").is_err());
    }

    #[test]
    fn wrapped_tokens_of_kerberos_are_numbered() {
        let data = b"\0\0\0\x3d\x05\x04\x06\xff\0\0\0\0\0\0\0\0\x37\x7d\xe4\xc6\xa3\xc8";
        let (_, message) = wrapped(data).expect("a token");
        assert_eq!(message, Wrapped { length: 61, sequence: Some(0x377d_e4c6) });
        assert_eq!(wrapped(b"\0\0\0\x02ab").map(|(_, message)| message.sequence), Ok(None));
        assert!(wrapped(b"\0\0\0").is_err());
    }
}
