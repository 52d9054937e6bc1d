//! Entries that are files in directories: the layers that an engine has unpacked.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::attributes::{Attribute, Attributes, Wanted};
use super::faults::{Fault, Faults};
use super::piece::{BUFFER, Piece};
use super::places::Places;
use super::records::{Id, Metadata, Records};
use crate::{Error, Root, fs};

/// The directories that a table describes.
pub(super) struct Dirs<'a> {
    records: &'a Records,
    places: Places<'a>,
    attributes: Attributes,
    buffer: Vec<u8>,
    root: Option<&'a Root>,
}

impl<'a> Dirs<'a> {
    /// `roots` are the uppermost first.
    pub(super) fn new(roots: &'a [Root], records: &'a Records) -> Self {
        let (places, attributes) = (Places::new(roots), Attributes::default());
        Dirs { records, places, attributes, buffer: vec![0; BUFFER], root: roots.first() }
    }

    /// The uppermost directory, for messages.
    pub(super) fn root(&self) -> &'a Path {
        self.root.map_or(Path::new("/"), Root::path)
    }

    pub(super) fn target(&mut self, id: Id) -> Result<Vec<u8>, Error> {
        let records = self.records;
        let dir = self.places.dir_of(records, id)?;
        let target = rustix::fs::readlinkat(dir, records.name(id), Vec::new());
        target.map(|target| target.into_bytes()).map_err(|errno| self.error("read link", id, errno.into()))
    }

    pub(super) fn attributes(&mut self, id: Id, wanted: Wanted) -> Result<Vec<Attribute>, Error> {
        let records = self.records;
        let dir = self.places.dir_of(records, id)?;
        let found = self.attributes.wanted(dir, records.name(id), wanted);
        found.map_err(|errno| self.error("read attributes of", id, errno.into()))
    }

    /// Reads a file of `size` bytes. Its holes are not read.
    ///
    /// A file that is not what it was when the directories were walked has changed: what was read may be of
    /// two moments, and the header of a third.
    pub(super) fn contents<E: From<Error>>(
        &mut self,
        id: Id,
        size: u64,
        faults: Option<&Faults>,
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
        let whole = self.read(id, &file, size, faults, put)?;
        let now = self.now(id, &file)?;
        if whole && !now.has_changed(&before) {
            return Ok(());
        }
        let Some(faults) = faults else { return Err(self.has_changed(id, size, now.size).into()) };
        faults.note(Fault::Changed(self.path(id)));
        Ok(())
    }

    /// Reads an open file; returns whether it has as many bytes as it should.
    fn read<E: From<Error>>(
        &mut self,
        id: Id,
        file: &File,
        size: u64,
        faults: Option<&Faults>,
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
                if now < size && faults.is_none() {
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
                if faults.is_some() {
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

    fn error(&self, action: &'static str, id: Id, source: io::Error) -> Error {
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
