//! The table of a model's items, and the answers of a batch from it.

use super::instructions::Instructions;
use super::mixture::{FIRST_ITEM, Mixer, User};
use super::neighbours::Neighbours;
use super::panels::{Panels, Score};
use super::row::{Generated, Row};
use super::simd::Unit;
use super::tile::Pass;

/// Candidates kept beyond the best K, so that few others need be looked at again.
const MARGIN: usize = 16;
/// A best score further below its bound takes a second pass, from itself: at this distance the least
/// share that is counted, 2^-124, is still nothing beside that of the best, e^-50.
const FAR: f64 = 50.0;
const LARGEST: f64 = 1e29; // of a bound of scores: those of fillers stay below

/// The item vectors of a model with their biases and neighbours, laid out for the kernel.
pub struct Table {
    pub panels: Panels,
    pub neighbours: Option<Neighbours>,
    pub instructions: Instructions,
}

/// What the network says of B users, user after user; see `mixture::User`.
pub struct Batch<'a> {
    pub queries: &'a [f32],
    pub copies: &'a [f32],
    pub rules: &'a [f32],
    pub codes: &'a [i32],
    pub length: usize,
}

impl Table {
    /// The best items of each user and their probabilities over the whole catalogue, (B, K) each.
    pub fn best(&self, batch: &Batch, count: usize) -> Result<(Vec<i64>, Vec<f32>), String> {
        self.check(batch)?;
        let (width, length, ways) = (self.panels.width, batch.length, self.ways());
        let found = self.generate(batch.queries, count + MARGIN)?;
        let mut mixer = Mixer::new(self);
        let mut items = Vec::with_capacity(found.len() * count);
        let mut probabilities = Vec::with_capacity(found.len() * count);
        for (row, found) in found.iter().enumerate() {
            let user = User {
                query: &batch.queries[row * width..][..width],
                copies: &batch.copies[row * length..][..length],
                rules: &batch.rules[row * ways * length..][..ways * length],
                codes: &batch.codes[row * length..][..length],
            };
            for (probability, item) in mixer.best(found, user, count) {
                items.push(i64::from(item));
                probabilities.push(probability as f32);
            }
        }
        Ok((items, probabilities))
    }

    /// The best scores of each query (B, D) and the sum of e^score over the whole catalogue.
    pub fn generate(&self, queries: &[f32], keep: usize) -> Result<Vec<Generated>, String> {
        let queries: Vec<&[f32]> = queries.chunks_exact(self.panels.width).collect();
        let bounds: Vec<f64> = queries.iter().map(|query| self.panels.bound(query)).collect();
        if let Some(row) = bounds.iter().position(|bound| bound.is_nan() || *bound >= LARGEST) {
            return Err(format!("the query of row {row} is not finite, or too long"));
        }
        let mut found = self.pass(&queries, &bounds, keep.min(self.panels.items));
        let is_far = |row: &usize| f64::from(found[*row].best[0].0) < found[*row].unit.ln() - FAR;
        let far: Vec<usize> = (0..found.len()).filter(is_far).collect();
        let best: Vec<f64> = far.iter().map(|&row| found[row].best[0].0.into()).collect();
        let queries: Vec<&[f32]> = far.iter().map(|&row| queries[row]).collect();
        for (row, again) in far.into_iter().zip(self.pass(&queries, &best, 1)) {
            (found[row].unit, found[row].total) = (again.unit, again.total);
        }
        Ok(found)
    }

    /// One pass; `most` (B,) is near the highest score of each query, or above.
    fn pass(&self, queries: &[&[f32]], most: &[f64], keep: usize) -> Vec<Generated> {
        let mut rows: Vec<Row> = most.iter().map(|&x| Row::new(Unit::above(x), keep)).collect();
        self.instructions.run(Pass { panels: &self.panels, queries, rows: &mut rows });
        rows.into_iter().map(Row::finish).collect()
    }

    /// The score of one item, with the bits that `generate` gives.
    pub fn score(&self, query: &[f32], item: u32) -> f32 {
        self.instructions.run(Score { panels: &self.panels, query, item })
    }

    /// E, the ways of counting neighbours.
    pub fn ways(&self) -> usize {
        self.neighbours.as_ref().map_or(0, |neighbours| neighbours.ways)
    }

