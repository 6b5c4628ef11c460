//! How an event changes a value: the steps of `UserState.apply`, in its order.

use blake2b_simd::Params;

use crate::msgpack::{self, Reader};
use crate::state::categories::Categories;
use crate::state::columns::{self, Column, Columns, Ends, ID_BYTES};

const MOST_KINDS: usize = 256; // an action is a byte

/// The rules of lateness, deduplication and expiry, as in stream/user_state.py.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub sequence_length: usize, // at least 1
    pub dedupe_window: usize,
    pub allowed_lateness_ms: i64,
    pub max_future_ms: i64,
    pub ttl_ms: i64,
}

/// What became of an event; the numbers are its places in `Users::take_outcomes`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    Applied = 0,
    Late = 1,
    Future = 2,
    Duplicate = 3,
    Replayed = 4,
    Forgotten = 5,
}

/// A valid action, or a request to be forgotten.
#[derive(Debug)]
pub struct Event<'a> {
    pub offset: i64,
    pub clock_ms: i64, // of the record; below 0 if it has none
    pub ts_ms: i64,
    pub item: &'a [u8],
    pub action: &'a [u8],
    pub event_id: Option<&'a [u8]>,
    pub category: Option<&'a [u8]>, // never empty
    pub forget: bool,
}

type Digest = [u8; ID_BYTES];

/// What an event did to the actions of a user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Kept,
    Cleared,
    /// One was inserted before the one at `at`, then the oldest were dropped; perhaps all earlier
    /// ones had been cleared.
    Placed {
        cleared: bool,
        at: usize,
        dropped: usize,
    },
}

/// What is to be noted of a value that was just written.
#[derive(Debug)]
pub struct Written {
    pub newest_ms: Option<i64>,
    pub ends: Ends,
    pub change: Change,
}

/// Write the value behind an event that was not applied yet.
///
/// The second part is None if the event changes nothing. None if Python must fold it in.
pub fn next(
    columns: &Columns<'_>,
    newest_ms: Option<i64>,
    event: &Event<'_>,
    rules: &Rules,
    out: &mut Vec<u8>,
) -> Option<(Outcome, Option<Written>)> {
    if event.forget {
        let marker = Columns { applied_offset: event.offset, forgotten: true, ..Columns::EMPTY };
        let (newest_ms, ends, change) = (None, marker.write(out), Change::Cleared);
        return Some((Outcome::Forgotten, Some(Written { newest_ms, ends, change })));
    }
    let digest = event.event_id.filter(|_| rules.dedupe_window > 0).map(digest);
    if digest.is_some_and(|id| columns.event_ids.chunks_exact(ID_BYTES).any(|other| other == id)) {
        return Some((Outcome::Duplicate, None));
    }
    let latest_ms = event.clock_ms.saturating_add(rules.max_future_ms);
    let is_future = event.clock_ms >= 0 && event.ts_ms > latest_ms;
    let as_of_ms = if is_future { event.clock_ms } else { event.ts_ms };
    let ahead_ms = newest_ms.map_or(0, |newest_ms| as_of_ms.saturating_sub(newest_ms));
    let cleared = ahead_ms > rules.ttl_ms;
    let (columns, newest_ms) = if cleared { (&Columns::EMPTY, None) } else { (columns, newest_ms) };
    let applied = Columns { applied_offset: event.offset, as_of_ms, forgotten: false, ..*columns };
    if newest_ms.is_some() && ahead_ms < -rules.allowed_lateness_ms {
        let (ends, change) = (applied.write(out), Change::Kept);
        return Some((Outcome::Late, Some(Written { newest_ms, ends, change })));
    }
    let placing = Placing::new(&applied, newest_ms, event, rules.sequence_length)?;
    let ends = placing.write(digest.as_ref(), rules.dedupe_window, out);
    let newest_ms = placing.newest_ms(newest_ms);
    let change = Change::Placed { cleared, at: placing.at, dropped: placing.dropped };
    let outcome = if is_future { Outcome::Future } else { Outcome::Applied };
    Some((outcome, Some(Written { newest_ms, ends, change })))
}

/// One action more, at its place by time, and with it at most so many.
struct Placing<'a> {
    columns: &'a Columns<'a>, // offset and time are those of the event
    event: &'a Event<'a>,
    at: usize,      // the action before which it goes
    dropped: usize, // how many of the oldest fall out, itself perhaps
    kind: u8,
}

