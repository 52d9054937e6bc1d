//! A folder of a layer that stays open, for many files of it one after another: the way to it is walked once.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{FILE, IN_ROOT, Root, open, without_atime};

/// Not for reading: a folder whose files may be opened need not be one that may be listed.
pub(super) const FOLDER: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// An open folder, found in the same way as [`Root::open_dir_in_tree`] finds it.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub(crate) fn open(tree: &Root, name: &[u8]) -> io::Result<Self> {
        Ok(Folder(open(tree.as_dir().as_fd(), Path::new(OsStr::from_bytes(name)), FOLDER, IN_ROOT)?))
    }

    /// Opens a file of the folder; as with [`Root::open_in_tree`], a link is an error. `name` is one component and leads
    /// nowhere else, which is checked: this is a plain `openat`, which keeps nothing inside.
    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<File> {
        if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
            return Err(Errno::INVAL.into());
        }
        let file = without_atime(FILE | OFlags::NOFOLLOW, |flags| {
            rustix::fs::openat(&self.0, OsStr::from_bytes(name), flags, Mode::empty())
        })?;
        Ok(File::from(file))
    }
}
