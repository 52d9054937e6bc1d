//! Produces contents side by side, for outputs that take bytes in any order: each content is read by one thread, and
//! hashed by the same one or, when another has nothing to do, beside it.
//!
//! ```text
//! worker A   read ─ put ─ read ─ put ─ …          (the content's reader)
//!                 └> lane ┐      └> lane ┐
//! worker B                └ hash         └ hash   (a worker without a content of its own)
//! ```

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::pool::{Buffer, Pool, lock};
use crate::{Content, Digest, Error, Hasher, Options};

/// Buffers that may wait for a hasher per content before its reader hashes them itself.
const LANE: usize = 6;

/// One content to produce.
pub(crate) struct Job<'a> {
    /// For messages: the entry's path.
    pub(crate) entry: &'a str,
    pub(crate) content: &'a dyn Content,
    /// Hash even where the content names no digest.
    pub(crate) hash: bool,
}

/// Where bytes go. `put` is called from several threads, in order for one job.
pub(crate) trait Sink: Sync {
    fn put(&self, job: usize, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// All bytes of a job were put, and are right.
    fn done(&self, job: usize) -> Result<(), Error> {
        let _ = job;
        Ok(())
    }
}

/// Whether the first failure ends the work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Stop,
    GoOn,
}

/// What became of a job: its digest if it was hashed. `None` if it was never finished because another failed.
pub(crate) type Outcome = Option<Result<Option<Digest>, Error>>;

/// Produces all contents, the largest first. The outcomes have the order of `jobs`.
pub(crate) fn run(
    jobs: &[Job<'_>],
    sink: &dyn Sink,
    options: &Options<'_>,
    on_failure: OnFailure,
) -> Vec<Outcome> {
    let threads = options.threads.get();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].content.len()));
    let crew = Crew {
        jobs,
        sink,
        options,
        on_failure,
        pool: Pool::new(threads * 3 + LANE),
        order,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        idle: AtomicUsize::new(0),
        lanes: Mutex::new(Vec::new()),
        news: Condvar::new(),
        outcomes: jobs.iter().map(|_| Mutex::new(None)).collect(),
    };
    if threads == 1 {
        crew.work();
    } else {
        match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
            Ok(pool) => pool.scope(|scope| (0..threads).for_each(|_| scope.spawn(|_| crew.work()))),
            // No more threads to be had: slower, not wrong.
            Err(_) => crew.work(),
        }
    }
    crew.outcomes
        .into_iter()
        .map(|outcome| outcome.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

/// The first failure in the order of the jobs.
pub(crate) fn first_failure(outcomes: Vec<Outcome>) -> Result<(), Error> {
    let mut cancelled = None;
    for outcome in outcomes.into_iter().flatten() {
        match outcome {
            Ok(_) => {}
            Err(Error::Cancelled) => cancelled = Some(Error::Cancelled),
            Err(error) => return Err(error),
        }
    }
    cancelled.map_or(Ok(()), Err)
}

struct Crew<'a> {
    jobs: &'a [Job<'a>],
    sink: &'a dyn Sink,
    options: &'a Options<'a>,
    on_failure: OnFailure,
    pool: Pool,
    order: Vec<usize>,
    next: AtomicUsize,
    stop: AtomicBool,
    idle: AtomicUsize,
    lanes: Mutex<Vec<Arc<Lane>>>,
    news: Condvar,
    outcomes: Vec<Mutex<Outcome>>,
}

/// The bytes of one content on their way from its reader to a hasher, in order.
#[derive(Default)]
struct Lane {
    waiting: Mutex<VecDeque<(Buffer, usize)>>,
    hasher: Mutex<Hasher>,
}

impl Lane {
    /// Hashes what waits. Holding the hasher while taking from the queue is what keeps the order.
    fn drain(&self, hasher: &mut Hasher, pool: &Pool) {
        loop {
            let Some((buffer, len)) = lock(&self.waiting).pop_front() else { return };
            hasher.update(&buffer[..len]);
            pool.give(buffer);
        }
    }
}

