//! Bytes from the wire made safe to show.
//!
//! Invariant: nothing that comes out of this module contains a control character, a bidirectional override or an
//! invisible format character, so no capture can write escape sequences to a terminal.

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

/// Appends lower-case hexadecimal.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    for piece in bytes.chunks(HEX_PIECE) {
        text.push_str(hex_digits(piece, &mut [0; 2 * HEX_PIECE]));
    }
}

/// Octets written at once as hexadecimal: as many as are shown of a body, unless more are asked for.
pub const HEX_PIECE: usize = 64;

/// The digits of no more than [`HEX_PIECE`] octets.
pub fn hex_digits<'a>(octets: &[u8], buffer: &'a mut [u8; 2 * HEX_PIECE]) -> &'a str {
    for (pair, octet) in buffer.chunks_exact_mut(2).zip(octets) {
        pair.copy_from_slice(&digits(*octet));
    }
    std::str::from_utf8(&buffer[..2 * octets.len()]).expect("digits are text")
}

const fn digits(octet: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[(octet >> 4) as usize], DIGITS[(octet & 15) as usize]]
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
    let mut text = String::new();
    push_preview(&mut text, bytes, width);
    text
}

/// Appends a [`preview`].
pub fn push_preview(text: &mut String, bytes: &[u8], width: usize) {
    let width = width.max(1);
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        let mut valid = chunk.valid();
        while let Some(c) = valid.chars().next() {
            // What is to be shown as it is, mostly all of it, goes in one piece.
            let plain = valid.bytes().take_while(|&byte| is_plain(byte)).count();
            let shown = plain.min(width - used);
            text.push_str(&valid[..shown]);
            used += shown;
            if shown < plain {
                return end_cut(text, used, width);
            }
            valid = &valid[plain..];
            if plain == 0 {
                if used + shown_length(c) > width {
                    return end_cut(text, used, width);
                }
                used += shown_length(c);
                push_character(text, c);
                valid = &valid[c.len_utf8()..];
            }
        }
        for &byte in chunk.invalid() {
            if used + BYTE_LENGTH > width {
                return end_cut(text, used, width);
            }
            used += BYTE_LENGTH;
            push_byte(text, byte);
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

/// Ends with an ellipsis what has `used` characters of at most `width`.
fn end_cut(text: &mut String, used: usize, width: usize) {
    if used == width {
        text.pop();
    }
    text.push('…');
}

/// Characters that stand for one.
fn shown_length(c: char) -> usize {
    match c {
        '\\' | '\n' | '\r' | '\t' => 2,
        c if c.is_ascii() && is_unsafe(c) => BYTE_LENGTH,
        c if is_unsafe(c) => c.escape_unicode().len(),
        _ => 1,
    }
}

fn push_character(text: &mut String, c: char) {
    match c {
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c if c.is_ascii() && is_unsafe(c) => push_byte(text, c as u8),
        c if is_unsafe(c) => text.extend(c.escape_unicode()),
        c => text.push(c),
    }
}

/// Characters that stand for a byte.
const BYTE_LENGTH: usize = 4;

fn push_byte(text: &mut String, byte: u8) {
    let begin = BYTE_LENGTH * usize::from(byte);
    text.push_str(&SHOWN_BYTES[begin..begin + BYTE_LENGTH]);
}

/// What stands for each byte, one after the other.
const SHOWN_BYTES: &str = match std::str::from_utf8(&ALL_SHOWN) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

const ALL_SHOWN: [u8; BYTE_LENGTH << 8] = {
    let mut all = [0; BYTE_LENGTH << 8];
    let mut byte = 0;
    while byte < 256 {
        let [high, low] = digits(byte as u8);
        let begin = BYTE_LENGTH * byte;
        (all[begin], all[begin + 1], all[begin + 2], all[begin + 3]) = (b'\\', b'x', high, low);
        byte += 1;
    }
    all
};

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
