//! The files of an image layout or archive: those of a directory, or the entries of a tar, read in place.
//!
//! ```text
//! x.tar          an index of the entries, made in one pass over the headers; nothing is unpacked
//! x.tar.gz       the same, after it was decompressed into a temporary file (also zst, xz, bz2)
//! x/             a directory, read through [`Root`]
//! ```
//!
//! Neither names (`..`, a leading `/`) nor links lead out.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{Content, FileRange};

use crate::fs::named;
use crate::kind::OpenOptions;
use crate::{Error, Hint, Root};

mod entries;
mod expanded;
mod header;
mod name;
mod sparse;
mod whole;

pub(crate) use entries::Entries;
pub(crate) use name::clean;

/// How many links a name may lead through.
const LINKS: usize = 40;

/// Where the files of a layout are.
#[derive(Debug)]
pub(crate) enum Files {
    /// In a directory.
    Dir(Root),
    /// In a tar.
    Tar(Entries),
}

/// A file that was found.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its own name, with all links followed.
    pub(crate) name: String,
    /// Where its bytes are.
    pub(crate) range: FileRange,
}

/// Opens a file: a tar, whole or compressed.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Files, Error> {
    let (file, metadata) = named::open(path)?;
    let kind = metadata.file_type();
    if !kind.is_file() && !kind.is_fifo() && !kind.is_char_device() && !kind.is_socket() {
        let hint = Some(Hint::Other("name a tar, or the directory of an image layout".into()));
        return Err(Error::NoStore { path: path.to_owned(), why: None, hint });
    }
    let whole = whole::open(file, metadata.len(), kind.is_file(), path, options)?;
    Entries::read(whole, path, options).map(Files::Tar)
}

impl Files {
    /// The file of this name; `None` if it does not exist. A name that leads out, a dangling link, and
    /// anything that is not a file are errors.
    pub(crate) fn try_find(&self, name: &str) -> Result<Option<Place>, Error> {
        let Some(name) = clean(name) else {
            let why = format!("it names a file {name:?}, which leads out of it");
            return Err(Error::malformed(self.path(), why));
        };
        match self {
            Files::Tar(entries) => entries.try_find(&name),
            Files::Dir(root) => find_in(root, name),
        }
    }

    /// Reads a document of at most `limit` bytes; `None` if it does not exist.
    pub(crate) fn try_read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(place) = self.try_find(name)? else { return Ok(None) };
        self.bytes(&place, limit).map(Some)
    }

    /// Reads a document that was found.
    pub(crate) fn bytes(&self, place: &Place, limit: u64) -> Result<Vec<u8>, Error> {
        let path = || self.join(&place.name);
        if place.range.len > limit {
            let why = format!("it is larger than {} MiB, more than any engine writes", limit >> 20);
            return Err(Error::malformed(path(), why));
        }
        let mut bytes = Vec::new();
        let read = place.range.raw_reader().and_then(|mut reader| reader.read_to_end(&mut bytes));
        read.map_err(|error| Error::io("read", path(), error))?;
        if bytes.len() as u64 != place.range.len {
            let why = format!("its size changed from {} to {} bytes", place.range.len, bytes.len());
            return Err(Error::damaged(path(), why));
        }
        Ok(bytes)
    }

    /// The first bytes of a file, at most `N`.
    pub(crate) fn first<const N: usize>(&self, place: &Place) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = place.range.raw_reader().and_then(|reader| reader.take(N as u64).read_to_end(&mut bytes));
        read.map_err(|error| Error::io("read", self.join(&place.name), error))?;
        Ok(bytes)
    }

    /// Names at the top, sorted.
    pub(crate) fn top(&self) -> Result<Vec<String>, Error> {
        match self {
            Files::Dir(root) => {
                Ok(root.list(".")?.into_iter().filter_map(|name| name.into_string().ok()).collect())
            }
            Files::Tar(entries) => Ok(entries.top()),
        }
    }

    /// Names of the files in a directory, at most two levels down, sorted; empty if it does not exist.
    pub(crate) fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        match self {
            Files::Dir(root) => {
                Ok(root.try_list(dir)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
            }
            Files::Tar(entries) => Ok(entries.list(dir)),
        }
    }

    /// The directory or the tar.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Files::Dir(root) => root.path(),
            Files::Tar(entries) => entries.path(),
        }
    }

    /// The path of a file, for messages.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// What is wrong with a tar whose entries can be used: it is cut off, or some entries lead out of it.
    pub(crate) fn damage(&self) -> Vec<Error> {
        match self {
            Files::Dir(_) => Vec::new(),
            Files::Tar(entries) => entries.damage(),
        }
    }

    /// Whether the end of the tar is missing.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Files::Tar(entries) if entries.is_cut())
    }

    /// The error for a consequence of a missing end; `None` if nothing is missing.
    pub(crate) fn cut_off(&self, consequence: &str) -> Option<Error> {
        match self {
            Files::Tar(entries) if entries.is_cut() => Some(entries.cut_off(consequence)),
            _ => None,
        }
    }

    /// The error for a missing file. If the end of the tar is missing, it says so.
    pub(crate) fn missing(&self, of: &str, what: &'static str, id: &str, name: &str) -> Error {
        let missing = Error::Missing { of: of.to_owned(), what, id: id.to_owned(), path: self.join(name) };
        self.cut_off(&missing.to_string()).unwrap_or(missing)
    }
}

/// An open file of a directory.
fn place(root: &Root, name: String, file: File) -> Result<Place, Error> {
    let len = file.metadata().map_err(|error| Error::io("read", root.join(&name), error))?.len();
    Ok(Place { name, range: FileRange { file: Arc::new(file), offset: 0, len, digest: None } })
}

/// Finds a file in a directory. An unpacked archive still has its links, which are followed as in the
/// archive.
fn find_in(root: &Root, name: String) -> Result<Option<Place>, Error> {
    // Whatever a blob's name leads to, its bytes are compared with the digest in it.
    if name.starts_with("blobs/") {
        let Some(file) = root.try_open_proven(&name)? else { return Ok(None) };
        return place(root, name, file).map(Some);
    }
    let mut at = name.clone();
    for _ in 0..LINKS {
        let Some(target) = root.try_link(&at)? else {
            let Some(file) = root.try_open_file(&at)? else { return Ok(None) };
            return place(root, at, file).map(Some);
        };
        let target = target.to_string_lossy().into_owned();
        let why = || format!("it is a link to {target:?}, out of the directory");
        at = name::beside(&at, &target).ok_or_else(|| Error::malformed(root.join(&name), why()))?;
    }
    let why = "it is a link that leads to itself, or through too many others";
    Err(Error::malformed(root.join(&name), why))
}
