//! Stores of containerd and of Docker's containerd, held against what the engines said of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files has failed")]

#[path = "../contract/mod.rs"]
mod contract;
mod damage;
mod finding;
mod fixture;
mod garbage;
mod images;
mod names;
