//! Record batches of Kafka's format 2: read out of a fetch, and built ready to be sent.

pub mod layout;
pub mod reader;
pub mod writer;
