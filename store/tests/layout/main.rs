//! Image layouts and archives: what the engines wrote, then damage.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files has failed")]

#[path = "../contract/mod.rs"]
mod contract;
mod cut;
mod damage;
mod engines;
mod foreign;
mod limits;
mod lines;
mod made;
mod odd;
mod others;
mod platforms;
mod sha512;
mod sparse;
mod unnamed;
