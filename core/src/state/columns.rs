//! The columns of a value, as parts of its bytes; their members stay encoded.

use crate::msgpack::{self, Reader};

pub const MOST_NAMES: usize = 255; // of categories: an index is a byte, and 0 is none
pub const ID_BYTES: usize = 8; // of an event_id's digest
const HEAD_1: [u8; 2] = [1, 0x98]; // version 1, an array of eight
const HEAD_2: [u8; 2] = [2, 0x9a]; // version 2, an array of ten
const HEAD_BYTES: usize = 2;

/// An array: how many members, and their encoded bytes.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub count: usize,
    pub bytes: &'a [u8],
}

impl<'a> Column<'a> {
    pub const EMPTY: Self = Self { count: 0, bytes: &[] };

    /// The members of a column of texts.
    pub fn texts(self) -> impl Iterator<Item = &'a [u8]> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| reader.text())
    }

    fn read(reader: &mut Reader<'a>, member: impl Fn(&mut Reader<'a>) -> bool) -> Option<Self> {
        let count = reader.array_head()?;
        let start = reader.at;
        (0..count).all(|_| member(reader)).then_some(())?;
        Some(Self { count, bytes: &reader.bytes[start..reader.at] })
    }

    /// As `read`, where it is known that the column ends.
    fn read_to(reader: &mut Reader<'a>, end: usize) -> Option<Self> {
        let count = reader.array_head()?;
        let bytes = reader.bytes.get(reader.at..end)?;
        reader.at = end;
        Some(Self { count, bytes })
    }
}

/// Where the two long columns end in a value, so that no event needs to look for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    pub items: usize,
    pub times: usize,
}

/// A value taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    pub applied_offset: i64,
    pub as_of_ms: i64,
    pub items: Column<'a>,
    pub times: Column<'a>,
    pub kinds: Column<'a>,
    pub actions: &'a [u8],
    pub event_ids: &'a [u8],
    pub category_names: Column<'a>,
    pub category_indices: &'a [u8],
    pub forgotten: bool,
}

impl<'a> Columns<'a> {
    pub const EMPTY: Self = Self {
        applied_offset: -1,
        as_of_ms: 0,
        items: Column::EMPTY,
        times: Column::EMPTY,
        kinds: Column::EMPTY,
        actions: &[],
        event_ids: &[],
        category_names: Column::EMPTY,
        category_indices: &[],
        forgotten: false,
    };

    /// Take a value apart that nobody has checked; None unless it is as Python would write it.
    pub fn check(value: &'a [u8]) -> Option<(Self, Ends)> {
        let mut reader = Reader::new(value);
        reader.at = HEAD_BYTES;
        let (applied_offset, as_of_ms) = (reader.int()?, reader.int()?);
        let items = Column::read(&mut reader, is_text)?;
        let items_end = reader.at;
        let times = Column::read(&mut reader, |reader| reader.int().is_some())?;
        let ends = Ends { items: items_end, times: reader.at };
        let columns = Self { applied_offset, as_of_ms, items, times, ..Self::EMPTY };
        let columns = columns.read_rest(value, reader)?;
        columns.is_whole().then_some((columns, ends))
    }

    /// Take a value apart that was checked, or written here.
    pub fn read(value: &'a [u8], ends: Ends) -> Option<Self> {
        let mut reader = Reader::new(value);
        reader.at = HEAD_BYTES;
        let (applied_offset, as_of_ms) = (reader.int()?, reader.int()?);
        let items = Column::read_to(&mut reader, ends.items)?;
        let times = Column::read_to(&mut reader, ends.times)?;
        let columns = Self { applied_offset, as_of_ms, items, times, ..Self::EMPTY };
        columns.read_rest(value, reader)
    }

    fn read_rest(mut self, value: &[u8], mut reader: Reader<'a>) -> Option<Self> {
        self.kinds = Column::read(&mut reader, is_text)?;
        (self.actions, self.event_ids) = (reader.bin()?, reader.bin()?);
        if value.starts_with(&HEAD_2) {
            self.category_names = Column::read(&mut reader, is_text)?;
            self.category_indices = reader.bin()?;
            (1..=MOST_NAMES).contains(&self.category_names.count).then_some(())?;
        } else if !value.starts_with(&HEAD_1) {
            return None;
        }
        self.forgotten = reader.flag()?;
        (reader.at == reader.bytes.len()).then_some(self)
    }

    fn is_whole(&self) -> bool {
        let count = self.items.count;
        let greatest = |indices: &[u8]| indices.iter().copied().max().map_or(0, usize::from);
        count == self.times.count
            && count == self.actions.len()
            && (count == 0 || greatest(self.actions) < self.kinds.count)
            && self.event_ids.len().is_multiple_of(ID_BYTES)
            && (self.category_names.count == 0
                || count == self.category_indices.len()
                    && (1..=self.category_names.count).contains(&greatest(self.category_indices)))
    }

    /// The event times in milliseconds.
    pub fn times(&self) -> impl Iterator<Item = i64> + use<'a> {
        let mut reader = Reader::new(self.times.bytes);
        (0..self.times.count).map_while(move |_| reader.int())
    }

    /// Write the value, of version 2 if there are categories; `out` is written over.
    pub fn write(&self, out: &mut Vec<u8>) -> Ends {
        let has_categories = self.category_names.count > 0;
        begin(out, has_categories, self.applied_offset, self.as_of_ms);
        put_column(out, self.items);
        let items = out.len();
        put_column(out, self.times);
        let ends = Ends { items, times: out.len() };
        put_column(out, self.kinds);
        put_bin(out, self.actions);
        put_bin(out, self.event_ids);
        if has_categories {
            put_column(out, self.category_names);
            put_bin(out, self.category_indices);
        }
        msgpack::put_flag(out, self.forgotten);
        ends
    }
}

/// Write what comes before the first column; `out` is written over.
pub fn begin(out: &mut Vec<u8>, has_categories: bool, applied_offset: i64, as_of_ms: i64) {
    out.clear();
    out.extend(if has_categories { HEAD_2 } else { HEAD_1 });
    msgpack::put_int(out, applied_offset);
    msgpack::put_int(out, as_of_ms);
}

pub fn put_column(out: &mut Vec<u8>, column: Column<'_>) {
    msgpack::put_array_head(out, column.count);
    out.extend_from_slice(column.bytes);
}

pub fn put_bin(out: &mut Vec<u8>, bytes: &[u8]) {
    msgpack::put_bin_head(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn is_text(reader: &mut Reader<'_>) -> bool {
    reader.text().is_some_and(|text| simdutf8::basic::from_utf8(text).is_ok())
}
