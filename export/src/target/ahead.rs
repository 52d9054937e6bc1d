//! Puts layers while others are still being compressed.
//!
//! ```text
//! prepare   layer 1 │ layer 2          │ layer 3 │ documents
//! ahead             │ put layer 1 │      put layer 2 │ ...      push: what is left, manifests, names
//! ```

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use layerlift_archive::{Observer, Options};

use super::{Target, put};
use crate::bundle::Blob;
use crate::{Error, Ready};

/// Blobs on their way at once, at most. They wait for the other side more than they compute.
const AT_ONCE: usize = 4;

/// How [`put_ahead`] behaves.
pub struct Ahead<'a> {
    /// Where a blob goes; `None` leaves it to [`super::push`].
    pub place: &'a (dyn Fn(&Blob) -> Option<&'a dyn Target> + Sync),
    /// Whether the work goes on after a blob could not be put. [`super::push`] then tries that and the rest.
    pub keep_going: bool,
    /// The work is done, and so many bytes of blobs are still on their way: the observer hears of them now.
    pub left: &'a (dyn Fn(u64) + Sync),
}

/// Does the work, which is to hand blobs over as they become ready ([`crate::Plan::with_ready`]), and puts
/// them meanwhile. What is on its way at the end of the work is waited for; what has not begun by then is
/// left to [`super::push`], which finds out what is there.
///
/// # Errors
///
/// That of the work, or without [`Ahead::keep_going`] the first blob's that could not be put, which ends the
/// work.
pub fn put_ahead<T>(
    ahead: &Ahead<'_>,
    options: &Options<'_>,
    work: impl FnOnce(Ready, &Options<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let queue = Arc::new(Queue::default());
    let (hears, counter) = (queue.clone(), Counter::new(options.observer));
    let ready = Ready::new(move |blob| hears.add(blob.clone()));
    let each = options.with_threads(NonZeroUsize::MIN).with_observer(&counter);
    let working = Working { observer: options.observer, queue: &queue };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(blob) = queue.next() {
                    let Some(target) = (ahead.place)(&blob) else { continue };
                    counter.begin(&blob);
                    if let Err(error) = put(&blob, target, &each) {
                        queue.fail(error, !ahead.keep_going);
                    }
                }
            });
        }
        // Also where the work panics: nobody waits for more.
        let ending = Ending(&queue);
        let done = work(ready, &options.with_observer(&working));
        drop(ending);
        let left = counter.left();
        if done.is_ok() && left > 0 {
            (ahead.left)(left);
        }
        done
    })
    .and_then(|done| queue.failure().map_or(Ok(done), Err))
    .map_err(|error| match error.is_cancelled() {
        true => queue.failure().unwrap_or(error),
        false => error,
    })
}

/// Blobs that are ready, and what became of others.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    blobs: VecDeque<Blob>,
    ended: bool,
    /// What ends the work.
    failure: Option<Error>,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, blob: Blob) {
        self.state().blobs.push_back(blob);
        self.news.notify_one();
    }

    /// Waits for the next blob; `None` at the end of the work, or after a failure.
    fn next(&self) -> Option<Blob> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            if let Some(blob) = state.blobs.pop_front() {
                return Some(blob);
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// After a failure nothing more is put, and perhaps the work ends.
    fn fail(&self, error: Error, ends_work: bool) {
        let mut state = self.state();
        state.ended = true;
        if ends_work {
            state.failure.get_or_insert(error);
        }
        drop(state);
        self.news.notify_all();
    }

    fn failure(&self) -> Option<Error> {
        self.state().failure.clone()
    }
}

/// Ends the waiting.
struct Ending<'q>(&'q Queue);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.news.notify_all();
    }
}

/// The observer of the work.
struct Working<'a> {
    observer: &'a dyn Observer,
    queue: &'a Queue,
}

