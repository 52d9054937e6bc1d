//! What became of the items.

use crate::{Digest, Error};

/// What became of an item.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It was produced. With its digest if it was hashed, which is the one that its content names, if it
    /// names one.
    Done(Option<Digest>),
    /// It failed.
    Failed(Error),
    /// It was never finished, because another item failed.
    Unfinished,
}

impl Outcome {
    /// The digest of an item that is done. An unfinished one counts as cancelled.
    pub fn into_result(self) -> Result<Option<Digest>, Error> {
        match self {
            Outcome::Done(digest) => Ok(digest),
            Outcome::Failed(error) => Err(error),
            Outcome::Unfinished => Err(Error::Cancelled),
        }
    }
}

/// The first failure in the order of the items; [`Error::Cancelled`] if nothing failed and some are
/// unfinished.
pub fn first_failure(outcomes: Vec<Outcome>) -> Result<(), Error> {
    let mut unfinished = None;
    for outcome in outcomes {
        match outcome.into_result() {
            Ok(_) => {}
            Err(Error::Cancelled) => unfinished = Some(Error::Cancelled),
            Err(error) => return Err(error),
        }
    }
    unfinished.map_or(Ok(()), Err)
}
