//! The users of one partition: their states, and the fold of records into them.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::batch::reader::{Place, slice};
use crate::event;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::state::fold::{Change, Event, Rules};
use crate::vocabulary::Vocabulary;

const FORGET: &[u8] = b"forget";
const OUTCOMES: usize = 6;

/// What an event must keep to.
#[derive(Debug)]
pub struct Contract {
    pub rules: Rules,
    pub actions: Vec<Vec<u8>>,
    pub max_message_bytes: usize,
}

#[derive(Debug)]
struct User {
    state: State,
    codes: Vec<i32>, // of the items, as the vocabulary has them; empty without one
}

/// The users of one partition that are in memory.
#[derive(Debug)]
pub struct Users {
    contract: Contract,
    vocabulary: Option<Arc<Vocabulary>>,
    users: HashMap<Box<[u8]>, User>,
    outcomes: [u64; OUTCOMES],
    scratch: Vec<u8>,
}

impl User {
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
        let (users, outcomes, scratch) = (HashMap::new(), [0; OUTCOMES], Vec::new());
        Self { contract, vocabulary: None, users, outcomes, scratch }
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
    pub fn missing<'a>(&self, fetch: &'a [u8], places: &[Place]) -> Vec<&'a [u8]> {
        let mut seen = HashSet::new();
        let keys = places.iter().filter_map(|place| place.key.as_ref());
        let keys = keys.map(|key| slice(fetch, key));
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
            self.users.insert(key.into(), User { codes: codes.unwrap_or_default(), state });
        }
        Some(())
    }

    /// A user's value as it is now; empty if nothing was ever applied.
    pub fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.users.get(key).map(|user| user.state.value())
    }

    /// Copy the values of these users; None if one of them is not loaded, or was never seen.
    pub fn snapshot<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Option<Snapshot> {
        let mut snapshot = Snapshot::new(self.vocabulary.clone());
        for key in keys {
            let user = self.users.get(key).filter(|user| !user.state.value().is_empty())?;
            snapshot.add(key, &user.state, &user.codes);
        }
        Some(snapshot)
    }

    /// Fold records in, until one is for Python to judge; returns its place, or where they end.
    pub fn fold(&mut self, fetch: &[u8], places: &[Place], range: Range<usize>) -> usize {
        let end = range.end.min(places.len());
        let mut records = range.start..end;
        let unusual = records.find(|&at| self.fold_usual(fetch, &places[at]).is_none());
        unusual.unwrap_or(end.max(range.start))
    }

    /// Fold in an event that is valid; None if its user is not loaded, or if Python must.
    pub fn apply(&mut self, key: &[u8], event: &Event<'_>) -> Option<()> {
        let user = self.users.get_mut(key)?;
        let (outcome, change) = user.state.apply(event, &self.contract.rules, &mut self.scratch)?;
        self.outcomes[outcome as usize] += 1;
        if let Some(vocabulary) = &self.vocabulary {
            user.change_codes(change, vocabulary.code(event.item));
        }
        Some(())
    }

    /// How many events had each outcome since the last call, in the order of `Outcome`.
    pub fn take_outcomes(&mut self) -> [u64; OUTCOMES] {
        mem::take(&mut self.outcomes)
    }

    fn fold_usual(&mut self, fetch: &[u8], place: &Place) -> Option<()> {
        let key = slice(fetch, place.key.as_ref()?);
        let value = slice(fetch, place.value.as_ref()?);
        let contract = &self.contract;
        if !place.is_bare(fetch) || value.len() > contract.max_message_bytes {
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
        self.apply(key, &event)
    }
}
