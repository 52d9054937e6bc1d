//! What happens to a layout while it gets more images: nothing that its index names, until all is complete.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use layerlift_archive::{
    Check, Content, Digest, Error as ArchiveError, FileRange, Observer, Options, Staging, check, sync_dir,
    write_files,
};

use crate::Error;
use crate::bundle::Descriptor;
use crate::format::oci;

/// How often a locked directory is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// The lock on a layout, and the new files before they have their names.
#[derive(Debug)]
pub(super) struct Work {
    /// Before the lock: when that ends, nothing is left to clear.
    staging: Staging,
    state: Mutex<State>,
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct State {
    /// Blobs that are complete and have no names yet.
    complete: BTreeSet<Digest>,
    /// Blobs that have names, and that no index names yet.
    added: Vec<PathBuf>,
}

/// An error of an output.
pub(super) fn failed<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> Error + use<'p> {
    move |source| ArchiveError::Output { action, path: path.to_owned(), source: Arc::new(source) }.into()
}

/// Only asks whether to go on.
struct Silent<'o>(&'o dyn Observer);

impl Observer for Silent<'_> {
    fn advance(&self, _: u64) {}

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// Whether a file has the bytes of a blob: all are read.
pub(super) fn is_blob(path: &Path, blob: &Descriptor, options: &Options<'_>) -> Result<bool, Error> {
    // A link or a pipe is replaced, and so is what cannot be read, although that may fail, too.
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        return Ok(false);
    }
    let Ok(file) = File::open(path) else { return Ok(false) };
    if !file.metadata().is_ok_and(|found| found.is_file() && found.len() == blob.size) {
        return Ok(false);
    }
    let content = FileRange { file: Arc::new(file), offset: 0, len: blob.size, digest: Some(blob.digest) };
    let silent = Silent(options.observer);
    let one = [Check { name: "blob", content: &content }];
    match check(&one, &options.with_observer(&silent)).pop() {
        Some(Ok(_)) => Ok(true),
        Some(Err(ArchiveError::Cancelled)) | None => Err(ArchiveError::Cancelled.into()),
        Some(Err(_)) => Ok(false),
    }
}

impl Work {
    /// Locks the layout, and removes what killed programs have left in it.
    pub(super) fn begin(dir: &Path, options: &Options<'_>) -> Result<Self, Error> {
        let lock = lock(dir, options)?;
        Ok(Work { staging: Staging::new(dir)?, state: Mutex::default(), _lock: lock })
    }

    /// Where new files are until they have their names.
    pub(super) fn path(&self) -> &Path {
        self.staging.path()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a blob.
    pub(super) fn put(
        &self,
        digest: Digest,
        content: &dyn Content,
        options: &Options<'_>,
    ) -> Result<(), Error> {
        write_files(self.path(), &[(&digest.hex(), content)], options)?;
        self.state().complete.insert(digest);
        Ok(())
    }

    /// Gives the blobs their names in the layout.
    pub(super) fn name_blobs(&self, dir: &Path) -> Result<(), Error> {
        let folder = dir.join("blobs/sha256");
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        let mut state = self.state();
        for digest in std::mem::take(&mut state.complete) {
            let path = dir.join(oci::path(digest));
            let is_new = path.symlink_metadata().is_err();
            let from = self.path().join(digest.hex());
            match fs::rename(&from, &path) {
                // Its blobs are on another disk.
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    let file = File::open(&from).map_err(failed("open", &from))?;
                    let len = file.metadata().map_err(failed("open", &from))?.len();
                    let content = FileRange { file: Arc::new(file), offset: 0, len, digest: Some(digest) };
                    write_files(&folder, &[(&digest.hex(), &content)], &Options::default())?;
                }
                renamed => renamed.map_err(failed("rename", &path))?,
            }
            if is_new {
                state.added.push(path);
            }
        }
        sync_dir(&folder);
        sync_dir(&dir.join("blobs"));
        Ok(())
    }

    /// An index names the blobs from now on.
    pub(super) fn keep_blobs(&self) {
        self.state().added.clear();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        for path in &self.state().added {
            // What cannot be removed is a blob that nothing names: no harm to any reader.
            let _ = fs::remove_file(path);
        }
    }
}

/// Waits for the lock on a directory. A file system without locks has none to wait for.
fn lock(dir: &Path, options: &Options<'_>) -> Result<Option<File>, Error> {
    let file = File::open(dir).map_err(failed("open", dir))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if options.observer.cancelled() => {
                return Err(ArchiveError::Cancelled.into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}
