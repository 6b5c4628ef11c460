//! Users as they were when a batch closed: what is scored, and what the changelog gets.

use std::ops::Range;
use std::sync::Arc;

use crate::batch::writer::{Batch, Headers, Writer};
use crate::fetch::Record;
use crate::score::{ScoreWriter, Subject};
use crate::state::State;
use crate::state::columns::{Columns, Ends};
use crate::users::Waiting;
use crate::vocabulary::{Ragged, Vocabulary};

/// One user of a snapshot.
#[derive(Debug)]
struct Row {
    key: Range<usize>, // the value follows it
    value_end: usize,
    ends: Ends,
    codes: Range<usize>, // empty without a vocabulary
    as_of: AsOf,
    waiting: Waiting,
}

/// What a score of a user covers: `AsOf` of stream/pipeline/encoding.py, and more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AsOf {
    pub applied_offset: i64,
    pub now_ms: i64, // the newest event time
    pub actions: usize,
    pub forgotten: bool,
}

impl AsOf {
    fn of(state: &State) -> Self {
        let columns = state.columns();
        Self {
            applied_offset: columns.applied_offset,
            now_ms: columns.as_of_ms.max(state.newest_ms().unwrap_or(columns.as_of_ms)),
            actions: columns.items.count,
            forgotten: columns.forgotten,
        }
    }
}

/// Copies of the values of some users, in an order that does not change.
#[derive(Debug)]
pub struct Snapshot {
    vocabulary: Option<Arc<Vocabulary>>,
    codes: Vec<i32>, // of the items, as the vocabulary has them
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

impl Snapshot {
    /// Without users; codes are kept if there is a vocabulary.
    pub fn new(vocabulary: Option<Arc<Vocabulary>>) -> Self {
        Self { vocabulary, codes: Vec::new(), bytes: Vec::new(), rows: Vec::new() }
    }

    /// Add a user who was seen, and the codes of the items.
    pub fn add(&mut self, key: &[u8], state: &State, codes: &[i32], waiting: Waiting) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let key = start..self.bytes.len();
        self.bytes.extend_from_slice(state.value());
        let (value_end, ends, as_of) = (self.bytes.len(), state.ends(), AsOf::of(state));
        let start = self.codes.len();
        self.codes.extend_from_slice(codes);
        let codes = start..self.codes.len();
        self.rows.push(Row { key, value_end, ends, codes, as_of, waiting });
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Key, value and what a score would cover of each user.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8], AsOf)> {
        self.rows.iter().map(|row| (&self.bytes[row.key.clone()], self.value(row), row.as_of))
    }

    /// The lowest source offset that it covers; None without users.
    pub fn start(&self) -> Option<i64> {
        self.rows.iter().map(|row| row.waiting.first_offset).min()
    }

    /// The time of the first event that each score covers, of all who are not forgotten.
    pub fn first_times_ms(&self) -> impl Iterator<Item = i64> {
        self.scored().map(|row| row.waiting.first_ms)
    }

    /// The last record that a score covers; None if there are not so many who are not forgotten.
    pub fn last_record(&self, at: usize) -> Option<&Record> {
        self.scored().nth(at).map(|row| &row.waiting.last)
    }

    /// The columns of all who are not forgotten, and the clocks of their sequences.
    pub fn columns(&self) -> impl Iterator<Item = (Columns<'_>, i64)> {
        self.scored().map(|row| (self.columns_of(row), row.as_of.now_ms))
    }

    /// The sequences of all who are not forgotten, in the codes of a model.
    pub fn encode(&self, vocabulary: &Arc<Vocabulary>) -> Ragged {
        let is_known = self.vocabulary.as_ref().is_some_and(|known| Arc::ptr_eq(known, vocabulary));
        let mut ragged = Ragged::default();
        for row in self.scored() {
            let columns = self.columns_of(row);
            let codes = is_known.then(|| &self.codes[row.codes.clone()]);
            vocabulary.encode(&columns, codes, row.as_of.now_ms, &mut ragged);
        }
        ragged
    }

    /// How many are not forgotten.
    pub fn count_scored(&self) -> usize {
        self.scored().count()
    }

    fn scored(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.as_of.forgotten)
    }

    fn columns_of(&self, row: &Row) -> Columns<'_> {
        Columns::read(self.value(row), row.ends).expect("a state has a whole value")
    }

    fn value(&self, row: &Row) -> &[u8] {
        &self.bytes[row.key.end..row.value_end]
    }

    /// The values, in batches for the changelog.
    pub fn changelog(&self, limit: usize, timestamp_ms: i64) -> Vec<Batch> {
        let (mut writer, headers) = (Writer::new(limit, timestamp_ms), Headers::new(&[]));
        self.rows().for_each(|(key, value, _)| writer.append(Some(key), Some(&[value]), &headers));
        writer.finish()
    }

    /// The scores of all who are not forgotten, in batches; None unless something is said of each:
    /// a prediction, or None for who could not be scored.
    pub fn scores<'a>(
        &self,
        scores: &ScoreWriter,
        partition: i32,
        mut predictions: impl Iterator<Item = Option<&'a [u8]>>,
        mut writer: Writer,
        headers: &Headers,
    ) -> Option<Vec<Batch>> {
        let (mut value, mut scratch, scored_at_ms) =
            (Vec::new(), Vec::new(), writer.timestamp_ms());
        for (key, _, as_of) in self.rows().filter(|(_, _, as_of)| !as_of.forgotten) {
            let AsOf { applied_offset: offset, now_ms: ts_ms, actions, .. } = as_of;
            let of = Subject { key, partition, offset, ts_ms, actions };
            if let Some(prediction) = predictions.next()? {
                value.clear();
                scores.put(&mut value, &of, prediction, scored_at_ms, &mut scratch);
                writer.append(Some(key), Some(&[&value]), headers);
            }
        }
        predictions.next().is_none().then(|| writer.finish())
    }
}
