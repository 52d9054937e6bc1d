//! A directory with files as a container has them: owners, modes, times, links, devices and attributes.
//!
//! It is made under a temporary name beside its own, closed to others, and renamed when it is complete.
//! Everything is opened from directory to directory without following a link, and no name is taken twice, so
//! nothing leads out of it. What the system refuses to an ordinary user is counted and left out.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, makedev};
use rustix::io::Errno;

use super::dir::is_empty_dir;
use super::temporary::{Staging, final_path, folder, sync_folder};
use crate::Error;

/// An entry of a file system.
#[derive(Debug, Clone)]
pub struct FileEntry<'a> {
    /// Relative, without a slash at either end; empty for the root.
    pub path: &'a [u8],
    /// What it is.
    pub kind: FileKind<'a>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Extended attributes, name and value.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind<'a> {
    /// A file, whose contents follow.
    File,
    /// A further name of the file that came under this path.
    Link(&'a [u8]),
    /// A directory.
    Dir,
    /// A symbolic link with this target.
    Symlink(&'a [u8]),
    /// A device.
    Device {
        /// Whether it is a block device; otherwise it is a character device.
        block: bool,
        /// Major and minor number.
        numbers: (u64, u64),
    },
    /// A named pipe.
    Fifo,
}

/// What takes the entries of a file system: each directory before what is in it, each file followed by its
/// contents.
pub trait FileSink {
    /// The next entry.
    fn entry(&mut self, entry: &FileEntry<'_>) -> Result<(), Error>;
    /// The next bytes of the file that came last.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// This many zeros of it, which need not be stored.
    fn hole(&mut self, len: u64) -> Result<(), Error>;
}

/// What could not be kept: how often, and the first path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotKept {
    /// Entries that have the owner or group of this process instead of their own.
    pub owners: Option<(u64, PathBuf)>,
    /// Devices that are missing.
    pub devices: Option<(u64, PathBuf)>,
    /// Entries that lack attributes.
    pub attributes: Option<(u64, PathBuf)>,
}

/// A directory that is being written.
pub struct UnpackedDir {
    path: PathBuf,
    staging: Staging,
    root: OwnedFd,
    /// The directory of the last entry.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Directories get their metadata when everything is in them.
    dirs: Vec<(Vec<u8>, Metadata)>,
    file: Option<(File, Vec<u8>, Metadata)>,
    /// Devices that the system refused: further names of them cannot be made either.
    refused: HashSet<Vec<u8>>,
    not_kept: NotKept,
}

#[derive(Clone)]
struct Metadata {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl UnpackedDir {
    /// Begins a directory that will be at `path`, where there must not be one yet unless it is empty.
    pub fn create(path: &Path) -> Result<Self, Error> {
        match is_empty_dir(path) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(false) => return Err(Error::output("write", path)(io::ErrorKind::DirectoryNotEmpty.into())),
            Err(error) => return Err(Error::output("open", path)(error)),
        }
        let path: PathBuf = path.components().collect();
        let path = final_path(&path).map_err(Error::output("follow", &path))?;
        let staging = Staging::new(&folder(&path))?;
        let failed = |errno: Errno| Error::output("open", staging.path())(errno.into());
        let root = rustix::fs::openat(CWD, staging.path(), DIR, Mode::empty()).map_err(failed)?;
        rustix::fs::fchmod(&root, Mode::from_raw_mode(0o700)).map_err(failed)?;
        let (parent, dirs, file, refused) = (None, Vec::new(), None, HashSet::new());
        Ok(UnpackedDir { path, staging, root, parent, dirs, file, refused, not_kept: NotKept::default() })
    }

    /// Gives the directories their metadata, and the whole its name. Without this call, nothing remains.
    pub fn finish(mut self) -> Result<NotKept, Error> {
        self.close()?;
        for (path, metadata) in std::mem::take(&mut self.dirs).into_iter().rev() {
            let dir = self.open_dir(&path)?;
            let modes = self.set(&path, Entry::Open(dir.as_fd()), &metadata, true);
            modes.map_err(|errno| self.failed("set the metadata of", &path, errno))?;
        }
        // One call for a million files.
        rustix::fs::syncfs(&self.root).map_err(|errno| self.failed("write", b"", errno))?;
        fs::rename(self.staging.path(), &self.path).map_err(Error::output("rename", &self.path))?;
        self.staging.keep();
        sync_folder(&self.path);
        Ok(self.not_kept)
    }

    /// Ends the file that is being written.
    fn close(&mut self) -> Result<(), Error> {
        let Some((mut file, path, metadata)) = self.file.take() else { return Ok(()) };
        // A hole at the end is not written; the length makes it.
        let len = file.stream_position().and_then(|len| file.set_len(len));
        len.map_err(|source| Error::output("write", &self.path.join(OsStr::from_bytes(&path)))(source))?;
        let set = self.set(&path, Entry::Open(file.as_fd()), &metadata, true);
        set.map_err(|errno| self.failed("set the metadata of", &path, errno))
    }

    /// Opens a directory. What is missing on the way is made.
    fn open_dir(&self, path: &[u8]) -> Result<OwnedFd, Error> {
        let mut dir = None;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let at: BorrowedFd<'_> = dir.as_ref().map_or(self.root.as_fd(), OwnedFd::as_fd);
            let opened = match rustix::fs::openat(at, name, DIR, Mode::empty()) {
                Err(Errno::NOENT) => rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755))
                    .and_then(|()| rustix::fs::openat(at, name, DIR, Mode::empty())),
                opened => opened,
            };
            dir = Some(opened.map_err(|errno| self.failed("open", path, errno))?);
        }
        match dir {
            Some(dir) => Ok(dir),
            None => rustix::io::fcntl_dupfd_cloexec(&self.root, 0)
                .map_err(|errno| self.failed("open", path, errno)),
        }
    }

    /// Makes an entry. `None` if the system refuses it to this user.
    fn make(&mut self, entry: &FileEntry<'_>, name: &[u8]) -> rustix::io::Result<Option<Made>> {
        let Some((_, parent)) = &self.parent else { return Err(Errno::NOENT) };
        let private = Mode::from_raw_mode(0o600);
        match entry.kind {
            FileKind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
                let file = rustix::fs::openat(parent, name, flags | OFlags::CLOEXEC, private)?;
                return Ok(Some(Made::File(file.into())));
            }
            FileKind::Dir => {
                rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
                return Ok(Some(Made::Dir));
            }
            FileKind::Link(first) if self.refused.contains(first) => return Ok(None),
            FileKind::Link(first) => {
                let (dir, first) = split(first);
                let dir = self.open_dir(dir).map_err(|_| Errno::NOENT)?;
                rustix::fs::linkat(&dir, first, parent, name, AtFlags::empty())?;
                return Ok(Some(Made::Link));
            }
            FileKind::Symlink(target) => rustix::fs::symlinkat(target, parent, name)?,
            FileKind::Fifo => rustix::fs::mknodat(parent, name, FileType::Fifo, private, 0)?,
            FileKind::Device { block, numbers: (major, minor) } => {
                let kind = if block { FileType::BlockDevice } else { FileType::CharacterDevice };
                let number = makedev(major as u32, minor as u32);
                match rustix::fs::mknodat(parent, name, kind, private, number) {
                    Err(Errno::PERM | Errno::ACCESS) => {
                        self.refused.insert(entry.path.to_vec());
                        return Ok(None);
                    }
                    made => made?,
                }
            }
        }
        Ok(Some(Made::Other))
    }

    /// Sets owner, mode, attributes and time, in this order: each can undo some of what comes after it here.
    fn set(
        &mut self,
        path: &[u8],
        entry: Entry<'_>,
        metadata: &Metadata,
        has_mode: bool,
    ) -> rustix::io::Result<()> {
        let Metadata { mut mode, uid, gid, mtime, .. } = *metadata;
        // The last number stands for nobody, and the kernel takes it for "as it was".
        let owners = (uid != u32::MAX && gid != u32::MAX).then(|| (Uid::from_raw(uid), Gid::from_raw(gid)));
        let owned = match (owners, entry) {
            (None, _) => Err(Errno::INVAL),
            (Some((owner, group)), Entry::Open(file)) => rustix::fs::fchown(file, Some(owner), Some(group)),
            (Some((owner, group)), Entry::Named(dir, name)) => {
                rustix::fs::chownat(dir, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
            }
        };
        match owned {
            Ok(()) => {}
            Err(Errno::PERM | Errno::INVAL) => {
                // Setuid and setgid are meant for the owner that it should have.
                mode &= 0o1777;
                count(&mut self.not_kept.owners, path);
            }
            Err(errno) => return Err(errno),
        }
        if has_mode {
            match entry {
                Entry::Open(file) => rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?,
                Entry::Named(dir, name) => {
                    rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
                }
            }
        }
        for (attribute, value) in &metadata.xattrs {
            let flags = XattrFlags::empty();
            let set = match entry {
                Entry::Open(file) => rustix::fs::fsetxattr(file, attribute.as_slice(), value, flags),
                Entry::Named(dir, name) => {
                    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
                    path.extend_from_slice(name);
                    rustix::fs::lsetxattr(path.as_slice(), attribute.as_slice(), value, flags)
                }
            };
            match set {
                Ok(()) => {}
                Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::NOSPC) => {
                    count(&mut self.not_kept.attributes, path);
                }
                Err(errno) => return Err(errno),
            }
        }
        let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        match entry {
            Entry::Open(file) => rustix::fs::futimens(file, &times),
            Entry::Named(dir, name) => rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    fn failed(&self, action: &'static str, path: &[u8], errno: Errno) -> Error {
        Error::output(action, &self.path.join(OsStr::from_bytes(path)))(errno.into())
    }
}

impl FileSink for UnpackedDir {
    fn entry(&mut self, entry: &FileEntry<'_>) -> Result<(), Error> {
        self.close()?;
        let FileEntry { path, mode, uid, gid, mtime, .. } = *entry;
        let metadata = Metadata { mode, uid, gid, mtime, xattrs: entry.xattrs.to_vec() };
        if path.is_empty() {
            self.dirs.push((Vec::new(), metadata));
            return Ok(());
        }
        let (dir, name) = split(path);
        if matches!(name, b"" | b"." | b"..") || name.contains(&0) {
            let entry = String::from_utf8_lossy(path).into_owned();
            return Err(Error::Entry { entry, why: "its path leads out of the output" });
        }
        if self.parent.as_ref().is_none_or(|(known, _)| known != dir) {
            self.parent = Some((dir.to_vec(), self.open_dir(dir)?));
        }
        match self.make(entry, name).map_err(|errno| self.failed("create", path, errno))? {
            None => count(&mut self.not_kept.devices, path),
            Some(Made::File(file)) => self.file = Some((file, path.to_vec(), metadata)),
            Some(Made::Dir) => self.dirs.push((path.to_vec(), metadata)),
            Some(Made::Link) => {}
            Some(Made::Other) => {
                let Some((dir, parent)) = self.parent.take() else { return Ok(()) };
                let has_mode = !matches!(entry.kind, FileKind::Symlink(_));
                let set = self.set(path, Entry::Named(parent.as_fd(), name), &metadata, has_mode);
                set.map_err(|errno| self.failed("set the metadata of", path, errno))?;
                self.parent = Some((dir, parent));
            }
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some((file, path, _)) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(Error::output("write", &self.path.join(OsStr::from_bytes(path))))
    }

    fn hole(&mut self, len: u64) -> Result<(), Error> {
        let Some((file, path, _)) = &mut self.file else { return Ok(()) };
        let over = SeekFrom::Current(i64::try_from(len).unwrap_or(i64::MAX));
        let seeked = file.seek(over).map(drop);
        seeked.map_err(Error::output("write", &self.path.join(OsStr::from_bytes(path))))
    }
}

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What was made.
enum Made {
    File(File),
    Dir,
    Link,
    Other,
}

/// What metadata are set on.
#[derive(Clone, Copy)]
enum Entry<'a> {
    Open(BorrowedFd<'a>),
    Named(BorrowedFd<'a>, &'a [u8]),
}

fn count(counted: &mut Option<(u64, PathBuf)>, path: &[u8]) {
    counted.get_or_insert_with(|| (0, OsStr::from_bytes(path).into())).0 += 1;
}

/// The directory of a path, and its last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
