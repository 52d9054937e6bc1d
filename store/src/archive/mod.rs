//! The files of an image layout or archive: those of a directory, or the entries of a tar, read in place.
//!
//! ```text
//! x.tar          an index of the entries, made in one pass over the headers; nothing is unpacked
//! x.tar.gz       the same, after it was decompressed into a temporary file (also zst, xz, bz2)
//! x/             a directory, read through [`Root`]
//! x.tar.001      the first of several volumes, which are read as one
//! ```
//!
//! All entries of a tar may lie in one folder, as `tar cf x.tar x/` leaves them. The files of skopeo's `dir:`
//! are shown as those of an image layout.
//!
//! Neither names (`..`, a leading `/`) nor links lead out.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{Content, Digest, FileRange};

use crate::fs::{named, volumes};
use crate::kind::OpenOptions;
use crate::{Error, Hint, Requirement, Root};

mod entries;
mod expanded;
mod header;
mod known;
mod name;
mod sha512;
pub(crate) mod sparse;
pub(crate) mod whole;

use entries::Entries;
pub(crate) use header::checksum_holds;
pub(crate) use name::clean;

/// How many links a name may lead through.
const LINKS: usize = 40;

/// Whether what is at a path can be listed at once: a directory, or a tar. What is compressed has to be
/// decompressed first, and other files may keep a reader waiting (a pipe).
pub fn lists_at_once(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    let mut block = [0; 512];
    let is_tar = |(mut file, _): (File, _)| file.read_exact(&mut block).is_ok() && header::is_ustar(&block);
    metadata.is_dir() || metadata.is_file() && named::open(path).is_ok_and(is_tar)
}

/// The files of a layout, by the names that its documents have for them.
#[derive(Debug)]
pub(crate) struct Files {
    source: Source,
    /// Folder of a tar in which all of them lie, with a slash at its end.
    folder: String,
    /// The hex digits of the digest of `manifest.json`, where it is a manifest and the blobs lie beside it:
    /// see [`Files::beside`].
    flat: Option<String>,
    /// Blobs that have a SHA-512 digest instead.
    sha512: sha512::Names,
    /// The blobs that count, where others lie beside them: see [`Files::only`].
    only: Option<HashSet<Digest>>,
}

/// Where they are.
#[derive(Debug)]
enum Source {
    Dir(Root),
    Tar(Box<Entries>),
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
    // A device is not even opened: that can rewind a tape, and some never end.
    let kind = path.metadata().map_err(|error| Error::io("open", path, error))?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        let what = match () {
            () if kind.is_char_device() => "a character device",
            () if kind.is_block_device() => "a block device",
            () if kind.is_socket() => "a socket",
            () => "not a file",
        };
        let (why, hint) = (format!("it is {what}"), "name a tar, or the directory of an image layout");
        let hint = match kind.is_block_device() {
            true => Hint::NameContents { how: known::MOUNT.into(), below: PathBuf::new() },
            false => Hint::Other(hint.into()),
        };
        return Err(Error::NoStore { path: path.to_owned(), why: Some(why.into()), hint: Some(hint) });
    }
    let whole = match volumes::open(path)? {
        Some(volumes) => whole::of_volumes(volumes, path, options)?,
        None => {
            let (file, metadata) = named::open(path)?;
            whole::open(file, metadata.len(), metadata.is_file(), path, options)?
        }
    };
    Ok(Files::of(Source::Tar(Box::new(Entries::read(whole, path, options)?))))
}

impl Files {
    /// Those of a directory.
    pub(crate) fn in_dir(root: Root) -> Self {
        Files::of(Source::Dir(root))
    }

