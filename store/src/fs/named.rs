//! Files that the caller of the library names, and places where stores are looked for, on this machine or on
//! a mounted disk. Links on the way to what the caller names are followed.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

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

/// Where a path in the settings of a system leads: on a mounted disk, below the disk's root. `None` for a
/// path that is relative or has `..` in it, which no engine's settings need.
pub(crate) fn configured(system: &Path, path: &Path) -> Option<PathBuf> {
    let leads_up = path.components().any(|component| component == Component::ParentDir);
    (path.is_absolute() && !leads_up).then(|| system.join(path.strip_prefix("/").unwrap_or(path)))
}

/// A directory `place` below `dir` without the links on the way to it, which are resolved as if `dir` were
/// `/`: a disk's absolute links mean the disk, and none leads out of it. `None` if there is no directory.
///
/// A place that may not be looked at stays, so that opening it says why.
pub(crate) fn confined(dir: &Path, place: &Path) -> Option<PathBuf> {
    let name = place.strip_prefix(dir).ok()?;
    let real_dir = dir.canonicalize().ok()?;
    let real = match Root::open(dir).ok()?.open_dir_in_tree(name.as_os_str().as_bytes()) {
        // The kernel knows where the directory is that was opened.
        Ok(opened) => std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
        Err(_) => match place.canonicalize() {
            Ok(real) => real,
            Err(_) => return Some(place.to_owned()),
        },
    };
    let below = real.strip_prefix(real_dir).ok()?;
    Some(if below.as_os_str().is_empty() { dir.to_owned() } else { dir.join(below) })
}

/// What a path means that leads through an absolute link. On a mounted disk (`/mnt/var/lib/docker` is a link
/// to `/data/docker`) it means the disk, if there is such a directory; else what it means on this machine. A
/// link that leads nowhere may be one of a disk that was copied into a folder.
pub(crate) fn meant(path: &Path) -> PathBuf {
    let Ok(whole) = std::path::absolute(path) else { return path.to_owned() };
    let is_absolute_link = |path: &&Path| std::fs::read_link(path).is_ok_and(|target| target.is_absolute());
    let Some(link) = whole.ancestors().filter(is_absolute_link).last() else { return path.to_owned() };
    let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
    let is_top = |path: &&Path| path.parent().is_some_and(|above| !above.as_os_str().is_empty());
    let mut above = link.ancestors().skip(1).take_while(is_top);
    let mounted = above.find(|dir| dir.parent().is_some_and(|above| device(above) != device(dir)));
    if let Some(real) = mounted.and_then(|disk| confined(disk, &whole)) {
        return real;
    }
    if path.exists() {
        return path.to_owned();
    }
    let mut above = link.ancestors().skip(1).filter(|dir| dir.parent().is_some());
    above.find_map(|dir| confined(dir, &whole)).unwrap_or_else(|| path.to_owned())
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
///
/// Not with walkdir: on a failing disk the `close` of a directory can fail, which panics in the standard
/// library's `ReadDir`.
pub(crate) fn visit(dir: &Path, depth: usize, mut enter: impl FnMut(&Path) -> bool) {
    visit_in(dir, depth, &mut enter);
}

fn visit_in(dir: &Path, depth: usize, enter: &mut dyn FnMut(&Path) -> bool) {
    if depth == 0 {
        return;
    }
    for path in list(dir, "") {
        let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_folder && enter(&path) {
            visit_in(&path, depth - 1, enter);
        }
    }
}
