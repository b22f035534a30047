//! Bytes from the wire made safe to show.
//!
//! Invariant: nothing that comes out of this module contains a control character, a bidirectional override or an
//! invisible format character, so no capture can write escape sequences to a terminal.

use std::fmt::Write;

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes as text if they are UTF-8 without a character that [`is_unsafe`] to show, else `None`.
pub fn printable(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains(is_unsafe))
}

/// Characters that change how a terminal shows what is around them: controls (C0, DEL, C1), line and paragraph
/// separators, bidirectional marks and other invisible format characters (Unicode TR 36, section 3).
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// At most `width` characters that stand for `bytes`: the text where it is text, other bytes as `\x1b`, an ellipsis
/// where it was cut. `width` below 1 counts as 1.
pub fn preview(bytes: &[u8], width: usize) -> String {
    let width = width.max(1);
    let mut text = String::new();
    let mut used = 0;
    let mut token = String::new();
    for chunk in bytes.utf8_chunks() {
        let escaped = chunk.invalid().iter().map(|&byte| Err(byte));
        for piece in chunk.valid().chars().map(Ok).chain(escaped) {
            token.clear();
            match piece {
                Ok('\\') => token.push_str("\\\\"),
                Ok('\n') => token.push_str("\\n"),
                Ok('\r') => token.push_str("\\r"),
                Ok('\t') => token.push_str("\\t"),
                Ok(c) if c.is_ascii() && is_unsafe(c) => write_byte(&mut token, c as u8),
                Ok(c) if is_unsafe(c) => token.extend(c.escape_unicode()),
                Ok(c) => token.push(c),
                Err(byte) => write_byte(&mut token, byte),
            }
            let length = token.chars().count();
            if used + length > width {
                while used >= width {
                    text.pop();
                    used -= 1;
                }
                text.push('…');
                return text;
            }
            used += length;
            text.push_str(&token);
        }
    }
    text
}

fn write_byte(text: &mut String, byte: u8) {
    write!(text, "\\x{byte:02x}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_escape_sequence_is_shown_not_sent() {
        assert_eq!(preview(b"\x1b]0;owned\x07ok", 80), "\\x1b]0;owned\\x07ok");
        assert_eq!(preview("\u{9b}31m\u{202e}x".as_bytes(), 80), "\\u{9b}31m\\u{202e}x");
        assert_eq!(printable(b"a\x1b[2J"), None);
        assert_eq!(printable("\u{202e}".as_bytes()), None);
        assert_eq!(printable("grün".as_bytes()), Some("grün"));
    }

    #[test]
    fn a_preview_is_never_wider_than_asked() {
        assert_eq!(preview(b"abcdef", 6), "abcdef");
        assert_eq!(preview(b"abcdef", 5), "abcd…");
        assert_eq!(preview(b"ab\xff\xff", 7), "ab\\xff…");
        assert_eq!(preview(b"abcdef", 0), "…");
    }

    #[test]
    fn hex_is_lower_case() {
        assert_eq!(hex(&[0, 0x6b, 0xff]), "006bff");
    }
}
