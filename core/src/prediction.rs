//! Predictions as the JSON of a score: what a model says, straight from its arrays.

use std::ops::Range;

use crate::json::{put_integer, put_probability, put_text};

/// Encoded predictions, one after the other.
#[derive(Debug, Default)]
pub struct Predictions {
    bytes: Vec<u8>,
    rows: Vec<Range<usize>>,
}

impl Predictions {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn row(&self, row: usize) -> Option<&[u8]> {
        self.bytes.get(self.rows.get(row)?.clone())
    }
}

/// What a model says of B sequences, row by row, and how long the rows are.
#[derive(Debug)]
pub struct Outputs<'a> {
    pub items: &'a [i64], // (B, K), best first
    pub shares: &'a [f32],
    pub category_shares: &'a [f32], // (B, C)
    pub chances: &'a [f64],         // (B, A), calibrated, of the intents
    pub rows: usize,
}

/// Writes the predictions of one model; every name is encoded once.
#[derive(Debug)]
pub struct PredictionWriter {
    items: Vec<Vec<u8>>, // {"item_id":"…","score":
    categories: Vec<Vec<u8>>,
    intents: Vec<Vec<u8>>,
    end: Vec<u8>, // "horizon_s":…},"quality":"full"
    top_categories: usize,
}

impl PredictionWriter {
    pub fn new(
        items: &[String],
        categories: &[String],
        intents: &[String],
        horizon_s: i64,
        top_categories: usize,
    ) -> Self {
        let mut end = b"\"horizon_s\":".to_vec();
        put_integer(&mut end, horizon_s);
        end.extend_from_slice(b"},\"quality\":\"full\"");
        Self {
            items: encoded(items, b"{\"item_id\":", b",\"score\":"),
            categories: encoded(categories, b"{\"category\":", b",\"score\":"),
            intents: encoded(intents, b"", b":"),
            end,
            top_categories: top_categories.min(categories.len()),
        }
    }

    /// Encode one prediction a row; None for arrays that do not fit, or what is no probability.
    pub fn write(&self, outputs: &Outputs<'_>) -> Option<Predictions> {
        let Outputs { items, shares, category_shares, chances, rows } = *outputs;
        let width = items.len().checked_div(rows).unwrap_or(0);
        let fits = items.len() == rows * width
            && shares.len() == items.len()
            && category_shares.len() == rows * self.categories.len()
            && chances.len() == rows * self.intents.len();
        fits.then_some(())?;
        let mut found = Predictions::default();
        let mut best = Vec::new();
        for row in 0..rows {
            let start = found.bytes.len();
            let of = |width: usize| row * width..(row + 1) * width;
            let ranked = items[of(width)].iter().copied().zip(shares[of(width)].iter().copied());
            self.put_items(&mut found.bytes, ranked)?;
            self.rank_categories(&category_shares[of(self.categories.len())], &mut best);
            self.put_categories(&mut found.bytes, &best)?;
            self.put_intents(&mut found.bytes, &chances[of(self.intents.len())])?;
            found.rows.push(start..found.bytes.len());
        }
        Some(found)
    }

    fn put_items(&self, out: &mut Vec<u8>, items: impl Iterator<Item = (i64, f32)>) -> Option<()> {
        out.extend_from_slice(b"\"items\":[");
        for (item, share) in items {
            out.extend_from_slice(self.items.get(usize::try_from(item).ok()?)?);
            put_probability(out, share.into())?;
            out.extend_from_slice(b"},");
        }
        close(out, b"],");
        Some(())
    }

    /// The likeliest categories, best first, of equals the one with the smaller index first.
    fn rank_categories(&self, shares: &[f32], best: &mut Vec<(f32, usize)>) {
        best.clear();
        for (category, &share) in shares.iter().enumerate() {
            let is_full = best.len() == self.top_categories;
            if is_full && best.last().is_none_or(|&(least, _)| share <= least) {
                continue;
            }
            let at = best.partition_point(|&(other, _)| other >= share);
            best.insert(at, (share, category));
            best.truncate(self.top_categories);
        }
    }

    fn put_categories(&self, out: &mut Vec<u8>, best: &[(f32, usize)]) -> Option<()> {
        out.extend_from_slice(b"\"categories\":[");
        for &(share, category) in best {
            out.extend_from_slice(&self.categories[category]);
            put_probability(out, share.into())?;
            out.extend_from_slice(b"},");
        }
        close(out, b"],");
        Some(())
    }

    fn put_intents(&self, out: &mut Vec<u8>, chances: &[f64]) -> Option<()> {
        out.extend_from_slice(b"\"intent\":{");
        for (name, &chance) in self.intents.iter().zip(chances) {
            out.extend_from_slice(name);
            put_probability(out, chance)?;
            out.push(b',');
        }
        out.extend_from_slice(&self.end);
        Some(())
    }
}

/// Each name as JSON, with what is before and after it.
fn encoded(names: &[String], before: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
    let encode = |name: &String| {
        let mut out = before.to_vec();
        put_text(&mut out, name.as_bytes());
        out.extend_from_slice(after);
        out
    };
    names.iter().map(encode).collect()
}

/// End a list: without the comma after its last member.
fn close(out: &mut Vec<u8>, end: &[u8]) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.extend_from_slice(end);
}
