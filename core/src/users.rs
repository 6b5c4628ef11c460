//! The users of one partition: their states, the fold of records into them, and who waits.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::event;
use crate::fetch::{Fetch, Record};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::state::fold::{Change, Event, Outcome, Rules};
use crate::vocabulary::Vocabulary;

const FORGET: &[u8] = b"forget";
const OUTCOMES: usize = 6;
const FEW: usize = 1024; // keys of users who are gone, which nobody minds

/// What an event must keep to.
#[derive(Debug)]
pub struct Contract {
    pub rules: Rules,
    pub actions: Vec<Vec<u8>>,
    pub max_message_bytes: usize,
}

/// A waiting user: which events the next score covers.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub first_offset: i64, // nothing from here on may be committed before the score is out
    pub first_ms: i64,     // of that record; below 0 if it has no time
    pub last: Record,
}

#[derive(Debug)]
struct User {
    state: State,
    codes: Vec<i32>, // of the items, as the vocabulary has them; empty without one
    waiting: Option<Waiting>,
    written: u32,  // batches with the user that are not on disk
    deleted: bool, // by a batch that may not be on disk yet: who is read again would be whole
}

/// The users of one partition that are in memory.
///
/// A user is busy while waiting, or while the disk may be behind.
#[derive(Debug)]
pub struct Users {
    contract: Contract,
    vocabulary: Option<Arc<Vocabulary>>,
    users: HashMap<Arc<[u8]>, User>,
    loaded: VecDeque<Arc<[u8]>>, // in this order; perhaps some who are here no more
    waiting: VecDeque<Arc<[u8]>>, // the longest-waiting first
    outcomes: [u64; OUTCOMES],
    scratch: Vec<u8>,
}

impl User {
    fn is_busy(&self) -> bool {
        self.waiting.is_some() || self.written > 0
    }

    /// Change the codes as the items were changed.
    fn change_codes(&mut self, change: Change, code: i32) {
        if matches!(change, Change::Cleared | Change::Placed { cleared: true, .. }) {
            self.codes.clear();
        }
        if let Change::Placed { at, dropped, .. } = change {
            self.codes.insert(at, code);
            self.codes.drain(..dropped);
        }
    }
}

impl Users {
    pub fn new(contract: Contract) -> Self {
        Self {
            contract,
            vocabulary: None,
            users: HashMap::new(),
            loaded: VecDeque::new(),
            waiting: VecDeque::new(),
            outcomes: [0; OUTCOMES],
            scratch: Vec::new(),
        }
    }

    /// Keep the codes of this model beside the items from now on.
    pub fn know(&mut self, vocabulary: Arc<Vocabulary>) {
        for user in self.users.values_mut() {
            user.codes.clear();
            user.codes.extend(vocabulary.codes(user.state.columns().items.texts()));
        }
        self.vocabulary = Some(vocabulary);
    }

