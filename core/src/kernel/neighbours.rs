//! The neighbours of each item, among which the rules share out what they give to it.

/// Rows end to end, by item code; a row holds catalogue indices and their shares.
pub struct Neighbours {
    pub ways: usize,  // E, of counting
    ends: Vec<usize>, // (V + 2,) of the rows
    items: Vec<u32>,  // (N,)
    shares: Vec<f32>, // (E, N)
    sums: Vec<f64>,   // (V + 2, E) of each row's shares
}

impl Neighbours {
    /// Of arrays as above, for a catalogue of `count` items; an error says what is wrong with them.
    pub fn new(
        count: usize,
        ways: usize,
        ends: &[i64],
        items: &[i32],
        shares: Vec<f32>,
    ) -> Result<Self, String> {
        let rising = ends.is_sorted() && ends.first().is_some_and(|&end| end >= 0);
        if !rising || ends.last() != Some(&(items.len() as i64)) {
            return Err(format!("ends do not rise to {}, the number of neighbours", items.len()));
        }
        if let Some(item) = items.iter().find(|&&item| item < 0 || item as usize >= count) {
            return Err(format!("neighbour {item} is no index of {count} items"));
        }
        if !shares.iter().all(|share| share.is_finite() && *share >= 0.0) {
            return Err("a share is negative or not finite".into());
        }
        let mut neighbours = Self {
            ways,
            ends: ends.iter().map(|&end| end as usize).collect(),
            items: items.iter().map(|&item| item as u32).collect(),
            shares,
            sums: Vec::with_capacity(ends.len() * ways),
        };
        for code in 0..ends.len() {
            for way in 0..ways {
                let sum = neighbours.shares(code, way).iter().map(|&share| f64::from(share)).sum();
                neighbours.sums.push(sum);
            }
        }
        Ok(neighbours)
    }

    /// The neighbours of a code.
    pub fn items(&self, code: usize) -> &[u32] {
        let (start, end) = self.row(code);
        &self.items[start..end]
    }

    /// Their shares by one way of counting.
    pub fn shares(&self, code: usize, way: usize) -> &[f32] {
        let (start, end) = self.row(code);
        &self.shares[way * self.items.len()..][start..end]
    }

    /// The sum of these shares.
    pub fn sum(&self, code: usize, way: usize) -> f64 {
        self.sums[code * self.ways + way]
    }

    fn row(&self, code: usize) -> (usize, usize) {
        let start = if code == 0 { 0 } else { self.ends[code - 1] };
        (start, self.ends[code])
    }
}
