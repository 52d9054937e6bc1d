//! A job at work: where its reader is, and the buffers between the stages.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use super::{BUFFER, Job, fill};
use crate::header::BLOCK;
use crate::{Digest, Error, Hasher};

/// Pages of files: a write of whole pages is cheaper than one that begins or ends within one.
const PAGE: u64 = 4096;

pub(super) type Buffer = Box<[u8]>;

/// An empty buffer, with room for padding behind a full one's content.
pub(super) fn buffer() -> Buffer {
    vec![0; BUFFER + BLOCK as usize].into_boxed_slice()
}

/// What a buffer was filled with.
#[derive(Clone)]
pub(super) struct Filled {
    /// Where its first byte belongs, counted from the job's.
    pub(super) offset: u64,
    /// Bytes of header, content and padding.
    len: usize,
    /// The content among them.
    content: Range<usize>,
    /// The job ends here.
    pub(super) last: bool,
}

/// A filled buffer. It is shared while it is hashed and written at the same time.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) filled: Filled,
    buffer: Arc<Buffer>,
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled.len]
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.buffer[self.filled.content.clone()]
    }

    /// The buffer, if nobody else has it.
    pub(super) fn into_buffer(self) -> Option<Buffer> {
        Arc::into_inner(self.buffer)
    }
}

/// The reading end of a job.
pub(super) struct Source<'a> {
    job: &'a Job<'a>,
    reader: Option<Box<dyn Read + Send + 'a>>,
    /// What was read, head and content.
    at: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(job: &'a Job<'a>) -> Self {
        Source { job, reader: None, at: 0 }
    }

    /// Bytes of content that are left.
    pub(super) fn left(&self) -> u64 {
        self.job.len() - self.at.saturating_sub(self.job.head.len() as u64)
    }

    /// Reads as much as goes into the buffer. Opens the content first.
    pub(super) fn read(&mut self, buffer: &mut Buffer) -> Result<Filled, Error> {
        let job = self.job;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(match job.content {
                Some(content) => content.raw_reader().map_err(|source| job.content_error(source))?,
                None => Box::new(io::empty()),
            }),
        };
        let offset = self.at;
        let room = BUFFER - ((job.start + offset) % PAGE) as usize;
        let head = usize::try_from(self.at).ok().and_then(|at| job.head.get(at..)).unwrap_or_default();
        let head = &head[..head.len().min(room)];
        buffer[..head.len()].copy_from_slice(head);
        self.at += head.len() as u64;
        let mut last = false;
        let mut len = head.len();
        if self.at >= job.head.len() as u64 {
            let left = job.len() - (self.at - job.head.len() as u64);
            let read = fill(&mut **reader, &mut buffer[len..room], left)
                .map_err(|source| job.content_error(source))?;
            self.at += read as u64;
            last = read as u64 == left || read < room - len;
            if last {
                check_end(&mut **reader, job, job.len() - left + read as u64)?;
            }
            len += read;
        }
        let content = head.len()..len;
        if last {
            buffer[len..len + job.padding].fill(0);
            len += job.padding;
        }
        Ok(Filled { offset, len, content, last })
    }
}

/// After the last byte: neither too few nor too many.
fn check_end(reader: &mut dyn Read, job: &Job<'_>, at: u64) -> Result<(), Error> {
    let error = |found| Err(Error::Length { entry: job.entry.to_owned(), expected: job.len(), found });
    if at < job.len() {
        return error(at);
    }
    match fill(reader, &mut [0], 1) {
        Ok(0) => Ok(()),
        Ok(_) => error(at + 1),
        Err(source) => Err(job.content_error(source)),
    }
}

/// A job between its first read and its end.
pub(super) struct Lane<'a> {
    pub(super) job: usize,
    /// `None` while a worker reads, and after the end.
    pub(super) source: Option<Source<'a>>,
    /// `None` while a worker hashes, and where nothing is to be hashed.
    pub(super) hasher: Option<Box<Hasher>>,
    /// Whether a worker writes.
    pub(super) writing: bool,
    /// What has been read and not passed both other stages.
    pieces: VecDeque<Piece>,
    /// How many of them are hashed, and how many written.
    hashed: usize,
    written: usize,
    hashes: bool,
    writes: bool,
    pub(super) read_to_end: bool,
    /// Nothing more can be written.
    pub(super) closed: bool,
    /// What it hashed to, when that is compared; or why it failed.
    pub(super) verdict: Option<Result<Option<Digest>, Error>>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(number: usize, job: &'a Job<'a>, writes: bool) -> Self {
        let hashes = job.is_hashed();
        Lane {
            job: number,
            source: Some(Source::new(job)),
            hasher: hashes.then(Box::default),
            writing: false,
            pieces: VecDeque::new(),
            hashed: 0,
            written: 0,
            hashes,
            writes,
            read_to_end: false,
            closed: false,
            verdict: None,
        }
    }

    /// How many buffers it has.
    pub(super) fn waiting(&self) -> usize {
        self.pieces.len()
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, filled: Filled, buffer: Buffer) {
        self.read_to_end = filled.last;
        if filled.last && !self.hashes {
            self.verdict = Some(Ok(None));
        }
        self.pieces.push_back(Piece { filled, buffer: Arc::new(buffer) });
    }

    /// What can be hashed now.
    pub(super) fn to_hash(&self) -> Option<&Piece> {
        self.hasher.as_ref().and_then(|_| self.pieces.get(self.hashed))
    }

    /// What can be written now; of something that is `checked` the last only when it is known to be right.
    pub(super) fn to_write(&self, checked: bool) -> Option<&Piece> {
        let piece = self.pieces.get(self.written).filter(|_| self.writes && !self.writing)?;
        (!piece.filled.last || !checked || matches!(self.verdict, Some(Ok(_)))).then_some(piece)
    }

    pub(super) fn was_hashed(&mut self) {
        self.hashed += 1;
    }

    pub(super) fn was_written(&mut self) {
        self.written += 1;
        self.writing = false;
    }

    /// A buffer that has passed all stages.
    pub(super) fn pop(&mut self) -> Option<Buffer> {
        let hashed = !self.hashes || self.hashed > 0;
        let written = !self.writes || self.written > 0;
        if !hashed || !written {
            return None;
        }
        let piece = self.pieces.pop_front()?;
        self.hashed = self.hashed.saturating_sub(1);
        self.written = self.written.saturating_sub(1);
        piece.into_buffer()
    }

    /// Nothing is left to do. `checked` as for [`Lane::to_write`]: there, what precedes a failure is written first.
    pub(super) fn is_done(&self, checked: bool) -> bool {
        match self.verdict {
            Some(Ok(_)) => self.read_to_end && self.pieces.is_empty(),
            Some(Err(_)) => !checked || self.closed || !self.writing && self.to_write(checked).is_none(),
            None => false,
        }
    }

    /// Gives its buffers back, but for those that a worker still has.
    pub(super) fn into_buffers(self) -> impl Iterator<Item = Buffer> {
        self.pieces.into_iter().filter_map(Piece::into_buffer)
    }
}
