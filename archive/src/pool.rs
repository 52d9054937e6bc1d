//! A fixed number of buffers, handed round between readers, hashers and writers: the bound on memory.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Size of one buffer. Small enough that what was just read is still in the processor's cache when it is hashed.
pub(crate) const BUFFER: usize = 256 << 10;

pub(crate) type Buffer = Box<[u8]>;

/// Buffers that are made when first needed, never more than `limit`.
pub(crate) struct Pool {
    state: Mutex<(Vec<Buffer>, usize)>,
    returned: Condvar,
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Pool { state: Mutex::new((Vec::new(), limit)), returned: Condvar::new() }
    }

    /// A buffer, if one is free.
    pub(crate) fn try_take(&self) -> Option<Buffer> {
        Self::from_state(&mut lock(&self.state))
    }

    /// A buffer, as soon as one is free.
    pub(crate) fn take(&self) -> Buffer {
        let mut state = lock(&self.state);
        loop {
            if let Some(buffer) = Self::from_state(&mut state) {
                return buffer;
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn from_state((free, unmade): &mut (Vec<Buffer>, usize)) -> Option<Buffer> {
        free.pop().or_else(|| {
            *unmade = unmade.checked_sub(1)?;
            Some(vec![0; BUFFER].into_boxed_slice())
        })
    }

    pub(crate) fn give(&self, buffer: Buffer) {
        lock(&self.state).0.push(buffer);
        self.returned.notify_one();
    }
}

/// Locks; a panic of another thread is reported where that thread is joined, not here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
