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

/// An item between its first read and its end.
pub(super) struct Pipeline<'a> {
    pub(super) item: usize,
    /// `None` while a worker reads, and after the end.
    pub(super) source: Option<Source<'a>>,
    /// `None` while a worker hashes, and for an item that is not hashed.
    pub(super) hasher: Option<Box<Hasher>>,
    /// Whether a worker writes.
    pub(super) writing: bool,
    /// What has been read and has not passed both other stages.
    pieces: VecDeque<Piece>,
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

    /// What can be written now. If `checked`, the last piece has to wait until the digest is known to be
    /// right.
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
        self.pieces.into_iter().filter_map(Piece::into_buffer)
    }
}
