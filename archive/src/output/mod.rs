//! The outputs: sinks that make a tree a stream, a file or a directory, and one that only checks.

mod check;
mod dir;
mod file;
mod finished;
mod stream;
pub(crate) mod temporary;
mod unpacked;
mod volumes;
mod with;
pub(crate) mod write_back;

pub use check::{Check, check, check_each, digest};
pub use dir::{is_empty_dir, write_dir, write_files};
pub use file::{Unfinished, write_file, write_file_hashed, write_file_or_keep};
pub use stream::{write_stream, write_stream_hashed};
pub use temporary::{Staging, final_path, sync_dir};
pub use unpacked::{FileEntry, FileKind, FileSink, NotKept, UnpackedDir};
pub use volumes::{Volumes, WrittenVolumes, write_text, write_volumes};
pub use with::write_file_with;
