//! What a model calls things, and sequences in these codes: `model/features.py`.

use hashbrown::HashMap;

use crate::state::columns::Columns;

const UNKNOWN_ITEM: i32 = 1;
const FIRST_ITEM: i32 = 2;
const FIRST_ACTION: i32 = 1;
const FIRST_GAP: i32 = 1;
const HOUR_MS: i64 = 3_600_000;
const WEEK_HOURS: i64 = 168;
const EPOCH_HOUR: i64 = 72; // of the week: 1970 began on a Thursday

/// The codes of one model.
#[derive(Debug)]
pub struct Vocabulary {
    items: HashMap<Box<[u8]>, i32>,
    actions: Vec<Vec<u8>>,
    gap_bounds_ms: Vec<i64>,
    max_length: usize,
}

/// Encoded sequences, one after the other, the oldest action of each first.
#[derive(Debug, Default)]
pub struct Ragged {
    pub items: Vec<i32>,
    pub actions: Vec<i32>,
    pub gaps: Vec<i32>,
    pub lengths: Vec<i32>,
    pub hours: Vec<i32>,
}

impl Vocabulary {
    /// The items are in the order of the catalogue, the actions in that of the configuration.
    pub fn new(
        items: Vec<String>,
        actions: Vec<String>,
        gap_bounds_ms: Vec<i64>,
        max_length: usize,
    ) -> Self {
        let items = items.into_iter().map(|item| item.into_bytes().into_boxed_slice());
        let items = items.zip(FIRST_ITEM..).collect();
        let actions = actions.into_iter().map(String::into_bytes).collect();
        Self { items, actions, gap_bounds_ms, max_length }
    }

    /// The codes of items.
    pub fn codes<'a>(&self, items: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = i32> {
        items.map(|item| self.code(item))
    }

    /// The code of one item.
    pub fn code(&self, item: &[u8]) -> i32 {
        self.items.get(item).copied().unwrap_or(UNKNOWN_ITEM)
    }

    /// Append a user's newest actions, as of the sequence's own clock.
    ///
    /// `codes` are those of all items, if they are known already.
    pub fn encode(
        &self,
        columns: &Columns<'_>,
        codes: Option<&[i32]>,
        now_ms: i64,
        out: &mut Ragged,
    ) {
        let left_out = columns.items.count.saturating_sub(self.max_length);
        match codes {
            Some(codes) => out.items.extend_from_slice(&codes[left_out..]),
            None => out.items.extend(self.codes(columns.items.texts().skip(left_out))),
        }
        let kinds: Vec<i32> = columns.kinds.texts().map(|kind| self.action(kind)).collect();
        let actions = columns.actions[left_out..].iter();
        out.actions.extend(actions.map(|&kind| kinds[usize::from(kind)]));
        let times = columns.times().skip(left_out);
        let next = columns.times().skip(left_out + 1).chain([now_ms]);
        out.gaps.extend(times.zip(next).map(|(from_ms, to_ms)| self.gap(to_ms - from_ms)));
        out.lengths.push((columns.items.count - left_out) as i32);
        let hour = now_ms.div_euclid(HOUR_MS) + EPOCH_HOUR;
        out.hours.push(hour.rem_euclid(WEEK_HOURS) as i32);
    }

    fn action(&self, action: &[u8]) -> i32 {
        let known = self.actions.iter().position(|known| known == action);
        known.map_or(0, |at| at as i32 + FIRST_ACTION)
    }

    fn gap(&self, span_ms: i64) -> i32 {
        self.gap_bounds_ms.partition_point(|&bound_ms| bound_ms <= span_ms) as i32 + FIRST_GAP
    }
}
