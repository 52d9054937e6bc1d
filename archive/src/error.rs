//! What can go wrong while a tree is written. Each variant says its own part; the cause is its `source`.

use std::io;
use std::path::PathBuf;

use crate::Digest;

/// Why a tree could not be written, or a content not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output could not be written: `action` is a verb ("create", "write", "rename").
    #[error("cannot {action} {}", path.display())]
    Output {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The stream that the tar goes to failed. A closed pipe is [`io::ErrorKind::BrokenPipe`].
    #[error("cannot write the archive")]
    Stream(#[source] io::Error),
    /// A content could not be produced.
    #[error("cannot read {entry}")]
    Content {
        /// The entry's path in the tree.
        entry: String,
        /// What its producer said.
        source: io::Error,
    },
    /// A content was produced, but its bytes are not those that its digest names.
    #[error("{entry} is damaged: expected {expected}, found {found}")]
    Mismatch {
        /// The entry's path in the tree.
        entry: String,
        /// The digest that is recorded.
        expected: Digest,
        /// The digest of the bytes that were found.
        found: Digest,
        /// What the producer knows about the cause ([`crate::Content::explain`]).
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A content is shorter or longer than it said.
    #[error("{entry} has {found} bytes where {expected} were expected")]
    Length {
        /// The entry's path in the tree.
        entry: String,
        /// The length that was announced.
        expected: u64,
        /// What came; for a content that is too long, one more than was announced.
        found: u64,
    },
    /// An entry that no tar header and no directory can hold.
    #[error("{entry:?} cannot be an entry: {why}")]
    Entry {
        /// The entry's path.
        entry: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// [`crate::Observer::cancelled`] said so.
    #[error("interrupted")]
    Cancelled,
}
