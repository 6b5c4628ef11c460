//! Batches ready to be sent, split where they would grow too large.

use std::mem;

use crate::batch::layout::*;
use crate::varint;

/// A batch that is whole but for the producer's id and numbers, and its checksum.
#[derive(Debug)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub records: i32,
}

impl Batch {
    /// Write the producer's id, epoch and first sequence number into the header.
    pub fn set_producer(&mut self, id: i64, epoch: i16, sequence: i32) {
        put(&mut self.bytes, PRODUCER, &id.to_be_bytes());
        put(&mut self.bytes, PRODUCER + 8, &epoch.to_be_bytes());
        put(&mut self.bytes, PRODUCER + 10, &sequence.to_be_bytes());
    }

    /// The records as they are encoded, one after the other.
    pub fn records(&self) -> &[u8] {
        &self.bytes[RECORDS..]
    }

    /// Put compressed records in place of the plain ones.
    pub fn compress(&mut self, codec: i16, compressed: &[u8]) {
        self.bytes.truncate(RECORDS);
        self.bytes.extend_from_slice(compressed);
        put(&mut self.bytes, ATTRIBUTES, &codec.to_be_bytes());
        self.set_length();
    }

    /// Write the checksum into the header.
    pub fn seal(&mut self) {
        let crc = crc32c::crc32c(&self.bytes[ATTRIBUTES..]);
        put(&mut self.bytes, CRC, &crc.to_be_bytes());
    }

    fn set_length(&mut self) {
        let length = (self.bytes.len() - AFTER_LENGTH) as i32;
        put(&mut self.bytes, LENGTH, &length.to_be_bytes());
    }
}

/// Puts records into batches of at most `limit` bytes, as aiokafka's builder does.
///
/// All get the same timestamp. A record that is larger than the limit has a batch of its own.
pub struct Writer {
    limit: usize,
    timestamp_ms: i64,
    full: Vec<Batch>,
    bytes: Vec<u8>,
    records: i32,
}

impl Writer {
    pub fn new(limit: usize, timestamp_ms: i64) -> Self {
        Self { limit, timestamp_ms, full: Vec::new(), bytes: Vec::new(), records: 0 }
    }

    /// The timestamp of every record.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// Append a record; its value is given in parts, and None is a tombstone.
    pub fn append(&mut self, key: Option<&[u8]>, value: Option<&[&[u8]]>, headers: &Headers) {
        let fixed_bytes = 2 + size(key.map(<[u8]>::len)) + size(length(value)) + headers.0.len();
        let body_bytes = |number: i32| fixed_bytes + varint::size(number.into());
        let whole_bytes = |number| body_bytes(number) + varint::size(body_bytes(number) as i64);
        if self.records > 0 && self.bytes.len() + whole_bytes(self.records) >= self.limit {
            self.close();
        }
        let out = &mut self.bytes;
        if self.records == 0 {
            out.resize(RECORDS, 0);
        }
        varint::put(out, body_bytes(self.records) as i64);
        out.extend_from_slice(&[0, 0]); // attributes; the timestamp less the batch's
        varint::put(out, self.records.into());
        put_bytes(out, key.as_ref().map(std::slice::from_ref));
        put_bytes(out, value);
        out.extend_from_slice(&headers.0);
        self.records += 1;
    }

    /// The batches, in order.
    pub fn finish(mut self) -> Vec<Batch> {
        if self.records > 0 {
            self.close();
        }
        self.full
    }

    fn close(&mut self) {
        let mut bytes = mem::take(&mut self.bytes);
        let records = mem::take(&mut self.records);
        put(&mut bytes, LEADER_EPOCH, &[0xff; 4]); // none; the broker's to set, as the offset is
        put(&mut bytes, FORMAT, &[FORMAT_2]);
        put(&mut bytes, LAST_DELTA, &(records - 1).to_be_bytes());
        put(&mut bytes, FIRST_TIMESTAMP, &self.timestamp_ms.to_be_bytes());
        put(&mut bytes, MAX_TIMESTAMP, &self.timestamp_ms.to_be_bytes());
        put(&mut bytes, COUNT, &records.to_be_bytes());
        let mut batch = Batch { bytes, records };
        batch.set_producer(-1, -1, 0); // none yet
        batch.set_length();
        self.full.push(batch);
    }
}

