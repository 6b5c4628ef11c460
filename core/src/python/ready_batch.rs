//! `ReadyBatch`: a batch that aiokafka's producer takes as one that its own builder made.

use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::batch::writer::{Batch, Headers, Writer};

type Record<'py> = (Option<PyBackedBytes>, Option<PyBackedBytes>, Bound<'py, PyList>);

/// Put records (key, value, headers) into batches of at most `limit` bytes, all of one timestamp.
#[pyfunction]
pub fn build_batches(
    records: &Bound<'_, PyAny>,
    limit: usize,
    timestamp_ms: i64,
) -> PyResult<Vec<ReadyBatch>> {
    let mut writer = Writer::new(limit, timestamp_ms);
    // Records in a row mostly share one list of headers.
    let mut last: Option<(Bound<'_, PyList>, Headers)> = None;
    for record in records.try_iter()? {
        let (key, value, list) = record?.extract::<Record<'_>>()?;
        let headers = match last {
            Some((ref of, ref headers)) if of.is(&list) => headers,
            _ => &last.insert((list.clone(), encode(&list)?)).1,
        };
        writer.append(key.as_deref(), value.as_deref().as_ref().map(std::slice::from_ref), headers);
    }
    Ok(writer.finish().into_iter().map(ReadyBatch::from).collect())
}

/// The headers of records, encoded.
pub fn encode(list: &Bound<'_, PyList>) -> PyResult<Headers> {
    let headers = list.extract::<Vec<(PyBackedStr, Option<PyBackedBytes>)>>()?;
    let headers = headers.iter().map(|(name, value)| (&**name, value.as_deref()));
    Ok(Headers::new(&headers.collect::<Vec<_>>()))
}

/// Takes the place of aiokafka's BatchBuilder: it has the methods that the producer calls.
#[pyclass(module = "lately_native")]
pub struct ReadyBatch {
    batch: Batch,
    built: Option<Py<PyBytes>>,
}

impl From<Batch> for ReadyBatch {
    fn from(batch: Batch) -> Self {
        Self { batch, built: None }
    }
}

#[pymethods]
impl ReadyBatch {
    /// The records as they are encoded, to be compressed.
    fn encoded<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.batch.records())
    }

    /// Put compressed records in place of the plain ones; `codec` is Kafka's number of it.
    fn compress(&mut self, codec: i16, compressed: &[u8]) {
        self.batch.compress(codec, compressed);
        self.built = None;
    }

    #[pyo3(name = "_set_producer_state")]
    fn set_producer_state(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) {
        self.batch.set_producer(producer_id, producer_epoch, base_sequence);
        self.built = None;
    }

    #[pyo3(name = "_build")]
    fn build(&mut self, py: Python<'_>) -> Py<PyBytes> {
        let batch = &mut self.batch;
        let built = self.built.get_or_insert_with(|| {
            batch.seal();
            PyBytes::new(py, &batch.bytes).unbind()
        });
        built.clone_ref(py)
    }

    /// It takes no more: None, as the builder answers when it is full.
    #[pyo3(signature = (**_record))]
    fn append(&self, _record: Option<&Bound<'_, PyDict>>) {}

    fn close(&self) {}

    fn closed(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        self.batch.bytes.len()
    }

    fn record_count(&self) -> i32 {
        self.batch.records
    }
}
