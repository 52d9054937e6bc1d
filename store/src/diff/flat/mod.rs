//! The root file system that the tars of layers make, without unpacking them.
//!
//! ```text
//! base layer   etc/  etc/passwd  etc/old  lib -> usr/lib
//! …            etc/.wh.old       what the layers below have there is removed
//!              opt/.wh..wh..opq  and here all that they have
//! top layer    etc/passwd        replaces the other one
//! ```
//!
//! Every layer is read once, from the base up, and compared with its digests. Memory holds a record for each
//! name. Contents stay in tars that are in a file and not compressed. Those of other layers go to one
//! temporary file without a name ([`spool`]). When they are needed, a checksum tells whether they are still
//! the same.
//!
//! In the records, `dev` and `ino` say where the contents are:
//!
//! | `dev` | `ino` |
//! |---|---|
//! | [`SPOOL`] | where the contents begin in the temporary file |
//! | [`TARGETS`] | where the target of a symbolic link begins, which has `size` bytes |
//! | [`OTHER`] | a number |
//! | [`TARS`] and the number of a layer | where the contents begin in its tar |

mod disk;
mod entries;
mod flatten;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod growing;
mod names;
mod pax;
mod spool;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use layerlift_archive::{Content, Error as ArchiveError, FileRange, Observer, ReadAt};

use super::attributes::{Attribute, Wanted};
use super::faults::{Fault, Faults};
use super::piece::{BUFFER, Piece};
use super::records::{Id, Metadata, Records};
use crate::Error;
use crate::pushed::Pushed;
use crate::tarsplit::checksum::Checksum;

use entries::{Entries, Failure};
use flatten::{Flattening, Layer};
use growing::Key;
use spool::Spool;

const SPOOL: u64 = 0;
const TARGETS: u64 = 1;
const OTHER: u64 = 2;
const TARS: u64 = 2;

/// From here on, zeros of a file are left out of the output, where that can be.
const HOLES: u64 = 4 * BUFFER as u64;

/// Writes the tar of a layer, compared with its digests.
type WriteTar = dyn Fn(&mut dyn Write) -> Result<(), ArchiveError> + Send + Sync;

/// The tar of a layer.
#[derive(Clone)]
pub(crate) struct TarLayer {
    /// What messages call it.
    pub(crate) name: String,
    /// Where the tar is, if it is in a file and not compressed.
    pub(crate) in_file: Option<FileRange>,
    /// Its length, if that is known.
    pub(crate) len: Option<u64>,
    /// How its bytes are had.
    pub(crate) write: Arc<WriteTar>,
}

impl fmt::Debug for TarLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarLayer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where the files are that the tars make.
#[derive(Debug)]
pub(super) struct Flat {
    /// The names of the layers, base first.
    names: Vec<PathBuf>,
    spool: Option<File>,
    tars: Vec<Option<FileRange>>,
    targets: Vec<u8>,
    attributes: HashMap<Key, Vec<Attribute>>,
}

/// Reads the tars of layers, base first. Contents that they do not have in a file go to a temporary one in
/// `folder`. The observer hears of the bytes of the tars.
pub(super) fn read(
    layers: &[TarLayer],
    folder: &Path,
    observer: &dyn Observer,
) -> Result<(Records, Flat), Error> {
    let mut all = Flattening::new(Spool::new(folder));
    let (mut names, mut tars) = (Vec::new(), Vec::new());
    for layer in layers {
        let name = PathBuf::from(format!("layer {}", layer.name));
        let number = u16::try_from(names.len() + 1)
            .map_err(|_| Error::malformed(&name, "the image has more than 65,535 layers"))?;
        let in_file = layer.in_file.clone();
        apply(&mut all, layer, Layer { number, in_place: in_file.is_some() }, &name, observer)?;
        names.push(name);
        tars.push(in_file);
    }
    let Flattening { tree, spool, targets, .. } = all;
    let (records, attributes) = tree.finish();
    Ok((records, Flat { names, spool: spool.finish()?, tars, targets, attributes }))
}

