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
//! longer needs. So this reader takes no lock and maps nothing. [`Database::open`] copies the pages that can
//! be reached from the newer meta page, and compares both meta pages before and after. As long as they are
//! the same, no page of that tree was written: bolt writes the pages of a transaction to free places, and a
//! place is free once a later meta page is in the file. Pages that are free are not read. The file grows in
//! powers of two and never shrinks, so they are most of it on a host that was once busy.
//!
//! Only meta pages have checksums. Of any other page, what can be checked is checked while it is copied: its
//! number, its kind, the bounds and the order of its keys, and that nothing refers to it twice. What is wrong
//! with a page is reported where its entries would have been ([`Bucket::entries`]). Other pages stay
//! readable.
//!
//! Source of the format: `db.go` (meta pages), `page.go`, `node.go` and `bucket.go` of bbolt 1.3.6. Numbers
//! have the byte order of the machine that wrote them, and pages have its page size.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::{Error, Root};

mod bucket;
mod fault;
mod load;
mod meta;
mod node;
mod source;

#[cfg_attr(not(test), expect(unused_imports, reason = "the same"))]
pub(crate) use bucket::{Bucket, Entry};
use load::{ROOT, Tree};
use meta::Heads;
use source::Source;

/// How often a database is read while its engine goes on writing.
const TRIES: u32 = 20;
/// The pause before the second try; it grows with each. All of them take a second at most.
const PAUSE: Duration = Duration::from_millis(5);

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
        let heads = || Heads::read(source).map_err(|source| Error::io("read", &path, source));
        let mut before = heads()?;
        for round in 1..=TRIES {
            let tree = before.newer(&path).and_then(|meta| Tree::load(source, &meta, &path));
            let after = heads()?;
            if before == after {
                return Ok(Database { tree: tree?, path });
            }
            thread::sleep(PAUSE * round);
            before = heads()?;
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
