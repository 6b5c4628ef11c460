//! The records of a fetch: where each of them is in its bytes, which are not copied.

use std::ops::Range;

use crate::batch::layout::*;
use crate::varint;

const NO_HEADERS: u8 = 0; // how a record without headers ends
const CONTROL_KEY: usize = 4; // bytes of version and type

/// One record, as ranges of the fetch.
#[derive(Debug, PartialEq)]
pub struct Place {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Range<u32>>,
    pub value: Option<Range<u32>>,
    headers: Range<u32>, // encoded, with their number before them
}

impl Place {
    /// Whether it has no headers, as usual.
    pub fn is_bare(&self, fetch: &[u8]) -> bool {
        slice(fetch, &self.headers) == [NO_HEADERS]
    }

    /// Names and values of its headers.
    pub fn headers<'a>(&self, fetch: &'a [u8]) -> Vec<Header<'a>> {
        read_headers(slice(fetch, &self.headers)).unwrap_or_default() // whole since `read`
    }
}

/// Put a record behind those in `bytes`; None if they would be longer than a range can say.
pub fn put(
    bytes: &mut Vec<u8>,
    offset: i64,
    timestamp_ms: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[u8],
) -> Option<Place> {
    let mut append = |part: &[u8]| {
        let start = u32::try_from(bytes.len()).ok()?;
        bytes.extend_from_slice(part);
        Some(start..u32::try_from(bytes.len()).ok()?)
    };
    let mut append_some = |part: Option<&[u8]>| part.map_or(Some(None), |p| append(p).map(Some));
    let (key, value) = (append_some(key)?, append_some(value)?);
    Some(Place { offset, timestamp_ms, key, value, headers: append(headers)? })
}

/// The bytes of a range that `read` returned for this fetch.
pub fn slice<'a>(fetch: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    &fetch[range.start as usize..range.end as usize]
}

/// What a fetch holds of one partition.
#[derive(Debug, PartialEq)]
pub struct Records {
    pub places: Vec<Place>,
    pub next_offset: i64, // where the next fetch starts
}

/// Read every whole batch; records below `from` are left out, and so are control batches.
///
/// Call it for a fetch without aborted transactions: those are not looked for. None if anything is
/// there that aiokafka must judge: compression, another format, a wrong checksum, any fault.
pub fn read(fetch: &[u8], from: i64, check_crcs: bool) -> Option<Records> {
    u32::try_from(fetch.len()).ok()?;
    let places = Vec::with_capacity(fetch.len() / 64);
    let mut records = Records { places, next_offset: from };
    let mut start = 0;
    // A broker cuts the last batch off where the fetch is full.
    while let Some(length) = number(fetch, start + LENGTH).map(i32::from_be_bytes) {
        let end = start + AFTER_LENGTH + usize::try_from(length).ok()?;
        let Some(batch) = fetch.get(start..end) else { break };
        read_batch(batch, start, check_crcs, &mut records)?;
        start = end;
    }
    Some(records)
}

fn read_batch(batch: &[u8], start: usize, check_crcs: bool, records: &mut Records) -> Option<()> {
    let attributes = i16::from_be_bytes(number(batch, ATTRIBUTES)?);
    if batch[FORMAT] != FORMAT_2 || attributes & CODEC != 0 {
        return None;
    }
    let crc = u32::from_be_bytes(number(batch, CRC)?);
    if check_crcs && crc32c::crc32c(&batch[ATTRIBUTES..]) != crc {
        return None;
    }
    let count = i32::from_be_bytes(number(batch, COUNT)?);
    let mut reader = Reader::new(batch, start, attributes)?;
    if attributes & CONTROL != 0 {
        let marker = reader.record().filter(|_| count == 1)?;
        marker.key.filter(|key| key.len() == CONTROL_KEY)?;
    } else {
        for _ in 0..count {
            let place = reader.record()?;
            if place.offset >= records.next_offset {
                records.next_offset = place.offset.checked_add(1)?;
                records.places.push(place);
            }
        }
    }
    let last_delta = i32::from_be_bytes(number(batch, LAST_DELTA)?);
    records.next_offset = reader.base_offset.checked_add(last_delta.into())?.checked_add(1)?;
    (reader.at == batch.len()).then_some(())
}

/// Reads the records of one batch, one after the other.
struct Reader<'a> {
    batch: &'a [u8],
    at: usize,
    start: usize, // of the batch in its fetch
    base_offset: i64,
    first_timestamp_ms: i64,
    appended_ms: Option<i64>, // the broker's time, where that is to count
}

impl<'a> Reader<'a> {
    fn new(batch: &'a [u8], start: usize, attributes: i16) -> Option<Self> {
        let max_timestamp_ms = i64::from_be_bytes(number(batch, MAX_TIMESTAMP)?);
        Some(Self {
            batch,
            at: RECORDS,
            start,
            base_offset: i64::from_be_bytes(number(batch, BASE_OFFSET)?),
            first_timestamp_ms: i64::from_be_bytes(number(batch, FIRST_TIMESTAMP)?),
            appended_ms: (attributes & LOG_APPEND_TIME != 0).then_some(max_timestamp_ms),
        })
    }

    fn record(&mut self) -> Option<Place> {
        let length = usize::try_from(varint::get(self.batch, &mut self.at)?).ok()?;
        let end = self.at.checked_add(length).filter(|&end| end <= self.batch.len())?;
        self.batch.get(self.at).filter(|&&attributes| attributes == 0)?;
        self.at += 1;
        let timestamp_delta = varint::get(self.batch, &mut self.at)?;
        let sent_ms = self.first_timestamp_ms.checked_add(timestamp_delta)?;
        let offset = self.base_offset.checked_add(varint::get(self.batch, &mut self.at)?)?;
        let (key, value) = (self.bytes(end)?, self.bytes(end)?);
        let headers = self.batch.get(self.at..end)?;
        if headers != [NO_HEADERS] {
            read_headers(headers)?;
        }
        let headers = self.range(self.at..end);
        self.at = end;
        let timestamp_ms = self.appended_ms.unwrap_or(sent_ms);
        Some(Place { offset, timestamp_ms, key, value, headers })
    }

    /// A key or a value; a null is Some(None).
    fn bytes(&mut self, end: usize) -> Option<Option<Range<u32>>> {
        let length = varint::get(self.batch, &mut self.at)?;
        if length < 0 {
            return Some(None);
        }
        let from = self.at;
        self.at = from.checked_add(length as usize).filter(|&to| to <= end)?;
        Some(Some(self.range(from..self.at)))
    }

    /// The same range in the fetch, whose length fits 32 bits.
    fn range(&self, range: Range<usize>) -> Range<u32> {
        (self.start + range.start) as u32..(self.start + range.end) as u32
    }
}

/// The encoded headers of a record; None unless they are whole, and their names UTF-8.
fn read_headers(bytes: &[u8]) -> Option<Vec<Header<'_>>> {
    let mut at = 0;
    let count = varint::get(bytes, &mut at)?;
    let mut found = Vec::new();
    for _ in 0..usize::try_from(count).ok()? {
        let name = read_bytes(bytes, &mut at)??;
        found.push((str::from_utf8(name).ok()?, read_bytes(bytes, &mut at)?));
    }
    (at == bytes.len()).then_some(found)
}

fn read_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Option<&'a [u8]>> {
    let Ok(length) = usize::try_from(varint::get(bytes, at)?) else { return Some(None) };
    let found = bytes.get(*at..at.checked_add(length)?)?;
    *at += length;
    Some(Some(found))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
