//! Outputs are written without a name, or under a temporary one beside their own, and get their names when
//! they are complete.
//!
//! ```text
//! <folder>/.layerlift-<random>.tmp   a directory, and a file where the file system cannot do without a name
//! ```
//!
//! A process that writes such an output holds a lock on it (`flock`), which ends with the process. The next
//! run in that folder removes what nobody holds.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tempfile::{Builder, NamedTempFile, TempDir};

use crate::Error;

const PREFIX: &str = ".layerlift-";
const SUFFIX: &str = ".tmp";

/// The directory that holds `path`; `.` for a bare name.
pub(crate) fn folder(path: &Path) -> PathBuf {
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

/// The regular file that a path leads to, be it there or not. `None` for a device or a pipe.
pub(crate) fn target(path: &Path) -> Result<Option<PathBuf>, Error> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(Error::output("write", path)(io::ErrorKind::IsADirectory.into()))
        }
        Ok(metadata) if !metadata.is_file() => Ok(None),
        _ => final_path(path).map(Some).map_err(Error::output("resolve", path)),
    }
}

/// A file that is being written. It disappears unless it is persisted.
pub(crate) enum Draft {
    /// It has no name, so it disappears even if the process is killed.
    Unnamed(Arc<File>),
    Named(NamedTempFile),
}

impl Draft {
    /// A file that will stand at `path`, of the mode that a new file would have.
    pub(crate) fn beside(path: &Path) -> Result<Self, Error> {
        let folder = folder(path);
        let file = match unnamed(&folder) {
            Some(file) => return Ok(Draft::Unnamed(Arc::new(file))),
            None => held(|| builder(0o666).tempfile_in(&folder), |file| file.as_file().try_clone()),
        };
        let (file, _) =
            file.map_err(|error| Error::output("create a file in", &folder)(without_path(error)))?;
        Ok(Draft::Named(file))
    }

    pub(crate) fn as_file(&self) -> &File {
        match self {
            Draft::Unnamed(file) => file,
            Draft::Named(file) => file.as_file(),
        }
    }

    /// A handle of the file for those who only read and write it.
    pub(crate) fn share(&self) -> io::Result<Arc<File>> {
        match self {
            Draft::Unnamed(file) => Ok(file.clone()),
            Draft::Named(file) => file.as_file().try_clone().map(Arc::new),
        }
    }

    /// Gives the complete file its name.
    pub(crate) fn persist(self, path: &Path) -> Result<(), Error> {
        self.as_file().sync_all().map_err(Error::output("write", path))?;
        let renamed = match self {
            Draft::Named(file) => file.persist(path).map(drop).map_err(|error| error.error),
            Draft::Unnamed(file) => match link(&file, path) {
                // A link replaces nothing, but a rename does.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => builder(0o666)
                    .make_in(folder(path), |beside| link(&file, beside))
                    .and_then(|named| named.persist(path).map_err(|error| error.error)),
                linked => linked,
            },
        };
        renamed.map_err(Error::output("rename", path))
    }
}

/// A file without a name, where the file system has such files and they can get a name later.
fn unnamed(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?);
    // Without /proc there is no way to link it.
    proc_path(&file).metadata().is_ok().then_some(file)
}

fn proc_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn link(file: &File, path: &Path) -> io::Result<()> {
    Ok(rustix::fs::linkat(CWD, proc_path(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// A directory under a temporary name, for files that get their names in another place once all of them are
/// complete. It disappears with all that is in it, unless it is renamed and kept.
#[derive(Debug)]
pub struct Staging {
    dir: TempDir,
    /// The lock that says that somebody writes here.
    _held: Option<File>,
}

impl Staging {
    /// A directory in `folder`, of the mode that a new directory would have. What killed processes have left
    /// in the folder under such names is removed.
    pub fn new(folder: &Path) -> Result<Self, Error> {
        clear(folder);
        let (dir, held) = held(|| builder(0o777).tempdir_in(folder), |dir| File::open(dir.path()))
            .map_err(|error| Error::output("create a directory in", folder)(without_path(error)))?;
        Ok(Staging { dir, _held: held })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// It has another name now: there is nothing to remove.
    pub(super) fn keep(self) {
        let _ = self.dir.keep();
    }
}

fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).permissions(Permissions::from_mode(mode));
    builder
}

/// Creates something and locks it. Another process may take it for abandoned in the moment between, and
/// remove it; then it is created again. A file system without locks removes nothing either.
fn held<T>(
    create: impl Fn() -> io::Result<T>,
    open: impl Fn(&T) -> io::Result<File>,
) -> io::Result<(T, Option<File>)> {
    loop {
        let made = create()?;
        let Ok(file) = open(&made) else { return Ok((made, None)) };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(_)) => return Ok((made, None)),
            Ok(()) if file.metadata().is_ok_and(|metadata| metadata.nlink() == 0) => continue,
            Ok(()) => return Ok((made, Some(file))),
        }
    }
}

/// Removes what killed processes have left in a folder: temporary files and directories that nobody holds.
/// What cannot be removed stays; that is not this run's failure.
pub(crate) fn clear(folder: &Path) {
    let Ok(entries) = names(folder) else { return };
    for name in entries {
        if !(name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            continue;
        }
        let path = folder.join(name);
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let Ok(file) = File::options().read(true).custom_flags(flags).open(&path) else { continue };
        if file.try_lock().is_err() {
            continue;
        }
        let _ = match file.metadata() {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(metadata) if metadata.is_file() => fs::remove_file(&path),
            _ => Ok(()),
        };
    }
}

/// The names in a folder. Not by the standard library, which panics where a directory cannot be closed.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(folder, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&dir)? {
        names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
    }
    Ok(names)
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

/// Makes a rename durable. A file system that cannot sync a directory is not an error.
pub(super) fn sync_folder(path: &Path) {
    sync_dir(&folder(path));
}

/// Makes names in a directory durable. A file system that cannot sync a directory is not an error.
pub fn sync_dir(dir: &Path) {
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let left = |name: &str| dir.path().join(name);
        fs::create_dir_all(left(".layerlift-killed.tmp/blobs")).unwrap();
        fs::write(left(".layerlift-killed.tmp/blobs/a"), "a").unwrap();
        for name in [".layerlift-file.tmp", ".layerlift-other", "mine.tmp"] {
            fs::write(left(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("mine.tmp", left(".layerlift-link.tmp")).unwrap();
        let held = Staging::new(dir.path()).unwrap();
        fs::write(held.path().join("b"), "b").unwrap();
        let second = Staging::new(dir.path()).unwrap();
        let mut found = names(dir.path()).unwrap();
        found.retain(|name| name != "." && name != "..");
        found.sort();
        let name = |of: &Staging| of.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec![name(&held), name(&second)];
        expected.extend([".layerlift-link.tmp", ".layerlift-other", "mine.tmp"].map(str::to_owned));
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(fs::read(held.path().join("b")).unwrap(), b"b");
        drop((held, second));
        assert_eq!(names(dir.path()).unwrap().len(), 2 + 3);
    }

    #[test]
    fn a_file_replaces_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        for text in ["one", "another"] {
            let draft = Draft::beside(&path).unwrap();
            io::Write::write_all(&mut draft.as_file(), text.as_bytes()).unwrap();
            draft.persist(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(dir.path()).unwrap().len(), 2 + 1);
    }
}
