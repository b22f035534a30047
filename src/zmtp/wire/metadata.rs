//! Metadata (RFC 37, section "Connection Metadata"): the properties in READY and INITIATE.
//!
//! ```text
//! property = name-length (1) name value-length (4, big-endian) value
//! ```

use nom::IResult;
use nom::Parser;
use nom::combinator::verify;
use nom::multi::length_data;
use nom::number::complete::{be_u32, u8};

/// One property, borrowed from the command's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// 1 to 255 octets. Names are case-insensitive (RFC 37), though libzmq compares them exactly.
    pub name: &'a [u8],
    /// Up to 2^31 − 1 octets.
    pub value: &'a [u8],
}

/// All properties of a body, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// Properties up to the first that does not parse.
    pub properties: Vec<Property<'a>>,
    /// Octets after the last property that parsed; empty in a valid body.
    pub rest: &'a [u8],
}

fn property(input: &[u8]) -> IResult<&[u8], Property<'_>> {
    let (input, name) = verify(length_data(u8), |name: &[u8]| !name.is_empty()).parse(input)?;
    let (input, value) = length_data(be_u32).parse(input)?;
    Ok((input, Property { name, value }))
}

/// The properties of a body up to the first that does not parse.
pub fn properties(mut input: &[u8]) -> impl Iterator<Item = Property<'_>> + Clone {
    std::iter::from_fn(move || {
        let (rest, parsed) = property(input).ok()?;
        input = rest;
        Some(parsed)
    })
}

/// Parses a whole body. What does not parse is kept as `rest`.
pub fn metadata(mut input: &[u8]) -> Metadata<'_> {
    let mut properties = Vec::new();
    while let Ok((rest, parsed)) = property(input) {
        properties.push(parsed);
        input = rest;
    }
    Metadata { properties, rest: input }
}

impl<'a> Metadata<'a> {
    /// The value of the first property of this name, whatever its case.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.properties.iter().find(|p| p.name.eq_ignore_ascii_case(name.as_bytes())).map(|p| p.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libzmq_ready_of_a_dealer() {
        let body = b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0";
        let parsed = metadata(body);
        assert_eq!(parsed.value("socket-type"), Some(&b"DEALER"[..]));
        assert_eq!(parsed.value("Identity"), Some(&b""[..]));
        assert_eq!(parsed.value("Resource"), None);
        assert!(parsed.rest.is_empty());
    }

    #[test]
    fn a_damaged_property_is_kept_as_rest() {
        let parsed = metadata(b"\x01a\0\0\0\x01x\x05Ident\0\0\0\x99y");
        assert_eq!(parsed.properties, [Property { name: b"a", value: b"x" }]);
        assert_eq!(parsed.rest, b"\x05Ident\0\0\0\x99y");
        assert_eq!(metadata(b"\0\0\0\0\0").rest.len(), 5, "a name must not be empty");
    }
}
