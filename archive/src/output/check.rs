//! Contents that are only read, to learn or to check their digests.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::produce::{Item, OnFailure, Order, run};
use crate::{Content, Digest, Error, Options};

/// A content to check.
pub struct Check<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// Its bytes.
    pub content: &'a dyn Content,
}

/// Reads all contents to their ends, side by side. Returns the digest of each, or what is wrong with it. A
/// damaged one does not keep the others from being read; [`crate::Observer::cancelled`] does.
pub fn check(contents: &[Check<'_>], options: &Options<'_>) -> Vec<Result<Digest, Error>> {
    check_each(contents, options, &|_, _| ())
}

/// As [`check`]. `ended` is called once for each content, with its index, on any thread: as soon as the
/// content ends, or once the work is cancelled.
pub fn check_each<'a>(
    contents: &[Check<'a>],
    options: &Options<'_>,
    ended: &(dyn Fn(usize, Result<Digest, Error>) + Sync),
) -> Vec<Result<Digest, Error>> {
    let item = |check: &Check<'a>| Item::new(check.name, check.content).with_hash();
    let items: Vec<Item<'_>> = contents.iter().map(item).collect();
    let heard: Vec<AtomicBool> = contents.iter().map(|_| AtomicBool::new(false)).collect();
    let end = |item: usize, verdict: Result<Option<Digest>, Error>| {
        heard[item].store(true, Ordering::Relaxed);
        ended(item, verdict.and_then(|digest| digest.ok_or(Error::Cancelled)));
    };
    let outcomes = run(&items, None, Order::Any, OnFailure::Continue, options, Some(&end));
    // If the work was cancelled, some contents never ended.
    for (item, _) in heard.iter().enumerate().filter(|(_, heard)| !heard.load(Ordering::Relaxed)) {
        ended(item, Err(Error::Cancelled));
    }
    outcomes.into_iter().map(|outcome| outcome.into_result()?.ok_or(Error::Cancelled)).collect()
}

/// Reads one content to its end, on this thread.
pub fn digest(one: &Check<'_>) -> Result<Digest, Error> {
    let options = Options::default().with_threads(NonZeroUsize::MIN);
    let one = [Check { name: one.name, content: one.content }];
    check(&one, &options).pop().unwrap_or(Err(Error::Cancelled))
}
