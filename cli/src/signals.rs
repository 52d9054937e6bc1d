//! SIGINT, SIGTERM and SIGHUP.
//!
//! Usually there is nothing to clean up: spools have no name, and a stream is simply cut. Then the program
//! ends at once, even while it waits for a slow reader. While an output has a temporary name, the signal asks
//! the writer to stop, which removes that file; a second signal ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::status::INTERRUPTED;
use crate::terminal::interrupted;

static CANCELLED: AtomicBool = AtomicBool::new(false);
/// How many guards there are.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// Installs the handlers.
pub(crate) fn install() {
    // The default action of SIGXFSZ ends the program at the limit of `ulimit -f`, with its temporary files in
    // place. With any handler the write fails with EFBIG instead.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    // Without the handler signals still end the program, but may leave a temporary file behind.
    let _ = ctrlc::set_handler(|| {
        let again = CANCELLED.swap(true, Ordering::SeqCst);
        if again || GUARDED.load(Ordering::SeqCst) == 0 {
            interrupted();
            std::process::exit(INTERRUPTED.into());
        }
    });
}

/// Whether a signal has come.
pub(crate) fn cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

/// While this exists, the first signal only sets what [`cancelled`] returns.
pub(crate) struct Guard(());

impl Guard {
    pub(crate) fn new() -> Self {
        GUARDED.fetch_add(1, Ordering::SeqCst);
        Guard(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.fetch_sub(1, Ordering::SeqCst);
    }
}
