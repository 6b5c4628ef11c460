//! The item vectors in panels: sixteen items side by side, dimension after dimension.

use super::simd::{Job, LANES, Lanes, Simd};

/// Panels that a tile of any instruction set divides: fillers make up the last ones.
pub const GROUP: usize = 4;
const FILLER: f32 = -1e30; // the bias of a place without an item: finite, and below every score

/// V item vectors of D dimensions and their biases.
pub struct Panels {
    pub items: usize,
    pub width: usize,
    numbers: Vec<Lanes>, // panel after panel, D each
    biases: Vec<Lanes>,  // one for each panel
    longest: f64,        // of the vectors
    highest: f64,        // of the biases
}

impl Panels {
    /// Of vectors (V, D) and biases (V,); an error names the first item that is not finite.
    pub fn new(vectors: &[f32], biases: &[f32], width: usize) -> Result<Self, String> {
        let count = biases.len().div_ceil(LANES * GROUP) * GROUP;
        let mut panels = Self {
            items: biases.len(),
            width,
            numbers: vec![Lanes::splat(0.0); count * width],
            biases: vec![Lanes::splat(FILLER); count],
            longest: 0.0,
            highest: f64::NEG_INFINITY,
        };
        for (item, (vector, &bias)) in vectors.chunks_exact(width).zip(biases).enumerate() {
            panels.set(item, vector, bias)?;
        }
        Ok(panels)
    }

    fn set(&mut self, item: usize, vector: &[f32], bias: f32) -> Result<(), String> {
        let (panel, lane) = (item / LANES, item % LANES);
        let numbers = &mut self.numbers[panel * self.width..][..self.width];
        numbers.iter_mut().zip(vector).for_each(|(lanes, &number)| lanes.0[lane] = number);
        self.biases[panel].0[lane] = bias;
        let (length, bias) = (length(vector), f64::from(bias));
        self.longest = self.longest.max(length);
        self.highest = self.highest.max(bias);
        // Squares of float32 are finite in float64, so the sum of all is, too.
        if (length + bias).is_finite() { Ok(()) } else { Err(format!("item {item}")) }
    }

    pub fn count(&self) -> usize {
        self.biases.len()
    }

    /// The numbers of a panel, one line for each dimension, and its biases.
    #[inline(always)]
    pub fn panel(&self, panel: usize) -> (&[Lanes], &Lanes) {
        (&self.numbers[panel * self.width..][..self.width], &self.biases[panel])
    }

    /// No score of a query is above this.
    pub fn bound(&self, query: &[f32]) -> f64 {
        length(query) * self.longest + self.highest
    }
}

/// The score of one item, with the bits that a tile gives.
pub struct Score<'a> {
    pub panels: &'a Panels,
    pub query: &'a [f32],
    pub item: u32,
}

impl Job for Score<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f32 {
        let (panel, lane) = (self.item as usize / LANES, self.item as usize % LANES);
        let (numbers, biases) = self.panels.panel(panel);
        let pairs = self.query.iter().zip(numbers);
        pairs.fold(0.0_f32, |sum, (&q, numbers)| q.mul_add(numbers.0[lane], sum)) + biases.0[lane]
    }
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}
