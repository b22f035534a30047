//! The PLAIN mechanism's HELLO (RFC 24): `username-length (1) username password-length (1) password`.

use nom::multi::length_data;
use nom::number::complete::u8;
use nom::{IResult, Parser};

/// User name and password in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainHello<'a> {
    /// 0 to 255 octets.
    pub username: &'a [u8],
    /// 0 to 255 octets. A secret: shown only when asked for.
    pub password: &'a [u8],
}

/// Parses the data of a HELLO command.
pub fn hello(input: &[u8]) -> IResult<&[u8], PlainHello<'_>> {
    let (input, (username, password)) = (length_data(u8), length_data(u8)).parse(input)?;
    Ok((input, PlainHello { username, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_holds_name_and_password() {
        let (rest, parsed) = hello(b"\x05admin\x06secret").expect("valid");
        assert_eq!((rest, parsed.username, parsed.password), (&b""[..], &b"admin"[..], &b"secret"[..]));
        assert!(hello(b"\x05admi").is_err());
    }
}
