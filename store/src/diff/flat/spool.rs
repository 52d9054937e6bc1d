//! Contents of files that no file has as they are: a temporary file without a name.
//!
//! Small files are written many at a time. What turns out to be hidden by another layer gives its room back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use crate::Error;
use crate::archive::whole;

/// How much is written at a time. A file of less is not worth a system call that gives its room back.
const BUFFER: usize = 256 << 10;
/// How many bytes are written before the free space is looked up again.
const LOOK: u64 = 64 << 20;

/// A file that grows.
pub(super) struct Spool {
    folder: PathBuf,
    file: Option<File>,
    /// What follows `at` and is not written yet.
    buffer: Vec<u8>,
    at: u64,
    looked: u64,
}

impl Spool {
    /// The file will be in this folder.
    pub(super) fn new(folder: &Path) -> Self {
        Spool { folder: folder.to_owned(), file: None, buffer: Vec::new(), at: 0, looked: 0 }
    }

    /// Where the next byte will be.
    pub(super) fn end(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    /// Leaves this many zeros out.
    pub(super) fn hole(&mut self, len: u64) -> Result<(), Error> {
        if len < BUFFER as u64 {
            self.buffer.resize(self.buffer.len() + len as usize, 0);
            return if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() };
        }
        self.flush()?;
        self.at = self.at.saturating_add(len);
        Ok(())
    }

    /// Gives the room of a content back.
    pub(super) fn free(&mut self, at: u64, len: u64) {
        if len < BUFFER as u64 || at + len > self.at {
            return;
        }
        if let Some(file) = &self.file {
            // Not every file system can. Then the room is lost until the end.
            let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(file, how, at, len);
        }
    }

    /// The file; `None` if nothing was written.
    pub(super) fn finish(mut self) -> Result<Option<File>, Error> {
        self.flush()?;
        if let Some(file) = &self.file {
            file.set_len(self.at).map_err(|error| self.failed(error))?;
        }
        Ok(self.file)
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => whole::temporary(&self.folder)?,
        };
        let file = self.file.insert(file);
        let room = match self.looked <= self.at {
            true => whole::has_room(file, LOOK),
            false => Ok(true),
        };
        let written = match room {
            Ok(false) => Err(io::ErrorKind::StorageFull.into()),
            room => room.and_then(|_| file.write_all_at(&self.buffer, self.at)),
        };
        written.map_err(|error| self.failed(error))?;
        if self.looked <= self.at {
            self.looked = self.at + LOOK;
        }
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::StorageFull {
            let folder = self.folder.display();
            let what =
                format!("{folder} has no room for the files of the image, whose layers are compressed");
            return Error::unsupported(what, "name a directory with more room for temporary files");
        }
        Error::io("write a temporary file in", &self.folder, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_where_they_were_put() {
        let mut spool = Spool::new(&std::env::temp_dir());
        let mut places = Vec::new();
        for (at, len) in [1usize, 70_000, 3, 300_000, 0, 5].into_iter().enumerate() {
            places.push((spool.end(), len, at as u8 + 1));
            spool.write(&vec![at as u8 + 1; len]).unwrap();
            spool.hole([1, 400_000][at % 2]).unwrap();
        }
        spool.free(places[3].0, places[3].1 as u64);
        places[3].2 = 0;
        let end = spool.end();
        let file = spool.finish().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().len(), end);
        for (at, len, byte) in places {
            let mut bytes = vec![9; len];
            file.read_exact_at(&mut bytes, at).unwrap();
            assert!(bytes.iter().all(|found| *found == byte), "{byte}");
        }
        assert!(Spool::new(&std::env::temp_dir()).finish().unwrap().is_none());
    }
}
