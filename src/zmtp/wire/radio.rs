//! The datagram of RADIO and DISH over UDP (RFC 48; libzmq's `udp_engine`). Nothing in it says that it is one.
//!
//! ```text
//! | group length 1 | group 0–255 | body: the rest |
//! ```

use nom::bytes::complete::take;
use nom::combinator::rest;
use nom::multi::length_data;
use nom::number::complete::u8;
use nom::{IResult, Parser};

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RadioDatagram<'a> {
    /// The group that it is for.
    pub group: &'a [u8],
    /// The message's body.
    pub body: &'a [u8],
}

/// Parses a whole datagram.
///
/// # Errors
/// The group is longer than the datagram. libzmq drops such a datagram.
pub fn radio(datagram: &[u8]) -> IResult<&[u8], RadioDatagram<'_>> {
    let (input, (group, body)) = (length_data(u8), rest).parse(datagram)?;
    Ok((input, RadioDatagram { group, body }))
}

/// The group of a datagram of which all or only the beginning was captured; `None` if not all of the group was.
pub fn group(datagram: &[u8]) -> Option<&[u8]> {
    let parsed: IResult<_, _> = length_data(u8).parse(datagram);
    parsed.ok().map(|(_, group)| group)
}

/// The length that a datagram gives its group.
pub fn group_length(datagram: &[u8]) -> Option<u8> {
    let parsed: IResult<_, &[u8]> = take(1_usize).parse(datagram);
    parsed.ok().and_then(|(_, length)| length.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_and_body() {
        // The first datagram of libzmq 4.3.5's RADIO in a capture on loopback.
        let (_, datagram) = radio(b"\x04newsitem 0").expect("valid");
        assert_eq!((datagram.group, datagram.body), (&b"news"[..], &b"item 0"[..]));
        let (_, datagram) = radio(b"\0").expect("valid");
        assert_eq!((datagram.group, datagram.body), (&b""[..], &b""[..]));
    }

    #[test]
    fn a_group_longer_than_the_datagram() {
        assert!(radio(b"\x05news").is_err() && radio(b"").is_err());
        assert_eq!((group(b"\x05news"), group_length(b"\x05news")), (None, Some(5)));
    }
}
