//! A directory: every entry a file of its own, written side by side.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, Mode, OFlags};

use super::temporary::{Draft, Staging, final_path, folder, sync_dir, sync_folder};
use super::write_back::{Run, WriteBack};
use crate::produce::{Item, Order, Sink, first_failure, produce};
use crate::tree::Node;
use crate::{Content, Entry, Error, FileRange, Options, Tree};

/// Files that are open at the same time.
const OPEN: usize = 64;

/// Writes the tree as a directory, which must be new or empty.
///
/// It is made under a temporary name beside it, and renamed when it is complete.
pub fn write_dir(tree: &Tree, path: &Path, options: &Options<'_>) -> Result<(), Error> {
    check_paths(tree.entries().iter().map(|entry| &*entry.path))?;
    let empty = match is_empty_dir(path) {
        Ok(empty) => empty,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(Error::output("open", path)(error)),
    };
    if !empty {
        return Err(Error::output("write", path)(io::ErrorKind::DirectoryNotEmpty.into()));
    }
    // `DIR/` and `DIR` are the same place; without its slash the path has a parent to be made in.
    let path: PathBuf = path.components().collect();
    let path = final_path(&path).map_err(Error::output("follow", &path))?;
    let temporary = Staging::new(&folder(&path))?;
    make_dirs(tree, temporary.path())?;
    write_entries(tree.entries(), temporary.path(), options)?;
    sync_dirs(tree, temporary.path());
    fs::rename(temporary.path(), &path).map_err(Error::output("rename", &path))?;
    // The directory has its name now; there is nothing left to remove.
    temporary.keep();
    sync_folder(&path);
    Ok(())
}

/// Whether a directory has nothing in it.
///
/// The standard library's `ReadDir` panics where the `close` of a directory fails, as on a failing disk.
pub fn is_empty_dir(path: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty())?;
    for entry in Dir::new(dir)? {
        let name = entry?;
        if ![c".", c".."].contains(&name.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes contents as files into a directory. It must exist, and so must the folders in their names.
///
/// Each file is written under a temporary name, compared with its content's length and digest, and gets its
/// name only then; a file of that name is replaced at once. Several are written side by side. After a
/// failure, the files that have their names are complete, and no others are left.
///
/// Names are relative to `dir`, with `/` between components.
pub fn write_files(dir: &Path, files: &[(&str, &dyn Content)], options: &Options<'_>) -> Result<(), Error> {
    check_paths(files.iter().map(|(name, _)| *name))?;
    for group in files.chunks(OPEN) {
        let paths: Vec<PathBuf> = group.iter().map(|(name, _)| dir.join(name)).collect();
        let begun = group.iter().map(|(_, content)| options.spools.and_then(|spools| spools.file(*content)));
        let begun: Vec<Option<Draft>> = begun.collect();
        for ((_, content), begun) in group.iter().zip(&begun) {
            options.observer.advance(if begun.is_some() { content.len() } else { 0 });
        }
        let is_begun: Vec<bool> = begun.iter().map(Option::is_some).collect();
        let drafts = begun.into_iter().zip(&paths);
        let temporaries = drafts.map(|(begun, path)| begun.map_or_else(|| Draft::beside(path), Ok));
        let temporaries = temporaries.collect::<Result<Vec<_>, _>>()?;
        let files = temporaries.iter().map(Draft::share).collect::<io::Result<Vec<_>>>();
        let files = files.map_err(Error::output("open", dir))?;
        let shared: Vec<Option<FileRange>> =
            group.iter().zip(&files).map(|((_, content), file)| share(*content, file)).collect();
        let mut items = Vec::with_capacity(group.len());
        for ((&(name, content), is_begun), shared) in group.iter().zip(is_begun).zip(&shared) {
            items.push(match shared {
                _ if is_begun => Item::without_content(name, Vec::new()),
                Some(shared) => Item::new(name, shared),
                None => Item::new(name, content),
            });
        }
        let runs = files.iter().map(|file| Run::new(file, 0)).collect();
        let is_shared = shared.iter().map(Option::is_some).collect();
        let sink = Files { files, runs, is_shared, paths: &paths, write_back: WriteBack::default() };
        first_failure(produce(&items, &sink, Order::Any, options))?;
        for (temporary, path) in temporaries.into_iter().zip(&paths) {
            temporary.persist(path)?;
        }
    }
    Ok(())
}

/// Lets a new file have the bytes of a whole file that is stored on the same file system, where that can
/// share them (`FICLONE`: btrfs, XFS): they take neither room nor time. What is then hashed is the new file.
fn share(content: &dyn Content, new: &Arc<File>) -> Option<FileRange> {
    let range = content.in_file().filter(|range| range.offset == 0 && range.len > 0)?;
    let digest = content.digest()?;
    let stored = range.file.as_file()?;
    if stored.metadata().ok()?.len() != range.len {
        return None;
    }
    rustix::fs::ioctl_ficlone(new, stored).ok()?;
    Some(FileRange { file: new.clone(), offset: 0, len: range.len, digest: Some(digest) })
}

/// Refuses paths that lead out of the output, and any path that comes twice.
fn check_paths<'p>(paths: impl Iterator<Item = &'p str>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for path in paths {
        let bad = |why| Err(Error::Entry { entry: path.to_owned(), why });
        if path.is_empty() || !Path::new(path).components().all(|c| matches!(c, Component::Normal(_))) {
            return bad("its path leads out of the output");
        }
        if !seen.insert(path.trim_end_matches('/')) {
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
        fs::create_dir_all(&dir).map_err(Error::output("create", &dir))?;
    }
    Ok(())
}

/// Makes the names in all directories of a tree durable, the innermost first.
fn sync_dirs(tree: &Tree, root: &Path) {
    let mut dirs = BTreeSet::from([root.to_owned()]);
    for entry in tree.entries() {
        let path = root.join(&entry.path);
        dirs.extend(
            path.ancestors()
                .take_while(|above| *above != root)
                .filter(|dir| dir.is_dir())
                .map(Path::to_owned),
        );
    }
    dirs.iter().rev().for_each(|dir| sync_dir(dir));
}

struct Files<'a> {
    files: Vec<Arc<File>>,
    runs: Vec<Run>,
    /// Those that have their bytes already.
    is_shared: Vec<bool>,
    paths: &'a [PathBuf],
    write_back: WriteBack,
}

impl Sink for Files<'_> {
    fn put(&self, item: usize, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if self.is_shared[item] {
            return Ok(());
        }
        self.files[item].write_all_at(bytes, offset).map_err(Error::output("write", &self.paths[item]))?;
        self.runs[item].reached(offset + bytes.len() as u64, &self.write_back);
        Ok(())
    }

    fn side_by_side(&self) -> bool {
        true
    }
}

/// Writes links and files below `root`.
fn write_entries(entries: &[Entry], root: &Path, options: &Options<'_>) -> Result<(), Error> {
    let mut files: Vec<(&str, &dyn Content)> = Vec::new();
    for entry in entries {
        match &entry.node {
            Node::Dir => {}
            Node::Symlink(target) => {
                let path = root.join(&entry.path);
                symlink(target, &path).map_err(Error::output("create", &path))?;
            }
            Node::File(content) => files.push((&entry.path, &**content)),
        }
    }
    write_files(root, &files, options)
}
