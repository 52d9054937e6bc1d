//! What there is to do next: the part of the work that all workers share, behind one lock.

use std::collections::VecDeque;

use super::lane::{Buffer, Filled, Lane, Piece, Source, buffer};
use super::{Job, OnFailure, Order, Outcome, Sink};
use crate::{Digest, Error, Hasher};

/// Buffers that a job may have between its stages where several are at work.
const PER_LANE: usize = 3;
/// Buffers where the jobs come one after another.
const IN_ORDER: usize = 12;

/// Something for one worker.
pub(super) enum Task<'a> {
    Read(usize, Source<'a>, Buffer),
    Write(usize, Piece),
    /// One content's next buffer, or those of two.
    Hash(Vec<ToHash>),
    /// Others are at it; there may be more when they are done.
    Wait,
    /// There is nothing more.
    End,
}

/// A buffer to hash.
pub(super) struct ToHash {
    pub(super) job: usize,
    pub(super) hasher: Box<Hasher>,
    pub(super) piece: Piece,
}

/// How many workers may write at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    /// None: there is no output.
    None,
    One,
    /// One for each job.
    Each,
}

impl Writers {
    pub(super) fn of(sink: Option<&dyn Sink>) -> Self {
        match sink {
            None => Writers::None,
            Some(sink) if sink.side_by_side() => Writers::Each,
            Some(_) => Writers::One,
        }
    }
}

pub(super) struct State<'a> {
    jobs: &'a [Job<'a>],
    writers: Writers,
    order: Order,
    on_failure: OnFailure,
    /// Jobs that were not begun, the next first.
    next: VecDeque<usize>,
    /// Jobs at work, in the order of their beginning.
    lanes: Vec<Lane<'a>>,
    most_lanes: usize,
    free: Vec<Buffer>,
    /// Buffers that may still be made.
    unmade: usize,
    writing: bool,
    pub(super) stop: bool,
    pub(super) cancelled: bool,
    pub(super) outcomes: Vec<Outcome>,
    /// Workers that wait for something to do.
    pub(super) waiting: usize,
}