    pub fn len(&self) -> usize {
        self.users.len()
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The keys of these records, each once, whose users must be loaded first.
    pub fn missing<'a>(&self, fetch: &'a Fetch, range: Range<usize>) -> Vec<&'a [u8]> {
        let mut seen = HashSet::new();
        let keys = fetch.places()[range].iter().filter_map(|place| fetch.key(place));
        keys.filter(|key| !self.users.contains_key(*key) && seen.insert(*key)).collect()
    }

    /// Take over a user's stored value, or one who was never seen; one who is here stays.
    ///
    /// None for a value that Python must read, or refuse.
    pub fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        if !self.users.contains_key(key) {
            let state = value.map_or(Some(State::default()), State::load)?;
            let vocabulary = self.vocabulary.as_deref();
            let codes =
                vocabulary.map(|known| known.codes(state.columns().items.texts()).collect());
            let codes = codes.unwrap_or_default();
            let key: Arc<[u8]> = key.into();
            self.loaded.push_back(key.clone());
            let user = User { state, codes, waiting: None, written: 0, deleted: false };
            self.users.insert(key, user);
        }
        Some(())
    }

    /// Remove a user; one who waits stays.
    pub fn drop(&mut self, key: &[u8]) {
        if self.users.get(key).is_some_and(|user| user.waiting.is_none()) {
            self.users.remove(key);
            self.tidy();
        }
    }

    /// Let a user start over, whom a batch deletes from the disk.
    pub fn expire(&mut self, key: &[u8]) {
        if let Some(user) = self.users.get_mut(key) {
            user.state.start_over();
            user.codes.clear();
            user.deleted = true;
        }
    }

    /// Evict this many of those who were loaded longest ago, or as many as are not busy.
    pub fn evict(&mut self, mut count: usize) {
        for _ in 0..self.loaded.len() {
            if count == 0 {
                break;
            }
            let Some(key) = self.loaded.pop_front() else { break };
            match self.users.get(&key) {
                Some(user) if user.is_busy() || user.deleted => self.loaded.push_back(key),
                Some(_) => {
                    self.users.remove(&key);
                    count -= 1;
                }
                None => {}
            }
        }
    }

    /// Whether memory is, or may be, ahead of the disk.
    pub fn is_busy(&self, key: &[u8]) -> bool {
        self.users.get(key).is_some_and(User::is_busy)
    }

    pub fn is_waiting(&self, key: &[u8]) -> bool {
        self.users.get(key).is_some_and(|user| user.waiting.is_some())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What the next score of the longest-waiting user will cover.
    pub fn oldest_waiting(&self) -> Option<&Waiting> {
        self.users.get(self.waiting.front()?)?.waiting.as_ref()
    }

    /// Copy the values of so many of the longest-waiting users, who wait no more.
    pub fn take(&mut self, count: usize) -> Snapshot {
        let mut snapshot = Snapshot::new(self.vocabulary.clone());
        let count = count.min(self.waiting.len());
        for key in self.waiting.drain(..count) {
            let user = self.users.get_mut(&key).expect("who waits is never removed");
            let waiting = user.waiting.take().expect("who is in the queue waits");
            user.written += 1;
            snapshot.add(&key, &user.state, &user.codes, waiting);
        }
        snapshot
    }

    /// A snapshot is on disk.
    pub fn settle(&mut self, snapshot: &Snapshot) {
        for (key, _, _) in snapshot.rows() {
            if let Some(user) = self.users.get_mut(key) {
                user.written = user.written.saturating_sub(1);
                user.deleted = false; // that was on disk before
            }
        }
    }

    /// A user's value as it is now; empty if nothing was ever applied.
    pub fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.users.get(key).map(|user| user.state.value())
    }

    /// Fold records in, until one is for Python to judge; returns its place, or where they end.
    pub fn fold(&mut self, fetch: &Arc<Fetch>, range: Range<usize>) -> usize {
        let end = range.end;
        let mut records = range;
        let unusual = records.find(|&at| self.fold_usual(fetch, at).is_none());
        unusual.unwrap_or(end)
    }

    /// Fold in an event that is valid; None if its user is not loaded, or if Python must.
    pub fn apply(&mut self, key: &[u8], event: &Event<'_>, record: Record) -> Option<Outcome> {
        let (key, user) = self.users.get_key_value_mut(key)?;
        let (outcome, change) = user.state.apply(event, &self.contract.rules, &mut self.scratch)?;
        self.outcomes[outcome as usize] += 1;
        if let Some(vocabulary) = &self.vocabulary {
            user.change_codes(change, vocabulary.code(event.item));
        }
        if matches!(outcome, Outcome::Duplicate | Outcome::Replayed) {
            return Some(outcome);
        }
        if let Some(waiting) = &mut user.waiting {
            waiting.last = record;
        } else {
            let (first_offset, first_ms) = (event.offset, event.clock_ms);
            user.waiting = Some(Waiting { first_offset, first_ms, last: record });
            self.waiting.push_back(key.clone());
        }
        Some(outcome)
    }

    /// How many events had each outcome since the last call, in the order of `Outcome`.
    pub fn take_outcomes(&mut self) -> [u64; OUTCOMES] {
        mem::take(&mut self.outcomes)
    }

    fn fold_usual(&mut self, fetch: &Arc<Fetch>, at: usize) -> Option<()> {
        let place = &fetch.places()[at];
        let (key, value) = (fetch.key(place)?, fetch.value(place)?);
        let contract = &self.contract;
        if !place.is_bare(fetch.bytes()) || value.len() > contract.max_message_bytes {
            return None;
        }
        let payload = event::read(value)?;
        let action = payload.action;
        let is_known = action != FORGET && contract.actions.iter().any(|known| known == action);
        if payload.user_id != key || !is_known {
            return None;
        }
        let event = Event {
            offset: place.offset,
            clock_ms: event::clock_ms(place.timestamp_ms),
            ts_ms: payload.ts_ms,
            item: payload.item_id,
            action,
            event_id: payload.event_id,
            category: payload.category,
            forget: false,
        };
        self.apply(key, &event, Record { fetch: fetch.clone(), at }).map(|_| ())
    }

    /// Let go of the keys of users who are here no more, once they are the greater part.
    fn tidy(&mut self) {
        if self.loaded.len() > 2 * self.users.len() + FEW {
            self.loaded.retain(|key| self.users.contains_key(key));
        }
    }
}
