//! Bytes that have no length before they have been produced: written to an unnamed temporary file, then a content like
//! any other.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::file::output;
use crate::{Content, Digest, Error, FileRange, Hasher};

/// Takes bytes, hashes them if their digest is wanted, and keeps them in a temporary file that has no name: it is gone with the process, however
/// that ends.
pub struct Spool {
    file: File,
    folder: PathBuf,
    hasher: Option<Hasher>,
    len: u64,
}

/// What a [`Spool`] took: a content with length and digest.
#[derive(Debug, Clone)]
pub struct Spooled {
    range: FileRange,
    digest: Option<Digest>,
}

impl Spool {
    /// A spool in `folder`, which must have room for all that will be written.
    pub fn new(folder: &Path, hash: bool) -> Result<Self, Error> {
        let file = tempfile::tempfile_in(folder).map_err(output("create a temporary file in", folder))?;
        Ok(Spool { file, folder: folder.to_owned(), hasher: hash.then(Hasher::default), len: 0 })
    }

    /// The folder that it is in, for messages.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the spool.
    pub fn finish(self) -> Spooled {
        let range = FileRange { file: Arc::new(self.file), offset: 0, len: self.len, digest: None };
        Spooled { range, digest: self.hasher.map(Hasher::finish) }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..n]);
        }
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Spooled {
    /// The digest of the bytes, if they were hashed.
    pub fn sha256(&self) -> Option<Digest> {
        self.digest
    }
}

impl Content for Spooled {
    fn len(&self) -> u64 {
        self.range.len
    }

    /// The bytes were hashed when they were written; reading them back is checked against that only by their length.
    fn digest(&self) -> Option<Digest> {
        None
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.range.raw_reader()
    }
}
