//! `ScoreWriter`, `PredictionWriter` and `Predictions`: scores as JSON, in batches to be sent.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use crate::batch::writer::Writer;
use crate::prediction::{self, Outputs};
use crate::python::ready_batch::{ReadyBatch, encode};
use crate::score::{self, Subject};

/// Writes the scores of one model at one level; `source` is what a score id is made of.
#[pyclass(frozen, module = "lately_native")]
pub struct ScoreWriter {
    pub inner: score::ScoreWriter,
}

#[pymethods]
impl ScoreWriter {
    #[new]
    fn new(events_topic: &str, name: &str, version: &str, source: &[u8], horizon_s: i64) -> Self {
        Self { inner: score::ScoreWriter::new(events_topic, name, version, source, horizon_s) }
    }

    /// Put scores into batches of at most `limit` bytes, all with the time and the headers.
    ///
    /// A row is a user's key, source offset, event time, number of actions, and prediction.
    #[pyo3(signature = (partition, rows, scored_at_ms, headers, limit))]
    fn batches(
        &self,
        partition: i32,
        rows: &Bound<'_, PyAny>,
        scored_at_ms: i64,
        headers: &Bound<'_, PyList>,
        limit: usize,
    ) -> PyResult<Vec<ReadyBatch>> {
        let headers = encode(headers)?;
        let mut writer = Writer::new(limit, scored_at_ms);
        let (mut value, mut scratch) = (Vec::new(), Vec::new());
        for row in rows.try_iter()? {
            type Row = (PyBackedBytes, i64, i64, usize, PyBackedBytes);
            let (key, offset, ts_ms, actions, prediction) = row?.extract::<Row>()?;
            let of = Subject { key: &key, partition, offset, ts_ms, actions };
            value.clear();
            self.inner.put(&mut value, &of, &prediction, scored_at_ms, &mut scratch);
            writer.append(Some(&key), Some(&[&value]), &headers);
        }
        Ok(writer.finish().into_iter().map(ReadyBatch::from).collect())
    }
}

/// Writes the predictions of one model, straight from its arrays.
#[pyclass(frozen, module = "lately_native")]
pub struct PredictionWriter {
    inner: prediction::PredictionWriter,
}

#[pymethods]
impl PredictionWriter {
    #[new]
    fn new(
        items: Vec<String>,
        categories: Vec<String>,
        intents: Vec<String>,
        horizon_s: i64,
        top_categories: usize,
    ) -> Self {
        let new = prediction::PredictionWriter::new;
        Self { inner: new(&items, &categories, &intents, horizon_s, top_categories) }
    }

    /// Encode B predictions: top items and their probabilities (B, K), probabilities of the
    /// categories (B, C), and calibrated chances of the intents (B, A).
    ///
    /// Raises ValueError for arrays that do not fit, unknown items, and what is no probability.
    fn write(
        &self,
        py: Python<'_>,
        top_items: PyBuffer<i64>,
        top_probs: PyBuffer<f32>,
        category_probs: PyBuffer<f32>,
        chances: PyBuffer<f64>,
    ) -> PyResult<Predictions> {
        let rows = top_items.shape().first().copied().unwrap_or(0);
        let (items, shares) = (top_items.to_vec(py)?, top_probs.to_vec(py)?);
        let (category_shares, chances) = (category_probs.to_vec(py)?, chances.to_vec(py)?);
        let inner = py.detach(|| {
            self.inner.write(&Outputs {
                items: &items,
                shares: &shares,
                category_shares: &category_shares,
                chances: &chances,
                rows,
            })
        });
        let inner = inner.ok_or_else(|| PyValueError::new_err("not the outputs of this model"))?;
        Ok(Predictions { inner })
    }
}

/// Encoded predictions, a row for each sequence.
#[pyclass(frozen, module = "lately_native")]
pub struct Predictions {
    inner: prediction::Predictions,
}

#[pymethods]
impl Predictions {
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.inner.row(row);
        let bytes = bytes.ok_or_else(|| PyIndexError::new_err("there is no such prediction"))?;
        Ok(PyBytes::new(py, bytes))
    }
}
