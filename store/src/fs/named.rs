//! Files that the caller of the library names, and places where stores are looked for, on this machine or on
//! a mounted disk. Links on the way to what the caller names are followed.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::Root;
use crate::Error;

/// Opens the file at any path.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata), Error> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let metadata = file.metadata().map_err(|error| Error::io("read", path, error))?;
    Ok((file, metadata))
}

/// The first `limit` bytes of a settings file; `None` if it cannot be read. `system` is the root of the
/// system that has the settings: `/`, or the mount point of a disk. Links are resolved below it.
pub(crate) fn settings(system: &Path, file: &Path, limit: u64) -> Option<String> {
    let name = file.strip_prefix(system).ok()?;
    let file = Root::open(system).ok()?.open_settings(name).ok()?;
    // Reading a named pipe could block forever.
    file.metadata().ok().filter(Metadata::is_file)?;
    let mut text = String::new();
    file.take(limit).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Paths of the entries of the directory `name` below `dir`, sorted; empty if it cannot be listed.
pub(crate) fn list(dir: &Path, name: &str) -> Vec<PathBuf> {
    let listed = Root::open(dir).ok().and_then(|root| root.open_dir_in_tree(name.as_bytes()).ok());
    let names = listed.and_then(|listed| super::list(listed).ok()).unwrap_or_default();
    let mut paths: Vec<_> = names.into_iter().map(|entry| dir.join(name).join(entry)).collect();
    paths.sort();
    paths
}

/// Visits the folders below `dir` in order, `depth` levels deep, without following links. `enter` decides
/// whether the folders in a folder are visited, too. A folder that cannot be listed is skipped.
pub(crate) fn visit(dir: &Path, depth: usize, mut enter: impl FnMut(&Path) -> bool) {
    let walk = WalkDir::new(dir).min_depth(1).max_depth(depth).sort_by_file_name().into_iter();
    walk.filter_entry(|entry: &DirEntry| entry.file_type().is_dir() && enter(entry.path())).for_each(drop);
}
