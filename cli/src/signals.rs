//! SIGINT, SIGTERM and SIGHUP.
//!
//! Usually there is nothing to clean up: spools have no name, and a stream is simply cut. Then the program
//! ends at once, even while it waits for a slow reader. While an output has a temporary name, the signal asks
//! the writer to stop, which removes that file; a second signal ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::terminal::interrupted;

/// The number of the first signal; 0 before one.
static SIGNAL: AtomicU8 = AtomicU8::new(0);
/// How many guards there are.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// Installs the handlers.
pub(crate) fn install() {
    // The default action of SIGXFSZ ends the program at the limit of `ulimit -f`, with its temporary files in
    // place. With any handler the write fails with EFBIG instead.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    // Without the handler signals still end the program, but may leave a temporary file behind.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    let _ = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let number = u8::try_from(signal).unwrap_or_default();
            let first = SIGNAL.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
            if first.is_err() || GUARDED.load(Ordering::SeqCst) == 0 {
                interrupted();
                std::process::exit(status().into());
            }
        }
    });
}

/// Whether a signal has come.
pub(crate) fn cancelled() -> bool {
    SIGNAL.load(Ordering::Relaxed) != 0
}

/// What a shell reports for a program that the signal has ended: 130 for SIGINT, 143 for SIGTERM, 129 for
/// SIGHUP.
pub(crate) fn status() -> u8 {
    match SIGNAL.load(Ordering::SeqCst) {
        0 => 128 + 2,
        signal => 128 + signal,
    }
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
