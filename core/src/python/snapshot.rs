//! `Snapshot` and `Vocabulary`: the users of a batch, for the model and for the topics.

use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::batch::writer::Writer;
use crate::python::chunk;
use crate::python::ready_batch::{ReadyBatch, encode};
use crate::python::scores::ScoreWriter;
use crate::snapshot;
use crate::state::columns::{Column, Columns};
use crate::vocabulary::{self, Ragged};

/// Items, actions, times, clock, names of the categories and an index for each action: the fields
/// of `model.sequence.Sequence`.
type Sequence<'py> = (
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
    i64,
    Bound<'py, PyTuple>,
    Bound<'py, PyBytes>,
);

/// Users as they were when a batch closed.
#[pyclass(frozen, module = "lately_native")]
pub struct Snapshot {
    pub inner: snapshot::Snapshot,
}

#[pymethods]
impl Snapshot {
    /// How many users, forgotten ones included.
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// How many are not forgotten.
    #[getter]
    fn scored(&self) -> usize {
        self.inner.count_scored()
    }

    /// The newest item of each who is not forgotten; None without actions.
    fn newest_items<'py>(&self, py: Python<'py>) -> PyResult<Vec<Option<Bound<'py, PyString>>>> {
        let newest = self.inner.columns().map(|(columns, _)| columns.items.texts().last());
        newest.map(|item| item.map(|text| PyString::from_bytes(py, text)).transpose()).collect()
    }

    /// The lowest source offset that it covers; None without users.
    #[getter]
    fn start(&self) -> Option<i64> {
        self.inner.start()
    }

    /// The forgotten users, each with the offset of the forget.
    fn forgotten<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, i64)> {
        let forgotten = self.inner.rows().filter(|(_, _, as_of)| as_of.forgotten);
        forgotten.map(|(key, _, as_of)| (PyBytes::new(py, key), as_of.applied_offset)).collect()
    }

    /// Keys and values of all users, in order.
    fn changes<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let rows = self.inner.rows();
        rows.map(|(key, value, _)| (PyBytes::new(py, key), PyBytes::new(py, value))).collect()
    }

    /// The key of the first who is not forgotten.
    fn first_key<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let mut scored = self.inner.rows().filter(|(_, _, as_of)| !as_of.forgotten);
        scored.next().map(|(key, _, _)| PyBytes::new(py, key))
    }

    /// The time of the first event that each score covers, as the bytes of an int64 array.
    fn first_times_ms<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes: Vec<u8> = self.inner.first_times_ms().flat_map(i64::to_ne_bytes).collect();
        PyBytes::new(py, &bytes)
    }

    /// The last record that a score covers, as `Chunk` gives it.
    fn last_record<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyTuple>> {
        let record = self.inner.last_record(row);
        let record = record.ok_or_else(|| PyIndexError::new_err("there is no such user"))?;
        chunk::to_python(py, record)
    }

    /// The sequences of all who are not forgotten, each as the fields of a `Sequence`.
    fn sequences<'py>(&self, py: Python<'py>) -> PyResult<Vec<Sequence<'py>>> {
        let sequences = self.inner.columns();
        sequences.map(|(columns, now_ms)| sequence_of(py, &columns, now_ms)).collect()
    }

    /// The values, in batches of at most `limit` bytes for the changelog.
    fn changelog(&self, py: Python<'_>, limit: usize, timestamp_ms: i64) -> Vec<ReadyBatch> {
        let batches = py.detach(|| self.inner.changelog(limit, timestamp_ms));
        batches.into_iter().map(ReadyBatch::from).collect()
    }

    /// The scores of all who are not forgotten, in batches of at most `limit` bytes.
    ///
    /// Raises ValueError unless there is a prediction for each of them, or None for who could not
    /// be scored.
    fn scores(
        &self,
        writer: &ScoreWriter,
        partition: i32,
        predictions: Vec<Option<PyBackedBytes>>,
        scored_at_ms: i64,
        headers: &Bound<'_, PyList>,
        limit: usize,
    ) -> PyResult<Vec<ReadyBatch>> {
        let headers = encode(headers)?;
        let predictions = predictions.iter().map(Option::as_deref);
        let batches = Writer::new(limit, scored_at_ms);
        let batches = self.inner.scores(&writer.inner, partition, predictions, batches, &headers);
        let batches =
            batches.ok_or_else(|| PyValueError::new_err("a prediction each is needed"))?;
        Ok(batches.into_iter().map(ReadyBatch::from).collect())
    }
}

fn sequence_of<'py>(
    py: Python<'py>,
    columns: &Columns<'_>,
    now_ms: i64,
) -> PyResult<Sequence<'py>> {
    let texts = |column: Column<'_>| {
        let texts = column.texts().map(|text| PyString::from_bytes(py, text));
        texts.collect::<PyResult<Vec<_>>>()
    };
    let kinds = texts(columns.kinds)?;
    let actions = columns.actions.iter().map(|&kind| &kinds[usize::from(kind)]);
    Ok((
        PyTuple::new(py, texts(columns.items)?)?,
        PyTuple::new(py, actions.collect::<Vec<_>>())?,
        PyTuple::new(py, columns.times().collect::<Vec<_>>())?,
        now_ms,
        PyTuple::new(py, texts(columns.category_names)?)?,
        PyBytes::new(py, columns.category_indices),
    ))
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
