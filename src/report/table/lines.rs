//! Rows that are written as they come: columns that only grow, the last one takes what room is left.
//!
//! Invariant: no line is wider than the terminal; what does not fit ends in an ellipsis.

use crate::report::paint::{Tone, paint};
use std::fmt::{Display, Write as _};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Width of previews where lines may be of any length.
const WITHOUT_TERMINAL: usize = 200;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Title.
    pub name: &'static str,
    /// Numbers are aligned at their last digit.
    pub right: bool,
    /// Columns that it has from the start.
    pub width: usize,
}

impl Column {
    /// Text.
    pub const fn left(name: &'static str, width: usize) -> Self {
        Self { name, right: false, width }
    }

    /// Numbers.
    pub const fn right(name: &'static str, width: usize) -> Self {
        Self { name, right: true, width }
    }
}

/// What stands in the columns of one row. It is used again for the next one, so that a row allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    text: String,
    /// Where each begins, and its colour.
    begins: Vec<(usize, Option<Tone>)>,
}

impl Cells {
    /// None yet.
    pub fn clear(&mut self) {
        self.text.clear();
        self.begins.clear();
    }

    /// The next cell: what is appended to this stands in it.
    pub fn next(&mut self, tone: Option<Tone>) -> &mut String {
        self.begins.push((self.text.len(), tone));
        &mut self.text
    }

    /// A cell with this text.
    pub fn text(&mut self, text: &str, tone: Option<Tone>) {
        self.next(tone).push_str(text);
    }

    /// A cell that shows this.
    pub fn show(&mut self, value: impl Display, tone: Option<Tone>) {
        // Writing to a String cannot fail.
        let _ = write!(self.next(tone), "{value}");
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Option<Tone>)> {
        let ends = self.begins.iter().skip(1).map(|&(begin, _)| begin).chain([self.text.len()]);
        self.begins.iter().zip(ends).map(|(&(begin, tone), end)| (&self.text[begin..end], tone))
    }
}

/// Lays out rows.
#[derive(Clone, Debug)]
pub struct Lines {
    columns: Vec<Column>,
    width: Option<usize>,
    color: bool,
}

impl Lines {
    /// For these columns and this terminal.
    pub fn new(columns: &[Column], width: Option<usize>, color: bool) -> Self {
        let mut columns = columns.to_vec();
        for column in &mut columns {
            column.width = column.width.max(column.name.width());
        }
        Self { columns, width, color }
    }

    /// Room that a preview can have at most.
    pub fn widest(&self) -> usize {
        self.width.unwrap_or(WITHOUT_TERMINAL)
    }

    /// Makes room for a row that will come.
    pub fn measure(&mut self, cells: &Cells) {
        let last = self.columns.len().saturating_sub(1);
        for (column, (text, _)) in self.columns[..last].iter_mut().zip(cells.iter()) {
            column.width = column.width.max(width(text));
        }
    }

