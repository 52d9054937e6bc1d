//! The workers.

use std::sync::{Condvar, Mutex, PoisonError};

use super::lane::Piece;
use super::state::{State, Task, ToHash};
use super::{Job, Outcome, Sink, lock, verify};
use crate::{Digest, Error, Hasher, Options};

pub(super) struct Crew<'a> {
    pub(super) jobs: &'a [Job<'a>],
    pub(super) sink: Option<&'a dyn Sink>,
    pub(super) options: &'a Options<'a>,
    pub(super) state: Mutex<State<'a>>,
    /// There is something to do again, or nothing at all.
    pub(super) news: Condvar,
}

impl<'a> Crew<'a> {
    /// Does what there is to do, until there is nothing more.
    pub(super) fn work(&self) {
        let _ending = Ending(self);
        let mut state = lock(&self.state);
        loop {
            if self.options.observer.cancelled() {
                state.cancelled = true;
                state.stop = true;
            }
            match state.take() {
                Task::End => return,
                Task::Wait => {
                    state.waiting += 1;
                    state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                    // Nothing has changed by that; telling the others would wake them for nothing, and they this one.
                    continue;
                }
                Task::Read(job, mut source, mut buffer) => {
                    drop(state);
                    let filled = source.read(&mut buffer);
                    state = lock(&self.state);
                    state.was_read(job, source, buffer, filled);
                }
                Task::Write(job, piece) => {
                    drop(state);
                    let result = self.write(job, &piece);
                    state = lock(&self.state);
                    state.was_written(job, piece, result);
                }
                Task::Hash(mut pieces) => {
                    drop(state);
                    let verdicts = self.hash(&mut pieces);
                    state = lock(&self.state);
                    for (piece, verdict) in pieces.into_iter().zip(verdicts) {
                        state.was_hashed(piece, verdict);
                    }
                }
            }
            if state.waiting > 0 {
                self.news.notify_all();
            }
        }
    }

    fn write(&self, job: usize, piece: &Piece) -> Result<(), Error> {
        let Some(sink) = self.sink else { return Ok(()) };
        sink.put(job, piece.filled.offset, piece.bytes())?;
        self.options.observer.advance(piece.bytes().len() as u64);
        Ok(())
    }

    /// Hashes one piece or two. Of each that is the last of its content: the digest, if it is the right one.
    fn hash(&self, pieces: &mut [ToHash]) -> Vec<Option<Result<Digest, Error>>> {
        if let [a, b] = pieces {
            Hasher::update_both((&mut a.hasher, a.piece.content()), (&mut b.hasher, b.piece.content()));
        } else {
            pieces.iter_mut().for_each(|one| one.hasher.update(one.piece.content()));
        }
        let verdict = |ToHash { job, hasher, piece }: &mut ToHash| {
            if self.sink.is_none() {
                self.options.observer.advance(piece.content().len() as u64);
            }
            piece.filled.last.then(|| verify(&self.jobs[*job], std::mem::take(&mut **hasher).finish()))
        };
        pieces.iter_mut().map(verdict).collect()
    }

    /// What became of each job.
    pub(super) fn finish(self) -> Vec<Outcome> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = state.outcomes;
        if state.cancelled {
            outcomes
                .iter_mut()
                .filter(|outcome| outcome.is_none())
                .for_each(|outcome| *outcome = Some(Err(Error::Cancelled)));
        }
        outcomes
    }
}

/// Nobody waits for a worker that panicked, nor for more to do once one has found that there is nothing.
struct Ending<'a, 'b>(&'b Crew<'a>);

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.state).stop = true;
        }
        self.0.news.notify_all();
    }
}
