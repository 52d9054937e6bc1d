//! Archives that leave layers out, and what puts them together.

use std::path::{Path, PathBuf};

use layerlift_export::{Options, OtherSide, plan, select_partial, tree};
use layerlift_store::{Joined, OpenOptions, Opened, open, open_all};

use super::{chain, threaded, written};

/// A folder with archives.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn add(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// The store in a file.
pub(crate) fn opened(path: &Path) -> Opened {
    open_all(path, &OpenOptions::default()).unwrap().remove(0).unwrap()
}

/// Several archives as one source.
pub(crate) fn joined(paths: &[&Path]) -> Joined {
    Joined::new(paths.iter().map(|path| opened(path)).collect(), Vec::new()).unwrap()
}

/// What `join` writes.
pub(crate) fn whole(store: &Joined, options: &Options) -> Result<(Vec<u8>, String), String> {
    let options = options.clone().with_as_archived(true);
    let selection = select_partial(store).map_err(|error| chain(&error))?;
    let plan = plan(store, selection, &options).map_err(|error| chain(&error))?;
    let prepared = plan.prepare(&threaded(2)).map_err(|error| chain(&error))?;
    let warnings: Vec<String> = prepared.warnings().iter().map(ToString::to_string).collect();
    Ok((written(&tree(&prepared), 2), warnings.join("\n")))
}

/// Another side that has what is in an archive.
pub(crate) fn since(path: &Path) -> OtherSide {
    let mut other = OtherSide::default();
    other.add_store(&*open(path, &OpenOptions::default()).unwrap()).unwrap();
    other
}
