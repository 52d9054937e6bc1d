//! An item at work: its reader, and the buffers between the stages.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Item;
use super::source::{Buffer, Filled, Source};
use crate::{Digest, Error, Hasher};

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

    /// The buffer, if this is the last handle.
    pub(super) fn into_buffer(self) -> Option<Buffer> {
        Arc::into_inner(self.buffer)
    }
}

/// A buffer of an item, in its order.
enum Place {
    /// Some worker fills it.
    Laid(Filled),
    Ready(Piece),
    /// It could not be filled.
    Failed(Error),
}

impl Place {
    /// The buffer, if no worker has it.
    fn into_buffer(self) -> Option<Buffer> {
        match self {
            Place::Ready(piece) => piece.into_buffer(),
            Place::Laid(_) | Place::Failed(_) => None,
        }
    }

    fn piece(&self) -> Option<&Piece> {
        match self {
            Place::Ready(piece) => Some(piece),
            Place::Laid(_) | Place::Failed(_) => None,
        }
    }
}

/// An item between its first read and its end.
pub(super) struct Pipeline<'a> {
    pub(super) item: usize,
    /// `None` while a worker reads, and after the end.
    pub(super) source: Option<Source<'a>>,
    /// `None` while a worker hashes, and for an item that is not hashed.
    pub(super) hasher: Option<Box<Hasher>>,
    /// Whether a worker writes.
    pub(super) writing: bool,
    /// What has been read, or laid out, and has not passed both other stages.
    pieces: VecDeque<Place>,
    /// How many came before these.
    passed: usize,
    /// How many of them are hashed, and how many written.
    hashed: usize,
    written: usize,
    hashes: bool,
    writes: bool,
    pub(super) read_to_end: bool,
    /// Nothing more can be written.
    pub(super) closed: bool,
    /// Its digest, once that is compared; or why it failed.
    pub(super) verdict: Option<Result<Option<Digest>, Error>>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(number: usize, item: &'a Item<'a>, writes: bool) -> Self {
        let hashes = item.is_hashed();
        Pipeline {
            item: number,
            source: Some(Source::new(item)),
            hasher: hashes.then(Box::default),
            writing: false,
            pieces: VecDeque::new(),
            passed: 0,
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

    /// Whether it can take more.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.verdict, Some(Err(_)))
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, filled: Filled, buffer: Buffer) {
        self.end_at(&filled);
        self.pieces.push_back(Place::Ready(Piece { filled, buffer: Arc::new(buffer) }));
    }

    /// Takes what has to be filled yet; returns its number.
    pub(super) fn push_laid(&mut self, filled: Filled) -> usize {
        self.end_at(&filled);
        self.pieces.push_back(Place::Laid(filled));
        self.passed + self.pieces.len() - 1
    }

    /// Takes a failure to read on, which counts when everything before it is filled.
    pub(super) fn push_failure(&mut self, error: Error) {
        self.pieces.push_back(Place::Failed(error));
    }

    fn end_at(&mut self, filled: &Filled) {
        self.read_to_end = filled.last;
        if filled.last && !self.hashes {
            self.verdict = Some(Ok(None));
        }
    }

    /// Takes the piece with this number back, filled or not. Returns the buffer if nobody needs it.
    pub(super) fn was_filled(
        &mut self,
        number: usize,
        buffer: Buffer,
        result: Result<(), Error>,
    ) -> Option<Buffer> {
        let place = number.checked_sub(self.passed).and_then(|at| self.pieces.get_mut(at));
        let Some(place) = place else { return Some(buffer) };
        match (&*place, result) {
            (Place::Laid(filled), Ok(())) => {
                *place = Place::Ready(Piece { filled: filled.clone(), buffer: Arc::new(buffer) });
                None
            }
            (_, Ok(())) => Some(buffer),
            (_, Err(error)) => {
                *place = Place::Failed(error);
                Some(buffer)
            }
        }
    }

    /// Lets the first failure count if everything before it is filled. Nothing after it is of use: returns
    /// these buffers.
    pub(super) fn fail_if_due(&mut self) -> Vec<Buffer> {
        let due = self.pieces.iter().position(|place| !matches!(place, Place::Ready(_)));
        let Some(at) = due else { return Vec::new() };
        let Place::Failed(error) = &self.pieces[at] else { return Vec::new() };
        if !self.has_failed() {
            self.verdict = Some(Err(error.clone()));
        }
        self.source = None;
        self.pieces.split_off(at).into_iter().filter_map(Place::into_buffer).collect()
    }

    /// What can be hashed now.
    pub(super) fn to_hash(&self) -> Option<&Piece> {
        self.hasher.as_ref().and_then(|_| self.pieces.get(self.hashed)?.piece())
    }

    /// What can be written now. If `checked`, the last piece has to wait until the digest is known to be
    /// right.
    pub(super) fn to_write(&self, checked: bool) -> Option<&Piece> {
        let piece = self.pieces.get(self.written).filter(|_| self.writes && !self.writing)?.piece()?;
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
        self.pieces.front()?.piece()?;
        let place = self.pieces.pop_front()?;
        self.passed += 1;
        self.hashed = self.hashed.saturating_sub(1);
        self.written = self.written.saturating_sub(1);
        place.into_buffer()
    }

    /// Nothing is left to do. `checked` as for [`Pipeline::to_write`]: then everything before a failure is
    /// written first.
    pub(super) fn is_done(&self, checked: bool) -> bool {
        match self.verdict {
            Some(Ok(_)) => self.read_to_end && self.pieces.is_empty(),
            Some(Err(_)) => !checked || self.closed || !self.writing && self.to_write(checked).is_none(),
            None => false,
        }
    }

    /// Gives its buffers back, but for those that a worker still has.
    pub(super) fn into_buffers(self) -> impl Iterator<Item = Buffer> {
        self.pieces.into_iter().filter_map(Place::into_buffer)
    }
}
