//! The state of a user *is* its bytes, in the versions 1 and 2 of docs/state-format.md.
//!
//! An event is folded in by writing the next value from parts of the last one. So nothing is left
//! to encode when a batch closes, and a user takes no more memory than on disk.

pub mod categories;
pub mod columns;
pub mod fold;

use columns::{Columns, Ends};
use fold::{Change, Event, Outcome, Rules, Written};

/// One user's value, and what nearly every event asks of it.
#[derive(Debug)]
pub struct State {
    value: Vec<u8>, // empty for a user who was never seen
    applied_offset: i64,
    newest_ms: Option<i64>, // the last of the times
    ends: Ends,
}

impl Default for State {
    fn default() -> Self {
        Self { value: Vec::new(), applied_offset: -1, newest_ms: None, ends: Ends::default() }
    }
}

impl State {
    /// Take over a stored value; None for one that Python must read, or refuse.
    pub fn load(value: &[u8]) -> Option<Self> {
        let (columns, ends) = Columns::check(value)?;
        Some(Self {
            value: value.to_vec(),
            applied_offset: columns.applied_offset,
            newest_ms: columns.times().last(),
            ends,
        })
    }

    /// Keep nothing but the offset, so that replays are recognized.
    pub fn start_over(&mut self) {
        let marker = Columns { applied_offset: self.applied_offset, ..Columns::EMPTY };
        (self.newest_ms, self.ends) = (None, marker.write(&mut self.value));
    }

    /// The value as it is stored; empty for a user who was never seen.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The last of the event times.
    pub fn newest_ms(&self) -> Option<i64> {
        self.newest_ms
    }

    /// Where the long columns of the value end.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// The value taken apart.
    pub fn columns(&self) -> Columns<'_> {
        if self.value.is_empty() {
            return Columns::EMPTY;
        }
        Columns::read(&self.value, self.ends).expect("a value is checked before it gets here")
    }

    /// Fold one event in, as `UserState.apply` does; None if Python must.
    ///
    /// `scratch` is written over.
    pub fn apply(
        &mut self,
        event: &Event,
        rules: &Rules,
        scratch: &mut Vec<u8>,
    ) -> Option<(Outcome, Change)> {
        if event.offset <= self.applied_offset {
            return Some((Outcome::Replayed, Change::Kept));
        }
        let (outcome, next) = fold::next(&self.columns(), self.newest_ms, event, rules, scratch)?;
        let Some(Written { newest_ms, ends, change }) = next else {
            return Some((outcome, Change::Kept));
        };
        self.value.clear();
        self.value.extend_from_slice(scratch);
        (self.applied_offset, self.newest_ms, self.ends) = (event.offset, newest_ms, ends);
        Some((outcome, change))
    }
}
