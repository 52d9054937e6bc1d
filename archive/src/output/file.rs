//! A tar in a file: every offset is known in advance, so contents are written side by side where they belong.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::stream::write_stream;
use super::temporary::{Draft, clear, final_path, folder, sync_folder};
use crate::produce::{Order, Sink, first_failure, produce};
use crate::tar::{TRAILER, items};
use crate::{Error, Options, Tree};

/// Writes the tree as a tar to `path`.
///
/// The bytes go to a file without a name, or with a temporary one in the same directory, which is synced and
/// gets its name when it is complete: until then, and after a failure, `path` is what it was before. If
/// `path` is a symbolic link, the file that it points to is replaced, or created. If it exists and is not a
/// regular file (a device, a named pipe), it is written to as a stream.
pub fn write_file(tree: &Tree, path: &Path, options: &Options<'_>) -> Result<(), Error> {
    let target = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            return Err(Error::output("write", path)(io::ErrorKind::IsADirectory.into()));
        }
        Ok(metadata) if !metadata.is_file() => {
            let file = OpenOptions::new().write(true).open(path).map_err(Error::output("open", path))?;
            return write_stream(tree, file, options);
        }
        _ => final_path(path).map_err(Error::output("resolve", path))?,
    };
    clear(&folder(&target));
    let temporary = Draft::beside(&target)?;
    if options.compression.is_some() {
        write_stream(tree, temporary.as_file(), options).map_err(|error| match error {
            Error::Stream(source) => Error::Output { action: "write", path: target.clone(), source },
            error => error,
        })?;
    } else {
        write_at(tree, temporary.as_file(), &target, options)?;
    }
    temporary.persist(&target)?;
    sync_folder(&target);
    Ok(())
}

struct AtOffsets<'a> {
    file: &'a File,
    path: &'a Path,
    /// Where each item begins.
    starts: Vec<u64>,
}

impl Sink for AtOffsets<'_> {
    fn put(&self, item: usize, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, self.starts[item] + offset).map_err(Error::output("write", self.path))
    }
}

fn write_at(tree: &Tree, file: &File, path: &Path, options: &Options<'_>) -> Result<(), Error> {
    // The blocks at the end are zero already.
    file.set_len(tree.tar_len()).map_err(Error::output("write", path))?;
    options.observer.advance(TRAILER);
    let items = items(tree);
    let sink = AtOffsets { file, path, starts: items.iter().map(|item| item.start).collect() };
    first_failure(produce(&items, &sink, Order::Any, options))
}