    /// Makes room for what others have room for.
    pub fn make_room_of(&mut self, other: &Self) {
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.width = column.width.max(other.width);
        }
    }

    /// Appends the titles.
    pub fn header(&mut self, text: &mut String) {
        let mut cells = Cells::default();
        for column in &self.columns {
            cells.text(column.name, Some(Tone::Dim));
        }
        self.row(&cells, text);
    }

    /// Appends a row.
    pub fn row(&mut self, cells: &Cells, text: &mut String) {
        let last = self.columns.len().saturating_sub(1);
        let mut room = self.width.unwrap_or(usize::MAX);
        for (at, (column, (cell, tone))) in self.columns.iter_mut().zip(cells.iter()).enumerate() {
            if at > 0 {
                pad(text, 2, &mut room);
            }
            if at == last {
                let shown = if self.width.is_some() { fitting(cell, room).0 } else { cell.into() };
                paint(text, &shown, tone, self.color);
                break;
            }
            let width = width(cell);
            column.width = column.width.max(width);
            let padding = column.width - width;
            if column.right {
                pad(text, padding, &mut room);
            }
            let (shown, used) = if width <= room { (cell.into(), width) } else { fitting(cell, room) };
            paint(text, &shown, tone, self.color);
            room -= used;
            if !column.right {
                pad(text, padding, &mut room);
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
}

/// Appends spaces, as far as there is room.
fn pad(text: &mut String, count: usize, room: &mut usize) {
    const SPACES: &str = "                                ";
    let count = count.min(*room);
    for _ in 0..count / SPACES.len() {
        text.push_str(SPACES);
    }
    text.push_str(&SPACES[..count % SPACES.len()]);
    *room -= count;
}

/// How many columns a text takes.
fn width(text: &str) -> usize {
    // Most is ASCII, and what was cut ends in an ellipsis.
    if text.is_ascii() {
        return text.len();
    }
    let rest = text.strip_suffix('…').filter(|rest| rest.is_ascii());
    rest.map_or_else(|| text.width(), |rest| rest.len() + 1)
}

/// As much of `text` as fits into `room` columns, and how many it takes.
pub fn fitting(text: &str, room: usize) -> (std::borrow::Cow<'_, str>, usize) {
    let width = width(text);
    if width <= room {
        return (text.into(), width);
    }
    if room == 0 {
        return ("".into(), 0);
    }
    let mut used = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = used + c.width().unwrap_or(0);
        if next > room - 1 {
            break;
        }
        used = next;
        end = at + c.len_utf8();
    }
    (format!("{}…", &text[..end]).into(), used + 1)
}

/// `text` in lines of at most `width` columns, broken between words where that is possible; each begins with `indent`
/// spaces.
pub fn wrapped(text: &str, indent: usize, width: Option<usize>) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(1));
    let mut lines = String::new();
    let mut used = 0;
    let begin = |lines: &mut String| {
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.extend(std::iter::repeat_n(' ', indent));
    };
    begin(&mut lines);
    for word in text.split(' ') {
        let mut word = word;
        if used > 0 && used + 1 + word.width() > room {
            begin(&mut lines);
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        while word.width() > room {
            let mut end = 0;
            let mut taken = 0;
            for (at, c) in word.char_indices() {
                let wide = c.width().unwrap_or(0);
                if taken + wide > room && end > 0 {
                    break;
                }
                taken += wide;
                end = at + c.len_utf8();
            }
            lines.push_str(&word[..end]);
            begin(&mut lines);
            word = &word[end..];
        }
        lines.push_str(word);
        used += word.width();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(fitting("abcdef", 6), ("abcdef".into(), 6));
        assert_eq!(fitting("abcdef", 4), ("abc…".into(), 4));
        assert_eq!(fitting("漢字漢字", 5), ("漢字…".into(), 5));
        assert_eq!(fitting("漢字漢字", 4), ("漢…".into(), 3), "a wide character is not cut in two");
        assert_eq!(fitting("abc", 0), ("".into(), 0));
    }

    #[test]
    fn columns_only_grow() {
        let columns = [Column::right("n", 1), Column::left("name", 0), Column::left("rest", 0)];
        let mut lines = Lines::new(&columns, Some(16), false);
        let mut text = String::new();
        let mut row = |texts: [&str; 3]| {
            let mut cells = Cells::default();
            for text in texts {
                cells.text(text, None);
            }
            lines.row(&cells, &mut text);
        };
        row(["1", "a", "x"]);
        row(["10", "abcde", "a long one"]);
        row(["2", "b", "y"]);
        assert_eq!(text, "1  a     x\n10  abcde  a lo…\n 2  b      y\n");
    }

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrapped("one two three", 2, Some(9)), "  one two\n  three");
        assert_eq!(wrapped("abcdefgh", 0, Some(3)), "abc\ndef\ngh");
        assert_eq!(wrapped("one two", 0, None), "one two");
    }
}
