//! The properties of metadata, kept for as long as the connection is.

use super::wire::metadata::{Property, properties};
use std::fmt;

/// The longest name that the grammar can say (RFC 37: one octet of length).
const LONGEST_NAME: usize = 255;

/// Names and values, in order. They are kept as they were sent, one after the other: a peer may send very many that are very
/// short, and must not make them cost more here than they did on the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    octets: Box<[u8]>,
}

impl Properties {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Property<'_>> + Clone {
        properties(&self.octets)
    }

    /// Octets held.
    pub fn held(&self) -> usize {
        self.octets.len()
    }

    /// Keeps the first ones, as many as there are within so many octets.
    pub fn shorten(&mut self, octets: usize) {
        if self.octets.len() > octets {
            *self = self.iter().scan(octets, |room, property| fitting(room, property)).collect();
        }
    }
}

/// The property, if there is room for it, which it takes.
fn fitting<'a>(room: &mut usize, property: Property<'a>) -> Option<Property<'a>> {
    *room = room.checked_sub(length(&property))?;
    Some(property)
}

/// Octets of a property on the wire.
fn length(property: &Property<'_>) -> usize {
    1 + property.name.len() + 4 + property.value.len()
}

impl<'a> FromIterator<Property<'a>> for Properties {
    fn from_iter<T: IntoIterator<Item = Property<'a>>>(all: T) -> Self {
        // What libzmq sends is shorter.
        let mut octets = Vec::with_capacity(128);
        for Property { name, value } in all {
            let name = &name[..name.len().min(LONGEST_NAME)];
            octets.push(name.len() as u8);
            octets.extend_from_slice(name);
            octets.extend_from_slice(&(value.len() as u32).to_be_bytes());
            octets.extend_from_slice(value);
        }
        Self { octets: octets.into() }
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Property<'static>; 3] = [
        Property { name: b"Socket-Type", value: b"DEALER" },
        Property { name: b"Identity", value: b"" },
        Property { name: b"X", value: b"yz" },
    ];

    #[test]
    fn what_was_put_in_comes_out() {
        let kept: Properties = ALL.into_iter().collect();
        assert!(kept.iter().eq(ALL));
        assert_eq!(kept.held(), 22 + 13 + 8, "as on the wire");
    }

    #[test]
    fn the_first_ones_stay() {
        let all: Properties = ALL.into_iter().collect();
        for (room, count) in [(0, 0), (21, 0), (22, 1), (34, 1), (35, 2), (42, 2), (43, 3)] {
            let mut kept = all.clone();
            kept.shorten(room);
            assert!(kept.iter().eq(ALL.into_iter().take(count)), "{room}");
        }
    }
}
