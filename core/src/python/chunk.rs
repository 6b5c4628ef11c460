//! `Chunk`: the records of a fetch, of which Python objects are made only when one is asked for.

use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyTuple};

use crate::batch::reader::{self, Records};
use crate::batch::writer::Headers;
use crate::fetch::{Fetch, Record};

/// The records that a fetch holds of one partition.
#[pyclass(frozen, module = "lately_native")]
pub struct Chunk {
    fetch: Arc<Fetch>,
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
        let fetch = py.detach(|| Fetch::read(Box::new(fetch), from_offset, check_crcs));
        let fetch = fetch.ok_or_else(|| PyValueError::new_err("not all batches are plain"))?;
        Ok(Self { fetch: Arc::new(fetch) })
    }

    /// Take records that aiokafka's parser has read: offset, timestamp, key, value, headers.
    #[staticmethod]
    fn of(records: &Bound<'_, PyAny>) -> PyResult<Self> {
        type Pair = (PyBackedStr, Option<PyBackedBytes>);
        type Read = (i64, i64, Option<PyBackedBytes>, Option<PyBackedBytes>, Vec<Pair>);
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for record in records.try_iter()? {
            let (offset, timestamp_ms, key, value, headers) = record?.extract::<Read>()?;
            let headers = headers.iter().map(|(name, value)| (&**name, value.as_deref()));
            let headers = Headers::new(&headers.collect::<Vec<_>>());
            let (key, value, headers) = (key.as_deref(), value.as_deref(), headers.encoded());
            let place = reader::put(&mut bytes, offset, timestamp_ms, key, value, headers);
            places.push(place.ok_or_else(|| PyValueError::new_err("more than 4 GiB of records"))?);
        }
        let next_offset = places.last().map_or(-1, |place| place.offset + 1);
        Ok(Self { fetch: Arc::new(Fetch::of(bytes, Records { places, next_offset })) })
    }

    fn __len__(&self) -> usize {
        self.fetch.places().len()
    }

    /// Record `at`: offset, timestamp, key, value, headers.
    fn __getitem__<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyTuple>> {
        to_python(py, &self.record(at)?)
    }

    /// The offset of record `at`.
    fn offset(&self, at: usize) -> PyResult<i64> {
        self.record(at).map(|record| record.fetch.places()[at].offset)
    }

    /// Where the next fetch starts.
    #[getter]
    fn next_offset(&self) -> i64 {
        self.fetch.next_offset()
    }
}

impl Chunk {
    pub fn fetch(&self) -> &Arc<Fetch> {
        &self.fetch
    }

    /// Record `at`; IndexError if there are not so many.
    pub fn record(&self, at: usize) -> PyResult<Record> {
        let exists = at < self.fetch.places().len();
        let record = exists.then(|| Record { fetch: self.fetch.clone(), at });
        record.ok_or_else(|| PyIndexError::new_err("the chunk has no such record"))
    }
}

/// A record as Python sees it.
pub fn to_python<'py>(py: Python<'py>, record: &Record) -> PyResult<Bound<'py, PyTuple>> {
    let fetch = &record.fetch;
    let place = &fetch.places()[record.at];
    let bytes = |part: Option<&[u8]>| part.map(|part| PyBytes::new(py, part));
    let headers = place.headers(fetch.bytes()).into_iter();
    let headers = headers.map(|(name, value)| (name, bytes(value)));
    let headers = PyTuple::new(py, headers.collect::<Vec<_>>())?;
    let (key, value) = (bytes(fetch.key(place)), bytes(fetch.value(place)));
    (place.offset, place.timestamp_ms, key, value, headers).into_pyobject(py)
}
