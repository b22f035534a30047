//! Tables whose rows are all known: `comfy-table`, which wraps cells where the terminal is too narrow.

use crate::report::settings::Settings;
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table};

/// A table with these titles.
pub fn table(titles: &[&str], settings: &Settings) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    match settings.width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if settings.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(titles.iter().map(|title| Cell::new(title).add_attribute(Attribute::Dim)));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A number.
pub fn number(value: impl std::fmt::Display) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// A word in a colour.
pub fn colored(word: impl std::fmt::Display, color: Option<Color>) -> Cell {
    let cell = Cell::new(word);
    match color {
        Some(color) => cell.fg(color),
        None => cell,
    }
}

/// The table's lines without trailing spaces, with a line feed at the end. The columns at `whole`, which hold endpoints,
/// are not wrapped where they leave half of the terminal to the others.
pub fn rendered(mut table: Table, whole: &[usize], settings: &Settings) -> String {
    let widths = table.column_max_content_widths();
    let needed: usize = whole.iter().filter_map(|&at| widths.get(at)).map(|&width| usize::from(width) + 2).sum();
    if settings.width.is_some_and(|width| needed <= width / 2) {
        for &at in whole {
            if let Some(column) = table.column_mut(at) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}
