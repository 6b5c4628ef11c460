//! The catalogue end of a sequence network: scores, normaliser, copy and rules, the best K items.
//!
//! No matrix of users by items is ever written: the scores of a few users and items stay in
//! registers, add their shares to the normaliser, and only one that beats the worst of a user's best
//! so far is kept. Float32, exact: no score is left out or approximated. Every sum is made in one
//! order, whatever the batch and the instruction set, so a score's bits depend on neither.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod best;
mod exp;
mod instructions;
mod mixture;
mod neighbours;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panels;
mod plain;
mod row;
mod simd;
mod table;
mod tile;

pub use instructions::Instructions;
pub use mixture::FIRST_ITEM;
pub use neighbours::Neighbours;
pub use panels::Panels;
pub use table::{Batch, Table};
