//! Bytes whose number is known before the first of them exists, and where they go: a [`Tree`] of named
//! entries becomes a tar or a directory; items of your own go to a [`Sink`] of your own.
//!
//! ```text
//! Tree ──> write_stream   a tar on a pipe, in order, one pass
//!     └──> write_file     a tar in a file, contents written side by side at offsets known in advance
//!     └──> write_dir      a directory
//! Item ──> produce        any other output, with the same engine
//! Check ─> check          no output: only digests
//! ```
//!
//! The crate knows nothing of images. A [`Content`] says how long it is before its first byte exists; so the
//! length of a tar is known before the start, and its contents can be written in any order. A content that
//! names its digest is hashed on the way, beside the thread that reads it, and an output whose bytes differ
//! is never completed. To read one yourself, use [`verified`].
//!
//! ```
//! use layerlift_archive::{Entry, Options, Tree, write_stream};
//!
//! let mut tree = Tree::default();
//! tree.push(Entry::dir("greetings/", 0));
//! tree.push(Entry::bytes("greetings/hello", 0, b"hello, tar\n".to_vec()));
//! let mut tar = Vec::new();
//! write_stream(&tree, &mut tar, &Options::default())?;
//! assert_eq!(tar.len() as u64, tree.tar_len());
//! # Ok::<(), layerlift_archive::Error>(())
//! ```

mod compression;
mod content;
mod digest;
mod error;
mod error_kind;
mod hash;
mod options;
mod outline;
mod output;
mod produce;
mod read_at;
mod spool;
pub mod tar;
mod tree;
mod zeros;

pub use compression::{
    Compression, CompressionLevel, Compressor, Decompressor, ParseCompressionError, TrailingBytes,
};
pub use content::{Bytes, Content, FileRange, Verified, verified};
pub use digest::{Digest, ParseDigestError};
pub use error::{Error, Explanation};
pub use error_kind::{ErrorKind, content_error};
pub use hash::Hasher;
pub use options::{Observer, Options};
pub use outline::{Gaps, Outline, Outlined};
pub use output::{
    Check, FileEntry, FileKind, FileSink, NotKept, Staging, Unfinished, UnpackedDir, Volumes, WrittenVolumes,
    check, check_each, digest, final_path, is_empty_dir, sync_dir, write_dir, write_file, write_file_hashed,
    write_file_or_keep, write_file_with, write_files, write_stream, write_stream_hashed, write_text,
    write_volumes,
};
pub use produce::{Item, Order, Outcome, Sink, first_failure, produce};
pub use read_at::{Concatenated, ReadAt};
pub use spool::{Spool, Spooled, Spools};
pub use tree::{Entry, Node, Tree};
pub use zeros::{Plain, ZeroWrite};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
