//! Outputs are written under temporary names beside their own, and renamed when they are complete.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::Error;

/// The directory that holds `path`; `.` for a bare name.
pub(super) fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Where a file that is created at `path` comes to stand: where its symbolic links lead, even if nothing is
/// there yet.
pub fn final_path(path: &Path) -> io::Result<PathBuf> {
    // As many as the kernel follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match path.read_link() {
            // An absolute target replaces the whole path.
            Ok(target) => path = folder(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()))
}

/// A temporary file beside `path`, of the mode that a new file would have. It disappears unless it is
/// persisted.
pub(super) fn file_beside(path: &Path) -> Result<NamedTempFile, Error> {
    let folder = folder(path);
    builder(0o666)
        .tempfile_in(&folder)
        .map_err(|error| Error::output("create a file in", &folder)(without_path(error)))
}

/// A temporary directory beside `path`, of the mode that a new directory would have. It disappears unless it
/// is kept.
pub(super) fn dir_beside(path: &Path) -> Result<TempDir, Error> {
    let folder = folder(path);
    builder(0o777)
        .tempdir_in(&folder)
        .map_err(|error| Error::output("create a directory in", &folder)(without_path(error)))
}

fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".layerlift-").suffix(".tmp").permissions(Permissions::from_mode(mode));
    builder
}

/// `tempfile` puts its random path into the message; the caller names the folder already.
fn without_path(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>());
    match cause.map(|cause| (cause.raw_os_error(), cause.kind())) {
        Some((Some(code), _)) => io::Error::from_raw_os_error(code),
        Some((None, kind)) => io::Error::from(kind),
        None => io::Error::from(error.kind()),
    }
}

/// Gives a complete file its name.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> Result<(), Error> {
    file.as_file().sync_all().map_err(Error::output("write", path))?;
    file.persist(path).map_err(|error| Error::output("rename", path)(error.error))?;
    Ok(())
}

/// Makes a rename durable. A file system that cannot sync a directory is not an error.
pub(super) fn sync_folder(path: &Path) {
    if let Ok(dir) = File::open(folder(path)) {
        let _ = dir.sync_all();
    }
}
