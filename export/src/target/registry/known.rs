//! What is known of blobs without asking again: that a repository has them, and how they came there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use layerlift_archive::Digest;

use super::Outcome;

/// By repository and digest.
#[derive(Default)]
pub(super) struct Known(Mutex<BTreeMap<(String, Digest), Outcome>>);

impl Known {
    pub(super) fn get(&self, repository: &str, blob: Digest) -> Option<Outcome> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(repository.to_owned(), blob)).cloned()
    }

    pub(super) fn add(&self, repository: &str, blob: Digest, outcome: Outcome) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((repository.to_owned(), blob), outcome);
    }
}
