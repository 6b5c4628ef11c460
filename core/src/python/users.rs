//! `Users`: the users of one partition, whose states are their bytes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
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
    ) -> Vec<Bound<'py, PyBytes>> {
        let places = chunk.places();
        let end = end.min(places.len());
        let places = places.get(start..end).unwrap_or_default();
        let keys = self.inner.missing(chunk.fetch(), places).into_iter();
        keys.map(|key| PyBytes::new(py, key)).collect()
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
    fn fold(&mut self, py: Python<'_>, chunk: &Chunk, start: usize, end: usize) -> usize {
        let (fetch, places, inner) = (chunk.fetch(), chunk.places(), &mut self.inner);
        py.detach(|| inner.fold(fetch, places, start..end))
    }

    /// Fold in one event that Python validated.
    ///
    /// Raises ValueError if its user is not loaded, or has more kinds of actions than a byte names.
    #[pyo3(signature = (key, offset, clock_ms, item, action, ts_ms, event_id, category))]
    #[expect(clippy::too_many_arguments, reason = "they are the fields of an event")]
    fn fold_event(
        &mut self,
        key: &[u8],
        offset: i64,
        clock_ms: i64,
        item: &str,
        action: &str,
        ts_ms: i64,
        event_id: Option<&str>,
        category: Option<&str>,
    ) -> PyResult<()> {
        let event = Event {
            offset,
            clock_ms,
            ts_ms,
            item: item.as_bytes(),
            action: action.as_bytes(),
            event_id: event_id.map(str::as_bytes),
            category: category.map(str::as_bytes).filter(|category| !category.is_empty()),
            forget: action == "forget",
        };
        let applied = self.inner.apply(key, &event);
        applied
            .ok_or_else(|| PyValueError::new_err("the user is not loaded, or has too many kinds"))
    }

    /// A user's value as it is now; empty if nothing was applied, None if the user is not loaded.
    fn value<'py>(&self, py: Python<'py>, key: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.inner.value(key).map(|value| PyBytes::new(py, value))
    }

    /// Copy the values of these users, in order.
    ///
    /// Raises ValueError if one of them is not loaded, or was never seen.
    fn snapshot(&self, keys: Vec<PyBackedBytes>) -> PyResult<Snapshot> {
        let inner = self.inner.snapshot(keys.iter().map(|key| &key[..]));
        let inner = inner.ok_or_else(|| PyValueError::new_err("a user has no value here"))?;
        Ok(Snapshot { inner })
    }

    /// Events since the last call: applied, late, future, duplicate, replayed, forgotten.
    fn take_outcomes(&mut self) -> [u64; 6] {
        self.inner.take_outcomes()
    }
}
