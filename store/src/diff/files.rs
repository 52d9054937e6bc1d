//! What a recorded entry is, wherever its file is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::attributes::{Attribute, Wanted};
use super::dirs::Dirs;
use super::faults::{Fault, Faults};
use super::flat::Flat;
use super::piece::Piece;
use super::records::{Id, Metadata, Records};
use crate::{Error, Root};

/// What an entry is, and what it needs besides its metadata.
pub(super) enum What {
    /// A file with contents.
    File,
    /// A further name of a file: the path of its first one.
    Link(Vec<u8>),
    Dir,
    Symlink(Vec<u8>),
    Device {
        block: bool,
        /// Major and minor.
        numbers: (u64, u64),
    },
    Fifo,
    Socket,
}

/// Why a file was not written: because of itself, or of where it was written to.
enum Failed<E> {
    File(Error),
    Output(E),
}

impl<E> From<Error> for Failed<E> {
    fn from(error: Error) -> Self {
        Failed::File(error)
    }
}

/// What becomes a link from its second name on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Files, as Docker had it until 1.9.
    OfFiles,
    /// Everything but directories, as engines have it today.
    OfAll,
}

/// Where the files are.
enum Source<'a> {
    Dirs(Dirs<'a>),
    Tars(&'a Flat),
}

/// Reads the entries of a table.
pub(super) struct Files<'a> {
    pub(super) records: &'a Records,
    wanted: Wanted,
    source: Source<'a>,
    /// The first name of each file with several names, by device and inode.
    links: HashMap<(u64, u64), Id>,
    faults: Option<&'a Faults>,
}

impl<'a> Files<'a> {
    /// `roots` are the directories that `records` describe, the uppermost first.
    pub(super) fn new(roots: &'a [Root], records: &'a Records, wanted: Wanted) -> Self {
        Files::of(Source::Dirs(Dirs::new(roots, records)), records, wanted)
    }

    /// The same of files that are in tars.
    pub(super) fn in_tars(tars: &'a Flat, records: &'a Records, wanted: Wanted) -> Self {
        Files::of(Source::Tars(tars), records, wanted)
    }

    fn of(source: Source<'a>, records: &'a Records, wanted: Wanted) -> Self {
        Files { records, wanted, source, links: HashMap::new(), faults: None }
    }

    /// The same, if a file may change while it is read: what is read of it gets the size that was recorded,
    /// and `faults` its path. If `faults` says so, what cannot be read is left out.
    pub(super) fn noting(self, faults: Option<&'a Faults>) -> Self {
        Files { faults, ..self }
    }

    /// Leaves an entry out because of an error, if that is allowed. The next name of a file that has several
    /// is its first one then.
    pub(super) fn leave_out(&mut self, id: Id, error: Error) -> Result<(), Error> {
        let Some(faults) = self.faults.filter(|faults| faults.leaves_out()) else {
            return Err(error);
        };
        faults.note(Fault::LeftOut(error));
        let Metadata { dev, ino, .. } = self.records.metadata(id);
        if self.links.get(&(dev, ino)) == Some(&id) {
            self.links.remove(&(dev, ino));
        }
        Ok(())
    }

    /// Reads a file of `size` bytes; what cannot be read is left out, if that is allowed: `false` if `put`
    /// got nothing. If reading fails in the middle, zeros take the place of the rest.
    pub(super) fn take<E: From<Error>>(
        &mut self,
        id: Id,
        size: u64,
        put: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut left = size;
        let taken = self.contents::<Failed<E>>(id, size, &mut |piece| {
            left -= piece.len();
            put(piece).map_err(Failed::Output)
        });
        match (taken, self.faults.filter(|faults| faults.leaves_out())) {
            (Ok(()), _) => Ok(true),
            (Err(Failed::Output(error)), _) => Err(error),
            (Err(Failed::File(error)), Some(faults)) if left < size => {
                faults.note(Fault::ZerosInstead(error));
                put(Piece::Hole(left)).map(|()| true)
            }
            (Err(Failed::File(error)), _) => self.leave_out(id, error).map(|()| false).map_err(E::from),
        }
    }

    /// What is read, for messages.
    pub(super) fn root(&self) -> &'a Path {
        match &self.source {
            Source::Dirs(dirs) => dirs.root(),
            Source::Tars(tars) => tars.root(),
        }
    }

    /// What an entry is. The first name of a file is the one that is asked for first.
    pub(super) fn what(&mut self, id: Id, metadata: &Metadata, links: Links) -> Result<What, Error> {
        let file_type = metadata.file_type();
        let may_be_link = match links {
            Links::OfFiles => file_type == FileType::RegularFile,
            Links::OfAll => !metadata.is_dir(),
        };
        if let Some(first) = may_be_link.then(|| self.first_name(id, metadata)).flatten() {
            return Ok(What::Link(self.records.path(first)));
        }
        Ok(match file_type {
            FileType::Directory => What::Dir,
            FileType::Symlink => What::Symlink(self.target(id)?),
            FileType::CharacterDevice | FileType::BlockDevice => {
                What::Device { block: file_type == FileType::BlockDevice, numbers: metadata.device() }
            }
            FileType::Fifo => What::Fifo,
            FileType::Socket => What::Socket,
            _ => What::File,
        })
    }

    /// The name under which this file has been written already, if it has several.
    pub(super) fn first_name(&mut self, id: Id, metadata: &Metadata) -> Option<Id> {
        if !metadata.linked {
            return None;
        }
        match self.links.entry((metadata.dev, metadata.ino)) {
            Entry::Occupied(slot) => Some(*slot.get()),
            Entry::Vacant(slot) => {
                slot.insert(id);
                None
            }
        }
    }

    fn target(&mut self, id: Id) -> Result<Vec<u8>, Error> {
        match &mut self.source {
            Source::Dirs(dirs) => dirs.target(id),
            Source::Tars(tars) => Ok(tars.target(&self.records.metadata(id))),
        }
    }

    pub(super) fn attributes(&mut self, id: Id) -> Result<Vec<Attribute>, Error> {
        match &mut self.source {
            Source::Dirs(dirs) => dirs.attributes(id, self.wanted),
            Source::Tars(tars) => Ok(tars.attributes(&self.records.metadata(id), self.wanted)),
        }
    }

    fn contents<E: From<Error>>(
        &mut self,
        id: Id,
        size: u64,
        put: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.source {
            Source::Dirs(dirs) => dirs.contents(id, size, self.faults, put),
            Source::Tars(tars) => tars.contents((self.records, id), size, self.faults, put),
        }
    }

    /// Of an entry, for messages.
    pub(super) fn path(&self, id: Id) -> PathBuf {
        match &self.source {
            Source::Dirs(dirs) => dirs.path(id),
            Source::Tars(tars) => tars.path(self.records, id),
        }
    }
}
