//! The native core of a Lately worker: bytes and loops, a batch at a time.
//!
//! Python decides, and is the reference: all that stands here has a twin there which says what is
//! right, and whatever is unusual is handed back to it. The modules at this level know nothing of
//! Python; `python` is what it sees of them.

pub mod batch;
pub mod event;
pub mod fetch;
pub mod json;
pub mod kernel;
pub mod msgpack;
pub mod panics;
pub mod prediction;
pub mod score;
pub mod snapshot;
pub mod state;
pub mod users;
pub mod varint;
pub mod vocabulary;

#[cfg(feature = "python")]
mod python;
