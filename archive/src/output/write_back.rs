//! Early write-back: the kernel is asked to begin with what a file has got, in windows, so that little is
//! left for the sync at the end. By itself it begins when a file of some gigabytes is nearly complete.
//!
//! `sync_file_range` would say just that, but it cannot be called without `unsafe`. `posix_fadvise` with
//! `POSIX_FADV_DONTNEED` begins the same write-back (`mm/fadvise.c`: `__filemap_fdatawrite_range` with
//! `WB_SYNC_NONE`), and then drops pages of the range that are clean, which those just written are not. The
//! call waits while the disk has a long queue, so a thread of its own makes it.

use std::fs::File;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

use rustix::fs::{Advice, fadvise};

/// Bytes of a window. Smaller ones are more calls, larger ones leave more to the sync. Between 8 and 32 MiB
/// no difference was found that is larger than that between two runs.
const WINDOW: u64 = 8 << 20;

struct Window {
    file: Arc<File>,
    from: u64,
    len: NonZeroU64,
}

/// Asks for write-back of any number of files. What has not been asked for when this is dropped never is.
#[derive(Default)]
pub(crate) struct WriteBack {
    /// `None` inside: the system gives no thread, so all is left to the sync.
    thread: OnceLock<Option<Thread>>,
}

struct Thread {
    windows: Sender<Window>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Thread {
    fn start() -> Option<Self> {
        let (windows, asked) = channel::<Window>();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            for Window { file, from, len } in asked {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // Where it is not possible, the sync does it.
                let _ = fadvise(file, from, Some(len), Advice::DontNeed);
            }
        };
        let thread = Builder::new().spawn(work).ok()?;
        Some(Thread { windows, stop, thread })
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        if let Some(Thread { windows, stop, thread }) = self.thread.take().flatten() {
            stop.store(true, Ordering::Relaxed);
            drop(windows);
            let _ = thread.join();
        }
    }
}

/// Bytes of a file that are written front to back.
pub(crate) struct Run {
    file: Arc<File>,
    /// What precedes this has been asked for.
    from: AtomicU64,
}

impl Run {
    /// Bytes that begin here.
    pub(crate) fn new(file: &Arc<File>, start: u64) -> Self {
        Run { file: file.clone(), from: start.into() }
    }

    /// The bytes up to `end` have been written.
    pub(crate) fn reached(&self, end: u64, write_back: &WriteBack) {
        let from = self.from.load(Ordering::Relaxed);
        let Some(len) = NonZeroU64::new(end.saturating_sub(from)).filter(|len| len.get() >= WINDOW) else {
            return;
        };
        self.from.store(end, Ordering::Relaxed);
        if let Some(thread) = write_back.thread.get_or_init(Thread::start) {
            // It ends only with this.
            let _ = thread.windows.send(Window { file: self.file.clone(), from, len });
        }
    }
}