impl Observer for Working<'_> {
    fn advance(&self, bytes: u64) {
        self.observer.advance(bytes);
    }

    fn total(&self, bytes: u64) {
        self.observer.total(bytes);
    }

    fn cancelled(&self) -> bool {
        self.observer.cancelled() || self.queue.state().failure.is_some()
    }
}

/// The observer of blobs on their way. It passes their bytes on once the work is done.
struct Counter<'a> {
    observer: &'a dyn Observer,
    begun: AtomicU64,
    advanced: AtomicU64,
    passes_on: AtomicBool,
}

impl<'a> Counter<'a> {
    fn new(observer: &'a dyn Observer) -> Self {
        Counter {
            observer,
            begun: AtomicU64::new(0),
            advanced: AtomicU64::new(0),
            passes_on: AtomicBool::new(false),
        }
    }

    fn begin(&self, blob: &Blob) {
        let len = blob.content.as_ref().map_or(0, |content| content.len());
        self.begun.fetch_add(len, Ordering::Relaxed);
    }

    /// Bytes that are on their way, and are passed on from now on.
    fn left(&self) -> u64 {
        self.passes_on.store(true, Ordering::Relaxed);
        self.begun.load(Ordering::Relaxed).saturating_sub(self.advanced.load(Ordering::Relaxed))
    }
}

impl Observer for Counter<'_> {
    fn advance(&self, bytes: u64) {
        self.advanced.fetch_add(bytes, Ordering::Relaxed);
        if self.passes_on.load(Ordering::Relaxed) {
            self.observer.advance(bytes);
        }
    }

    fn cancelled(&self) -> bool {
        self.observer.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use layerlift_archive::{Bytes, Content, Digest, Error as ArchiveError};

    use super::*;
    use crate::bundle::{Descriptor, Root};

    /// Takes blobs, or refuses those of one length.
    #[derive(Default)]
    struct Taken {
        digests: Mutex<Vec<Digest>>,
        refused: Option<u64>,
    }

    impl Target for Taken {
        fn has(&self, _: &Descriptor, _: &Options<'_>) -> Result<bool, Error> {
            Ok(false)
        }

        fn put(&self, blob: &Descriptor, content: &dyn Content, options: &Options<'_>) -> Result<(), Error> {
            if self.refused == Some(content.len()) {
                return Err(Error::LeftOut { digest: blob.digest });
            }
            options.observer.advance(content.len());
            self.digests.lock().unwrap().push(blob.digest);
            Ok(())
        }

        fn tag(&self, _: &[Root]) -> Result<(), Error> {
            Ok(())
        }
    }

    fn blob(len: usize) -> Blob {
        let bytes = vec![0; len];
        Blob::new(
            Descriptor::new("x", Digest::of(&bytes), len as u64),
            Some(Arc::new(Bytes(bytes)) as Arc<_>),
        )
    }

    fn run(target: &Taken, keep_going: bool) -> Result<u32, Error> {
        let place = |_: &Blob| Some(target as &dyn Target);
        let ahead = Ahead { place: &place, keep_going, left: &|_| {} };
        put_ahead(&ahead, &Options::default(), |ready, options| {
            (1..=3).for_each(|len| ready.hear(&blob(len)));
            // As work does, it looks now and then whether it should stop.
            while target.digests.lock().unwrap().len() < 3 && !keep_going {
                if options.observer.cancelled() {
                    return Err(ArchiveError::Cancelled.into());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(7)
        })
    }

    #[test]
    fn while_the_work_goes_on() {
        let target = Taken::default();
        assert_eq!(run(&target, false).unwrap(), 7);
        assert_eq!(target.digests.lock().unwrap().len(), 3);
    }

    #[test]
    fn a_refusal_ends_the_work_unless_it_is_to_go_on() {
        let refusing = || Taken { refused: Some(2), ..Taken::default() };
        let error = run(&refusing(), false).unwrap_err();
        assert!(matches!(error, Error::LeftOut { digest } if digest == blob(2).descriptor.digest));
        assert_eq!(run(&refusing(), true).unwrap(), 7);
    }
}
