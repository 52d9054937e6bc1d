//! Feeds the parsers of layerlift with damaged bytes of real stores.
//!
//! ```text
//! fixtures ──corpus──> inputs ──mutate──> a target ──> an answer, or a panic
//!                        ▲                               │
//!                        └── inputs with a new answer ───┘
//! ```
//!
//! A target takes any bytes and returns an answer, which is a text: what was wrong, or what was found. It
//! panics if a property does not hold. Answers guide the search, since there is no coverage without a
//! nightly compiler.

pub mod bundle;
pub mod corpus;
pub mod mutate;
mod targets;

pub use targets::{TARGETS, Target};

/// Runs a target once, by its name.
///
/// # Panics
///
/// If there is no such target, or a property does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the name of a target");
    let _answer = (target.run)(bytes);
}
