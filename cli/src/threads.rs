//! The threads of all crates.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// Limits the threads of all crates. Called before any store is read, so that listings obey it, too.
///
/// Rayon's pool is made of all its threads or fails for good, and its first use panics then. So the threads
/// are started first, and the pool is made of those that the system gives; of this one alone, if it gives
/// none (`prlimit --nproc`, a small `RLIMIT_AS`).
pub(crate) fn limit_threads(threads: NonZeroUsize) {
    let (sender, waiting) = mpsc::channel::<rayon::ThreadBuilder>();
    let waiting = Arc::new(Mutex::new(waiting));
    let start = |_: &usize| {
        let waiting = waiting.clone();
        let work = move || {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            if let Ok(thread) = next {
                thread.run();
            }
        };
        thread::Builder::new().spawn(work).is_ok()
    };
    let started = (0..threads.get()).take_while(start).count();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(started.max(1));
    // Only the first call in a process counts, and a command makes one.
    let _ = if started == 0 {
        pool.use_current_thread().build_global()
    } else {
        let hand_over = |thread| sender.send(thread).map_err(|_| io::ErrorKind::BrokenPipe.into());
        pool.spawn_handler(hand_over).build_global()
    };
}
