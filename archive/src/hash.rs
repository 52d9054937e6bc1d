//! Reading contents only to know, or to check, what they hash to.

use crate::work::{self, Job, OnFailure, Order};
use crate::{Content, Digest, Error, Options};

/// A content to check, with the name that messages use.
pub struct Check<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// Its bytes.
    pub content: &'a dyn Content,
}

/// Reads every content to its end, side by side, and returns the digest of each, or what is wrong with it. One that is
/// damaged does not keep the others from being read; [`crate::Observer::cancelled`] does.
pub fn check<'a>(contents: &[Check<'a>], options: &Options<'_>) -> Vec<Result<Digest, Error>> {
    let job = |check: &Check<'a>| Job { hash: true, ..Job::bare(check.name, check.content) };
    let jobs: Vec<Job<'_>> = contents.iter().map(job).collect();
    let outcomes = work::run(&jobs, None, Order::Any, OnFailure::GoOn, options);
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Err(Error::Cancelled))?.ok_or(Error::Cancelled))
        .collect()
}

/// The digest of a single content.
pub fn digest(check_one: &Check<'_>) -> Result<Digest, Error> {
    let options = Options::default().with_threads(std::num::NonZeroUsize::MIN);
    let one = [Check { name: check_one.name, content: check_one.content }];
    check(&one, &options).pop().unwrap_or(Err(Error::Cancelled))
}