/// The headers of a record, encoded; many records share theirs.
#[derive(Clone, Debug)]
pub struct Headers(Vec<u8>);

impl Headers {
    pub fn new(headers: &[Header<'_>]) -> Self {
        let mut out = Vec::new();
        varint::put(&mut out, headers.len() as i64);
        for (name, value) in headers {
            put_bytes(&mut out, Some(&[name.as_bytes()]));
            put_bytes(&mut out, value.as_ref().map(std::slice::from_ref));
        }
        Self(out)
    }

    /// The bytes behind the value of a record.
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }
}

fn length(parts: Option<&[&[u8]]>) -> Option<usize> {
    parts.map(|parts| parts.iter().map(|part| part.len()).sum())
}

/// How many bytes the length takes, and what has it.
fn size(length: Option<usize>) -> usize {
    length.map_or(1, |length| varint::size(length as i64) + length)
}

fn put_bytes(out: &mut Vec<u8>, parts: Option<&[&[u8]]>) {
    varint::put(out, length(parts).map_or(-1, |length| length as i64));
    parts.into_iter().flatten().for_each(|part| out.extend_from_slice(part));
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::{Headers, Writer};
    use crate::batch::reader;

    fn written(limit: usize, headers: &Headers) -> Vec<super::Batch> {
        let mut writer = Writer::new(limit, 1_790_000_000_000);
        writer.append(Some(b"u1"), Some(&[b"one ", b"value"]), headers);
        writer.append(Some(b"u2"), None, headers);
        writer.append(None, Some(&[b"\xff"]), headers);
        let mut batches = writer.finish();
        batches.iter_mut().for_each(super::Batch::seal);
        batches
    }

    #[test]
    fn what_is_written_is_read() {
        let headers = Headers::new(&[("name", Some(b"v")), ("ä", None)]);
        let [batch] = &written(1000, &headers)[..] else { panic!("one batch was expected") };

        let records = reader::read(&batch.bytes, 0, true).expect("a whole batch");

        assert_eq!(records.next_offset, 3);
        let slice = |range| reader::slice(&batch.bytes, range);
        let found: Vec<_> = records
            .places
            .iter()
            .map(|place| (place.key.as_ref().map(slice), place.value.as_ref().map(slice)))
            .collect();
        let (one, null): (&[u8], Option<&[u8]>) = (b"one value", None);
        let expected = [(Some(&b"u1"[..]), Some(one)), (Some(b"u2"), null), (null, Some(b"\xff"))];
        assert_eq!(found, expected);
        for (offset, place) in records.places.iter().enumerate() {
            assert_eq!((place.offset, place.timestamp_ms), (offset as i64, 1_790_000_000_000));
            assert_eq!(place.headers(&batch.bytes), [("name", Some(&b"v"[..])), ("ä", None)]);
            assert!(!place.is_bare(&batch.bytes));
        }
    }

    #[test]
    fn a_batch_that_is_full_is_followed_by_another() {
        let batches = written(75, &Headers::new(&[])); // room for one record of 9 bytes

        assert_eq!(batches.iter().map(|batch| batch.records).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn what_was_changed_on_its_way_is_handed_back() {
        let [batch] = &mut written(1000, &Headers::new(&[]))[..] else { panic!("one batch") };
        let last = batch.bytes.len() - 2;
        batch.bytes[last] ^= 1;

        assert!(reader::read(&batch.bytes, 0, true).is_none());
        assert!(reader::read(&batch.bytes, 0, false).is_some());
    }

    #[test]
    fn a_batch_that_is_cut_off_is_left_for_the_next_fetch() {
        let [batch] = &written(1000, &Headers::new(&[]))[..] else { panic!("one batch") };
        let fetch = [&batch.bytes[..], &batch.bytes[..40]].concat();

        let records = reader::read(&fetch, 1, true).expect("a whole batch");

        assert_eq!(records.places.len(), 2); // those from offset 1 on
        assert_eq!(records.next_offset, 3);
    }
}
