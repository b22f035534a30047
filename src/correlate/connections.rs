//! Connections by their number, in the memory of those that are still needed.
//!
//! Numbers come in order and only grow. A connection that is released leaves its place to the next one, so what is kept
//! is what is needed at once, however many there were; all that grows with the numbers is one pointer for every 1024.

/// Numbers that are looked up together.
const PAGE: usize = 1024;

/// No place.
const NONE: u32 = u32::MAX;

/// What is known of each connection, by its number.
#[derive(Debug)]
pub(super) struct Connections<T> {
    /// Where each number's connection is; `None` where all of a page are released.
    pages: Vec<Option<Page>>,
    places: Vec<T>,
    free: Vec<u32>,
    next: u32,
}

#[derive(Debug)]
struct Page {
    places: Box<[u32; PAGE]>,
    known: u32,
}

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), places: Vec::new(), free: Vec::new(), next: 0 }
    }
}

impl<T> Connections<T> {
    /// The number that the next one gets.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// How many there are.
    pub(super) fn known(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Adds the next one.
    pub(super) fn push(&mut self, connection: T) {
        let place = if let Some(place) = self.free.pop() {
            self.places[place as usize] = connection;
            place
        } else {
            self.places.push(connection);
            self.places.len() as u32 - 1
        };
        let number = self.next as usize;
        self.next += 1;
        if number.is_multiple_of(PAGE) {
            self.pages.push(None);
        }
        let page = self.pages[number / PAGE].get_or_insert_with(|| Page { places: Box::new([NONE; PAGE]), known: 0 });
        page.places[number % PAGE] = place;
        page.known += 1;
    }

    fn place(&self, conn: u32) -> Option<usize> {
        let page = self.pages.get(conn as usize / PAGE)?.as_ref()?;
        let place = page.places[conn as usize % PAGE];
        (place != NONE).then_some(place as usize)
    }

    /// One that was not released.
    pub(super) fn get(&self, conn: u32) -> Option<&T> {
        self.place(conn).map(|place| &self.places[place])
    }

    /// One that was not released.
    pub(super) fn get_mut(&mut self, conn: u32) -> Option<&mut T> {
        self.place(conn).map(|place| &mut self.places[place])
    }

    /// Forgets one.
    pub(super) fn release(&mut self, conn: u32) {
        let Some(place) = self.place(conn) else { return };
        self.free.push(place as u32);
        let page = &mut self.pages[conn as usize / PAGE];
        if let Some(held) = page {
            held.places[conn as usize % PAGE] = NONE;
            held.known -= 1;
            if held.known == 0 {
                *page = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_released_makes_room_for_the_next() {
        let mut connections = Connections::default();
        for number in 0..3 * PAGE as u32 {
            connections.push(number);
        }
        for number in (0..2 * PAGE as u32).filter(|number| *number != 7) {
            connections.release(number);
        }
        assert_eq!((connections.get(7), connections.get(8)), (Some(&7), None));
        assert!(connections.pages[1].is_none());
        for number in 3 * PAGE as u32..5 * PAGE as u32 - 1 {
            connections.push(number);
        }
        assert_eq!(connections.places.len(), 3 * PAGE);
        assert_eq!((connections.get(7), connections.get(4 * PAGE as u32)), (Some(&7), Some(&(4 * PAGE as u32))));
        connections.release(8);
        assert_eq!((connections.next(), connections.known()), (5 * PAGE as u32 - 1, 3 * PAGE));
    }
}
