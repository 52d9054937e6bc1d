//! An open directory, through which files below it are opened.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{DIR, FILE, Links, Reach, beneath, list, reach};
use crate::Error;

/// An open directory, with the path that messages use for it.
#[derive(Debug, Clone)]
pub struct Root {
    dir: Arc<OwnedFd>,
    path: PathBuf,
    /// For the root of a store: where links in place of its own directories may lead.
    reach: Option<Arc<Reach>>,
}

impl Root {
    /// Opens the directory at any path. Links are followed, since the caller names it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let dir = rustix::fs::open(path, DIR, Mode::empty()).map_err(|e| io_error("open", path, e))?;
        Ok(Root { dir: Arc::new(dir), path: path.to_owned(), reach: None })
    }

    /// The same for the root of a store.
    pub(crate) fn open_store(path: &Path, reach: Reach) -> Result<Self, Error> {
        Ok(Root { reach: Some(Arc::new(reach)), ..Root::open(path)? })
    }

    pub(super) fn reach(&self) -> Option<&Reach> {
        self.reach.as_deref()
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open directory.
    pub fn as_dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// The path of something below, for messages.
    pub fn join(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.path.join(relative)
    }

    /// Opens a directory below, without following links.
    pub fn dir(&self, relative: impl AsRef<Path>) -> Result<Self, Error> {
        let relative = relative.as_ref();
        let dir = self.resolve(relative, DIR).map_err(|e| self.error("open", relative, e))?;
        Ok(Root { dir: Arc::new(dir), path: self.join(relative), reach: None })
    }

    /// The same for a directory of the store's own: links in it may lead where those of the store may.
    pub(crate) fn own_dir(&self, relative: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Root { reach: self.reach.clone(), ..self.dir(relative)? })
    }

    /// The same; `None` if it does not exist.
    pub(crate) fn try_own_dir(&self, relative: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        not_found_is_none(self.own_dir(relative))
    }

    /// A directory below; `None` if it does not exist.
    pub fn try_dir(&self, relative: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        not_found_is_none(self.dir(relative))
    }

    /// Opens a regular file below, without following links.
    pub fn open_file(&self, relative: impl AsRef<Path>) -> Result<File, Error> {
        self.open_regular(relative.as_ref()).map(|(file, _)| file)
    }

    /// The same, and its length.
    fn open_regular(&self, relative: &Path) -> Result<(File, u64), Error> {
        let file = self.resolve(relative, FILE).map_err(|errno| self.error("open", relative, errno))?;
        self.regular(relative, file.into())
    }

    fn regular(&self, relative: &Path, file: File) -> Result<(File, u64), Error> {
        let metadata = file.metadata().map_err(|source| self.read_error(relative, source))?;
        if !metadata.is_file() {
            return Err(Error::malformed(self.join(relative), "it is not a regular file"));
        }
        Ok((file, metadata.len()))
    }

    /// The same; `None` if it does not exist.
    pub fn try_open_file(&self, relative: impl AsRef<Path>) -> Result<Option<File>, Error> {
        not_found_is_none(self.open_file(relative))
    }

    /// Opens a regular file whose bytes the caller compares with a digest, with its length. It may be behind
    /// links to anything below the folder that the user named; `None` if it does not exist.
    pub(crate) fn try_open_proven(&self, relative: impl AsRef<Path>) -> Result<Option<(File, u64)>, Error> {
        let relative = relative.as_ref();
        match (self.resolve(relative, FILE), || reach::open_proven(self, relative, FILE)) {
            (Err(Errno::LOOP), behind) => match behind() {
                Some(Ok(file)) => self.regular(relative, file.into()).map(Some),
                _ => Err(self.error("open", relative, Errno::LOOP)),
            },
            (Err(errno), _) => not_found_is_none(Err(self.error("open", relative, errno))),
            (Ok(file), _) => self.regular(relative, file.into()).map(Some),
        }
    }

    /// Reads a file below. One of more than `limit` bytes is [`Error::Malformed`]: this is for metadata,
    /// which stay far below any sensible limit.
    pub fn read(&self, relative: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, Error> {
        let relative = relative.as_ref();
        let (mut file, len) = self.open_regular(relative)?;
        let mut bytes = vec![0; len.min(limit) as usize + 1];
        let filled = file.read(&mut bytes).map_err(|source| self.read_error(relative, source))?;
        bytes.truncate(filled);
        // A listing reads tens of thousands of files, so each call counts. A read that left the last byte of
        // the buffer empty was at the end.
        if filled as u64 != len {
            let rest = (limit + 1).saturating_sub(filled as u64);
            file.take(rest).read_to_end(&mut bytes).map_err(|source| self.read_error(relative, source))?;
        }
        if bytes.len() as u64 > limit {
            let why = format!("it is larger than {} MiB, more than any engine writes", limit >> 20);
            return Err(Error::malformed(self.join(relative), why));
        }
        Ok(bytes)
    }

    /// The same; `None` if it does not exist.
    pub fn try_read(&self, relative: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        not_found_is_none(self.read(relative, limit))
    }

    /// Whether something exists below, be it a link.
    pub fn exists(&self, relative: impl AsRef<Path>) -> Result<bool, Error> {
        let relative = relative.as_ref();
        match self.resolve(relative, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(self.error("look up", relative, errno)),
        }
    }

    /// The target of a link below; `None` if there is no link. Links on the way are not followed.
    pub(crate) fn try_link(&self, relative: impl AsRef<Path>) -> Result<Option<OsString>, Error> {
        let relative = relative.as_ref();
        let (parent, name) = (relative.parent(), relative.file_name().unwrap_or_default());
        let parent = parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Some(dir) = self.try_dir(parent)? else { return Ok(None) };
        let target = rustix::fs::readlinkat(dir.as_dir(), name, Vec::new());
        Ok(target.ok().map(|target| OsString::from_vec(target.into_bytes())))
    }

    /// `stat` of the directory itself.
    pub(crate) fn stat(&self) -> Result<Stat, Error> {
        rustix::fs::fstat(&self.dir).map_err(|errno| io_error("look up", &self.path, errno))
    }

    /// Names in a directory below (`"."` for this one), sorted.
    pub fn list(&self, relative: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
        let relative = relative.as_ref();
        let error = |errno| self.error("list", relative, errno);
        let dir = self.resolve(relative, DIR).map_err(error)?;
        let mut names = list(dir).map_err(error)?;
        names.sort();
        Ok(names)
    }

    /// The same; empty if the directory does not exist.
    pub fn try_list(&self, relative: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
        Ok(not_found_is_none(self.list(relative))?.unwrap_or_default())
    }

    /// Opens a file of the layer whose root this directory is. Links to folders are followed, with this
    /// directory as `/`; the file itself must not be a link. It can still be a directory or a device, which
    /// shows when it is read.
    pub fn open_in_tree(&self, name: &[u8]) -> io::Result<File> {
        let name = Path::new(OsStr::from_bytes(name));
        Ok(File::from(beneath::open(self.dir.as_fd(), name, FILE | OFlags::NOFOLLOW, Links::Inside)?))
    }

    /// Opens a file in the same way, except that it may be a link, too.
    pub(super) fn open_settings(&self, name: &Path) -> io::Result<File> {
        Ok(File::from(beneath::open(self.dir.as_fd(), name, FILE, Links::Inside)?))
    }

    /// Opens a directory in the same way. It may be a link, too.
    pub fn open_dir_in_tree(&self, name: &[u8]) -> io::Result<OwnedFd> {
        let name = Path::new(OsStr::from_bytes(name));
        let name = if name.as_os_str().is_empty() { Path::new(".") } else { name };
        Ok(beneath::open(self.dir.as_fd(), name, DIR, Links::Inside)?)
    }

    fn resolve(&self, relative: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        match beneath::open(self.dir.as_fd(), relative, flags, Links::Refused) {
            Err(Errno::LOOP) if self.reach.is_some() => {
                reach::open(self, relative, flags).unwrap_or(Err(Errno::LOOP))
            }
            opened => opened,
        }
    }

    fn error(&self, action: &'static str, relative: &Path, errno: Errno) -> Error {
        match errno {
            Errno::LOOP => reach::error(self, relative),
            errno => io_error(action, &self.join(relative), errno),
        }
    }

    fn read_error(&self, relative: &Path, source: io::Error) -> Error {
        Error::io("read", self.join(relative), source)
    }
}

fn io_error(action: &'static str, path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::LOOP | Errno::XDEV => {
            let why =
                "there is a symbolic link in its path, which no engine puts there and which is not followed";
            Error::malformed(path, why)
        }
        errno => Error::io(action, path, errno),
    }
}

fn not_found_is_none<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_io_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