    fn check(&self, batch: &Batch) -> Result<(), String> {
        let codes = 0..(self.panels.items + FIRST_ITEM) as i64;
        if let Some(&code) = batch.codes.iter().find(|&&code| !codes.contains(&code.into())) {
            return Err(format!("code {code} is that of no item, expected below {}", codes.end));
        }
        for (name, logits) in [("copy", batch.copies), ("rule", batch.rules)] {
            if logits.iter().any(|&logit| logit.is_nan() || logit == f32::INFINITY) {
                return Err(format!("a {name} logit is not a number, or infinite"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from −1 to 1 that are always the same.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    const ITEMS: usize = 3001; // 47 groups of panels less 7 items, and two carries
    const WIDTH: usize = 20;

    fn table(instructions: Instructions) -> Table {
        let (vectors, biases) = (numbers(ITEMS * WIDTH, 1), numbers(ITEMS, 2));
        let ends: Vec<i64> = (0..ITEMS as i64 + 2).map(|code| code.max(1) - 1).collect();
        let items: Vec<i32> = (0..ITEMS as i32).map(|item| (item * 7 + 1) % ITEMS as i32).collect();
        let shares = numbers(2 * ITEMS, 3).into_iter().map(f32::abs).collect();
        let neighbours = Neighbours::new(ITEMS, 2, &ends, &items, shares);
        Table {
            panels: Panels::new(&vectors, &biases, WIDTH).expect("finite"),
            neighbours: Some(neighbours.expect("valid")),
            instructions,
        }
    }

    type Answer = (Vec<i64>, Vec<f32>);

    fn answers(table: &Table, users: std::ops::Range<usize>) -> Answer {
        const LENGTH: usize = 8;
        let of = |each: usize, all: &[f32]| all[users.start * each..users.end * each].to_vec();
        let queries: Vec<f32> = numbers(40 * WIDTH, 4).iter().map(|x| x * 3.0).collect();
        let codes: Vec<i32> = (0..40 * LENGTH as i32).map(|at| at * 37 % 3003).collect();
        let batch = Batch {
            queries: &of(WIDTH, &queries),
            copies: &of(LENGTH, &numbers(40 * LENGTH, 5)),
            rules: &of(2 * LENGTH, &numbers(80 * LENGTH, 6)),
            codes: &codes[users.start * LENGTH..users.end * LENGTH],
            length: LENGTH,
        };
        table.best(&batch, 10).expect("finite")
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let found: Vec<Answer> = Instructions::available()
            .into_iter()
            .map(|instructions| answers(&table(instructions), 0..40))
            .collect();

        assert!(found.iter().all(|answer| *answer == found[0]));
    }

    #[test]
    fn every_batch_gives_the_same_bits() {
        let table = table(Instructions::best());
        let whole = answers(&table, 0..40);
        for size in [1, 2, 3, 5, 6, 7, 13] {
            let (mut items, mut probabilities) = (Vec::new(), Vec::new());
            for start in (0..40).step_by(size) {
                let part = answers(&table, start..40.min(start + size));
                items.extend(part.0);
                probabilities.extend(part.1);
            }
            assert_eq!((items, probabilities), whole, "batches of {size}");
        }
    }

    /// So a build for another processor can be compared with one of this: the sum of all bits.
    #[test]
    fn the_bits_are_those_of_every_other_processor() {
        let (items, probabilities) = answers(&table(Instructions::best()), 0..40);

        let sum = probabilities
            .iter()
            .fold(0_u64, |sum, p| sum * 31 % 1_000_000_007 + u64::from(p.to_bits()));
        assert_eq!((items.iter().sum::<i64>(), sum), (600_961, 1_439_663_261));
    }

    #[test]
    fn a_score_alone_has_the_bits_of_the_pass() {
        for instructions in Instructions::available() {
            let table = table(instructions);
            let query = numbers(WIDTH, 9);
            for &(score, item) in &table.generate(&query, 50).expect("finite")[0].best {
                assert_eq!(table.score(&query, item).to_bits(), score.to_bits());
            }
        }
    }

    #[test]
    fn a_normaliser_far_below_its_bound_is_still_exact() {
        // The best score is −90, and the bound of it +90: e^-180 of it is no float32.
        let vectors = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let table = Table {
            panels: Panels::new(&vectors, &[0.0, 0.0, 0.0], 2).expect("finite"),
            neighbours: None,
            instructions: Instructions::best(),
        };

        let found = &table.generate(&[-45.0, -45.0], 3).expect("finite")[0];

        let log = found.total.ln() + found.unit.ln();
        assert!((log - (3.0_f64.ln() - 90.0)).abs() < 1e-6, "{log}");
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        let table = table(Instructions::best());
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38] {
            let mut query = numbers(WIDTH, 9);
            query[3] = wrong;
            assert!(table.generate(&query, 5).is_err(), "{wrong}");
        }
    }
}
