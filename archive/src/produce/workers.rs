//! The threads that do the work.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use super::blocked::{self, Watch};
use super::pipeline::Piece;
use super::schedule::{Schedule, Task, ToHash};
use super::{Item, Outcome, Sink};
use crate::{Digest, Error, Hasher, Options};

/// Is called by any worker with an item that has ended, and what became of it.
pub(crate) type Ended<'a> = &'a (dyn Fn(usize, Result<Option<Digest>, Error>) + Sync);

/// What all workers share.
pub(super) struct Workers<'a> {
    pub(super) items: &'a [Item<'a>],
    pub(super) sink: Option<&'a dyn Sink>,
    pub(super) options: &'a Options<'a>,
    /// Called once for each item that ends.
    pub(super) ended: Option<Ended<'a>>,
    pub(super) schedule: Mutex<Schedule<'a>>,
    /// There may be something to do again, or nothing ever.
    pub(super) news: Condvar,
    /// The same for readers.
    pub(super) more_to_fill: Condvar,
}

/// Threads that only wait for a disk, when it turns out that one has to be waited for. More than this bring
/// nothing on solid-state disks (measured).
const READERS: usize = 16;
/// A reader opens files and copies bytes, nothing more.
const READER_STACK: usize = 512 << 10;
/// Buffers that there are with them, at least.
const READ_AHEAD: usize = 60;

/// Locks; a panic of another thread is reported where that thread is joined, not here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Workers<'a> {
    /// One worker: takes tasks until there are no more.
    pub(super) fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let _ending = Ending(self);
        let mut watch = Watch::default();
        let mut schedule = lock(&self.schedule);
        loop {
            if self.options.observer.cancelled() {
                schedule.cancelled = true;
                schedule.stop = true;
            }
            match schedule.take() {
                Task::End => return,
                Task::Wait => {
                    schedule.waiting += 1;
                    schedule = self.news.wait(schedule).unwrap_or_else(PoisonError::into_inner);
                    schedule.waiting -= 1;
                    // Nothing has changed: to wake the others now would be for nothing, and they would wake
                    // this one.
                    continue;
                }
                Task::Read(item, mut source, mut buffer) => {
                    drop(schedule);
                    let laid = source.read(&mut buffer);
                    schedule = lock(&self.schedule);
                    match schedule.was_read(item, source, buffer, laid) {
                        Some(mut to_fill) => {
                            // The source is free again, so others can go on with this item.
                            if schedule.waiting > 0 {
                                self.news.notify_all();
                            }
                            drop(schedule);
                            let result = watch.fill(&mut to_fill);
                            schedule = lock(&self.schedule);
                            schedule.was_filled(to_fill, result);
                            if watch.has_waited() {
                                watch = Watch::default();
                                self.start_readers(&mut schedule, scope);
                            }
                        }
                        None if schedule.readers_fill => self.more_to_fill.notify_one(),
                        None => {}
                    }
                }
                Task::Write(item, piece) => {
                    drop(schedule);
                    let result = self.write(item, &piece);
                    schedule = lock(&self.schedule);
                    schedule.was_written(item, piece, result);
                }
                Task::Hash(mut pieces) => {
                    drop(schedule);
                    let verdicts = self.hash(&mut pieces);
                    schedule = lock(&self.schedule);
                    for (piece, verdict) in pieces.into_iter().zip(verdicts) {
                        schedule.was_hashed(piece, verdict);
                    }
                }
            }
            if schedule.waiting > 0 {
                self.news.notify_all();
            }
            schedule = self.report(schedule);
        }
    }

    /// Passes on what became of the items that have ended.
    fn report<'g>(&'g self, mut schedule: MutexGuard<'g, Schedule<'a>>) -> MutexGuard<'g, Schedule<'a>> {
        let Some(ended) = self.ended.filter(|_| !schedule.ended.is_empty()) else { return schedule };
        let items = std::mem::take(&mut schedule.ended);
        let verdicts: Vec<_> =
            items.into_iter().map(|item| (item, schedule.verdicts[item].clone())).collect();
        drop(schedule);
        for (item, verdict) in verdicts {
            verdict.into_iter().for_each(|verdict| ended(item, verdict));
        }
        lock(&self.schedule)
    }

    /// Lets readers fill the gaps from now on, and starts them if there are none.
    fn start_readers<'scope>(&'scope self, schedule: &mut Schedule<'a>, scope: &'scope Scope<'scope, '_>) {
        if schedule.readers > 0 {
            schedule.readers_fill = true;
            return;
        }
        let reader = || thread::Builder::new().stack_size(READER_STACK);
        let start = || reader().spawn_scoped(scope, || self.read_ahead());
        let started = (0..READERS).take_while(|_| start().is_ok()).count();
        if started > 0 {
            schedule.add_readers(started, READ_AHEAD);
        }
    }

    /// One reader: fills gaps until there is nothing left to do.
    fn read_ahead(&self) {
        let _ending = Ending(self);
        let mut schedule = lock(&self.schedule);
        while !schedule.is_over() {
            let Some(mut to_fill) = schedule.take_gaps() else {
                schedule = self.more_to_fill.wait(schedule).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(schedule);
            let (result, waited) = blocked::fill(&mut to_fill);
            schedule = lock(&self.schedule);
            schedule.was_filled(to_fill, result);
            schedule.reader_has_filled(waited);
            if schedule.waiting > 0 {
                self.news.notify_all();
            }
            schedule = self.report(schedule);
        }
    }

    fn write(&self, item: usize, piece: &Piece) -> Result<(), Error> {
        let Some(sink) = self.sink else { return Ok(()) };
        sink.put(item, piece.filled.offset, piece.bytes())?;
        self.options.observer.advance(piece.bytes().len() as u64);
        Ok(())
    }

    /// Hashes one piece or two. For each that is the last of its item, the result has the digest, compared.
    fn hash(&self, pieces: &mut [ToHash]) -> Vec<Option<Result<Digest, Error>>> {
        if let [a, b] = pieces {
            Hasher::update_both((&mut a.hasher, a.piece.content()), (&mut b.hasher, b.piece.content()));
        } else {
            pieces.iter_mut().for_each(|one| one.hasher.update(one.piece.content()));
        }
        let verdict = |ToHash { item, hasher, piece }: &mut ToHash| {
            if self.sink.is_none() {
                self.options.observer.advance(piece.content().len() as u64);
            }
            piece.filled.last.then(|| self.items[*item].compare(std::mem::take(&mut **hasher).finish()))
        };
        pieces.iter_mut().map(verdict).collect()
    }

    /// What became of each item.
    pub(super) fn finish(self) -> Vec<Outcome> {
        let schedule = self.schedule.into_inner().unwrap_or_else(PoisonError::into_inner);
        let outcome = |verdict| match verdict {
            Some(Ok(digest)) => Outcome::Done(digest),
            Some(Err(error)) => Outcome::Failed(error),
            None if schedule.cancelled => Outcome::Failed(Error::Cancelled),
            None => Outcome::Unfinished,
        };
        schedule.verdicts.into_iter().map(outcome).collect()
    }
}

/// At the end of a worker, even by a panic: the others must not wait for it.
struct Ending<'a, 'b>(&'b Workers<'a>);

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.schedule).stop = true;
        }
        self.0.news.notify_all();
        self.0.more_to_fill.notify_all();
    }
}