impl<'a> Placing<'a> {
    fn new(
        columns: &'a Columns<'a>,
        newest_ms: Option<i64>,
        event: &'a Event<'a>,
        length: usize,
    ) -> Option<Self> {
        let count = columns.items.count;
        let is_newest = newest_ms.is_none_or(|newest_ms| columns.as_of_ms >= newest_ms);
        let at = if is_newest { count } else { first_later(columns) };
        let kinds = &columns.kinds;
        let kind = kinds.texts().position(|kind| kind == event.action).unwrap_or(kinds.count);
        let dropped = (count + 1).saturating_sub(length);
        (kind < MOST_KINDS).then_some(Self { columns, event, at, dropped, kind: kind as u8 })
    }

    /// The newest time that is left.
    fn newest_ms(&self, before_ms: Option<i64>) -> Option<i64> {
        let ts_ms = self.columns.as_of_ms;
        if self.at == self.columns.items.count { Some(ts_ms) } else { before_ms }
    }

    fn write(&self, digest: Option<&Digest>, window: usize, out: &mut Vec<u8>) -> Ends {
        let (columns, event) = (self.columns, self.event);
        let categories = Categories::place(columns, event.category, self.at, self.dropped);
        columns::begin(out, !categories.is_empty(), columns.applied_offset, columns.as_of_ms);
        let put_item = |out: &mut Vec<u8>| msgpack::put_text(out, event.item);
        self.put_column(out, columns.items, |reader| reader.text().map(drop), put_item);
        let items = out.len();
        let put_time = |out: &mut Vec<u8>| msgpack::put_int(out, columns.as_of_ms);
        self.put_column(out, columns.times, |reader| reader.int().map(drop), put_time);
        let ends = Ends { items, times: out.len() };
        self.put_kinds(out);
        self.put_actions(out);
        put_event_ids(out, columns.event_ids, digest, window);
        if !categories.is_empty() {
            categories.write(out);
        }
        msgpack::put_flag(out, false);
        ends
    }

    /// How many actions there are then.
    fn count(&self) -> usize {
        self.columns.items.count + 1 - self.dropped
    }

    /// Whether it is not the oldest, and falls out itself.
    fn is_kept(&self) -> bool {
        self.at >= self.dropped
    }

    fn put_column(
        &self,
        out: &mut Vec<u8>,
        column: Column<'_>,
        skip: impl Fn(&mut Reader<'_>) -> Option<()>,
        put: impl Fn(&mut Vec<u8>),
    ) {
        msgpack::put_array_head(out, self.count());
        // Where a member starts in the bytes; mostly it is at an end.
        let start_of = |member: usize| {
            if member == column.count {
                return column.bytes.len();
            }
            let mut reader = Reader::new(column.bytes);
            (0..member).for_each(|_| skip(&mut reader).expect("a value is checked"));
            reader.at
        };
        if self.is_kept() {
            let (from, at) = (start_of(self.dropped), start_of(self.at));
            out.extend_from_slice(&column.bytes[from..at]);
            put(out);
            out.extend_from_slice(&column.bytes[at..]);
        } else {
            out.extend_from_slice(&column.bytes[start_of(self.dropped - 1)..]);
        }
    }

    fn put_actions(&self, out: &mut Vec<u8>) {
        msgpack::put_bin_head(out, self.count());
        let actions = self.columns.actions;
        if self.is_kept() {
            out.extend_from_slice(&actions[self.dropped..self.at]);
            out.push(self.kind);
            out.extend_from_slice(&actions[self.at..]);
        } else {
            out.extend_from_slice(&actions[self.dropped - 1..]);
        }
    }

    fn put_kinds(&self, out: &mut Vec<u8>) {
        let kinds = self.columns.kinds;
        let is_new = usize::from(self.kind) == kinds.count;
        msgpack::put_array_head(out, kinds.count + usize::from(is_new));
        out.extend_from_slice(kinds.bytes);
        if is_new {
            msgpack::put_text(out, self.event.action);
        }
    }
}

/// The first action of a later time; the times are looked at from the newest on.
fn first_later(columns: &Columns<'_>) -> usize {
    let earlier = columns.times().enumerate().filter(|(_, ms)| *ms <= columns.as_of_ms);
    earlier.last().map_or(0, |(at, _)| at + 1)
}

fn put_event_ids(out: &mut Vec<u8>, ids: &[u8], digest: Option<&Digest>, window: usize) {
    let Some(digest) = digest else { return columns::put_bin(out, ids) };
    let dropped = (ids.len() / ID_BYTES + 1).saturating_sub(window);
    let kept = &ids[dropped * ID_BYTES..];
    msgpack::put_bin_head(out, kept.len() + ID_BYTES);
    out.extend_from_slice(kept);
    out.extend_from_slice(digest);
}

fn digest(event_id: &[u8]) -> Digest {
    let hash = Params::new().hash_length(ID_BYTES).hash(event_id);
    let mut digest = [0; ID_BYTES];
    digest.copy_from_slice(hash.as_bytes());
    digest
}
