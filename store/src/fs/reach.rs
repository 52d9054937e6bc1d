//! Links in place of a store's own directories. People move `overlay2` or `blobs` to a larger disk and leave
//! a link behind, and Docker follows it. A link of an untrusted disk could lead anywhere, so it is followed
//! only
//!
//! - to a directory that is below the folder that the caller named, with that folder as `/` for an absolute
//!   link (a mounted disk's links mean the disk), or
//! - where the caller says so, by the link's path.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::{DIR, Links, PASSED, Root, beneath, named};
use crate::Error;

/// Where links of a store may lead.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// The folder that the caller named. The store is in it or below.
    pub(crate) within: PathBuf,
    /// Links that the caller wants followed wherever they lead.
    pub(crate) follow: Vec<PathBuf>,
}

/// A link on a path.
struct Link {
    /// The path to it, relative to the store.
    path: PathBuf,
    target: PathBuf,
    /// What follows it.
    rest: PathBuf,
}

impl Link {
    /// Whether it stands for a directory of a store's own, which is not that of a layer: `overlay2`,
    /// `blobs/sha256`, `image/overlay2/layerdb`, `containerd/daemon`.
    fn is_at_the_top(&self) -> bool {
        let mut parts = self.path.components();
        let below = match parts.next() {
            Some(Component::Normal(name)) if name == OsStr::new("image") => 2,
            Some(Component::Normal(name)) if name == OsStr::new("blobs") => 1,
            Some(Component::Normal(name)) if name == OsStr::new("containerd") => 1,
            _ => 0,
        };
        parts.count() <= below
    }
}

/// Opens what is behind a link at the top of a store. `None` if that is not where the link is, or if it may
/// not be followed.
pub(super) fn open(root: &Root, relative: &Path, flags: OFlags) -> Option<rustix::io::Result<OwnedFd>> {
    let link = first_link(root, relative).filter(Link::is_at_the_top)?;
    let target = target(root, &link).ok()?;
    let rest = if link.rest.as_os_str().is_empty() { Path::new(".") } else { &link.rest };
    Some(beneath::open(target.as_fd(), rest, flags, Links::Refused))
}

/// Opens a file below a store whose bytes will be compared with a digest, so that links may lead to it from
/// anywhere below the folder that the caller named. `None` if there is no link.
pub(super) fn open_proven(
    root: &Root,
    relative: &Path,
    flags: OFlags,
) -> Option<rustix::io::Result<OwnedFd>> {
    let link = first_link(root, relative)?;
    let (within, inside) = inside(root, &link).ok()?;
    let path = if link.rest.as_os_str().is_empty() { inside } else { inside.join(&link.rest) };
    Some(beneath::open(within.as_dir().as_fd(), &path, flags, Links::Inside))
}

/// The error for a path with a link on it.
pub(super) fn error(root: &Root, relative: &Path) -> Error {
    let Some(link) = first_link(root, relative) else {
        let why =
            "there is a symbolic link in its path, which no engine puts there and which is not followed";
        return Error::malformed(root.join(relative), why);
    };
    let path = root.join(&link.path);
    let is_file = std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
    if root.reach().is_some() && link.is_at_the_top() && !is_file {
        let why = target(root, &link).err().unwrap_or_else(|| "it leads to another link".to_owned());
        return Error::Link { path, target: link.target, why };
    }
    let what = if link.path == relative { "it".to_owned() } else { path.display().to_string() };
    let target = link.target.display();
    let way_out = if is_file { "; copy the file into its place" } else { "" };
    let why = format!(
        "{what} is a symbolic link to {target}, which no engine puts there and which is not followed{way_out}"
    );
    Error::malformed(root.join(relative), why)
}

/// The first link on a path below a store.
fn first_link(root: &Root, relative: &Path) -> Option<Link> {
    let mut dir: Option<OwnedFd> = None;
    let mut parts = relative.components();
    let mut path = PathBuf::new();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { continue };
        let here = dir.as_ref().map_or(root.as_dir().as_fd(), |dir| dir.as_fd());
        path.push(name);
        if let Ok(target) = rustix::fs::readlinkat(here, name, Vec::new()) {
            let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
            return Some(Link { path, target, rest: parts.as_path().to_owned() });
        }
        let next = beneath::open_in(here, name.as_bytes(), PASSED).ok()?;
        dir = Some(next);
    }
    None
}

/// The directory that a link leads to, if it may be followed; else why not.
fn target(root: &Root, link: &Link) -> Result<OwnedFd, String> {
    let path = root.join(&link.path);
    if root.reach().is_some_and(|reach| reach.follow.iter().any(|follow| same(follow, &path))) {
        let opened = rustix::fs::open(named::meant(&path), DIR, Mode::empty());
        return opened.map_err(|errno| format!("following it fails: {errno}"));
    }
    let (within, inside) = inside(root, link)?;
    within.open_dir_in_tree(inside.as_os_str().as_bytes()).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{} has no such directory", within.path().display()),
        _ => format!("{} cannot be opened there", within.path().display()),
    })
}

/// The folder that the caller named, and where in it a link leads; or that it leads out.
fn inside(root: &Root, link: &Link) -> Result<(Root, PathBuf), String> {
    let within = root.reach().map_or(root.path(), |reach| &reach.within);
    let (within, store) = match root.path().strip_prefix(within) {
        Ok(store) => (within, store),
        Err(_) => (root.path(), Path::new("")),
    };
    let out = || format!("it leads out of {}", within.display());
    let mut path = PathBuf::new();
    if link.target.is_absolute() {
        // As this machine means it, if that is below the folder, or as the disk means it.
        let real = within.canonicalize().unwrap_or_else(|_| within.to_owned());
        let here = [real.as_path(), within].into_iter().find_map(|dir| link.target.strip_prefix(dir).ok());
        path.push(here.unwrap_or_else(|| link.target.strip_prefix("/").unwrap_or(&link.target)));
    } else {
        path.push(store);
        path.extend(link.path.parent());
        path.push(&link.target);
    }
    let mut depth = 0usize;
    for part in path.components() {
        match part {
            Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(out)?,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    let opened = Root::open(within).map_err(|error| error.to_string())?;
    Ok((opened, path))
}

/// Whether two paths name the same link, which is not resolved itself.
fn same(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new(".")).canonicalize().ok()
    };
    one.file_name() == other.file_name() && folder(one).is_some_and(|dir| folder(other) == Some(dir))
}
