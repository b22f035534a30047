//! What the fuzz targets share: all views at once, and what must be true of their output whatever went in.

pub mod views;

use zmtpscope::base::text::is_unsafe;

/// Nothing in `text` can drive a terminal.
pub fn assert_harmless(what: &str, text: &str) {
    if let Some(found) = text.chars().find(|&c| is_unsafe(c)) {
        panic!("{what}: {found:?} in {text:?}");
    }
}
