//! A directory: every entry a file of its own, written side by side.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Component, Path, PathBuf};

use crate::file::{folder, output, sync_dir, temporary_beside};
use crate::tree::Node;
use crate::work::{self, Job, OnFailure, Order, Sink};
use crate::{Entry, Error, Options, Tree};

/// What to do with an output directory that is there already and not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// Files that are not there are added, those whose name is their digest are left as they are if their length is right, all
    /// others are replaced, each at once. For layouts whose files are named by content.
    Extend,
}

/// Writes the tree as a directory.
///
/// A new directory is made under a temporary name beside it and renamed when it is complete. An existing one is extended
/// file by file in the order of the tree, each under its name only when complete; so the documents that make it valid,
/// which come last, are never there without what they name.
pub fn write_dir(tree: &Tree, path: &Path, existing: Existing, options: &Options<'_>) -> Result<(), Error> {
    check_paths(tree)?;
    let occupied = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(output("open", path)(error)),
    };
    if occupied {
        return match existing {
            Existing::Extend => extend(tree, path, options),
            Existing::Refuse => {
                let source = io::Error::from(io::ErrorKind::DirectoryNotEmpty);
                Err(output("write", path)(source))
            }
        };
    }
    // `DIR/` and `DIR` are the same place; without its slash the path has a parent to be made in.
    let path: PathBuf = path.components().collect();
    let parent = folder(&path);
    let temporary = tempfile::Builder::new()
        .prefix(".layerlift-")
        .suffix(".tmp")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .tempdir_in(&parent)
        .map_err(|error| output("create a directory in", &parent)(io::Error::from(error.kind())))?;
    make_dirs(tree, temporary.path())?;
    let entries: Vec<&Entry> = tree.entries().iter().collect();
    write_entries(&entries, temporary.path(), options)?;
    fs::rename(temporary.path(), &path).map_err(output("rename", &path))?;
    // The directory has its name now; there is nothing left to remove.
    let _ = temporary.keep();
    sync_dir(&path)
}

/// Adds to a directory: contents first, then the documents that follow them in the tree.
fn extend(tree: &Tree, path: &Path, options: &Options<'_>) -> Result<(), Error> {
    make_dirs(tree, path)?;
    let is_new = |entry: &&Entry| !(named_by_digest(entry) && is_there(entry, &path.join(&entry.path)));
    let new: Vec<&Entry> = tree.entries().iter().filter(is_new).collect();
    let (blobs, documents): (Vec<_>, Vec<_>) = new.into_iter().partition(|entry| named_by_digest(entry));
    write_entries(&blobs, path, options)?;
    documents.iter().try_for_each(|entry| write_entries(&[*entry], path, options))
}

/// Whether there is such an entry already. A file of another length is what is left of one that was never complete.
fn is_there(entry: &Entry, path: &Path) -> bool {
    let len = match &entry.node {
        Node::Dir | Node::Symlink(_) => return path.exists(),
        Node::File(content) => content.len(),
    };
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == len)
}

fn named_by_digest(entry: &Entry) -> bool {
    let name = entry.path.rsplit('/').next().unwrap_or_default();
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A tree is made by this program's own formats; that no path leads out of the output is checked all the same.
fn check_paths(tree: &Tree) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for entry in tree.entries() {
        let bad = |why| Err(Error::Entry { entry: entry.path.clone(), why });
        if entry.path.is_empty()
            || !Path::new(&entry.path).components().all(|c| matches!(c, Component::Normal(_)))
        {
            return bad("its path leads out of the output");
        }
        if !seen.insert(entry.path.trim_end_matches('/')) {
            return bad("it is there twice");
        }
    }
    Ok(())
}

fn make_dirs(tree: &Tree, root: &Path) -> Result<(), Error> {
    for entry in tree.entries() {
        let path = root.join(&entry.path);
        let dir = match entry.node {
            Node::Dir => path,
            Node::Symlink(_) | Node::File(_) => folder(&path),
        };
        fs::create_dir_all(&dir).map_err(output("create", &dir))?;
    }
    Ok(())
}

struct Files<'a> {
    files: Vec<File>,
    paths: &'a [PathBuf],
}

impl Sink for Files<'_> {
    fn put(&self, job: usize, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.files[job].write_all_at(bytes, offset).map_err(output("write", &self.paths[job]))
    }

    fn side_by_side(&self) -> bool {
        true
    }
}

/// Writes files and links below `root`, in groups so that the number of open files stays bounded.
fn write_entries(entries: &[&Entry], root: &Path, options: &Options<'_>) -> Result<(), Error> {
    for group in entries.chunks(64) {
        let mut jobs = Vec::new();
        let mut paths = Vec::new();
        let mut temporaries = Vec::new();
        for entry in group {
            let path = root.join(&entry.path);
            match &entry.node {
                Node::Dir => {}
                Node::Symlink(target) => symlink(target, &path).map_err(output("create", &path))?,
                Node::File(content) => {
                    jobs.push(Job::bare(&entry.path, &**content));
                    temporaries.push(temporary_beside(&path)?);
                    paths.push(path);
                }
            }
        }
        let files = temporaries.iter().map(|temporary| temporary.reopen());
        let files = files.collect::<io::Result<_>>().map_err(output("open", root))?;
        let sink = Files { files, paths: &paths };
        let outcomes = work::run(&jobs, Some(&sink), Order::Any, OnFailure::Stop, options);
        work::first_failure(outcomes)?;
        for (temporary, path) in temporaries.into_iter().zip(&paths) {
            temporary.as_file().sync_all().map_err(output("write", path))?;
            temporary.persist(path).map_err(|error| output("rename", path)(error.error))?;
        }
    }
    Ok(())
}
