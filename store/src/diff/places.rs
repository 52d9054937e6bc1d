//! The directories of a stack, opened as they are needed.

use std::os::fd::BorrowedFd;

use super::records::{Id, Records};
use super::walk::Cursor;
use crate::{Error, Root};

/// How many of the directories below the roots may be open.
const OPEN: usize = 64;

/// A cursor for each directory of a stack.
pub(super) struct Places<'a> {
    cursors: Vec<Cursor<'a>>,
}

impl<'a> Places<'a> {
    /// `roots` are the uppermost first. Nothing is opened yet.
    pub(super) fn new(roots: &'a [Root]) -> Self {
        Places { cursors: roots.iter().map(Cursor::new).collect() }
    }

    pub(super) fn root(&self, layer: u16) -> &'a Root {
        self.cursors[usize::from(layer)].root()
    }

    /// The cursor of a layer. If too many directories are open, those of the others are closed.
    pub(super) fn cursor(&mut self, layer: u16) -> &mut Cursor<'a> {
        let layer = usize::from(layer);
        if self.cursors.iter().map(Cursor::opened).sum::<usize>() > OPEN {
            let others = self.cursors.iter_mut().enumerate().filter(|(at, _)| *at != layer);
            others.for_each(|(_, cursor)| cursor.close());
        }
        &mut self.cursors[layer]
    }

    /// Opens the directory that has an entry.
    pub(super) fn dir_of(&mut self, records: &Records, id: Id) -> Result<BorrowedFd<'_>, Error> {
        let (layer, dir) = records.place(id);
        self.cursor(layer).dir(records, dir)
    }
}
