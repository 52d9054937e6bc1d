//! A tar in a file: every offset is known beforehand, so contents are written side by side where they belong.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::work::{self, Job, OnFailure, Order, Sink};
use crate::{Error, Options, Tree, header, stream};

/// Writes the tree as a tar to `path`.
///
/// The bytes go to a temporary file in the same directory, which is synced and renamed when it is complete: until then, and after
/// a failure, `path` is what it was before. Where `path` is a symbolic link, the file that it points to is replaced. What
/// exists and is not a regular file (a device, a named pipe) is written to as a stream.
pub fn write_file(tree: &Tree, path: &Path, options: &Options<'_>) -> Result<(), Error> {
    let target = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let source = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(output("write", path)(source));
        }
        Ok(metadata) if !metadata.is_file() => {
            let file = OpenOptions::new().write(true).open(path).map_err(output("open", path))?;
            return stream::write_stream(tree, file, options);
        }
        Ok(_) => path.canonicalize().map_err(output("resolve", path))?,
        Err(_) => path.to_owned(),
    };
    let temporary = temporary_beside(&target)?;
    if options.compression.is_some() {
        stream::write_stream(tree, temporary.as_file(), options).map_err(|error| match error {
            Error::Stream(source) => Error::Output { action: "write", path: target.clone(), source },
            error => error,
        })?;
    } else {
        write_at(tree, temporary.as_file(), &target, options)?;
    }
    temporary.as_file().sync_all().map_err(output("write", &target))?;
    temporary.persist(&target).map_err(|error| output("rename", &target)(error.error))?;
    sync_dir(&target)
}

/// The directory that holds `path`; `.` for a bare name.
pub(crate) fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A temporary file that disappears unless it is persisted, of the mode that a new file would have.
pub(crate) fn temporary_beside(path: &Path) -> Result<tempfile::NamedTempFile, Error> {
    let folder = folder(path);
    tempfile::Builder::new()
        .prefix(".layerlift-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(&folder)
        .map_err(|error| output("create a file in", &folder)(strip_path(error)))
}

/// `tempfile` puts its random path into the message; the caller names the folder already.
fn strip_path(error: io::Error) -> io::Error {
    error.get_ref().and_then(|inner| inner.source()).and_then(|e| e.downcast_ref::<io::Error>()).map_or_else(
        || io::Error::from(error.kind()),
        |e| e.raw_os_error().map_or_else(|| io::Error::from(e.kind()), io::Error::from_raw_os_error),
    )
}

/// Makes a rename durable. A file system that cannot sync a directory is not an error.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    if let Ok(dir) = File::open(folder(path)) {
        let _ = dir.sync_all();
    }
    Ok(())
}

pub(crate) fn output<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> Error + 'p {
    move |source| Error::Output { action, path: path.to_owned(), source: Arc::new(source) }
}

struct AtOffsets<'a> {
    file: &'a File,
    path: &'a Path,
    jobs: &'a [Job<'a>],
}

impl Sink for AtOffsets<'_> {
    fn put(&self, job: usize, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, self.jobs[job].start + offset).map_err(output("write", self.path))
    }
}

fn write_at(tree: &Tree, file: &File, path: &Path, options: &Options<'_>) -> Result<(), Error> {
    // The blocks at the end are zero already.
    file.set_len(tree.tar_len()).map_err(output("write", path))?;
    options.observer.advance(header::TRAILER);
    let jobs = header::jobs(tree);
    let sink = AtOffsets { file, path, jobs: &jobs };
    work::first_failure(work::run(&jobs, Some(&sink), Order::Any, OnFailure::Stop, options))
}
