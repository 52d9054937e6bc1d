//! SIGINT, SIGTERM and SIGHUP.
//!
//! Usually there is nothing to tidy up (spools have no name, a stream is just cut), and the program ends at
//! once, even while it waits for a slow reader. Only while an output has a temporary name, the writer is
//! asked to stop and removes it; a second signal ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::status::INTERRUPTED;
use crate::terminal::interrupted;

static CANCELLED: AtomicBool = AtomicBool::new(false);
static GUARDED: AtomicBool = AtomicBool::new(false);

/// Takes the signals over.
pub(crate) fn install() {
    // Without the handler signals still end the program, only less tidily.
    let _ = ctrlc::set_handler(|| {
        let again = CANCELLED.swap(true, Ordering::SeqCst);
        if again || !GUARDED.load(Ordering::SeqCst) {
            interrupted();
            std::process::exit(INTERRUPTED.into());
        }
    });
}

/// Whether to stop.
pub(crate) fn cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

/// While it lives, a signal only sets what [`cancelled`] returns.
pub(crate) struct Guard(());

impl Guard {
    pub(crate) fn new() -> Self {
        GUARDED.store(true, Ordering::SeqCst);
        Guard(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.store(false, Ordering::SeqCst);
    }
}
