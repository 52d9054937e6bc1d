//! A folder of a layer that stays open, so that the path to it is resolved once for all of its files.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Links, PASSED, Root, beneath, open_file_in};

/// An open folder, resolved as by [`Root::open_dir_in_tree`]. Its files can be opened even if it cannot be
/// listed.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub(crate) fn open(tree: &Root, name: &[u8]) -> io::Result<Self> {
        let name = Path::new(OsStr::from_bytes(name));
        Ok(Folder(beneath::open(tree.as_dir().as_fd(), name, PASSED, Links::Inside)?))
    }

    /// Opens the file `name`, a single component. As in [`Root::open_in_tree`], a link is an error.
    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<File> {
        Ok(open_file_in(&self.0, name)?)
    }
}
