//! Looking up messages of a socket or connection by the content of their parts, in order of time.

use super::window::Rank;

/// Ranks by (owner, suffix), each list ascending. One sorted array: no allocation per distinct content.
#[derive(Debug, Default)]
pub struct SuffixIndex {
    entries: Vec<(u32, u64, Rank)>,
}

impl SuffixIndex {
    /// From entries in any order.
    pub fn new(mut entries: Vec<(u32, u64, Rank)>) -> Self {
        entries.sort_unstable();
        Self { entries }
    }

    /// The latest rank of this owner and suffix before `rank`.
    pub fn latest_before(&self, owner: u32, suffix: u64, rank: Rank) -> Option<Rank> {
        let end = self.entries.partition_point(|entry| *entry < (owner, suffix, rank));
        let entry = self.entries[..end].last()?;
        ((entry.0, entry.1) == (owner, suffix)).then_some(entry.2)
    }

    /// The earliest rank of this owner and suffix after `rank`.
    pub fn earliest_after(&self, owner: u32, suffix: u64, rank: Rank) -> Option<Rank> {
        let start = self.entries.partition_point(|entry| *entry <= (owner, suffix, rank));
        let entry = self.entries.get(start)?;
        ((entry.0, entry.1) == (owner, suffix)).then_some(entry.2)
    }

    /// How many of this owner and suffix are before `rank`.
    pub fn count_before(&self, owner: u32, suffix: u64, rank: Rank) -> usize {
        let start = self.entries.partition_point(|entry| (entry.0, entry.1) < (owner, suffix));
        self.entries[start..].partition_point(|entry| *entry < (owner, suffix, rank))
    }

    /// The rank of this owner and suffix with so many others before it.
    pub fn nth(&self, owner: u32, suffix: u64, number: usize) -> Option<Rank> {
        let start = self.entries.partition_point(|entry| (entry.0, entry.1) < (owner, suffix));
        let entry = self.entries.get(start + number)?;
        ((entry.0, entry.1) == (owner, suffix)).then_some(entry.2)
    }

    /// How many of this owner there are, whatever their suffix, before `rank`.
    pub fn owner_before(&self, owner: u32, rank: Rank) -> usize {
        let start = self.entries.partition_point(|entry| entry.0 < owner);
        self.entries[start..].iter().take_while(|entry| entry.0 == owner).filter(|entry| entry.2 < rank).count()
    }

    /// The ranks of this owner and suffix before `rank`, latest first.
    pub fn all_before(&self, owner: u32, suffix: u64, rank: Rank) -> impl Iterator<Item = Rank> + '_ {
        let end = self.entries.partition_point(|entry| *entry < (owner, suffix, rank));
        let same = move |entry: &&(u32, u64, Rank)| (entry.0, entry.1) == (owner, suffix);
        self.entries[..end].iter().rev().take_while(same).map(|entry| entry.2)
    }

    /// The ranks of this owner and suffix after `rank`, earliest first.
    pub fn all_after(&self, owner: u32, suffix: u64, rank: Rank) -> impl Iterator<Item = Rank> + '_ {
        let start = self.entries.partition_point(|entry| *entry <= (owner, suffix, rank));
        let same = move |entry: &&(u32, u64, Rank)| (entry.0, entry.1) == (owner, suffix);
        self.entries[start..].iter().take_while(same).map(|entry| entry.2)
    }
}

/// Many lists, one after the other in one piece of memory.
#[derive(Debug, Default)]
pub struct Lists<T> {
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy + Default> Lists<T> {
    /// `count` lists from items with the number of the list that each belongs to; a list keeps their order.
    pub fn new(count: usize, items: impl Iterator<Item = (u32, T)> + Clone) -> Self {
        let mut starts = vec![0; count + 1];
        for (list, _) in items.clone() {
            starts[list as usize + 1] += 1;
        }
        for list in 0..count {
            starts[list + 1] += starts[list];
        }
        // Each start moves to the end of its list as that is filled, and so to where the next one starts.
        let mut sorted = vec![T::default(); starts[count] as usize];
        for (list, item) in items {
            let next = &mut starts[list as usize];
            sorted[*next as usize] = item;
            *next += 1;
        }
        starts.rotate_right(1);
        starts[0] = 0;
        Self { starts, items: sorted }
    }

    /// One list.
    pub fn get(&self, list: u32) -> &[T] {
        let list = list as usize;
        &self.items[self.starts[list] as usize..self.starts[list + 1] as usize]
    }

    /// One list, to put it in order.
    pub fn get_mut(&mut self, list: u32) -> &mut [T] {
        let list = list as usize;
        &mut self.items[self.starts[list] as usize..self.starts[list + 1] as usize]
    }

    /// How many lists there are.
    pub fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_the_order_of_their_items() {
        let lists = Lists::new(4, [(2, 'a'), (0, 'b'), (2, 'c'), (3, 'd')].into_iter());
        let found: Vec<&[char]> = (0..lists.count() as u32).map(|list| lists.get(list)).collect();
        assert_eq!(found, [&['b'][..], &[], &['a', 'c'], &['d']]);
    }

    #[test]
    fn neighbours_are_of_the_same_owner_and_suffix() {
        let index = SuffixIndex::new(vec![(1, 7, 30), (1, 7, 10), (1, 8, 20), (2, 7, 15)]);
        assert_eq!(index.latest_before(1, 7, 30), Some(10));
        assert_eq!(index.latest_before(1, 7, 10), None);
        assert_eq!(index.latest_before(1, 8, 99), Some(20));
        assert_eq!(index.latest_before(2, 6, 99), None);
        assert_eq!(index.earliest_after(1, 7, 10), Some(30));
        assert_eq!(index.earliest_after(1, 7, 30), None);
        assert_eq!(index.all_before(1, 7, 31).collect::<Vec<_>>(), [30, 10]);
        assert_eq!(index.all_after(1, 7, 9).collect::<Vec<_>>(), [10, 30]);
    }
}
