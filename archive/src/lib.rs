//! A [`Tree`] of named entries whose sizes are known, and how it becomes a tar or a directory.
//!
//! ```text
//! Tree ──> write_stream   a tar on a pipe, in order, one pass
//!     └──> write_file     a tar in a file, contents produced side by side at offsets known beforehand
//!     └──> write_dir      a directory
//! ```
//!
//! The crate knows nothing of images. Whoever builds a tree says how long each content is before its first byte
//! exists; that is what makes a tar's total known before the start, and its contents writable in any order.
//! A content that names its digest is hashed on the way, beside the thread that reads it.
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
mod dir;
mod error;
mod error_kind;
mod file;
mod hash;
pub mod header;
mod observer;
mod sha256;
mod spool;
mod stream;
mod tree;
mod work;

pub use compression::{Compression, CompressionLevel, Compressor, Decompressor, ParseCompressionError};
pub use content::{Bytes, Content, FileRange, Verified, verified};
pub use digest::{Digest, ParseDigestError};
pub use dir::{Existing, write_dir};
pub use error::{Error, Explanation};
pub use error_kind::{ErrorKind, content_error};
pub use file::write_file;
pub use hash::{Check, check, digest};
pub use observer::{Observer, Options};
pub use sha256::Hasher;
pub use spool::{Spool, Spooled};
pub use stream::write_stream;
pub use tree::{Entry, Node, Tree};
