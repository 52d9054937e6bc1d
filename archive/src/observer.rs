//! Who watches while a tree is written, and what can be chosen about the writing.

use std::num::NonZeroUsize;

use crate::Compression;

/// Told of progress, from any thread; asked whether to go on.
pub trait Observer: Sync {
    /// This many more bytes of the output are done.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Whether to stop: the write then ends with [`crate::Error::Cancelled`] and leaves nothing behind.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// How to write.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Threads that read, hash and write. The bytes written do not depend on it.
    pub threads: NonZeroUsize,
    /// Compress the tar as a whole. Its length is not known beforehand then, so it is written front to back. Has no
    /// meaning for a directory.
    pub compression: Option<Compression>,
    /// Who watches.
    pub observer: &'a dyn Observer,
}

impl Default for Options<'_> {
    /// A thread for each processor, no compression, nobody watching.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Options { threads, compression: None, observer: &Silent }
    }
}
