//! What there is to do next: the state that all workers share, behind one lock.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;

use super::pipeline::{Piece, Pipeline};
use super::source::{Buffer, LaidOut, Source, buffer};
use super::{Item, Order, Sink};
use crate::{Digest, Error, Gaps, Hasher};

/// Buffers that an item may have between its stages while several are at work. One that has the others'
/// buffers to itself may have more.
const PER_ITEM: usize = 3;
/// Buffers when the items come one after another.
const AS_GIVEN: usize = 12;

/// After this many fills that did not wait in a row, the disk no longer has to be waited for.
const QUICK: usize = 16;

/// The digest of an item that is right, or why it failed.
type Verdict = Result<Option<Digest>, Error>;

/// What happens to the other items after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Stop,
    Continue,
}

/// Something for one worker.
pub(super) enum Task<'a> {
    Read(usize, Source<'a>, Buffer),
    Write(usize, Piece),
    /// The next buffer of one item, or of two.
    Hash(Vec<ToHash>),
    /// Others work; there may be more when they are done.
    Wait,
    /// There is nothing left.
    End,
}

/// A buffer that has been laid out, and what is missing in it.
pub(super) struct ToFill<'a> {
    item: usize,
    /// Of the piece.
    number: usize,
    content: Range<usize>,
    buffer: Buffer,
    gaps: Box<dyn Gaps + 'a>,
}

impl ToFill<'_> {
    /// Fills the gaps.
    pub(super) fn fill(&mut self) -> std::io::Result<()> {
        self.gaps.fill(&mut self.buffer[self.content.clone()])
    }
}

/// A buffer to hash.
pub(super) struct ToHash {
    pub(super) item: usize,
    pub(super) hasher: Box<Hasher>,
    pub(super) piece: Piece,
}

/// How many workers may write at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    /// None: there is no sink.
    None,
    One,
    /// One for each item.
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

