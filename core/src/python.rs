//! The module `lately_native`, as Python imports it.

use pyo3::prelude::*;

use crate::panics;

#[pymodule(gil_used = true)]
mod lately_native {
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        panics::report_in_one_line();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
