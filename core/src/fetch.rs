//! A fetch: its bytes, kept alive as long as one of its records may be asked for.

use std::fmt;
use std::sync::Arc;

use crate::batch::reader::{self, Place, Records, slice};

/// The bytes that a fetch brought of one partition, and where each record is in them.
pub struct Fetch {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    records: Records,
}

/// One record of a fetch.
#[derive(Clone, Debug)]
pub struct Record {
    pub fetch: Arc<Fetch>,
    pub at: usize, // among its places
}

impl Fetch {
    /// Read record batches; see `reader::read`.
    pub fn read(
        bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
        from: i64,
        check_crcs: bool,
    ) -> Option<Self> {
        let records = reader::read((*bytes).as_ref(), from, check_crcs)?;
        Some(Self { bytes, records })
    }

    /// Take records that were put one after the other into `bytes`.
    pub fn of(bytes: Vec<u8>, records: Records) -> Self {
        Self { bytes: Box::new(bytes), records }
    }

    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    pub fn places(&self) -> &[Place] {
        &self.records.places
    }

    /// Where the next fetch starts.
    pub fn next_offset(&self) -> i64 {
        self.records.next_offset
    }

    /// The key of a record, if it has one.
    pub fn key(&self, place: &Place) -> Option<&[u8]> {
        place.key.as_ref().map(|range| slice(self.bytes(), range))
    }

    /// The value of a record, if it has one.
    pub fn value(&self, place: &Place) -> Option<&[u8]> {
        place.value.as_ref().map(|range| slice(self.bytes(), range))
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fetch of {} records", self.places().len())
    }
}
