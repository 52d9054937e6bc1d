//! What is known of blobs without asking again: that a repository has them, and how they came there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// Repositories that blobs may be taken from. Each try at one that is closed may take three tokens, so the
/// first answer counts for all blobs, and the others wait for it.
#[derive(Default)]
pub(super) struct Sources {
    open: Mutex<BTreeSet<String>>,
    closed: Mutex<BTreeSet<String>>,
    asking: Mutex<()>,
}

impl Sources {
    /// Waits while another blob finds out whether one is open.
    pub(super) fn wait(&self, from: &str) -> Option<MutexGuard<'_, ()>> {
        let is_open = self.open.lock().unwrap_or_else(PoisonError::into_inner).contains(from);
        (!is_open).then(|| self.asking.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_closed(&self, from: &str) -> bool {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).contains(from)
    }

    pub(super) fn open(&self, from: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(from.to_owned());
    }

    pub(super) fn close(&self, from: String) {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).insert(from);
    }
}
