//! XXH3, 64 bits: the hash by which contents and keys are compared. (What only meets in tables has a hasher of its own.)

use twox_hash::XxHash3_64;

/// Of all octets.
pub fn hash(octets: &[u8]) -> u64 {
    XxHash3_64::oneshot(octets)
}

/// Of all octets, another one for each seed.
pub fn hash_with_seed(octets: &[u8], seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, octets)
}

/// The hash of octets that come in pieces: the same as that of the whole.
#[derive(Clone, Default)]
pub struct Pieces(XxHash3_64);

impl Pieces {
    /// The next octets.
    pub fn add(&mut self, octets: &[u8]) {
        std::hash::Hasher::write(&mut self.0, octets);
    }

    /// Of all so far.
    pub fn hash(&self) -> u64 {
        std::hash::Hasher::finish(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test vectors of the reference implementation, xxHash 0.8.
    #[test]
    fn it_is_xxh3() {
        assert_eq!(hash(&[]), 0x2D06_8005_38D3_94C2);
    }

    #[test]
    fn pieces_have_the_hash_of_the_whole() {
        let octets: Vec<u8> = (0..5000_u32).map(|number| ((number * 7919) >> 3) as u8).collect();
        for length in [0, 1, 240, 241, 1024, 5000] {
            for size in [1, 7, 64, 1448] {
                let mut pieces = Pieces::default();
                octets[..length].chunks(size).for_each(|piece| pieces.add(piece));
                assert_eq!(pieces.hash(), hash(&octets[..length]), "{length} octets by {size}");
            }
        }
    }
}
