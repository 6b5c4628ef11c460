//! A user on the way through the catalogue: the best scores so far, and the normaliser.

use super::best::{Best, Scored};
use super::simd::{LANES, Lanes, Simd, Unit, exp};

/// What the scores of the catalogue say of one user.
pub struct Generated {
    pub unit: Unit,
    pub total: f64, // Σ e^score over the catalogue, in this unit
    pub best: Vec<Scored>,
}

pub struct Row {
    unit: Unit,
    part: Lanes, // sums of a few panels
    total: [f64; LANES],
    best: Best,
}

impl Row {
    pub fn new(unit: Unit, keep: usize) -> Self {
        Self { unit, part: Lanes::splat(0.0), total: [0.0; LANES], best: Best::new(keep) }
    }

    /// Count the scores of a panel.
    #[inline(always)]
    pub fn count<S: Simd>(&mut self, simd: S, scores: S::Numbers, panel: usize) {
        let shares = exp(simd, scores, self.unit);
        self.part = simd.store(simd.add(simd.load(&self.part), shares));
        let better = simd.greater(scores, simd.splat(self.best.bar()));
        if better != 0 {
            self.best.push(&simd.store(scores), better, panel);
        }
    }

    /// Move the sums to float64, before they are so large that they swallow a small share.
    pub fn carry(&mut self) {
        for (total, part) in self.total.iter_mut().zip(&mut self.part.0) {
            *total += f64::from(std::mem::take(part));
        }
    }

    pub fn finish(mut self) -> Generated {
        self.carry();
        Generated { unit: self.unit, total: self.total.iter().sum(), best: self.best.sorted() }
    }
}
