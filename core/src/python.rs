//! The module `lately_native`, as Python imports it; ../lately_native.pyi has its types.

mod chunk;
mod item_table;
mod ready_batch;
mod scores;
mod snapshot;
mod users;

use pyo3::prelude::*;

use crate::panics;

#[pymodule(gil_used = true)]
mod lately_native {
    use super::*;

    #[pymodule_export]
    use super::chunk::Chunk;
    #[pymodule_export]
    use super::item_table::{ItemTable, instruction_sets};
    #[pymodule_export]
    use super::ready_batch::{ReadyBatch, build_batches};
    #[pymodule_export]
    use super::scores::{PredictionWriter, Predictions, ScoreWriter};
    #[pymodule_export]
    use super::snapshot::{Snapshot, Vocabulary};
    #[pymodule_export]
    use super::users::Users;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        panics::report_in_one_line();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
