//! Progress of the work, and what can be chosen about it.

use std::num::NonZeroUsize;

use crate::{CompressionLevel, Spools};

/// Hears of progress, from any thread, and is asked whether to go on. `()` does neither.
pub trait Observer: Sync {
    /// This many more bytes of the output are done.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }

    /// The sum of what all calls of [`Observer::advance`] will report, if it becomes known on the way.
    fn total(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Whether to stop: the work then ends with [`crate::Error::Cancelled`] and leaves nothing behind.
    fn cancelled(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// How to write.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Options<'a> {
    /// Threads that read, hash and write. The bytes written do not depend on it.
    pub threads: NonZeroUsize,
    /// Compress the tar as a whole. Its length is then unknown until the end, so it is written front to back.
    /// Ignored for a directory.
    pub compression: Option<CompressionLevel>,
    /// Hears of progress.
    pub observer: &'a dyn Observer,
    /// Where contents of unknown length are kept until they are written. An output takes over what is in it
    /// already.
    pub spools: Option<&'a Spools>,
}

impl<'a> Options<'a> {
    /// The same options with this many threads.
    pub fn with_threads(self, threads: NonZeroUsize) -> Self {
        Options { threads, ..self }
    }

    /// The same options with this compression, or none.
    pub fn with_compression(self, compression: impl Into<Option<CompressionLevel>>) -> Self {
        Options { compression: compression.into(), ..self }
    }

    /// The same options with this place for contents of unknown length.
    pub fn with_spools(self, spools: &'a Spools) -> Self {
        Options { spools: Some(spools), ..self }
    }

    /// The same options with this observer.
    pub fn with_observer(self, observer: &'a dyn Observer) -> Self {
        Options { observer, ..self }
    }
}

impl Default for Options<'_> {
    /// A thread for each processor, no compression, no observer.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Options { threads, compression: None, observer: &(), spools: None }
    }
}
