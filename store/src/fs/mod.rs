//! Opens files; no other module does. A store is untrusted: neither its documents nor its links lead out of
//! its root.
//!
//! ```text
//! Root      an open directory, through which everything below it is opened
//! Folder    a folder of a layer that stays open
//! beneath   how a path is opened: with `openat2`, or with `walk` where that is refused
//! reach     links in place of a store's own directories, and which of them are followed
//! volumes   several files that the caller names as one
//! named     files and directories that the caller names, and places where stores are looked for
//! ```
//!
//! A store holds two kinds of tree, which are opened in two ways. Engines put no symbolic links on the
//! way to their own files ([`Root::open_file`] and the like), so a link is refused unless [`Reach`] has
//! it. In a layer ([`Root::open_in_tree`]) links belong to the image (`lib -> usr/lib`). They are
//! followed as in a container, with the layer's directory as `/`, but the file itself must not be a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Dir, OFlags};

mod beneath;
mod folder;
pub(crate) mod named;
mod reach;
mod root;
pub(crate) mod volumes;
mod walk;

pub(crate) use folder::Folder;
pub(crate) use reach::Reach;
pub use root::Root;

use beneath::Links;

/// For files. Opening a named pipe must not block, and a terminal must not become the controlling one.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// For directories that are listed.
const DIR: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);
/// For directories in which something is opened. Permission to list them is not needed.
const PASSED: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// Opens a directory below another, in which something will be opened. A link on the way is an error.
pub(crate) fn pass(dir: impl AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    beneath::open(dir.as_fd(), Path::new(OsStr::from_bytes(path)), PASSED, Links::Refused)
}

/// Opens a directory a second time, with a read position of its own.
pub(crate) fn reopen_dir(dir: impl AsFd) -> rustix::io::Result<OwnedFd> {
    beneath::open(dir.as_fd(), Path::new("."), DIR, Links::Refused)
}

/// Opens the directory `name`, a single component, in another; a link is an error.
pub(crate) fn open_dir_in(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    beneath::open_in(dir.as_fd(), name, DIR)
}

/// Opens the file `name`, a single component, in an open directory; a link is an error.
pub(crate) fn open_file_in(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<File> {
    beneath::open_in(dir.as_fd(), name, FILE).map(File::from)
}

/// Names in a directory, in the order of the file system.
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

#[cfg(test)]
mod tests;
