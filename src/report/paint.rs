//! Colour, where it is wanted.

use crate::base::direction::Direction;
use std::fmt::Write;

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Look here.
    Warning,
    /// Broken.
    Bad,
    /// Less important.
    Dim,
    /// A title.
    Strong,
    /// Client to server.
    There,
    /// Server to client.
    Back,
}

impl Tone {
    /// Of what goes this way.
    pub fn of(direction: Direction) -> Self {
        match direction {
            Direction::ClientToServer => Self::There,
            Direction::ServerToClient => Self::Back,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Dim => "2",
            Self::Strong => "1",
            Self::There => "36",
            Self::Back => "35",
        }
    }
}

/// Appends `text` to `line`, in colour if `on`.
pub fn paint(line: &mut String, text: &str, tone: Option<Tone>, on: bool) {
    match tone {
        Some(tone) if on && !text.is_empty() => {
            // Writing to a String cannot fail.
            let _ = write!(line, "\x1b[{}m{text}\x1b[0m", tone.code());
        }
        _ => line.push_str(text),
    }
}

/// `text`, in colour if `on`.
pub fn painted(text: &str, tone: Tone, on: bool) -> String {
    let mut line = String::new();
    paint(&mut line, text, Some(tone), on);
    line
}
