//! Tars: their headers, and a tree's entries as what is written of them.

mod entries;
mod header;
mod pax;

pub use header::{BLOCK, Dialect, Encoder, Header, TRAILER, padding};

pub(crate) use entries::items;
