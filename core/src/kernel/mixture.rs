//! The mixture: what copy and rules add to the scores, and the best items of all three.

use super::best::Scored;
use super::exp::exp;
use super::row::Generated;
use super::table::Table;

pub const FIRST_ITEM: usize = 2; // codes below are no items

/// What the network says of one user.
#[derive(Clone, Copy)]
pub struct User<'a> {
    pub query: &'a [f32],  // (D,)
    pub copies: &'a [f32], // (L,) logits
    pub rules: &'a [f32],  // (E, L) logits
    pub codes: &'a [i32],  // (L,) of the window's items
}

/// Mixes the experts of one user after the other, in the memory of one catalogue.
pub struct Mixer<'a> {
    table: &'a Table,
    added: Vec<f64>, // (V,) by copy and rules; 0 but for `touched`
    touched: Vec<u32>,
    row: Vec<f64>, // what one position gives to each neighbour of its item
}

/// An item and its share of the whole, or its probability.
type Share = (f64, u32);

impl<'a> Mixer<'a> {
    pub fn new(table: &'a Table) -> Self {
        let added = vec![0.0; table.panels.items];
        Self { table, added, touched: Vec::new(), row: Vec::new() }
    }

    /// The best `count` items and their probabilities, best first, the smaller item on a tie.
    ///
    /// An item that was not among the best by score, and to which nothing is added, cannot be
    /// among the best of all. So scores are computed again only for items with an addition that
    /// could be.
    pub fn best(&mut self, found: &Generated, user: User, count: usize) -> Vec<Share> {
        let logits = user.copies.iter().chain(user.rules).map(|&logit| f64::from(logit));
        let most = logits.fold(found.unit.ln(), f64::max);
        let share = |logit: f32| exp(f64::from(logit) - most);
        let mut total = found.total * exp(found.unit.ln() - most);
        for position in 0..user.codes.len() {
            total += self.copy(user, position, share) + self.rule(user, position, share);
        }
        let least = found.best.last().map_or(0.0, |&(score, _)| share(score));
        let of_score = |&(score, item): &Scored| (share(score) + self.take(item), item);
        let mut best: Vec<Share> = found.best.iter().map(of_score).collect();
        // The share of another item is more than what is added to it, and at most `least` more.
        let bar = share_at(count, best.iter());
        let touched = std::mem::take(&mut self.touched).into_iter();
        let added = touched.map(|item| (self.take(item), item));
        let may_be = |&(added, _): &Share| added > 0.0 && added + least >= bar; // 0: in `best`
        let others: Vec<Share> = added.filter(may_be).collect();
        let bar = share_at(count, best.iter().chain(&others));
        for (added, item) in others {
            if added + least >= bar {
                best.push((share(self.table.score(user.query, item)) + added, item));
            }
        }
        best.select_nth_unstable_by(count - 1, likelier);
        best.truncate(count);
        best.sort_unstable_by(likelier);
        best.iter_mut().for_each(|(share, _)| *share /= total);
        best
    }

    /// What one position's copy adds, in all.
    fn copy(&mut self, user: User, position: usize, share: impl Fn(f32) -> f64) -> f64 {
        let code = user.codes[position] as usize;
        let copied = if code < FIRST_ITEM { 0.0 } else { share(user.copies[position]) };
        if copied > 0.0 {
            self.add((code - FIRST_ITEM) as u32, copied);
        }
        copied
    }

    /// What one position's rules add to the neighbours of its item, in all.
    fn rule(&mut self, user: User, position: usize, share: impl Fn(f32) -> f64) -> f64 {
        let (table, code) = (self.table, user.codes[position] as usize);
        let Some(neighbours) = &table.neighbours else { return 0.0 };
        let items = neighbours.items(code);
        self.row.clear();
        self.row.resize(items.len(), 0.0);
        let mut given = 0.0;
        for way in 0..neighbours.ways {
            let weight = share(user.rules[way * user.codes.len() + position]);
            given += weight * neighbours.sum(code, way);
            for (row, &share) in self.row.iter_mut().zip(neighbours.shares(code, way)) {
                *row += weight * f64::from(share);
            }
        }
        if given > 0.0 {
            for (at, &item) in items.iter().enumerate() {
                self.add(item, self.row[at]);
            }
        }
        given
    }

    fn add(&mut self, item: u32, share: f64) {
        let added = &mut self.added[item as usize];
        if *added == 0.0 && share > 0.0 {
            self.touched.push(item);
        }
        *added += share;
    }

    fn take(&mut self, item: u32) -> f64 {
        std::mem::take(&mut self.added[item as usize])
    }
}

/// The share at a place of the order from the largest.
fn share_at<'a>(place: usize, shares: impl Iterator<Item = &'a Share>) -> f64 {
    let mut shares: Vec<f64> = shares.map(|&(share, _)| share).collect();
    *shares.select_nth_unstable_by(place - 1, |a, b| b.total_cmp(a)).1
}

fn likelier(a: &Share, b: &Share) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}
