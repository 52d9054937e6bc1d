//! Partial exports: what the other side has is left out.
//!
//! ```text
//! images of this store, earlier archives, lists ──> OtherSide ──plan──> layers without their bytes
//!                                                                      └> requires.json, before the blobs
//! ```
//!
//! A layer is known by the digest of its tar. Documents are always complete, so a layer that is left out is
//! read if its digest has to be computed for one, and only then.

mod check;
mod inventory;
pub(crate) mod join;
mod listed;
pub(crate) mod other_side;
mod refusal;
pub(crate) mod required;
pub(crate) mod unrecorded;
pub(crate) mod warnings;

pub use check::{Checked, CheckedLayer, CheckedRoot, check};
pub use inventory::Presence;
pub use join::select_partial;
pub use other_side::OtherSide;
pub use refusal::Refusal;
pub use required::Omission;
