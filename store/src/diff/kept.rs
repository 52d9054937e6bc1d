//! What a walk of a layer has found. It is kept until the tar is written, so directories are walked once.
//!
//! All layers together keep a bounded number of records. A layer that gets no more room is walked again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::order::Order;
use super::records::Records;

/// Records that all layers may keep: some 20 MiB with their names.
const LIMIT: usize = 200_000;

/// Those that are kept now.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// What is in a layer.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) records: Records,
    /// In which it is written.
    pub(super) order: Order,
    /// Whether the records are of all that a container sees, and not of the layer's directory alone.
    pub(super) in_union: bool,
}

/// The walk of a layer, if it is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<OnceLock<Counted>>);

/// Its records are counted as long as it exists.
#[derive(Debug)]
struct Counted(Arc<Walked>);

impl Kept {
    pub(super) fn get(&self) -> Option<Arc<Walked>> {
        self.0.get().map(|Counted(walked)| walked.clone())
    }

    /// Keeps this, if there is room for it.
    pub(super) fn keep(&self, walked: &Arc<Walked>) {
        let room = |kept: usize| kept.checked_add(walked.records.len()).filter(|kept| *kept <= LIMIT);
        if KEPT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok() {
            // Of two at a time, one is dropped.
            let _ = self.0.set(Counted(walked.clone()));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.0.records.len(), Ordering::Relaxed);
    }
}
