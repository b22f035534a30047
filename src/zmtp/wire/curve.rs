//! The clear fields of the CURVE mechanism's commands (RFC 26). Boxes are not opened here.
//!
//! ```text
//! HELLO    version (2) padding (72, zero) C' (32) nonce (8) box (80)
//! WELCOME  nonce (16) box (144)
//! INITIATE cookie (96) nonce (8) box (144 or more)
//! READY    nonce (8) box (16 or more)
//! MESSAGE  nonce (8) box (17 or more)
//! ```
//!
//! RFC 26's prose says 70 octets of padding; its ABNF and libzmq say 72.

use nom::bytes::complete::take;
use nom::combinator::rest;
use nom::number::complete::{be_u64, u8};
use nom::{IResult, Parser};

/// Octets that an authenticator adds to what it protects.
pub const BOX_OVERHEAD: usize = 16;

/// Octets of INITIATE's box before the metadata: the client's long-term key, and nonce and box of the vouch.
pub const VOUCHED: usize = 32 + 16 + 80;

/// HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveHello<'a> {
    /// Major and minor version; 1.0.
    pub version: (u8, u8),
    /// The client's transient public key C'.
    pub client_transient: &'a [u8],
    /// Short nonce, 1 with libzmq.
    pub nonce: u64,
    /// Signature box: 64 zeros from C' to S.
    pub signature: &'a [u8],
}

/// WELCOME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveWelcome<'a> {
    /// Long nonce, random.
    pub nonce: &'a [u8],
    /// The server's transient key and the cookie, from S to C'.
    pub welcome_box: &'a [u8],
}

/// INITIATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveInitiate<'a> {
    /// The cookie of WELCOME, given back.
    pub cookie: &'a [u8],
    /// Short nonce, 2 with libzmq.
    pub nonce: u64,
    /// Long-term key, vouch and metadata, from C' to S'.
    pub initiate_box: &'a [u8],
}

/// READY and MESSAGE: a short nonce, then one box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveBox<'a> {
    /// Short nonce; must increase in each direction.
    pub nonce: u64,
    /// Metadata (READY), or flags and payload (MESSAGE).
    pub sealed: &'a [u8],
}

/// Parses the data of a HELLO command.
pub fn hello(input: &[u8]) -> IResult<&[u8], CurveHello<'_>> {
    let (input, (major, minor, _, client_transient, nonce, signature)) =
        (u8, u8, take(72_usize), take(32_usize), be_u64, take(80_usize)).parse(input)?;
    Ok((input, CurveHello { version: (major, minor), client_transient, nonce, signature }))
}

/// Parses the data of a WELCOME command.
pub fn welcome(input: &[u8]) -> IResult<&[u8], CurveWelcome<'_>> {
    let (input, (nonce, welcome_box)) = (take(16_usize), take(144_usize)).parse(input)?;
    Ok((input, CurveWelcome { nonce, welcome_box }))
}

/// Parses the data of an INITIATE command.
pub fn initiate(input: &[u8]) -> IResult<&[u8], CurveInitiate<'_>> {
    let (input, (cookie, nonce, initiate_box)) = (take(96_usize), be_u64, rest).parse(input)?;
    Ok((input, CurveInitiate { cookie, nonce, initiate_box }))
}

/// Parses the data of a READY or MESSAGE command.
pub fn sealed(input: &[u8]) -> IResult<&[u8], CurveBox<'_>> {
    let (input, (nonce, sealed)) = (be_u64, rest).parse(input)?;
    Ok((input, CurveBox { nonce, sealed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_is_200_octets_with_its_name() {
        let mut body = vec![1, 0];
        body.resize(2 + 72, 0);
        body.extend([0xC1; 32]);
        body.extend(1_u64.to_be_bytes());
        body.extend([0xB0; 80]);
        assert_eq!(body.len(), 200 - b"\x05HELLO".len());
        let (rest, parsed) = hello(&body).expect("valid");
        assert!(rest.is_empty());
        assert_eq!((parsed.version, parsed.nonce), ((1, 0), 1));
        assert_eq!(parsed.client_transient, [0xC1; 32]);
        assert_eq!(parsed.signature, [0xB0; 80]);
    }

    #[test]
    fn a_short_body_is_an_error_not_a_panic() {
        assert!(hello(&[0; 100]).is_err());
        assert!(welcome(&[0; 159]).is_err());
        assert!(initiate(&[0; 103]).is_err());
        assert!(sealed(&[0; 7]).is_err());
    }
}