    fn of(source: Source) -> Self {
        let (sha512, only) = (sha512::Names::default(), None);
        Files { source, folder: String::new(), flat: None, sha512, only }
    }

    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.source, Source::Dir(_))
    }

    /// The same, where `manifest.json` is a manifest and has these hex digits: its blobs lie beside it, as
    /// `<digest>` without the algorithm, and members of a list as `<digest>.manifest.json`.
    pub(crate) fn beside(self, manifest: String) -> Self {
        Files { flat: Some(manifest), ..self }
    }

    /// The same, as if these blobs alone were there.
    pub(crate) fn only(self, blobs: HashSet<Digest>) -> Self {
        Files { only: Some(blobs), ..self }
    }

    /// Whether a file does not count though it may be there.
    fn is_hidden(&self, name: &str) -> bool {
        let blob = self.only.as_ref().zip(name.strip_prefix("blobs/sha256/"));
        blob.is_some_and(|(only, hex)| Digest::from_hex(hex).is_none_or(|digest| !only.contains(&digest)))
    }

    /// Whether a blob is one of those that count, be its file there or not. Without [`Files::only`], nothing
    /// is known of blobs that are not there.
    pub(crate) fn is_recorded(&self, blob: Digest) -> bool {
        self.only.as_ref().is_some_and(|only| only.contains(&blob))
    }

    /// The file of a blob that does not count, though it is there.
    pub(crate) fn try_find_hidden(&self, name: &str) -> Result<Option<Place>, Error> {
        match &self.source {
            Source::Dir(root) if self.is_hidden(name) => find_in(root, name.to_owned()),
            _ => Ok(None),
        }
    }

    /// Goes into the folder of a tar in which all its entries lie; false if there is none.
    pub(crate) fn enter(&mut self) -> bool {
        let Source::Tar(entries) = &self.source else { return false };
        let Some(name) = entries.only(&self.folder) else { return false };
        self.folder = format!("{name}/");
        true
    }

    /// Goes back to the top.
    pub(crate) fn leave(&mut self) {
        self.folder.clear();
    }

    /// Whether a file of this name is there, be it readable or not: an entry that is cut off, or a bad link,
    /// is there too.
    pub(crate) fn exists(&self, name: &str) -> Result<bool, Error> {
        match &self.source {
            Source::Dir(_) if self.is_hidden(name) => Ok(false),
            Source::Dir(root) => root.exists(self.real(name)),
            Source::Tar(_) => Ok(!matches!(self.try_find(name), Ok(None))),
        }
    }

    /// The name under which a file lies there.
    fn real(&self, name: &str) -> String {
        let beside = self.flat.as_ref().zip(name.strip_prefix("blobs/sha256/"));
        let beside = beside.map(|(manifest, hex)| match hex {
            hex if hex == manifest => "manifest.json".to_owned(),
            hex => {
                let listed = format!("{}{hex}.manifest.json", self.folder);
                let is_listed = match &self.source {
                    Source::Dir(root) => root.exists(&listed).unwrap_or(false),
                    Source::Tar(entries) => entries.has(&listed),
                };
                if is_listed { format!("{hex}.manifest.json") } else { hex.to_owned() }
            }
        });
        format!("{}{}", self.folder, beside.as_deref().unwrap_or(name))
    }

    /// The file of this name; `None` if it does not exist. A name that leads out, a dangling link, and
    /// anything that is not a file are errors.
    pub(crate) fn try_find(&self, name: &str) -> Result<Option<Place>, Error> {
        let Some(name) = clean(name) else {
            let why = format!("it names a file {name:?}, which leads out of it");
            return Err(Error::malformed(self.path(), why));
        };
        if self.is_hidden(&name) {
            return Ok(None);
        }
        let real = self.real(&name);
        let found = match &self.source {
            Source::Tar(entries) => entries.try_find(&real)?,
            Source::Dir(root) => find_in(root, real)?,
        };
        if found.is_none()
            && let Some(file) = self.file_by_sha512(&name)
        {
            if let Some(damage) = self.damage_by_sha512(&name) {
                return Err(damage);
            }
            return Ok(self.try_find(&file)?.map(|place| Place { name, ..place }));
        }
        Ok(found.map(|place| match (place.name.strip_prefix(&self.folder), &self.flat) {
            // Its digest is in the name by which the documents know it.
            (_, Some(_)) => Place { name, ..place },
            (Some(below), None) if !self.folder.is_empty() => Place { name: below.to_owned(), ..place },
            _ => place,
        }))
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
        match &self.source {
            Source::Dir(root) => {
                Ok(root.list(".")?.into_iter().filter_map(|name| name.into_string().ok()).collect())
            }
            Source::Tar(entries) => Ok(entries.top(&self.folder)),
        }
    }

    /// Names of the files in a directory, at most two levels down, sorted; empty if there is no such
    /// directory.
    pub(crate) fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        let mut names = self.list_all(dir)?;
        names.retain(|name| !self.is_hidden(&format!("{dir}/{name}")));
        Ok(names)
    }

    /// The same with blobs that do not count.
    pub(crate) fn list_all(&self, dir: &str) -> Result<Vec<String>, Error> {
        match &self.source {
            Source::Dir(root) => match root.try_list(dir) {
                // A file has nothing in it.
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotADirectory => Ok(Vec::new()),
                listed => Ok(listed?.into_iter().filter_map(|name| name.into_string().ok()).collect()),
            },
            Source::Tar(entries) => Ok(entries.list(&format!("{}{dir}", self.folder))),
        }
    }

    /// The directory or the tar.
    pub(crate) fn path(&self) -> &Path {
        match &self.source {
            Source::Dir(root) => root.path(),
            Source::Tar(entries) => entries.path(),
        }
    }

    /// The path of a file, for messages.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        let real = self.file_by_sha512(name).unwrap_or_else(|| name.to_owned());
        self.path().join(self.real(&real))
    }

    /// What is wrong with a tar whose entries can be used: it is cut off, or some entries lead out of it.
    pub(crate) fn damage(&self) -> Vec<Error> {
        match &self.source {
            Source::Dir(_) => Vec::new(),
            Source::Tar(entries) => entries.damage(),
        }
    }

    /// Whether the end of the tar is missing.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(&self.source, Source::Tar(entries) if entries.is_cut())
    }

    /// Whether the tar ends between two entries or after the last one, without an end mark.
    pub(crate) fn lacks_mark_only(&self) -> bool {
        matches!(&self.source, Source::Tar(entries) if entries.lacks_mark_only())
    }

    /// The error for a consequence of a missing end; `None` if nothing is missing.
    pub(crate) fn cut_off(&self, consequence: &str) -> Option<Error> {
        match &self.source {
            Source::Tar(entries) if entries.is_cut() => Some(entries.cut_off(consequence)),
            _ => None,
        }
    }

    /// The error for a missing file. If the end of the tar is missing, it says so.
    pub(crate) fn missing(&self, of: &str, what: &'static str, id: &str, name: &str) -> Error {
        let id = id.parse().ok().and_then(|digest| self.sha512_of(digest)).unwrap_or_else(|| id.to_owned());
        let missing = Error::Missing { of: of.to_owned(), what, id, path: self.join(name) };
        self.cut_off(&missing.to_string()).unwrap_or(missing)
    }

    /// The error for a layer that is left out on purpose.
    pub(crate) fn left_out(&self, layer: &Requirement) -> Error {
        Error::LeftOut { path: self.path().to_owned(), layer: layer.name(), of: layer.of.clone() }
    }

    /// The error for files among which there is no image: what they are, where that shows.
    pub(crate) fn no_image(&self, why: &'static str) -> Error {
        match &self.source {
            Source::Dir(root) => Error::no_store(root.path(), why),
            Source::Tar(entries) => entries.no_image(why),
        }
    }
}

/// An open file of a directory.
fn place(name: String, file: File, len: u64) -> Place {
    Place { name, range: FileRange { file: Arc::new(file), offset: 0, len, digest: None } }
}

/// Finds a file in a directory. An unpacked archive still has its links, which are followed as in the
/// archive.
fn find_in(root: &Root, name: String) -> Result<Option<Place>, Error> {
    // Whatever a blob's name leads to, its bytes are compared with the digest in it.
    if name.starts_with("blobs/") {
        return Ok(root.try_open_proven(&name)?.map(|(file, len)| place(name, file, len)));
    }
    let mut at = name.clone();
    for _ in 0..LINKS {
        let Some(target) = root.try_link(&at)? else {
            let Some(file) = root.try_open_file(&at)? else { return Ok(None) };
            let len = file.metadata().map_err(|error| Error::io("read", root.join(&at), error))?.len();
            return Ok(Some(place(at, file, len)));
        };
        let target = target.to_string_lossy().into_owned();
        let why = || format!("it is a link to {target:?}, out of the directory");
        at = name::beside(&at, &target).ok_or_else(|| Error::malformed(root.join(&name), why()))?;
    }
    let why = "it is a link that leads to itself, or through too many others";
    Err(Error::malformed(root.join(&name), why))
}
