//! How much a directory holds, without reading it.

use std::collections::HashSet;

use rustix::fs::FileType;

use super::records::{Kind, Metadata, ROOT, Records};
use super::walk::{Cursor, DirNames};
use super::{LayerDir, changes};
use crate::{Error, Root};

/// Bytes of the files in a directory, each counted once, as Docker counts them (`pkg/directory`). Memory
/// holds a record of each directory, and of each file with several names.
fn bytes(root: &Root) -> Result<u64, Error> {
    let mut records = Records::new(Metadata::new(&root.stat()?));
    let mut cursor = Cursor::new(root);
    let mut names = DirNames::default();
    let mut linked = HashSet::new();
    let mut bytes = 0u64;
    let mut todo = vec![ROOT];
    while let Some(dir) = todo.pop() {
        cursor.list(&records, dir, &mut names)?;
        let first = records.next();
        for name in names.iter() {
            let metadata = match name.file_type {
                // Neither has bytes, and a directory is looked at when its turn comes.
                FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket => {
                    continue;
                }
                FileType::Directory => Metadata { mode: 0o40000, ..Metadata::default() },
                _ => Metadata::new(&cursor.stat(&records, dir, name.bytes)?),
            };
            if metadata.is_dir() {
                todo.push(records.push(dir, name.bytes, Kind::Present, metadata, false));
            } else if !metadata.linked || linked.insert((metadata.dev, metadata.ino)) {
                bytes = bytes.saturating_add(metadata.size);
            }
        }
        records.close(dir, first);
    }
    Ok(bytes)
}

/// Bytes of the files of a layer in a directory.
pub(crate) fn of(dir: &Root, holds: &LayerDir) -> Result<u64, Error> {
    match holds {
        LayerDir::Full { parent: Some(parent) } => Ok(changes::compare(dir, parent, false, None)?.sizes()[0]),
        _ => bytes(dir),
    }
}
