//! Access below a directory, and nowhere else.
//!
//! Two ways to get at a file, since a store holds two kinds of tree. The engine's own files ([`Root::open_file`] and
//! the like) never have a symbolic link on their way: one there is an attempt to lead out, or damage. Inside a layer
//! ([`Root::open_in_tree`]) links are part of the image: `lib -> usr/lib`, then `lib/x`. They are followed as a container would
//! follow them, with the layer's directory as `/`; the last component must be the file itself.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::Error;

mod folder;
mod walk;

pub(crate) use folder::Folder;

/// An open directory, and the path that messages call it by.
#[derive(Debug, Clone)]
pub struct Root {
    dir: Arc<OwnedFd>,
    path: PathBuf,
}

/// Whether the kernel has refused `openat2`: too old (before 5.6), or a sandbox that does not know it.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);
/// Whether `O_NOATIME` was refused; only a file's owner and root may leave its access time alone.
static NO_NOATIME: AtomicBool = AtomicBool::new(false);

/// For files: a named pipe must not block, a terminal not become ours.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const DIR: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);
const STRICT: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_SYMLINKS);
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl Root {
    /// Opens a directory by any path. Links on the way to it are followed: the caller named it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let dir = rustix::fs::open(path, DIR, Mode::empty()).map_err(|e| io_error("open", path, e))?;
        Ok(Root { dir: Arc::new(dir), path: path.to_owned() })
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open directory.
    pub fn as_dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// The path of something below it, for messages.
    pub fn join(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.path.join(relative)
    }

    /// Opens a directory below; no links.
    pub fn dir(&self, relative: impl AsRef<Path>) -> Result<Self, Error> {
        let relative = relative.as_ref();
        let dir = self.resolve(relative, DIR).map_err(|e| io_error("open", &self.join(relative), e))?;
        Ok(Root { dir: Arc::new(dir), path: self.join(relative) })
    }

    /// The same, `None` if it is not there.
    pub fn try_dir(&self, relative: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        not_found_is_none(self.dir(relative))
    }

    /// Opens a regular file below; no links.
    pub fn open_file(&self, relative: impl AsRef<Path>) -> Result<File, Error> {
        self.open_regular(relative.as_ref()).map(|(file, _)| file)
    }

    /// The same, and its length.
    fn open_regular(&self, relative: &Path) -> Result<(File, u64), Error> {
        let error = |errno| io_error("open", &self.join(relative), errno);
        let file = File::from(self.resolve(relative, FILE).map_err(error)?);
        let metadata = file.metadata().map_err(|source| self.read_error(relative, source))?;
        if !metadata.is_file() {
            return Err(Error::malformed(self.join(relative), "it is not a regular file"));
        }
        Ok((file, metadata.len()))
    }

    /// The same, `None` if it is not there.
    pub fn try_open_file(&self, relative: impl AsRef<Path>) -> Result<Option<File>, Error> {
        not_found_is_none(self.open_file(relative))
    }

    /// The bytes of a file below, at most `limit`; more than that is [`Error::Malformed`]. For metadata: nothing that an
    /// engine writes there comes near a sensible limit.
    pub fn read(&self, relative: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, Error> {
        let relative = relative.as_ref();
        let (mut file, len) = self.open_regular(relative)?;
        let mut bytes = vec![0; len.min(limit) as usize + 1];
        let filled = file.read(&mut bytes).map_err(|source| self.read_error(relative, source))?;
        bytes.truncate(filled);
        // A listing reads tens of thousands of files. One that filled all but the last byte of the buffer was at its end.
        if filled as u64 != len {
            let rest = (limit + 1).saturating_sub(filled as u64);
            file.take(rest).read_to_end(&mut bytes).map_err(|source| self.read_error(relative, source))?;
        }
        if bytes.len() as u64 > limit {
            let why =
                format!("it is larger than {} MiB, which no engine's file of this kind is", limit >> 20);
            return Err(Error::malformed(self.join(relative), why));
        }
        Ok(bytes)
    }

    /// The same, `None` if it is not there.
    pub fn try_read(&self, relative: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        not_found_is_none(self.read(relative, limit))
    }

    /// Whether something is there, a link included.
    pub fn exists(&self, relative: impl AsRef<Path>) -> Result<bool, Error> {
        let relative = relative.as_ref();
        match self.resolve(relative, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(io_error("look up", &self.join(relative), errno)),
        }
    }

    /// Names in a directory below (`"."` for this one), sorted, without `.` and `..`.
    pub fn list(&self, relative: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
        let relative = relative.as_ref();
        let error = |errno| io_error("list", &self.join(relative), errno);
        let dir = self.resolve(relative, DIR).map_err(error)?;
        let mut names = list(&dir).map_err(error)?;
        names.sort();
        Ok(names)
    }

    /// The same, empty if the directory is not there.
    pub fn try_list(&self, relative: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
        Ok(not_found_is_none(self.list(relative))?.unwrap_or_default())
    }

    /// Opens a file of a layer, this directory being the layer's root: links in its folders lead inside, the file itself
    /// must be none. What else it is (a directory, a device) shows when it is read.
    pub fn open_in_tree(&self, name: &[u8]) -> io::Result<File> {
        let name = Path::new(OsStr::from_bytes(name));
        Ok(File::from(open(self.dir.as_fd(), name, FILE | OFlags::NOFOLLOW, IN_ROOT)?))
    }

    /// Opens a directory of a layer in the same way; the last component may be a link as well.
    pub fn open_dir_in_tree(&self, name: &[u8]) -> io::Result<OwnedFd> {
        let name = Path::new(OsStr::from_bytes(name));
        let name = if name.as_os_str().is_empty() { Path::new(".") } else { name };
        Ok(open(self.dir.as_fd(), name, DIR, IN_ROOT)?)
    }

    fn resolve(&self, relative: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        open(self.dir.as_fd(), relative, flags, STRICT)
    }

    fn read_error(&self, relative: &Path, source: io::Error) -> Error {
        Error::io("read", self.join(relative), source)
    }
}

/// Names in an open directory, in the order of the disk.
pub(crate) fn list(dir: impl AsFd) -> rustix::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

fn open(dir: impl AsFd, path: &Path, flags: OFlags, how: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let dir = dir.as_fd();
    if flags.contains(OFlags::PATH) {
        return open_once(dir, path, flags, how);
    }
    without_atime(flags, |flags| open_once(dir, path, flags, how))
}

/// Opens something to be read, with `O_NOATIME` unless that is refused.
fn without_atime(
    flags: OFlags,
    open: impl Fn(OFlags) -> rustix::io::Result<OwnedFd>,
) -> rustix::io::Result<OwnedFd> {
    if !NO_NOATIME.load(Ordering::Relaxed) {
        match open(flags | OFlags::NOATIME) {
            Err(Errno::PERM) => NO_NOATIME.store(true, Ordering::Relaxed),
            other => return other,
        }
    }
    open(flags)
}

fn open_once(
    dir: rustix::fd::BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    how: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    // A rename elsewhere makes `..` undecidable for a moment; the kernel then asks for another try.
    for _ in 0..16 {
        if NO_OPENAT2.load(Ordering::Relaxed) {
            break;
        }
        match rustix::fs::openat2(dir, path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS) => NO_OPENAT2.store(true, Ordering::Relaxed),
            other => return other,
        }
    }
    walk::open(dir, path, flags, how.contains(ResolveFlags::IN_ROOT))
}

fn io_error(action: &'static str, path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::LOOP | Errno::XDEV => {
            let why = "there is a symbolic link on its way, which no engine puts there; it is not followed";
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

#[cfg(test)]
mod tests;
