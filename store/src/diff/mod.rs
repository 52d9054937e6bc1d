//! Layers without tar-split data: their tar is computed from directories.
//!
//! ```text
//! vfs/dir/<id>/            whole trees: what differs from the parent's is the layer,
//! overlay/<id>/root/       what is missing becomes `.wh.NAME`
//! overlay2/<id>/diff/      only what the layer adds; a character device 0/0 removes a name, an attribute
//! aufs/diff/<id>/          a directory's earlier contents; or files `.wh.NAME`, `.wh..wh..opq` do
//! ```
//!
//! This is what Docker did for every layer until 1.7 and, since then, for those whose tar-split data were lost
//! (`pkg/archive` of 1.8: `changes.go`, `changes_linux.go`, `archive.go`). What it compares, in which order it writes and how
//! its headers look is kept; three things are not. A whiteout carries the time of its image, not of the run. A hard link leads to the first
//! of its names in the tar whatever device it is on. And what cannot be read is an error: Docker wrote a line to its log, and a layer without
//! the file.
//!
//! Only metadata are compared, never contents; memory is a small record for each entry that is written, and for each
//! directory.

mod attributes;
mod changes;
mod encode;
mod order;
mod records;
mod upper;
mod walk;

use std::io::Write;

use crate::{Error, Root};

/// How a layer's directory relates to its parent's.
#[derive(Debug, Clone)]
pub enum LayerDir {
    /// Whole root file systems: vfs, btrfs, zfs, overlay (the first). The layer is what differs from the parent's.
    Full {
        /// The parent's, `None` for a base layer.
        parent: Option<Root>,
    },
    /// Only what the layer adds and removes; deletions are marked: overlay2, fuse-overlayfs, aufs. All marks are understood
    /// wherever they are; no engine uses those of another for something else.
    Upper,
}

/// A layer that has to be computed.
#[derive(Debug, Clone)]
pub struct DiffLayer {
    /// The layer's directory.
    pub dir: Root,
    /// What else it takes.
    pub holds: LayerDir,
    /// Seconds since 1970 for records that have no time of their own (derived whiteouts).
    pub created: i64,
}

impl DiffLayer {
    /// Walks the directories and writes the tar. The same directories give the same bytes.
    ///
    /// Records of a base layer and of an upper directory have the order of a walk: names of a directory sorted, each
    /// followed by what is below it. What a comparison found is sorted by whole paths, a whiteout at the place of the name that it
    /// removes. Both are Docker's.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), Error> {
        use attributes::Wanted::{Capability, CapabilityAndUsers};
        use order::Order::{Paths, Walk};
        let (records, order, attributes) = match &self.holds {
            LayerDir::Full { parent: None } => (changes::all(&self.dir)?, Walk, Capability),
            LayerDir::Full { parent: Some(parent) } => {
                (changes::compare(&self.dir, parent)?, Paths, Capability)
            }
            LayerDir::Upper => (upper::read(&self.dir)?, Walk, CapabilityAndUsers),
        };
        encode::write(&self.dir, &records, order, attributes, self.created, out)
    }
}
