//! What a recorded entry is: read from the directory that has it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;

use super::attributes::{Attribute, Attributes, Wanted};
use super::faults::{Fault, Faults};
use super::places::Places;
use super::records::{Id, Metadata, Records};
use crate::{Error, Root, fs};

pub(super) const BUFFER: usize = 256 << 10;

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

/// A piece of a file.
pub(super) enum Piece<'a> {
    Data(&'a [u8]),
    /// This many zeros, which the file does not store.
    Hole(u64),
}

impl Piece<'_> {
    fn len(&self) -> u64 {
        match self {
            Piece::Data(bytes) => bytes.len() as u64,
            Piece::Hole(len) => *len,
        }
    }
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

/// Reads the entries of a table.
pub(super) struct Files<'a> {
    pub(super) records: &'a Records,
    wanted: Wanted,
    places: Places<'a>,
    attributes: Attributes,
    /// The first name of each file with several names, by device and inode.
    links: HashMap<(u64, u64), Id>,
    buffer: Vec<u8>,
    root: Option<&'a Root>,
    faults: Option<&'a Faults>,
}

impl<'a> Files<'a> {
    /// `roots` are the directories that `records` describe, the uppermost first.
    pub(super) fn new(roots: &'a [Root], records: &'a Records, wanted: Wanted) -> Self {
        Files {
            records,
            wanted,
            places: Places::new(roots),
            attributes: Attributes::default(),
            links: HashMap::new(),
            buffer: vec![0; BUFFER],
            root: roots.first(),
            faults: None,
        }
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

    /// As [`Files::contents`], but what cannot be read is left out, if that is allowed: `false` if `put` got
    /// nothing. If reading fails in the middle, zeros take the place of the rest.
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

    /// The uppermost directory, for messages.
    pub(super) fn root(&self) -> &'a Path {
        self.root.map_or(Path::new("/"), Root::path)
    }

