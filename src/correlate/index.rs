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

#[cfg(test)]
mod tests {
    use super::*;

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
