//! Values that are written as text without a copy in between.

use crate::base::text::{HEX_PIECE, hex, hex_digits, printable};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt::{self, Display};

/// Anything that is shown as its `Display` says: times, endpoints, versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<T>(pub T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes as lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex<'a>(pub &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chunks(HEX_PIECE).try_for_each(|piece| f.write_str(hex_digits(piece, &mut [0; 2 * HEX_PIECE])))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.len() {
            // Without the machinery of formatting: most are.
            0..=HEX_PIECE => serializer.serialize_str(hex_digits(self.0, &mut [0; 2 * HEX_PIECE])),
            _ => serializer.collect_str(self),
        }
    }
}

/// A message's key: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The bytes as text, if they are text; where they were `cut`, a character cut in two at their end does not count.
pub fn text_of(bytes: &[u8], cut: bool) -> Option<&str> {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if cut && error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    printable(whole)
}

/// The bytes as text where they are text, else `0x` and hexadecimal.
pub fn text_or_hex(bytes: &[u8]) -> Cow<'_, str> {
    match printable(bytes) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(format!("0x{}", hex(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_of_any_length() {
        for length in [0, 1, 63, 64, 65, 200] {
            let bytes: Vec<u8> = (0..length).collect();
            assert_eq!(Hex(&bytes).to_string(), hex(&bytes));
        }
    }

    #[test]
    fn a_character_cut_in_two_does_not_make_text_binary() {
        let bytes = "grün".as_bytes();
        assert_eq!(text_of(&bytes[..3], true), Some("gr"));
        assert_eq!(text_of(&bytes[..3], false), None);
        assert_eq!(text_of(b"\x1b[2J", true), None);
        assert_eq!(text_or_hex(b"\0a"), "0x0061");
    }
}
