//! The two columns of categories behind an event, as `stream/user_categories.py` makes them.

use crate::msgpack;
use crate::state::columns::{self, Columns, MOST_NAMES};

/// Names, and an index for each action; both are empty if no action has a category.
#[derive(Default)]
pub struct Categories<'a> {
    names: Vec<&'a [u8]>,
    indices: Vec<u8>,
}

impl<'a> Categories<'a> {
    /// Insert the category of an action before the one at `at`, and drop the oldest `dropped`.
    pub fn place(
        columns: &Columns<'a>,
        category: Option<&'a [u8]>,
        at: usize,
        dropped: usize,
    ) -> Self {
        let names: Vec<_> = columns.category_names.texts().collect();
        if names.is_empty() && category.is_none() {
            return Self::default();
        }
        let mut indices = columns.category_indices.to_vec();
        indices.resize(columns.items.count, 0); // those before the first category had none
        let mut categories = Self { names, indices };
        let index = category.map_or(0, |category| categories.index(category));
        categories.indices.insert(at, index);
        categories.drop_oldest(dropped);
        categories
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Append the two columns.
    pub fn write(&self, out: &mut Vec<u8>) {
        msgpack::put_array_head(out, self.names.len());
        self.names.iter().for_each(|name| msgpack::put_text(out, name));
        columns::put_bin(out, &self.indices);
    }

    /// The index of a category, which becomes the last name if it is none yet.
    fn index(&mut self, category: &'a [u8]) -> u8 {
        let known = self.names.iter().position(|name| *name == category);
        let at = known.unwrap_or(self.names.len());
        if at == MOST_NAMES {
            return 0;
        }
        if known.is_none() {
            self.names.push(category);
        }
        at as u8 + 1
    }

    /// Drop the indices of the oldest actions, and with them the names that no other action has.
    fn drop_oldest(&mut self, count: usize) {
        let mut dropped: Vec<u8> = self.indices.drain(..count).collect();
        dropped.retain(|index| *index > 0 && !self.indices.contains(index));
        dropped.sort_unstable();
        dropped.dedup();
        for &index in dropped.iter().rev() {
            self.names.remove(usize::from(index) - 1);
            let later = self.indices.iter_mut().filter(|other| **other > index);
            later.for_each(|other| *other -= 1);
        }
    }
}
