//! The pass through the catalogue: tiles of a few users by a few panels stay in the registers.

use super::panels::Panels;
use super::row::Row;
use super::simd::{Job, Lanes, Simd};

/// Users of a tile: with more, the sums of the narrowest instruction set leave its registers.
const ROWS: usize = 6;
const CARRY: usize = 16; // panels between two moves to float64

/// Scores of B users over the whole catalogue, into their rows.
pub struct Pass<'a> {
    pub panels: &'a Panels,
    pub queries: &'a [&'a [f32]], // (B, D)
    pub rows: &'a mut [Row],
}

impl Job for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let queries = by_tile(self.queries, self.panels.width);
        for panel in (0..self.panels.count()).step_by(S::PANELS) {
            let tiles = queries.chunks(ROWS * self.panels.width).zip(self.rows.chunks_mut(ROWS));
            for (queries, rows) in tiles {
                match S::PANELS {
                    4 => with_rows::<S, 4>(simd, self.panels, panel, queries, rows),
                    _ => with_rows::<S, 1>(simd, self.panels, panel, queries, rows),
                }
            }
            if (panel + S::PANELS).is_multiple_of(CARRY) {
                self.rows.iter_mut().for_each(Row::carry);
            }
        }
    }
}

/// The queries of each tile with the users side by side, dimension after dimension.
fn by_tile(queries: &[&[f32]], width: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(queries.len() * width);
    for tile in queries.chunks(ROWS) {
        for dimension in 0..width {
            turned.extend(tile.iter().map(|query| query[dimension]));
        }
    }
    turned
}

#[inline(always)]
fn with_rows<S: Simd, const PANELS: usize>(
    simd: S,
    panels: &Panels,
    panel: usize,
    queries: &[f32],
    rows: &mut [Row],
) {
    match rows.len() {
        6 => tile::<S, 6, PANELS>(simd, panels, panel, queries, rows),
        5 => tile::<S, 5, PANELS>(simd, panels, panel, queries, rows),
        4 => tile::<S, 4, PANELS>(simd, panels, panel, queries, rows),
        3 => tile::<S, 3, PANELS>(simd, panels, panel, queries, rows),
        2 => tile::<S, 2, PANELS>(simd, panels, panel, queries, rows),
        _ => tile::<S, 1, PANELS>(simd, panels, panel, queries, rows),
    }
}

/// Each score is summed over the dimensions in order, from 0, and its bias comes last.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const PANELS: usize>(
    simd: S,
    panels: &Panels,
    panel: usize,
    queries: &[f32],
    rows: &mut [Row],
) {
    let found: [(&[Lanes], &Lanes); PANELS] = std::array::from_fn(|at| panels.panel(panel + at));
    let mut sums = [[simd.splat(0.0); PANELS]; ROWS];
    for (dimension, queries) in queries.as_chunks::<ROWS>().0.iter().enumerate() {
        let numbers: [S::Numbers; PANELS] =
            std::array::from_fn(|at| simd.load(&found[at].0[dimension]));
        for (sums, &q) in sums.iter_mut().zip(queries) {
            let q = simd.splat(q);
            for (sum, &numbers) in sums.iter_mut().zip(&numbers) {
                *sum = simd.mul_add(q, numbers, *sum);
            }
        }
    }
    for (row, sums) in rows.iter_mut().zip(sums) {
        for (at, sum) in sums.into_iter().enumerate() {
            row.count(simd, simd.add(sum, simd.load(found[at].1)), panel + at);
        }
    }
}
