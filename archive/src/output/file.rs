//! A tar in a file: every offset is known in advance, so contents are written side by side where they belong.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::stream::{write_stream, write_stream_hashed};
use super::temporary::{Draft, clear, folder, sync_folder, target};
use super::write_back::{Run, WriteBack};
use crate::produce::{Item, OnFailure, Order, Outcome, Sink, first_failure, run};
use crate::tar::{TRAILER, items};
use crate::{Digest, Error, FileRange, Options, Tree};

/// Writes the tree as a tar to `path`.
///
/// The bytes go to a file without a name, or with a temporary one in the same directory, which is synced and
/// gets its name when it is complete: until then, and after a failure, `path` is what it was before. If
/// `path` is a symbolic link, the file that it points to is replaced, or created. If it exists and is not a
/// regular file (a device, a named pipe), it is written to as a stream.
pub fn write_file(tree: &Tree, path: &Path, options: &Options<'_>) -> Result<(), Error> {
    let Some(target) = target(path)? else {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::output("open", path))?;
        return write_stream(tree, file, options);
    };
    let items = items(tree);
    let temporary = Begun::new(&target, &items, options)?;
    if options.compression.is_some() {
        write_stream(tree, temporary.draft.as_file(), options).map_err(|error| match error {
            Error::Stream(source) => Error::Output { action: "write", path: target.clone(), source },
            error => error,
        })?;
    } else {
        first_failure(write_at(items, tree.tar_len(), &temporary, &target, OnFailure::Stop, options)?)?;
    }
    temporary.draft.persist(&target)?;
    sync_folder(&target);
    Ok(())
}

/// As [`write_file`], front to back, and returns the digest of the file, which is computed on the way.
pub fn write_file_hashed(tree: &Tree, path: &Path, options: &Options<'_>) -> Result<Digest, Error> {
    let Some(target) = target(path)? else {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::output("open", path))?;
        return write_stream_hashed(tree, file, options);
    };
    clear(&folder(&target));
    let temporary = Draft::beside(&target)?;
    let digest = write_stream_hashed(tree, temporary.as_file(), options).map_err(|error| match error {
        Error::Stream(source) => Error::Output { action: "write", path: target.clone(), source },
        error => error,
    })?;
    temporary.persist(&target)?;
    sync_folder(&target);
    Ok(digest)
}

/// A tar that was not completed, because some contents failed. It has all others.
pub struct Unfinished {
    /// The failures, by the paths of their entries.
    pub failed: BTreeMap<String, Error>,
    /// The other contents, by the paths of their entries.
    pub kept: BTreeMap<String, FileRange>,
}

/// As [`write_file`], but a content that fails does not keep the others from being read: what was read of
/// them is given back, and can be written without those that failed, from where it is now. Until it is
/// dropped, it takes its room on the disk.
///
/// Only for a plain tar in a regular file: anything else is [`write_file`].
pub fn write_file_or_keep(
    tree: &Tree,
    path: &Path,
    options: &Options<'_>,
) -> Result<Option<Unfinished>, Error> {
    let target = match target(path)? {
        Some(target) if options.compression.is_none() => target,
        _ => return write_file(tree, path, options).map(|()| None),
    };
    let items = items(tree);
    let temporary = Begun::new(&target, &items, options)?;
    let outcomes = write_at(items, tree.tar_len(), &temporary, &target, OnFailure::Continue, options)?;
    if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))) {
        temporary.draft.persist(&target)?;
        sync_folder(&target);
        return Ok(None);
    }
    let file = temporary.draft.share().map_err(Error::output("read", &target))?;
    let mut unfinished = Unfinished { failed: BTreeMap::new(), kept: BTreeMap::new() };
    for (item, outcome) in self::items(tree).iter().zip(outcomes) {
        let name = item.name().to_owned();
        match outcome.into_result() {
            Ok(digest) => {
                let (offset, len) = (item.content_start(), item.content_len());
                unfinished.kept.insert(name, FileRange { file: file.clone(), offset, len, digest });
            }
            Err(error) if error.is_of_content() => _ = unfinished.failed.insert(name, error),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(unfinished))
}

struct AtOffsets<'a> {
    file: &'a File,
    path: &'a Path,
    /// Where each item begins.
    starts: Vec<u64>,
    runs: Vec<Run>,
    write_back: WriteBack,
}

impl Sink for AtOffsets<'_> {
    fn put(&self, item: usize, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let at = self.starts[item] + offset;
        self.file.write_all_at(bytes, at).map_err(Error::output("write", self.path))?;
        self.runs[item].reached(at + bytes.len() as u64, &self.write_back);
        Ok(())
    }
}

/// A file that has no name yet, and may have some of its contents.
struct Begun {
    draft: Draft,
    /// The same file, as the ranges of these contents have it.
    spools: Option<Arc<File>>,
}

impl Begun {
    fn new(target: &Path, items: &[Item<'_>], options: &Options<'_>) -> Result<Self, Error> {
        let spools = options.spools.filter(|_| options.compression.is_none());
        if let Some((draft, file)) = spools.and_then(|spools| spools.tar(target, items)) {
            return Ok(Begun { draft, spools: Some(file) });
        }
        clear(&folder(target));
        Ok(Begun { draft: Draft::beside(target)?, spools: None })
    }
}

fn write_at(
    items: Vec<Item<'_>>,
    len: u64,
    begun: &Begun,
    path: &Path,
    on_failure: OnFailure,
    options: &Options<'_>,
) -> Result<Vec<Outcome>, Error> {
    // The blocks at the end are zero already, and so is the padding behind contents that are in their places.
    let file = begun.draft.as_file();
    file.set_len(len).map_err(Error::output("write", path))?;
    options.observer.advance(TRAILER);
    let mut unwritten = Vec::with_capacity(items.len());
    for item in items {
        let is_there = begun.spools.as_ref().is_some_and(|file| item.is_in_place(file));
        let len = item.len();
        let item = if is_there { item.only_head() } else { item };
        options.observer.advance(len - item.len());
        unwritten.push(item);
    }
    let items = unwritten;
    let shared = begun.draft.share().map_err(Error::output("write", path))?;
    let sink = AtOffsets {
        file,
        path,
        starts: items.iter().map(|item| item.start).collect(),
        runs: items.iter().map(|item| Run::new(&shared, item.start)).collect(),
        write_back: WriteBack::default(),
    };
    Ok(run(&items, Some(&sink), Order::Any, on_failure, options, None))
}