    /// What an entry is. The first name of a file is the one that is asked for first.
    pub(super) fn what(&mut self, id: Id, metadata: &Metadata) -> Result<What, Error> {
        let file_type = metadata.file_type();
        Ok(match file_type {
            FileType::Directory => What::Dir,
            FileType::Symlink => What::Symlink(self.target(id)?),
            FileType::CharacterDevice | FileType::BlockDevice => {
                What::Device { block: file_type == FileType::BlockDevice, numbers: numbers(metadata.rdev) }
            }
            FileType::Fifo => What::Fifo,
            FileType::Socket => What::Socket,
            _ => match self.first_name(id, metadata) {
                Some(first) => What::Link(self.records.path(first)),
                None => What::File,
            },
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
        let records = self.records;
        let dir = self.places.dir_of(records, id)?;
        let target = rustix::fs::readlinkat(dir, records.name(id), Vec::new());
        target.map(|target| target.into_bytes()).map_err(|errno| self.error("read link", id, errno.into()))
    }

    pub(super) fn attributes(&mut self, id: Id) -> Result<Vec<Attribute>, Error> {
        let records = self.records;
        let dir = self.places.dir_of(records, id)?;
        let found = self.attributes.wanted(dir, records.name(id), self.wanted);
        found.map_err(|errno| self.error("read attributes of", id, errno.into()))
    }

    /// Reads a file of `size` bytes. Its holes are not read.
    ///
    /// A file that is not what it was when the directories were walked has changed: what was read may be of
    /// two moments, and the header of a third.
    fn contents<E: From<Error>>(
        &mut self,
        id: Id,
        size: u64,
        put: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let records = self.records;
        let (layer, dir, name) = records.contents(id);
        let dir = self.places.cursor(layer).dir(records, dir)?;
        let file = fs::open_file_in(dir, name).map_err(|errno| self.error("open", id, errno.into()))?;
        let before = match records.has_contents_elsewhere(id) {
            true => self.now(id, &file)?,
            false => records.metadata(id),
        };
        let whole = self.read(id, &file, size, put)?;
        let now = self.now(id, &file)?;
        if whole && !now.has_changed(&before) {
            return Ok(());
        }
        let Some(faults) = self.faults else { return Err(self.has_changed(id, size, now.size).into()) };
        faults.note(Fault::Changed(self.path(id)));
        Ok(())
    }

    /// Reads an open file; returns whether it has as many bytes as it should.
    fn read<E: From<Error>>(
        &mut self,
        id: Id,
        file: &File,
        size: u64,
        put: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut left = size;
        let mut holes = Holes::new(size);
        loop {
            let hole = holes.next(file, size - left);
            if hole > 0 {
                left -= hole;
                put(Piece::Hole(hole))?;
                // A file that was cut before the hole would otherwise look complete.
                let now = self.now(id, file)?.size;
                if now < size && self.faults.is_none() {
                    return Err(self.has_changed(id, size, now).into());
                }
            }
            let want = holes.room(size - left, self.buffer.len());
            let len = match rustix::io::read(file.as_fd(), &mut self.buffer[..want]) {
                Ok(len) => len,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(self.error("read", id, errno.into()).into()),
            };
            if len as u64 > left || len == 0 && left > 0 {
                if self.faults.is_some() {
                    match len {
                        0 => put(Piece::Hole(left))?,
                        // What is left fits in the buffer.
                        _ => put(Piece::Data(self.buffer.get(..left as usize).unwrap_or_default()))?,
                    }
                }
                return Ok(false);
            }
            left -= len as u64;
            put(Piece::Data(&self.buffer[..len]))?;
            // A short read means the end of the file. Only after a full one can there be more.
            if left == 0 && len < want {
                return Ok(true);
            }
        }
    }

    fn now(&self, id: Id, file: &File) -> Result<Metadata, Error> {
        let stat = rustix::fs::fstat(file).map_err(|errno| self.error("look up", id, errno.into()))?;
        Ok(Metadata::new(&stat))
    }

    pub(super) fn path(&self, id: Id) -> PathBuf {
        let root = self.places.root(self.records.get(id).layer);
        root.join(OsStr::from_bytes(&self.records.path(id)))
    }

    pub(super) fn error(&self, action: &'static str, id: Id, source: io::Error) -> Error {
        Error::io(action, self.path(id), source)
    }

    fn has_changed(&self, id: Id, size: u64, now: u64) -> Error {
        let what = match size == now {
            true => "it changed".to_owned(),
            false => format!("its size changed from {size} bytes"),
        };
        Error::damaged(self.path(id), format!("{what} while it was read: something writes to it"))
    }
}

/// Finds the holes of a large file.
struct Holes {
    size: u64,
    /// Up to here, nothing is a hole.
    data_until: u64,
}

impl Holes {
    fn new(size: u64) -> Self {
        // In a small file, the system calls cost more than to read the holes.
        let data_until = if size < 4 * BUFFER as u64 { u64::MAX } else { 0 };
        Holes { size, data_until }
    }

    /// How many bytes are read at `at`, if there is room for so many: no hole is among them.
    fn room(&self, at: u64, room: usize) -> usize {
        let data = if at < self.size { self.data_until.saturating_sub(at) } else { u64::MAX };
        usize::try_from(data).unwrap_or(usize::MAX).min(room)
    }

    /// The length of the hole at `at`, where the next read begins. Moves the position behind it.
    fn next(&mut self, file: &File, at: u64) -> u64 {
        if at < self.data_until || at >= self.size {
            return 0;
        }
        let seek = |to| rustix::fs::seek(file, to);
        let data = match seek(SeekFrom::Data(at)) {
            Ok(data) => data.clamp(at, self.size),
            // Only a hole follows, or the file was cut.
            Err(Errno::NXIO) if file.metadata().is_ok_and(|now| now.len() == self.size) => self.size,
            Err(_) => at,
        };
        self.data_until = seek(SeekFrom::Hole(data)).map_or(u64::MAX, |hole| hole.max(data + 1));
        // Without a position, nothing can be left out.
        match seek(SeekFrom::Start(data)) {
            Ok(_) => data - at,
            Err(_) => 0,
        }
    }
}

/// Splits a device number into major and minor as Docker did.
fn numbers(rdev: u64) -> (u64, u64) {
    (rdev >> 8 & 0xfff, rdev & 0xff | rdev >> 12 & 0xf_ff00)
}
