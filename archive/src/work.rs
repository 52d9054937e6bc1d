//! Produces contents: reads them, hashes them, and hands their bytes to an output, on several threads.
//!
//! Every buffer of a content passes three stages. Each is done by whichever worker is free, for a content in the order of
//! its bytes:
//!
//! ```text
//!          ┌─> hash   with a buffer of another content, where there is one: two take little longer than one
//! read ────┤
//!          └─> write  one at a time where all goes to one file or stream: nobody else can write to it meanwhile
//! ```
//!
//! There is a fixed number of buffers, so that memory does not depend on what is read.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::{Content, Digest, Error, Options};

mod crew;
mod lane;
mod state;

use crew::Crew;
use state::{State, Writers};

/// Content that a buffer takes. Small enough that what was just read is still in the processor's cache when it is hashed.
pub(crate) const BUFFER: usize = 256 << 10;

/// Workers that can do something for one content at the same time: read, hash and write.
const STAGES: usize = 3;

/// One entry to produce: its header, its content, its padding.
pub(crate) struct Job<'a> {
    /// For messages: the entry's path.
    pub(crate) entry: &'a str,
    /// Bytes before the content.
    pub(crate) head: Vec<u8>,
    pub(crate) content: Option<&'a dyn Content>,
    /// Zero bytes after the content, less than a block.
    pub(crate) padding: usize,
    /// Hash even where the content names no digest.
    pub(crate) hash: bool,
    /// Where the head begins in the output, if that is a file: buffers end where its pages do.
    pub(crate) start: u64,
}

impl<'a> Job<'a> {
    /// A content and nothing around it.
    pub(crate) fn bare(entry: &'a str, content: &'a dyn Content) -> Self {
        Job { entry, head: Vec::new(), content: Some(content), padding: 0, hash: false, start: 0 }
    }

    /// Bytes of content.
    fn len(&self) -> u64 {
        self.content.map_or(0, |content| content.len())
    }

    fn is_hashed(&self) -> bool {
        self.hash || self.content.is_some_and(|content| content.digest().is_some())
    }

    fn content_error(&self, source: std::io::Error) -> Error {
        Error::Content { entry: self.entry.to_owned(), source: Arc::new(source) }
    }
}

/// Where bytes go.
pub(crate) trait Sink: Sync {
    /// Takes bytes of a job, which follow those that it took of this job before.
    fn put(&self, job: usize, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Whether different jobs can be written at the same time, because each has a file of its own.
    fn side_by_side(&self) -> bool {
        false
    }
}

/// What a sink can take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Buffers of different jobs in turn, each in the order of its bytes: the largest jobs are begun first.
    Any,
    /// The jobs one after another. A content's last buffer comes only after the content has been compared with its digest, and a
    /// failure only after everything that precedes it.
    OfJobs,
}

/// Whether the first failure ends the work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Stop,
    GoOn,
}

/// What became of a job: its digest if it was hashed. `None` if it was never finished because another failed.
pub(crate) type Outcome = Option<Result<Option<Digest>, Error>>;

/// Produces all jobs; without a sink they are only read and hashed. The outcomes have the order of `jobs`.
pub(crate) fn run(
    jobs: &[Job<'_>],
    sink: Option<&dyn Sink>,
    order: Order,
    on_failure: OnFailure,
    options: &Options<'_>,
) -> Vec<Outcome> {
    let useful = match order {
        Order::Any => STAGES * jobs.len().max(1),
        Order::OfJobs => STAGES,
    };
    let workers = options.threads.get().min(useful);
    let state = Mutex::new(State::new(jobs, Writers::of(sink), order, on_failure, workers));
    let crew = Crew { jobs, sink, options, state, news: Condvar::new() };
    thread::scope(|scope| {
        for _ in 1..workers {
            // No more threads to be had: slower, not wrong.
            if thread::Builder::new().spawn_scoped(scope, || crew.work()).is_err() {
                break;
            }
        }
        crew.work();
    });
    crew.finish()
}

/// The first failure in the order of the jobs.
pub(crate) fn first_failure(outcomes: Vec<Outcome>) -> Result<(), Error> {
    let mut unfinished = None;
    for outcome in outcomes {
        match outcome {
            Some(Ok(_)) => {}
            None | Some(Err(Error::Cancelled)) => unfinished = Some(Error::Cancelled),
            Some(Err(error)) => return Err(error),
        }
    }
    unfinished.map_or(Ok(()), Err)
}

/// Locks; a panic of another thread is reported where that thread is joined, not here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until the buffer is full, the content ends, or `left` bytes have come.
fn fill(reader: &mut dyn Read, buffer: &mut [u8], left: u64) -> std::io::Result<usize> {
    let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    let mut n = 0;
    while n < want {
        match reader.read(&mut buffer[n..want]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}

/// Compares what was found with what the content's digest says.
fn verify(job: &Job<'_>, found: Digest) -> Result<Digest, Error> {
    match job.content.map(|content| (content, content.digest())) {
        Some((content, Some(expected))) if expected != found => {
            let entry = job.entry.to_owned();
            Err(Error::Mismatch { entry, expected, found, source: content.explain() })
        }
        _ => Ok(found),
    }
}
