//! The users of one partition: their states, and the fold of records into them.

use std::collections::HashSet;
use std::mem;
use std::ops::Range;

use hashbrown::HashMap;

use crate::batch::reader::{Place, slice};
use crate::event;
use crate::state::State;
use crate::state::fold::{Event, Rules};

const FORGET: &[u8] = b"forget";
const OUTCOMES: usize = 6;

/// What an event must keep to.
#[derive(Debug)]
pub struct Contract {
    pub rules: Rules,
    pub actions: Vec<Vec<u8>>,
    pub max_message_bytes: usize,
}

/// The users of one partition that are in memory.
#[derive(Debug)]
pub struct Users {
    contract: Contract,
    states: HashMap<Box<[u8]>, State>,
    outcomes: [u64; OUTCOMES],
    scratch: Vec<u8>,
}

impl Users {
    pub fn new(contract: Contract) -> Self {
        let (states, outcomes, scratch) = (HashMap::new(), [0; OUTCOMES], Vec::new());
        Self { contract, states, outcomes, scratch }
    }

    pub fn len(&self) -> usize {
        self.states.len()
    }

    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The keys of these records, each once, whose users must be loaded first.
    pub fn missing<'a>(&self, fetch: &'a [u8], places: &[Place]) -> Vec<&'a [u8]> {
        let mut seen = HashSet::new();
        let keys = places.iter().filter_map(|place| place.key.as_ref());
        let keys = keys.map(|key| slice(fetch, key));
        keys.filter(|key| !self.states.contains_key(*key) && seen.insert(*key)).collect()
    }

    /// Take over a user's stored value, or one who was never seen; one who is here stays.
    ///
    /// None for a value that Python must read, or refuse.
    pub fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        if !self.states.contains_key(key) {
            let state = value.map_or(Some(State::default()), State::load)?;
            self.states.insert(key.into(), state);
        }
        Some(())
    }

    /// A user's value as it is now; empty if nothing was ever applied.
    pub fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.states.get(key).map(State::value)
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
        let state = self.states.get_mut(key)?;
        let outcome = state.apply(event, &self.contract.rules, &mut self.scratch)?;
        self.outcomes[outcome as usize] += 1;
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
