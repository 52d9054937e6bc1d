//! The only room that opens files. Nothing that a store says, and no link in it, leads out of its root.
//!
//! ```text
//! Root      an open directory; what is below it is opened through it
//! Folder    a folder of a layer that stays open
//! beneath   how: `openat2`, or where that is refused `walk`, one component at a time
//! named     files and directories that the caller named, or that this machine's settings name
//! ```
//!
//! There are two ways to get at a file, since a store holds two kinds of tree. The engine's own files
//! ([`Root::open_file`] and the like) never have a symbolic link on their way: one there is an attempt to
//! lead out, or damage. Inside a layer ([`Root::open_in_tree`]) links are part of the image: `lib ->
//! usr/lib`, then `lib/x`. They are followed as a container would follow them, with the layer's directory
//! as `/`; the last component must be the file itself.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Dir, OFlags};

mod beneath;
mod folder;
pub(crate) mod named;
mod root;
mod walk;

pub(crate) use folder::Folder;
pub use root::Root;

use beneath::Links;

/// For files: a named pipe must not block, a terminal not become ours.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// For directories to list.
const DIR: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);
/// For directories to open something in; they need not be ones that may be listed.
const PASSED: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// Opens a directory below another in order to open something in it; a link on the way is an error.
pub(crate) fn pass(dir: impl AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    beneath::open(dir.as_fd(), Path::new(OsStr::from_bytes(path)), PASSED, Links::Refused)
}

/// Opens an open directory once more, for a position in it of its own.
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

#[cfg(test)]
mod tests;