impl Crew<'_> {
    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some(&index) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) else { break };
            let lane = Arc::new(Lane::default());
            lock(&self.lanes).push(lane.clone());
            let outcome =
                self.produce(index, &lane).and_then(|digest| self.sink.done(index).map(|()| digest));
            if outcome.is_err() && self.on_failure == OnFailure::Stop
                || matches!(outcome, Err(Error::Cancelled))
            {
                self.stop.store(true, Ordering::Relaxed);
            }
            *lock(&self.outcomes[index]) = Some(outcome);
            lock(&self.lanes).retain(|other| !Arc::ptr_eq(other, &lane));
            self.news.notify_all();
        }
        self.help();
    }

    /// Hashes for others until none is at work any more.
    fn help(&self) {
        let mut lanes = lock(&self.lanes);
        while !lanes.is_empty() {
            let busy =
                lanes.iter().find(|lane| !lock(&lane.waiting).is_empty() && lane.hasher.try_lock().is_ok());
            if let Some(lane) = busy.cloned() {
                drop(lanes);
                lane.drain(&mut lock(&lane.hasher), &self.pool);
                lanes = lock(&self.lanes);
            } else {
                self.idle.fetch_add(1, Ordering::Relaxed);
                lanes = self.news.wait(lanes).unwrap_or_else(PoisonError::into_inner);
                self.idle.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn produce(&self, index: usize, lane: &Lane) -> Result<Option<Digest>, Error> {
        let job = &self.jobs[index];
        let expected = job.content.digest();
        let hashed = job.hash || expected.is_some();
        let len = job.content.len();
        let content_error = |source| Error::Content { entry: job.entry.to_owned(), source };
        let mut reader = job.content.reader().map_err(content_error)?;
        let mut buffer = self.pool.take();
        let mut at = 0;
        let result = loop {
            if self.options.observer.cancelled() {
                break Err(Error::Cancelled);
            }
            if self.stop.load(Ordering::Relaxed) {
                break Err(Error::Cancelled);
            }
            let n = match fill(&mut reader, &mut buffer, len - at) {
                Ok(n) => n,
                Err(source) => break Err(content_error(source)),
            };
            if n == 0 {
                break check_end(&mut reader, job.entry, at, len);
            }
            if let Err(error) = self.sink.put(index, at, &buffer[..n]) {
                break Err(error);
            }
            at += n as u64;
            if hashed {
                buffer = self.hash(lane, buffer, n);
            }
            self.options.observer.advance(n as u64);
        };
        self.pool.give(buffer);
        let mut hasher = lock(&lane.hasher);
        lane.drain(&mut hasher, &self.pool);
        result?;
        if !hashed {
            return Ok(None);
        }
        let found = std::mem::take(&mut *hasher).finish();
        verify(job.entry, job.content, found).map(Some)
    }

    /// Has the buffer hashed, here or by a helper, and returns one to go on with.
    fn hash(&self, lane: &Lane, buffer: Buffer, len: usize) -> Buffer {
        let mut waiting = lock(&lane.waiting);
        if waiting.is_empty()
            && self.idle.load(Ordering::Relaxed) == 0
            && let Ok(mut hasher) = lane.hasher.try_lock()
        {
            drop(waiting);
            hasher.update(&buffer[..len]);
            return buffer;
        }
        waiting.push_back((buffer, len));
        let full = waiting.len() > LANE;
        drop(waiting);
        // Taking the lock makes sure that no helper is between its look at the lanes and its wait.
        drop(lock(&self.lanes));
        self.news.notify_one();
        if !full && let Some(buffer) = self.pool.try_take() {
            return buffer;
        }
        lane.drain(&mut lock(&lane.hasher), &self.pool);
        self.pool.take()
    }
}

/// Reads until the buffer is full, the content ends, or `left` bytes have come.
pub(crate) fn fill(reader: &mut dyn Read, buffer: &mut [u8], left: u64) -> std::io::Result<usize> {
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

/// After the last byte: neither too few nor too many.
pub(crate) fn check_end(reader: &mut dyn Read, entry: &str, at: u64, len: u64) -> Result<(), Error> {
    let error = |found| Err(Error::Length { entry: entry.to_owned(), expected: len, found });
    if at < len {
        return error(at);
    }
    match fill(reader, &mut [0], 1) {
        Ok(0) => Ok(()),
        Ok(_) => error(len + 1),
        Err(source) => Err(Error::Content { entry: entry.to_owned(), source }),
    }
}

/// Compares what was found with what the content's digest says.
pub(crate) fn verify(entry: &str, content: &dyn Content, found: Digest) -> Result<Digest, Error> {
    match content.digest() {
        Some(expected) if expected != found => {
            Err(Error::Mismatch { entry: entry.to_owned(), expected, found, source: content.explain() })
        }
        _ => Ok(found),
    }
}
