//! The best K of a stream of scores, by a bar that rises.

use super::simd::{LANES, Lanes};

/// A score and its item in one number: the better, the smaller; of equal scores the smaller item.
type Key = u64;

/// Keeps the best `count` of the scores that it is shown, items in rising order.
pub struct Best {
    count: usize,
    bar: f32,
    kept: Vec<Key>,
}

/// A score and the index of its item.
pub type Scored = (f32, u32);

impl Best {
    pub fn new(count: usize) -> Self {
        Self { count, bar: f32::NEG_INFINITY, kept: Vec::with_capacity(3 * count + LANES) }
    }

    /// A score up to this one is not among the best: an equal one came before.
    pub fn bar(&self) -> f32 {
        self.bar
    }

    /// Keep the scores of a panel whose bit is set in `mask`.
    #[cold]
    #[inline(never)]
    pub fn push(&mut self, scores: &Lanes, mut mask: u16, panel: usize) {
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            self.kept.push(key(scores.0[lane], (panel * LANES + lane) as u32));
        }
        if self.kept.len() >= 3 * self.count {
            self.trim();
        }
    }

    /// The best, best first.
    pub fn sorted(mut self) -> Vec<Scored> {
        self.trim();
        self.kept.sort_unstable();
        self.kept.into_iter().map(scored).collect()
    }

    fn trim(&mut self) {
        if self.kept.len() > self.count {
            let (_, &mut last, _) = self.kept.select_nth_unstable(self.count - 1);
            self.kept.truncate(self.count);
            self.bar = scored(last).0;
        }
    }
}

/// Floats in an order of integers: the bits of a negative number are turned around.
fn key(score: f32, item: u32) -> Key {
    let bits = score.to_bits();
    let rising = if score.is_sign_positive() { bits | 1 << 31 } else { !bits };
    u64::from(!rising) << 32 | u64::from(item)
}

fn scored(key: Key) -> Scored {
    let rising = !((key >> 32) as u32);
    let bits = if rising >> 31 == 1 { rising & !(1 << 31) } else { !rising };
    (f32::from_bits(bits), key as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best_of(count: usize, scores: &[f32]) -> Vec<Scored> {
        let mut best = Best::new(count);
        for (panel, chunk) in scores.chunks(LANES).enumerate() {
            let mut lanes = Lanes::splat(f32::NEG_INFINITY);
            lanes.0[..chunk.len()].copy_from_slice(chunk);
            let mask =
                (0..LANES).fold(0, |mask, at| mask | u16::from(lanes.0[at] > best.bar()) << at);
            best.push(&lanes, mask, panel);
        }
        best.sorted()
    }

    #[test]
    fn best_come_first_and_the_smaller_item_on_a_tie() {
        let scores = [1.0, -2.0, 3.0, 3.0, 0.0, 1.0];

        assert_eq!(best_of(4, &scores), [(3.0, 2), (3.0, 3), (1.0, 0), (1.0, 5)]);
    }

    #[test]
    fn ties_at_the_bar_keep_the_items_that_came_first() {
        let scores = [7.0; 200];

        assert_eq!(best_of(3, &scores), [(7.0, 0), (7.0, 1), (7.0, 2)]);
    }

    #[test]
    fn rising_scores_leave_the_last_ones() {
        let scores: Vec<f32> = (0..500).map(|x| x as f32 - 250.0).collect();

        assert_eq!(best_of(2, &scores), [(249.0, 499), (248.0, 498)]);
    }

    #[test]
    fn a_key_gives_back_its_score_and_item() {
        for score in [0.0, -0.0, 1.5, -1.5, f32::MIN, f32::MAX, f32::MIN_POSITIVE] {
            let (found, item) = scored(key(score, 77));

            assert_eq!((found.to_bits(), item), (score.to_bits(), 77));
        }
    }
}
