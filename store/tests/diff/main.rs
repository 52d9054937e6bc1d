//! Layers computed from directories, compared with what real engines wrote for the same directories.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod listing;
mod recorded;
mod running;
mod trees;
mod upper;
