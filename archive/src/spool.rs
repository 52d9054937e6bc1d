//! Bytes whose number is known only after they have been produced: they are kept in a temporary file without
//! a name, and are a content like any other from then on.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::{Content, Digest, Error, FileRange, Hasher};

/// Takes bytes, hashes them if asked to, and keeps them in a temporary file. The file has no name, so it
/// disappears with the process, however that ends.
pub struct Spool {
    file: File,
    hasher: Option<Hasher>,
    len: u64,
}

/// The bytes that a [`Spool`] took.
#[derive(Debug, Clone)]
pub struct Spooled {
    range: FileRange,
    digest: Option<Digest>,
}

impl Spool {
    /// A spool in `folder`, which must have room for all bytes. With `hash`, [`Spooled::sha256`] has their
    /// digest.
    pub fn new(folder: &Path, hash: bool) -> Result<Self, Error> {
        let file =
            tempfile::tempfile_in(folder).map_err(Error::output("create a temporary file in", folder))?;
        Ok(Spool { file, hasher: hash.then(Hasher::default), len: 0 })
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

    /// `None`: the bytes were hashed on their way in, and are not hashed again on their way out.
    fn digest(&self) -> Option<Digest> {
        None
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.range.raw_reader()
    }
}