impl<'a> State<'a> {
    pub(super) fn new(
        jobs: &'a [Job<'a>],
        writers: Writers,
        order: Order,
        on_failure: OnFailure,
        workers: usize,
    ) -> Self {
        let mut next: Vec<usize> = (0..jobs.len()).collect();
        // Two for each worker, so that there is always a pair to hash.
        let (most_lanes, buffers) = match order {
            Order::Any => {
                next.sort_by_key(|&job| std::cmp::Reverse(jobs[job].len()));
                (2 * workers, 2 * workers * PER_LANE)
            }
            Order::OfJobs => (usize::MAX, IN_ORDER),
        };
        State {
            jobs,
            writers,
            order,
            on_failure,
            next: next.into(),
            lanes: Vec::new(),
            most_lanes,
            free: Vec::new(),
            unmade: buffers,
            writing: false,
            stop: false,
            cancelled: false,
            outcomes: jobs.iter().map(|_| None).collect(),
            waiting: 0,
        }
    }

    /// Takes the next thing to do. Writing comes first, since often only one worker can do that; then hashing of two at once;
    /// reading, which may bring a second buffer to hash; hashing of one. Where jobs have an order there is rarely a second, and hashing is
    /// what takes longest: it never waits for reading.
    pub(super) fn take(&mut self) -> Task<'a> {
        if self.stop || self.lanes.is_empty() && self.next.is_empty() {
            return Task::End;
        }
        if let Some(task) = self.write() {
            return task;
        }
        let ready: Vec<usize> =
            (0..self.lanes.len()).filter(|&lane| self.lanes[lane].to_hash().is_some()).take(2).collect();
        if ready.len() == 2 || self.order == Order::OfJobs && !ready.is_empty() {
            return self.hash(&ready);
        }
        if let Some(task) = self.read() {
            return task;
        }
        if ready.is_empty() { Task::Wait } else { self.hash(&ready) }
    }

    fn write(&mut self) -> Option<Task<'a>> {
        if self.writing && self.writers == Writers::One {
            return None;
        }
        let (lanes, checked) = match self.order {
            Order::Any => (self.lanes.len(), false),
            Order::OfJobs => (1, true),
        };
        let lane = self.lanes.iter_mut().take(lanes).find(|lane| lane.to_write(checked).is_some())?;
        let piece = lane.to_write(checked)?.clone();
        lane.writing = true;
        self.writing = true;
        Some(Task::Write(lane.job, piece))
    }

    fn hash(&mut self, lanes: &[usize]) -> Task<'a> {
        let of = |&lane: &usize| {
            let lane = &mut self.lanes[lane];
            let piece = lane.to_hash()?.clone();
            Some(ToHash { job: lane.job, hasher: lane.hasher.take()?, piece })
        };
        Task::Hash(lanes.iter().filter_map(of).collect())
    }

    fn read(&mut self) -> Option<Task<'a>> {
        if self.free.is_empty() && self.unmade == 0 {
            return None;
        }
        let mut open = self.lanes.iter().enumerate().filter(|(_, lane)| !lane.read_to_end);
        let lane = match self.order {
            // What has most left, so that all end together.
            Order::Any => open
                .filter(|(_, lane)| lane.waiting() < PER_LANE)
                .filter_map(|(number, lane)| Some((number, lane.source.as_ref()?.left())))
                .max_by_key(|&(number, left)| (left, std::cmp::Reverse(number)))
                .map(|(number, _)| number),
            Order::OfJobs => match open.next_back() {
                Some((number, lane)) if lane.source.is_some() => Some(number),
                Some(_) => return None,
                None => None,
            },
        };
        let lane = match lane {
            // A new one, as long as there are not enough.
            _ if self.order == Order::Any && self.lanes.len() < self.most_lanes && !self.next.is_empty() => {
                self.begin()?
            }
            Some(lane) => lane,
            None if self.order == Order::OfJobs => self.begin()?,
            None => return None,
        };
        let lane = &mut self.lanes[lane];
        let source = lane.source.take()?;
        let buffer = self.free.pop().unwrap_or_else(|| {
            self.unmade -= 1;
            buffer()
        });
        Some(Task::Read(lane.job, source, buffer))
    }

    /// Begins the next job; returns its lane.
    fn begin(&mut self) -> Option<usize> {
        let job = self.next.pop_front()?;
        self.lanes.push(Lane::new(job, &self.jobs[job], self.writers != Writers::None));
        Some(self.lanes.len() - 1)
    }

    fn lane(&mut self, job: usize) -> Option<&mut Lane<'a>> {
        self.lanes.iter_mut().find(|lane| lane.job == job)
    }

    pub(super) fn was_read(
        &mut self,
        job: usize,
        source: Source<'a>,
        buffer: Buffer,
        filled: Result<Filled, Error>,
    ) {
        match (self.lane(job), filled) {
            (Some(lane), Ok(filled)) => {
                lane.source = (!filled.last).then_some(source);
                lane.push(filled, buffer);
            }
            (Some(lane), Err(error)) => {
                lane.verdict = Some(Err(error));
                self.free.push(buffer);
            }
            (None, _) => self.free.push(buffer),
        }
        self.settle(job);
    }

    pub(super) fn was_written(&mut self, job: usize, piece: Piece, result: Result<(), Error>) {
        self.writing = false;
        self.give(piece);
        if let Some(lane) = self.lane(job) {
            lane.was_written();
            if let Err(error) = result {
                lane.closed = true;
                lane.verdict = Some(Err(error));
            }
            self.settle(job);
        }
    }

    pub(super) fn was_hashed(&mut self, hashed: ToHash, verdict: Option<Result<Digest, Error>>) {
        let ToHash { job, hasher, piece } = hashed;
        self.give(piece);
        if let Some(lane) = self.lane(job) {
            lane.hasher = Some(hasher);
            lane.was_hashed();
            // A failure to write may have come before.
            lane.verdict = lane.verdict.take().or(verdict.map(|verdict| verdict.map(Some)));
            self.settle(job);
        }
    }

    /// A worker is done with a piece. Where its job has ended meanwhile, that was the last handle.
    fn give(&mut self, piece: Piece) {
        self.free.extend(piece.into_buffer());
    }

    /// Takes back buffers that are through, and ends jobs that are.
    fn settle(&mut self, job: usize) {
        if let Some(place) = self.lanes.iter().position(|lane| lane.job == job) {
            while let Some(buffer) = self.lanes[place].pop() {
                self.free.push(buffer);
            }
        }
        loop {
            let done = match self.order {
                Order::Any => self.lanes.iter().position(|lane| lane.job == job && lane.is_done(false)),
                Order::OfJobs => self.lanes.first().filter(|lane| lane.is_done(true)).map(|_| 0),
            };
            let Some(place) = done else { return };
            let mut lane = self.lanes.remove(place);
            let outcome = lane.verdict.take();
            self.stop |= matches!(outcome, Some(Err(_))) && self.on_failure == OnFailure::Stop;
            self.outcomes[lane.job] = outcome;
            self.free.extend(lane.into_buffers());
        }
    }
}
