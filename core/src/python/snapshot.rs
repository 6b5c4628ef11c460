//! `Snapshot` and `Vocabulary`: the users of a batch, for the model and for the topics.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use crate::batch::writer::Writer;
use crate::python::ready_batch::{ReadyBatch, encode};
use crate::python::scores::ScoreWriter;
use crate::snapshot;
use crate::vocabulary::{self, Ragged};

/// Key, value, applied offset, newest event time, number of actions, whether it is forgotten.
type Row<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, i64, i64, usize, bool);

/// Users as they were when a batch closed.
#[pyclass(frozen, module = "lately_native")]
pub struct Snapshot {
    pub inner: snapshot::Snapshot,
}

#[pymethods]
impl Snapshot {
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// What is known of each user, in order.
    fn rows<'py>(&self, py: Python<'py>) -> Vec<Row<'py>> {
        let rows = self.inner.rows().map(|(key, value, as_of)| {
            let (key, value) = (PyBytes::new(py, key), PyBytes::new(py, value));
            let snapshot::AsOf { applied_offset, now_ms, actions, forgotten } = as_of;
            (key, value, applied_offset, now_ms, actions, forgotten)
        });
        rows.collect()
    }

    /// The values, in batches of at most `limit` bytes for the changelog.
    fn changelog(&self, py: Python<'_>, limit: usize, timestamp_ms: i64) -> Vec<ReadyBatch> {
        let batches = py.detach(|| self.inner.changelog(limit, timestamp_ms));
        batches.into_iter().map(ReadyBatch::from).collect()
    }

    /// The scores of all who are not forgotten, in batches of at most `limit` bytes.
    ///
    /// Raises ValueError unless there is a prediction for each of them.
    fn scores(
        &self,
        writer: &ScoreWriter,
        partition: i32,
        predictions: Vec<PyBackedBytes>,
        scored_at_ms: i64,
        headers: &Bound<'_, PyList>,
        limit: usize,
    ) -> PyResult<Vec<ReadyBatch>> {
        let headers = encode(headers)?;
        let predictions = predictions.iter().map(|prediction| &prediction[..]);
        let batches = Writer::new(limit, scored_at_ms);
        let batches = self.inner.scores(&writer.inner, partition, predictions, batches, &headers);
        let batches =
            batches.ok_or_else(|| PyValueError::new_err("a prediction each is needed"))?;
        Ok(batches.into_iter().map(ReadyBatch::from).collect())
    }
}

/// The codes of one model.
#[pyclass(frozen, module = "lately_native")]
pub struct Vocabulary {
    pub inner: Arc<vocabulary::Vocabulary>,
}

#[pymethods]
impl Vocabulary {
    #[new]
    fn new(
        items: Vec<String>,
        actions: Vec<String>,
        gap_bounds_ms: Vec<i64>,
        max_length: usize,
    ) -> Self {
        let inner = vocabulary::Vocabulary::new(items, actions, gap_bounds_ms, max_length);
        Self { inner: Arc::new(inner) }
    }

    /// The columns of `model.features.Ragged`, each as the bytes of an int32 array, of all users
    /// who are not forgotten; no item is looked up if their `Users` knew this vocabulary.
    fn encode<'py>(&self, py: Python<'py>, snapshot: &Snapshot) -> [Bound<'py, PyBytes>; 5] {
        let ragged = py.detach(|| snapshot.inner.encode(&self.inner));
        let Ragged { items, actions, gaps, lengths, hours } = ragged;
        [items, actions, gaps, lengths, hours].map(|column| {
            let bytes: Vec<u8> = column.into_iter().flat_map(i32::to_ne_bytes).collect();
            PyBytes::new(py, &bytes)
        })
    }
}
