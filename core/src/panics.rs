//! A panic ends the process in one line.
//!
//! It means a bug, and no state behind it can be trusted. Nothing that was not acknowledged is
//! committed, so the worker that takes over repeats the batch.

use std::panic::PanicHookInfo;

/// Replace Rust's own report, which takes three lines; the release profile then aborts.
pub fn report_in_one_line() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{}", line(panic))));
}

fn line(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let literal = payload.downcast_ref::<&str>().copied();
    let text = literal.or(payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message").replace('\n', " ");
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    let place = place.unwrap_or_default();
    format!(
        "the native core stopped{place}: {text}; report it, and uninstall lately-native until then"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_report_is_one_line_with_the_place() {
        let report = Arc::new(Mutex::new(String::new()));
        let writer = report.clone();
        std::panic::set_hook(Box::new(move |panic| {
            *writer.lock().expect("nobody else has it") = super::line(panic);
        }));

        let caught = std::panic::catch_unwind(|| panic!("two\nlines"));
        let _ = std::panic::take_hook();

        assert!(caught.is_err());
        let report = report.lock().expect("the panic is over");
        assert!(report.starts_with("the native core stopped at src/panics.rs:"), "{report}");
        assert!(report.contains(": two lines; "), "{report}");
    }
}
