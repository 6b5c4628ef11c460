//! `Chunk`: the records of a fetch, of which Python objects are made only when one is asked for.

use std::ops::Range;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};

use crate::batch::reader::{self, Place, Records};

/// The records that a fetch holds of one partition.
#[pyclass(frozen, module = "lately_native")]
pub struct Chunk {
    fetch: PyBackedBytes,
    records: Records,
}

#[pymethods]
impl Chunk {
    /// Read a fetch without aborted transactions from an offset on.
    ///
    /// Raises ValueError for one that aiokafka's parser must judge.
    #[new]
    #[pyo3(signature = (fetch, from_offset, check_crcs = true))]
    fn new(
        py: Python<'_>,
        fetch: PyBackedBytes,
        from_offset: i64,
        check_crcs: bool,
    ) -> PyResult<Self> {
        let records = py.detach(|| reader::read(&fetch, from_offset, check_crcs));
        let records = records.ok_or_else(|| PyValueError::new_err("not all batches are plain"))?;
        Ok(Self { fetch, records })
    }

    fn __len__(&self) -> usize {
        self.records.places.len()
    }

    /// Record `at`: offset, timestamp, key, value, headers.
    fn __getitem__<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyTuple>> {
        let place = self.place(at)?;
        let bytes = |range: &Option<Range<u32>>| {
            range.as_ref().map(|range| PyBytes::new(py, reader::slice(&self.fetch, range)))
        };
        let headers = place.headers(&self.fetch).into_iter();
        let headers = headers.map(|(name, value)| (name, value.map(|v| PyBytes::new(py, v))));
        let headers = PyTuple::new(py, headers.collect::<Vec<_>>())?;
        let (key, value) = (bytes(&place.key), bytes(&place.value));
        (place.offset, place.timestamp_ms, key, value, headers).into_pyobject(py)
    }

    /// The offset of record `at`.
    fn offset(&self, at: usize) -> PyResult<i64> {
        self.place(at).map(|place| place.offset)
    }

    /// Where the next fetch starts.
    #[getter]
    fn next_offset(&self) -> i64 {
        self.records.next_offset
    }
}

impl Chunk {
    pub fn fetch(&self) -> &[u8] {
        &self.fetch
    }

    pub fn places(&self) -> &[Place] {
        &self.records.places
    }

    fn place(&self, at: usize) -> PyResult<&Place> {
        let place = self.records.places.get(at);
        place.ok_or_else(|| PyIndexError::new_err("the chunk has no such record"))
    }
}