pub(super) struct Schedule<'a> {
    items: &'a [Item<'a>],
    writers: Writers,
    order: Order,
    on_failure: OnFailure,
    /// Items that have not begun, the next one first.
    next: VecDeque<usize>,
    /// Items at work, in the order in which they began.
    active: Vec<Pipeline<'a>>,
    /// How many may be.
    active_limit: usize,
    free: Vec<Buffer>,
    /// Buffers that may still be made.
    unmade: usize,
    /// All of them.
    buffers: usize,
    /// Threads that do nothing but fill gaps.
    pub(super) readers: usize,
    /// Whether they do. If not, the workers fill gaps themselves.
    pub(super) readers_fill: bool,
    /// How many of their last fills did not wait for anything.
    quick: usize,
    /// What the readers are to fill, in the order in which it was laid out.
    to_fill: VecDeque<ToFill<'a>>,
    writing: bool,
    pub(super) stop: bool,
    pub(super) cancelled: bool,
    /// Of each item; `None` until it ends.
    pub(super) verdicts: Vec<Option<Verdict>>,
    /// Items that have ended and have not been reported yet.
    pub(super) ended: Vec<usize>,
    /// Workers that wait for something to do.
    pub(super) waiting: usize,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(
        items: &'a [Item<'a>],
        writers: Writers,
        order: Order,
        on_failure: OnFailure,
        workers: usize,
    ) -> Self {
        let mut next: Vec<usize> = (0..items.len()).collect();
        // Two for each worker, so that there is always a pair to hash.
        let (active_limit, buffers) = match order {
            Order::Any => {
                next.sort_by_key(|&item| Reverse(items[item].content_len()));
                (2 * workers, 2 * workers * PER_ITEM)
            }
            Order::AsGiven => (usize::MAX, AS_GIVEN),
        };
        Schedule {
            items,
            writers,
            order,
            on_failure,
            next: next.into(),
            active: Vec::new(),
            active_limit,
            free: Vec::new(),
            unmade: buffers,
            buffers,
            readers: 0,
            readers_fill: false,
            quick: 0,
            to_fill: VecDeque::new(),
            writing: false,
            stop: false,
            cancelled: false,
            verdicts: items.iter().map(|_| None).collect(),
            ended: Vec::new(),
            waiting: 0,
        }
    }

    /// Takes the next thing to do.
    ///
    /// Writing comes first, since often only one worker can do that; then hashing of two at once; reading,
    /// which may bring a second buffer to hash; hashing of one. With [`Order::AsGiven`] there is rarely a
    /// second, and hashing takes longest: it never waits for reading.
    pub(super) fn take(&mut self) -> Task<'a> {
        if self.is_over() {
            return Task::End;
        }
        if let Some(task) = self.write() {
            return task;
        }
        let ready: Vec<usize> =
            (0..self.active.len()).filter(|&at| self.active[at].to_hash().is_some()).take(2).collect();
        if ready.len() == 2 || self.order == Order::AsGiven && !ready.is_empty() {
            return self.hash(&ready);
        }
        if let Some(task) = self.read() {
            return task;
        }
        if ready.is_empty() { Task::Wait } else { self.hash(&ready) }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.stop || self.active.is_empty() && self.next.is_empty()
    }

    /// What a reader fills next.
    pub(super) fn take_gaps(&mut self) -> Option<ToFill<'a>> {
        self.to_fill.pop_front()
    }

    /// There are readers now, and at least so many buffers.
    pub(super) fn add_readers(&mut self, readers: usize, buffers: usize) {
        self.readers = readers;
        self.readers_fill = true;
        self.unmade += buffers.saturating_sub(self.buffers);
        self.buffers = self.buffers.max(buffers);
    }

    fn write(&mut self) -> Option<Task<'a>> {
        if self.writing && self.writers == Writers::One {
            return None;
        }
        let (writable, checked) = match self.order {
            Order::Any => (self.active.len(), false),
            Order::AsGiven => (1, true),
        };
        let pipeline =
            self.active.iter_mut().take(writable).find(|pipeline| pipeline.to_write(checked).is_some())?;
        let piece = pipeline.to_write(checked)?.clone();
        pipeline.writing = true;
        self.writing = true;
        Some(Task::Write(pipeline.item, piece))
    }

    fn hash(&mut self, ready: &[usize]) -> Task<'a> {
        let to_hash = |&at: &usize| {
            let pipeline = &mut self.active[at];
            let piece = pipeline.to_hash()?.clone();
            Some(ToHash { item: pipeline.item, hasher: pipeline.hasher.take()?, piece })
        };
        Task::Hash(ready.iter().filter_map(to_hash).collect())
    }

    fn read(&mut self) -> Option<Task<'a>> {
        if self.free.is_empty() && self.unmade == 0 {
            return None;
        }
        let share = PER_ITEM.max(self.buffers / self.active.len().max(1));
        let mut open = self.active.iter().enumerate().filter(|(_, pipeline)| !pipeline.read_to_end);
        let open = match self.order {
            // What has most left, so that all end together.
            Order::Any => open
                .filter(|(_, pipeline)| pipeline.waiting() < share)
                .filter_map(|(at, pipeline)| Some((at, pipeline.source.as_ref()?.left())))
                .max_by_key(|&(at, left)| (left, Reverse(at)))
                .map(|(at, _)| at),
            Order::AsGiven => match open.next_back() {
                Some((at, pipeline)) if pipeline.source.is_some() => Some(at),
                Some(_) => return None,
                None => None,
            },
        };
        let at = match open {
            // A new one, while there are not enough.
            _ if self.order == Order::Any
                && self.active.len() < self.active_limit
                && !self.next.is_empty() =>
            {
                self.begin()?
            }
            Some(at) => at,
            None if self.order == Order::AsGiven => self.begin()?,
            None => return None,
        };
        let pipeline = &mut self.active[at];
        let source = pipeline.source.take()?;
        let buffer = self.free.pop().unwrap_or_else(|| {
            self.unmade -= 1;
            buffer()
        });
        Some(Task::Read(pipeline.item, source, buffer))
    }

    /// Begins the next item; returns its place in `active`.
    fn begin(&mut self) -> Option<usize> {
        let item = self.next.pop_front()?;
        self.active.push(Pipeline::new(item, &self.items[item], self.writers != Writers::None));
        Some(self.active.len() - 1)
    }

    fn pipeline(&mut self, item: usize) -> Option<&mut Pipeline<'a>> {
        self.active.iter_mut().find(|pipeline| pipeline.item == item)
    }

    /// Takes a buffer back that was read. If it was only laid out, returns what is to be filled: the caller
    /// does that, unless there are readers.
    pub(super) fn was_read(
        &mut self,
        item: usize,
        source: Source<'a>,
        buffer: Buffer,
        laid: Result<LaidOut<'a>, Error>,
    ) -> Option<ToFill<'a>> {
        let mut to_fill = None;
        match (self.pipeline(item).filter(|pipeline| !pipeline.has_failed()), laid) {
            (Some(pipeline), Ok(LaidOut { filled, gaps })) => {
                pipeline.source = (!filled.last).then_some(source);
                match gaps {
                    None => pipeline.push(filled, buffer),
                    Some(gaps) => {
                        let content = filled.content.clone();
                        let number = pipeline.push_laid(filled);
                        to_fill = Some(ToFill { item, number, content, buffer, gaps });
                    }
                }
            }
            (Some(pipeline), Err(error)) => {
                pipeline.push_failure(error);
                self.free.push(buffer);
            }
            (None, _) => self.free.push(buffer),
        }
        self.settle(item);
        if self.readers_fill {
            self.to_fill.extend(to_fill.take());
        }
        to_fill
    }

    /// A reader is done with a buffer. If none has waited for a while, the workers go on without readers.
    pub(super) fn reader_has_filled(&mut self, waited: bool) {
        self.quick = if waited { 0 } else { self.quick + 1 };
        if self.quick == QUICK {
            self.readers_fill = false;
            self.quick = 0;
        }
    }

    /// Takes a buffer back whose gaps were filled, or could not be.
    pub(super) fn was_filled(&mut self, filled: ToFill<'a>, result: std::io::Result<()>) {
        let ToFill { item, number, buffer, .. } = filled;
        let result = result.map_err(|source| self.items[item].read_error(source));
        match self.pipeline(item) {
            Some(pipeline) => {
                let free = pipeline.was_filled(number, buffer, result);
                self.free.extend(free);
            }
            None => self.free.push(buffer),
        }
        self.settle(item);
    }

    pub(super) fn was_written(&mut self, item: usize, piece: Piece, result: Result<(), Error>) {
        self.writing = false;
        self.give(piece);
        if let Some(pipeline) = self.pipeline(item) {
            pipeline.was_written();
            if let Err(error) = result {
                pipeline.closed = true;
                pipeline.verdict = Some(Err(error));
            }
            self.settle(item);
        }
    }

    pub(super) fn was_hashed(&mut self, hashed: ToHash, verdict: Option<Result<Digest, Error>>) {
        let ToHash { item, hasher, piece } = hashed;
        self.give(piece);
        if let Some(pipeline) = self.pipeline(item) {
            pipeline.hasher = Some(hasher);
            pipeline.was_hashed();
            // A failure to write may have come before.
            pipeline.verdict = pipeline.verdict.take().or(verdict.map(|verdict| verdict.map(Some)));
            self.settle(item);
        }
    }

    /// A worker is done with a piece. If its item has ended meanwhile, that was the last handle.
    fn give(&mut self, piece: Piece) {
        self.free.extend(piece.into_buffer());
    }

    /// Takes back the buffers that have passed all stages, and ends items that have.
    fn settle(&mut self, item: usize) {
        if let Some(place) = self.active.iter().position(|pipeline| pipeline.item == item) {
            self.free.extend(self.active[place].fail_if_due());
            while let Some(buffer) = self.active[place].pop() {
                self.free.push(buffer);
            }
        }
        loop {
            let done = match self.order {
                Order::Any => {
                    self.active.iter().position(|pipeline| pipeline.item == item && pipeline.is_done(false))
                }
                Order::AsGiven => self.active.first().filter(|pipeline| pipeline.is_done(true)).map(|_| 0),
            };
            let Some(place) = done else { return };
            let mut ended = self.active.remove(place);
            let verdict = ended.verdict.take();
            self.stop |= matches!(verdict, Some(Err(_))) && self.on_failure == OnFailure::Stop;
            self.verdicts[ended.item] = verdict;
            self.ended.push(ended.item);
            self.free.extend(ended.into_buffers());
        }
    }
}
