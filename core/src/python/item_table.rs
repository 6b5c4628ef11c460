//! The table of a model's items, as Python sees it.

use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::kernel::{Batch, FIRST_ITEM, Instructions, Neighbours, Panels, Table};

/// The neighbours of each item: ends (V + 2,), indices (N,), shares (E, N).
type Rows = (PyBuffer<i64>, PyBuffer<i32>, PyBuffer<f32>);
/// Two arrays in native byte order.
type Pair<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Answers queries over the whole catalogue of a model, exactly, in float32.
///
/// A user's answer depends on nothing but the user and the table: not on the batch, nor on the
/// processor. Lets go of the GIL while it computes.
#[pyclass(frozen, module = "lately_native")]
pub struct ItemTable(Table);

#[pymethods]
impl ItemTable {
    /// Item vectors (V, D) and biases (V,), and the neighbours for the rules of a model that has
    /// some. `instructions` names one of the sets in `instruction_sets`, the fastest if None.
    #[new]
    #[pyo3(signature = (vectors, biases, neighbours=None, instructions=None))]
    fn new(
        py: Python<'_>,
        vectors: PyBuffer<f32>,
        biases: PyBuffer<f32>,
        neighbours: Option<Rows>,
        instructions: Option<&str>,
    ) -> PyResult<Self> {
        let [items, width] = shape("vectors", &vectors)?;
        expect("biases", &biases, [items])?;
        if items == 0 || width == 0 || items > i32::MAX as usize - FIRST_ITEM {
            return Err(PyValueError::new_err(format!(
                "vectors have the shape ({items}, {width})"
            )));
        }
        let (vectors, biases) = (vectors.to_vec(py)?, biases.to_vec(py)?);
        let panels = Panels::new(&vectors, &biases, width)
            .map_err(|place| PyValueError::new_err(format!("{place} of vectors is not finite")))?;
        let neighbours = neighbours.map(|rows| read_neighbours(py, items, &rows)).transpose()?;
        let instructions = instructions.map_or_else(|| Ok(Instructions::best()), named)?;
        Ok(Self(Table { panels, neighbours, instructions }))
    }

    /// The best K items of each user, as int64, and their probabilities over the whole catalogue,
    /// as float32, (B, K) each: the likeliest first, the smaller index on a tie.
    ///
    /// Of queries (B, D), copy logits (B, L), rule logits (B, E, L) and the window's item codes
    /// (B, L); without neighbours E is 0.
    fn best<'py>(
        &self,
        py: Python<'py>,
        queries: PyBuffer<f32>,
        copies: PyBuffer<f32>,
        rules: PyBuffer<f32>,
        codes: PyBuffer<i32>,
        count: usize,
    ) -> PyResult<Pair<'py>> {
        self.check_count(count)?;
        let [rows, length] = shape("codes", &codes)?;
        expect("queries", &queries, [rows, self.0.panels.width])?;
        expect("copies", &copies, [rows, length])?;
        expect("rules", &rules, [rows, self.0.ways(), length])?;
        let (queries, copies) = (queries.to_vec(py)?, copies.to_vec(py)?);
        let (rules, codes) = (rules.to_vec(py)?, codes.to_vec(py)?);
        let batch =
            Batch { queries: &queries, copies: &copies, rules: &rules, codes: &codes, length };
        let (items, probabilities) =
            py.detach(|| self.0.best(&batch, count)).map_err(PyValueError::new_err)?;
        Ok((bytes(py, &items, i64::to_ne_bytes), bytes(py, &probabilities, f32::to_ne_bytes)))
    }

    /// The best K scores of queries (B, D) alone: items as int64 and scores as float32, (B, K)
    /// each, and the logarithm of each normaliser, as float64, (B,).
    fn scores<'py>(
        &self,
        py: Python<'py>,
        queries: PyBuffer<f32>,
        count: usize,
    ) -> PyResult<(Pair<'py>, Bound<'py, PyBytes>)> {
        self.check_count(count)?;
        let [rows, _] = shape("queries", &queries)?;
        expect("queries", &queries, [rows, self.0.panels.width])?;
        let queries = queries.to_vec(py)?;
        let found =
            py.detach(|| self.0.generate(&queries, count)).map_err(PyValueError::new_err)?;
        let best = || found.iter().flat_map(|found| &found.best);
        let items: Vec<i64> = best().map(|&(_, item)| item.into()).collect();
        let scores: Vec<f32> = best().map(|&(score, _)| score).collect();
        let totals: Vec<f64> = found.iter().map(|of| of.total.ln() + of.unit.ln()).collect();
        let pair = (bytes(py, &items, i64::to_ne_bytes), bytes(py, &scores, f32::to_ne_bytes));
        Ok((pair, bytes(py, &totals, f64::to_ne_bytes)))
    }

    /// The instruction set that it computes with.
    #[getter]
    fn instructions(&self) -> &'static str {
        self.0.instructions.name()
    }
}

impl ItemTable {
    fn check_count(&self, count: usize) -> PyResult<()> {
        let items = self.0.panels.items;
        if (1..=items).contains(&count) {
            return Ok(());
        }
        Err(PyValueError::new_err(format!("count is {count}, expected 1 to {items}")))
    }
}

/// The instruction sets of this processor that the kernel has code for, the fastest first.
#[pyfunction]
pub fn instruction_sets() -> Vec<&'static str> {
    Instructions::available().into_iter().map(Instructions::name).collect()
}

fn named(name: &str) -> PyResult<Instructions> {
    let expected = || instruction_sets().join(", ");
    Instructions::named(name).ok_or_else(|| {
        PyValueError::new_err(format!("instructions are {name:?}, expected one of {}", expected()))
    })
}

fn read_neighbours(py: Python<'_>, items: usize, rows: &Rows) -> PyResult<Neighbours> {
    let (ends, indices, shares) = rows;
    expect("ends", ends, [items + FIRST_ITEM])?;
    let [ways, count] = shape("shares", shares)?;
    expect("neighbours", indices, [count])?;
    let (ends, indices) = (ends.to_vec(py)?, indices.to_vec(py)?);
    Neighbours::new(items, ways, &ends, &indices, shares.to_vec(py)?).map_err(PyValueError::new_err)
}

fn shape<T: Element, const N: usize>(name: &str, buffer: &PyBuffer<T>) -> PyResult<[usize; N]> {
    buffer.shape().try_into().map_err(|_| {
        let found = buffer.shape();
        PyValueError::new_err(format!("{name} has the shape {found:?}, expected {N} dimensions"))
    })
}

fn expect<T: Element, const N: usize>(
    name: &str,
    buffer: &PyBuffer<T>,
    expected: [usize; N],
) -> PyResult<()> {
    let found = buffer.shape();
    if found == expected {
        return Ok(());
    }
    let text = format!("{name} has the shape {found:?}, expected {expected:?}");
    Err(PyValueError::new_err(text))
}

fn bytes<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    values: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) -> Bound<'py, PyBytes> {
    let all: Vec<u8> = values.iter().flat_map(|&value| to_bytes(value)).collect();
    PyBytes::new(py, &all)
}
