//! Tars: their headers, and a tree's entries as what is written of them.

mod entries;
mod header;

pub use header::{BLOCK, Encoder, Header, TRAILER, padding};

pub(crate) use entries::items;
