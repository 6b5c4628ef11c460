//! `Users`: the users of one partition, whose states are their bytes.

use std::ops::Range;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::python::chunk::Chunk;
use crate::python::snapshot::{Snapshot, Vocabulary};
use crate::state::fold::{Event, Rules};
use crate::users::{Contract, Users as Inner};

/// The users of one partition that are in memory.
#[pyclass(module = "lately_native")]
pub struct Users {
    inner: Inner,
}

#[pymethods]
impl Users {
    /// The first five are the fields of `stream.user_state.Rules`.
    #[new]
    fn new(
        sequence_length: usize,
        dedupe_window: usize,
        allowed_lateness_ms: i64,
        max_future_ms: i64,
        ttl_ms: i64,
        actions: Vec<String>,
        max_message_bytes: usize,
    ) -> PyResult<Self> {
        if sequence_length == 0 {
            return Err(PyValueError::new_err("a sequence has at least one action"));
        }
        let rules =
            Rules { sequence_length, dedupe_window, allowed_lateness_ms, max_future_ms, ttl_ms };
        let actions = actions.into_iter().map(String::into_bytes).collect();
        Ok(Self { inner: Inner::new(Contract { rules, actions, max_message_bytes }) })
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// Keep the codes of this model beside the items from now on.
    fn know(&mut self, vocabulary: &Vocabulary) {
        self.inner.know(vocabulary.inner.clone());
    }

    /// The keys of records `start` to `end`, each once, whose users must be loaded first.
    fn missing<'py>(
        &self,
        py: Python<'py>,
        chunk: &Chunk,
        start: usize,
        end: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let keys = self.inner.missing(chunk.fetch(), range(chunk, start, end)?).into_iter();
        Ok(keys.map(|key| PyBytes::new(py, key)).collect())
    }

    /// Take over a user's stored value, None for one who was never seen; one who is here stays.
    ///
    /// Raises ValueError for a value that Python must read and write anew, or refuse.
    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> PyResult<()> {
        let loaded = self.inner.load(key, value);
        loaded.ok_or_else(|| PyValueError::new_err("the value is not as Python would write it"))
    }

    /// Fold records `start` to `end` in; their users must be loaded.
    ///
    /// Returns where it stopped: at `end`, or at a record that Python must judge.
    fn fold(&mut self, py: Python<'_>, chunk: &Chunk, start: usize, end: usize) -> PyResult<usize> {
        let (fetch, range, inner) = (chunk.fetch(), range(chunk, start, end)?, &mut self.inner);
        Ok(py.detach(|| inner.fold(fetch, range)))
    }

    /// Fold in the event that Python made of record `at`; returns the number of its outcome.
    ///
    /// Raises ValueError if its user is not loaded, or has more kinds of actions than a byte names.
    #[pyo3(signature = (chunk, at, key, clock_ms, item, action, ts_ms, event_id, category))]
    #[expect(clippy::too_many_arguments, reason = "they are the fields of an event")]
    fn fold_event(
        &mut self,
        chunk: &Chunk,
        at: usize,
        key: &[u8],
        clock_ms: i64,
        item: &str,
        action: &str,
        ts_ms: i64,
        event_id: Option<&str>,
        category: Option<&str>,
    ) -> PyResult<usize> {
        let record = chunk.record(at)?;
        let place = &chunk.fetch().places()[at];
        let event = Event {
            offset: place.offset,
            clock_ms,
            ts_ms,
            item: item.as_bytes(),
            action: action.as_bytes(),
            event_id: event_id.map(str::as_bytes),
            category: category.map(str::as_bytes).filter(|category| !category.is_empty()),
            forget: action == "forget",
        };
        let outcome = self.inner.apply(key, &event, record);
        let error = "the user is not loaded, or has too many kinds";
        outcome.map(|outcome| outcome as usize).ok_or_else(|| PyValueError::new_err(error))
    }

    /// A user's value as it is now; empty if nothing was applied, None if the user is not loaded.
    fn value<'py>(&self, py: Python<'py>, key: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.inner.value(key).map(|value| PyBytes::new(py, value))
    }

    /// How many users wait for a score.
    #[getter]
    fn waiting(&self) -> usize {
        self.inner.waiting()
    }

    /// Offset and time of the first event that the next score of the longest-waiting user covers.
    fn oldest_waiting(&self) -> Option<(i64, i64)> {
        self.inner.oldest_waiting().map(|waiting| (waiting.first_offset, waiting.first_ms))
    }

    /// Copy the values of so many of the longest-waiting users, who wait no more.
    fn take(&mut self, py: Python<'_>, count: usize) -> Snapshot {
        let inner = &mut self.inner;
        Snapshot { inner: py.detach(|| inner.take(count)) }
    }

    /// The snapshot is on disk: its users are no longer busy because of it.
    fn settle(&mut self, py: Python<'_>, snapshot: &Snapshot) {
        let inner = &mut self.inner;
        py.detach(|| inner.settle(&snapshot.inner));
    }

    fn is_waiting(&self, key: &[u8]) -> bool {
        self.inner.is_waiting(key)
    }

    /// Whether the user waits, or memory may be ahead of the disk.
    fn is_busy(&self, key: &[u8]) -> bool {
        self.inner.is_busy(key)
    }

    /// Remove a user, unless they wait.
    fn drop(&mut self, key: &[u8]) {
        self.inner.drop(key);
    }

    /// Let a user start over, whom a batch deletes from the disk.
    fn expire(&mut self, key: &[u8]) {
        self.inner.expire(key);
    }

    /// Evict so many users who were loaded longest ago and are not busy.
    fn evict(&mut self, count: usize) {
        self.inner.evict(count);
    }

    /// Events since the last call: applied, late, future, duplicate, replayed, forgotten.
    fn take_outcomes(&mut self) -> [u64; 6] {
        self.inner.take_outcomes()
    }
}

/// These records of a chunk; IndexError if there are not so many.
fn range(chunk: &Chunk, start: usize, end: usize) -> PyResult<Range<usize>> {
    let fits = start <= end && end <= chunk.fetch().places().len();
    fits.then_some(start..end).ok_or_else(|| PyIndexError::new_err("the chunk has no such records"))
}