fn apply(
    all: &mut Flattening,
    layer: &TarLayer,
    place: Layer,
    name: &Path,
    observer: &dyn Observer,
) -> Result<(), Error> {
    // A thread decompresses and hashes; its own error says more than that of the reader.
    let failed: Arc<Mutex<Option<ArchiveError>>> = Arc::default();
    let (write, reason) = (Arc::clone(&layer.write), Arc::clone(&failed));
    let pushed = Pushed::new(move |out| {
        write(out).map_err(|error| {
            *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Error::io("read", "the layer", io::ErrorKind::Other)
        })
    });
    let own = |error: io::Error| {
        let reason = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        reason.map_or_else(|| Error::io("read", name, error), |reason| of_layer(reason, name))
    };
    let mut entries = Entries::new(pushed.map_err(|error| Error::io("read", name, error))?);
    let mut seen = 0;
    let applied = all.apply(&mut entries, place, &mut |at| {
        observer.advance(at - seen);
        seen = at;
    });
    match applied {
        Ok(()) => entries.drain().map_err(own),
        Err(Failure::Stream(error)) => Err(own(error)),
        Err(Failure::Other(error)) => Err(error),
        // If the bytes are not those that were recorded, that is the reason.
        Err(Failure::Bad(why)) => {
            entries.drain().map_err(own)?;
            Err(Error::malformed(name, why))
        }
    }
}

/// The error of a layer in the words of a store.
fn of_layer(error: ArchiveError, name: &Path) -> Error {
    match error {
        ArchiveError::Content { source, .. } => Error::Io { action: "read", path: name.to_owned(), source },
        ArchiveError::Mismatch { expected, found, .. } => {
            Error::damaged(name, format!("expected {expected}, found {found}"))
        }
        ArchiveError::Length { expected, found, .. } => {
            Error::damaged(name, format!("it has {found} bytes where {expected} were expected"))
        }
        other => Error::io("read", name, other.into_io()),
    }
}

impl Flat {
    /// The base layer, for messages.
    pub(super) fn root(&self) -> &Path {
        self.names.first().map_or(Path::new("/"), PathBuf::as_path)
    }

    /// Where an entry comes from, for messages.
    pub(super) fn path(&self, records: &Records, id: Id) -> PathBuf {
        let layer = usize::from(records.get(id).layer).checked_sub(1).and_then(|at| self.names.get(at));
        let path = records.path(id);
        layer.map_or(Path::new("/"), PathBuf::as_path).join(OsStr::from_bytes(&path))
    }

    /// The target of a symbolic link.
    pub(super) fn target(&self, metadata: &Metadata) -> Vec<u8> {
        self.targets[metadata.ino as usize..][..metadata.size as usize].to_vec()
    }

    pub(super) fn attributes(&self, metadata: &Metadata, wanted: Wanted) -> Vec<Attribute> {
        let all = self.attributes.get(&(metadata.dev, metadata.ino)).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|(name, _)| wanted.has(name)).cloned().collect()
    }

    /// Reads a file of `size` bytes.
    pub(super) fn contents<E: From<Error>>(
        &self,
        (records, id): (&Records, Id),
        size: u64,
        faults: Option<&Faults>,
        put: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Metadata { dev, ino, ctime, .. } = records.metadata(id);
        let mut checksum = Checksum::new();
        let mut buffer = vec![0; size.min(BUFFER as u64) as usize];
        let mut at = 0;
        while at < size {
            let want = buffer.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
            let piece = &mut buffer[..want];
            let read = self.read(dev, ino + at, piece);
            read.map_err(|error| Error::io("read", self.path(records, id), error))?;
            checksum.update(piece);
            at += want as u64;
            let is_hole = size >= HOLES && want == BUFFER && piece.iter().all(|byte| *byte == 0);
            put(if is_hole { Piece::Hole(want as u64) } else { Piece::Data(piece) })?;
        }
        match (checksum.finish().cast_signed() == ctime, faults) {
            (true, _) => Ok(()),
            (false, Some(faults)) => {
                faults.note(Fault::Changed(self.path(records, id)));
                Ok(())
            }
            (false, None) => {
                let why = "it has other contents than when its layer was read first: something writes to it";
                Err(Error::damaged(self.path(records, id), why).into())
            }
        }
    }

    fn read(&self, dev: u64, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        match dev.checked_sub(TARS + 1) {
            None => self.spool.as_ref().ok_or_else(short)?.read_exact_at(buffer, at),
            Some(layer) => {
                let tar = usize::try_from(layer).ok().and_then(|layer| self.tars.get(layer)?.as_ref());
                let tar =
                    tar.filter(|tar| at.checked_add(buffer.len() as u64).is_some_and(|end| end <= tar.len()));
                let tar = tar.ok_or_else(short)?;
                tar.file.read_exact_at(buffer, tar.offset + at)
            }
        }
    }
}

#[cfg(test)]
mod tests;
