//! Bytes whose number is known only after they have been produced: they are kept somewhere, and are a content
//! like any other from then on.
//!
//! ```text
//! Spools ──> Spool ──> Spooled
//! where      takes     a content: in memory, in a temporary file, or already where the output has it
//! ```

mod places;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::output::write_back::{Run, WriteBack};
use crate::{Content, Digest, Error, FileRange, Hasher};

pub use places::Spools;

/// Takes bytes, hashes them if asked to, and keeps them. What it keeps disappears with the process, however
/// that ends, unless an output takes it over.
pub struct Spool {
    place: Place,
    /// What messages name: the folder of a temporary file, or the output.
    path: PathBuf,
    hasher: Option<Hasher>,
    len: u64,
}

enum Place {
    File {
        file: Arc<File>,
        /// Where its first byte is.
        offset: u64,
        /// Of a part of the output.
        output: Option<(Run, Arc<WriteBack>)>,
    },
    Memory {
        bytes: Vec<u8>,
        /// Bytes that there is still room for.
        left: Arc<AtomicU64>,
    },
}

/// The bytes that a [`Spool`] took.
#[derive(Debug, Clone)]
pub struct Spooled {
    kept: Kept,
    digest: Option<Digest>,
}

#[derive(Debug, Clone)]
enum Kept {
    File(FileRange),
    Memory(Arc<Vec<u8>>),
}

impl Spool {
    /// A spool in a file without a name in `folder`, which must have room for all bytes. With `hash`,
    /// [`Spooled::sha256`] has their digest.
    pub fn new(folder: &Path, hash: bool) -> Result<Self, Error> {
        let place = temporary(folder).map_err(Error::output("create a temporary file in", folder))?;
        Ok(Spool::of(place, folder, hash))
    }

    fn of(place: Place, path: &Path, hash: bool) -> Self {
        Spool { place, path: path.to_owned(), hasher: hash.then(Hasher::default), len: 0 }
    }

    /// What its errors are: those of a temporary file, or of the output.
    pub fn errors(&self) -> impl Fn(Arc<io::Error>) -> Error + use<> {
        let is_output = matches!(self.place, Place::File { output: Some(_), .. });
        let action = if is_output { "write" } else { "write a temporary file in" };
        let path = self.path.clone();
        move |source| Error::Output { action, path: path.clone(), source }
    }

    /// Ends the spool.
    pub fn finish(self) -> Spooled {
        let kept = match self.place {
            Place::File { file, offset, .. } => {
                Kept::File(FileRange { file, offset, len: self.len, digest: None })
            }
            Place::Memory { bytes, .. } => Kept::Memory(Arc::new(bytes)),
        };
        Spooled { kept, digest: self.hasher.map(Hasher::finish) }
    }

    /// Moves what is in memory to a file, if these bytes do not fit there.
    fn make_room(&mut self, more: u64) -> io::Result<()> {
        let Place::Memory { bytes, left } = &mut self.place else { return Ok(()) };
        let room = |left: u64| left.checked_sub(more);
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok() {
            return Ok(());
        }
        let place = temporary(&self.path)?;
        if let Place::File { file, .. } = &place {
            file.write_all_at(bytes, 0)?;
        }
        left.fetch_add(self.len, Ordering::Relaxed);
        self.place = place;
        Ok(())
    }
}

fn temporary(folder: &Path) -> io::Result<Place> {
    let file = Arc::new(tempfile::tempfile_in(folder)?);
    Ok(Place::File { file, offset: 0, output: None })
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.make_room(bytes.len() as u64)?;
        let n = match &mut self.place {
            Place::File { file, offset, output } => {
                let at = *offset + self.len;
                let n = file.write_at(bytes, at)?;
                if let Some((run, write_back)) = output {
                    run.reached(at + n as u64, write_back);
                }
                n
            }
            Place::Memory { bytes: kept, .. } => kept.write(bytes)?,
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..n]);
        }
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        match &self.kept {
            Kept::File(range) => range.len,
            Kept::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// `None`: the bytes were hashed on their way in, and are not hashed again on their way out.
    fn digest(&self) -> Option<Digest> {
        None
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        match &self.kept {
            Kept::File(range) => range.raw_reader(),
            Kept::Memory(bytes) => Ok(Box::new(bytes.as_slice())),
        }
    }

    fn in_file(&self) -> Option<&FileRange> {
        match &self.kept {
            Kept::File(range) => Some(range),
            Kept::Memory(_) => None,
        }
    }
}
