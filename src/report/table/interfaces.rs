//! The table of interfaces.

use super::boxed::{colored, rendered, table};
use crate::capture::interfaces::Interface;
use crate::report::settings::Settings;
use comfy_table::{Cell, Color};

/// All interfaces as a table.
pub fn list(interfaces: &[Interface], settings: &Settings) -> String {
    let mut table = table(&["interface", "state", "link", "addresses", "usable"], settings);
    for interface in interfaces {
        let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
        let (usable, color) = match &interface.usable {
            Ok(()) => ("yes", Color::Green),
            Err(reason) => (reason.as_str(), Color::Yellow),
        };
        table.add_row(vec![
            Cell::new(&interface.name),
            Cell::new(state(interface)),
            Cell::new(interface.link_name.as_deref().unwrap_or("?")),
            Cell::new(addresses.join(" ")),
            colored(usable, Some(color)),
        ]);
    }
    rendered(table, &[0], settings)
}

fn state(interface: &Interface) -> &'static str {
    match (interface.up, interface.running) {
        (true, true) => "up",
        (true, false) => "up, no carrier",
        (false, _) => "down",
    }
}
