//! Reading contents only to know, or to check, what they hash to.

use crate::work::{self, Job, OnFailure, Sink};
use crate::{Content, Digest, Error, Options};

/// A content to check, with the name that messages use.
pub struct Check<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// Its bytes.
    pub content: &'a dyn Content,
}

struct Nowhere;

impl Sink for Nowhere {
    fn put(&self, _: usize, _: u64, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads every content to its end, side by side, and returns the digest of each, or what is wrong with it. One that is
/// damaged does not keep the others from being read; [`crate::Observer::cancelled`] does.
pub fn check(contents: &[Check<'_>], options: &Options<'_>) -> Vec<Result<Digest, Error>> {
    let jobs: Vec<Job<'_>> =
        contents.iter().map(|check| Job { entry: check.name, content: check.content, hash: true }).collect();
    let outcomes = work::run(&jobs, &Nowhere, options, OnFailure::GoOn);
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Err(Error::Cancelled))?.ok_or(Error::Cancelled))
        .collect()
}

/// The digest of a single content.
pub fn digest(check_one: &Check<'_>) -> Result<Digest, Error> {
    let options = Options { threads: std::num::NonZeroUsize::MIN, ..Options::default() };
    let one = [Check { name: check_one.name, content: check_one.content }];
    check(&one, &options).pop().unwrap_or(Err(Error::Cancelled))
}
