//! bolt databases (bbolt, format version 2): the index of containerd, and small files of Docker and Podman.
//!
//! ```text
//! page 0, 1   meta      magic, version, page size, root page, number of pages, transaction, checksum
//! page 2…     branch    keys, each with the page below it
//!             leaf      keys, each with a value or a bucket
//!             freelist  not read
//! ```
//!
//! A bucket is a tree of its own. Its leaf element has the number of its root page, or, while it is small,
//! the page itself (an inline bucket). A node that does not fit into a page runs on into the next pages.
//!
//! An engine at work holds an exclusive lock on the file and replaces pages that its latest transaction no
//! longer needs. So this reader takes no lock and maps nothing. [`Database::open`] copies the file into
//! memory and compares both meta pages before and after. As long as they are the same, no page of the newer
//! one's tree was written: bolt writes the pages of a transaction to free places, and a place is free once
//! a later meta page is in the file. The copy is one read, since an engine leaves only milliseconds for it.
//! What can be reached is checked afterwards and kept, and the copy is dropped. A large file is read page
//! by page, each one that can be reached: the file never shrinks, so most of it may be free, and a file of
//! holes costs no more memory than it has pages.
//!
//! Only meta pages have checksums. Of any other page, what can be checked is checked: its number, its kind,
//! the bounds and the order of its keys, and that nothing refers to it twice. What is wrong with a page is
//! reported where its entries would have been ([`Bucket::entries`]). Other pages stay readable.
//!
//! Source of the format: `db.go` (meta pages), `page.go`, `node.go` and `bucket.go` of bbolt 1.3.6. Numbers
//! have the byte order of the machine that wrote them, and pages have its page size.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::{Error, Root};

mod bucket;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(feature = "fuzzing"), expect(unreachable_pub, reason = "exported with the feature"))]
pub(crate) mod fuzz;
mod load;
mod meta;
mod node;
mod source;

pub(crate) use bucket::{Bucket, Entry};
use load::{ROOT, Tree};
use meta::{Heads, Meta};
use source::Source;

/// How often a database is read while its engine goes on writing.
const TRIES: u32 = 50;
/// The pause after the first try; it grows until the twentieth. All pauses take less than a second.
const PAUSE: Duration = Duration::from_millis(1);
/// A database of no more bytes is copied as a whole. It has 8 MiB for 300 small images.
const COPIED: u64 = 128 << 20;

/// A database as it was after one transaction.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    tree: Tree,
}

impl Database {
    /// Reads a database below a root. An [`Error::Changed`] means that its engine wrote faster than it could
    /// be read.
    pub(crate) fn open(root: &Root, path: &Path) -> Result<Self, Error> {
        Database::read(&root.open_file(path)?, root.join(path))
    }

    fn read(source: &impl Source, path: PathBuf) -> Result<Self, Error> {
        let mut copy = Vec::new();
        for round in 1..=TRIES {
            let before = Heads::read(source);
            let meta = before.newer(&path);
            let used = meta.as_ref().map_or(0, Meta::used);
            // Where the disk cannot be read, page by page shows which of them it is.
            let whole = used <= COPIED && source.copy(&mut copy, used).is_ok();
            let load = |meta: Meta| {
                if whole { Tree::load(&copy, &meta, &path) } else { Tree::load(source, &meta, &path) }
            };
            let tree = if whole { None } else { Some(meta.clone().and_then(load)) };
            if Heads::read(source) == before {
                let tree = tree.unwrap_or_else(|| meta.and_then(load))?;
                return Ok(Database { tree, path });
            }
            thread::sleep(PAUSE * round.min(20));
        }
        Err(Error::Changed { path })
    }

    /// The bucket that has all others.
    pub(crate) fn root(&self) -> Bucket<'_> {
        Bucket::at(self, ROOT)
    }
}

#[cfg(test)]
mod tests;
