//! The same confinement where the kernel has no `openat2`: one component at a time, never letting the kernel follow a
//! link.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Links that one path may lead through; the kernel's own limit.
const LINKS: usize = 40;

const STEP: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::DIRECTORY);

/// Opens `path` below `root`. With `in_root`, links are followed with `root` as `/`; without, any link or `..` beyond
/// the root is refused.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    in_root: bool,
) -> rustix::io::Result<OwnedFd> {
    let mut todo = components(path);
    let mut dirs: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    if path.is_absolute() && !in_root {
        return Err(Errno::XDEV);
    }
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            if dirs.pop().is_none() && !in_root {
                return Err(Errno::XDEV);
            }
            continue;
        }
        let here = dirs.last().map_or(root, |dir| dir.as_fd());
        let last = todo.is_empty();
        let stat = rustix::fs::statat(here, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            if last && flags.contains(OFlags::NOFOLLOW) {
                return if flags.contains(OFlags::PATH) {
                    rustix::fs::openat(here, &name, flags, Mode::empty())
                } else {
                    Err(Errno::LOOP)
                };
            }
            links += 1;
            if !in_root || links > LINKS {
                return Err(Errno::LOOP);
            }
            let target = rustix::fs::readlinkat(here, &name, Vec::new())?;
            let target = OsString::from_vec(target.into_bytes());
            if target.as_bytes().first() == Some(&b'/') {
                dirs.clear();
            }
            for component in components(Path::new(&target)).into_iter().rev() {
                todo.push_front(component);
            }
            continue;
        }
        if last {
            return rustix::fs::openat(here, &name, flags | OFlags::NOFOLLOW, Mode::empty());
        }
        let next = rustix::fs::openat(here, &name, STEP, Mode::empty())?;
        dirs.push(next);
    }
    let here = dirs.last().map_or(root, |dir| dir.as_fd());
    rustix::fs::openat(here, OsStr::new("."), flags, Mode::empty())
}

fn components(path: &Path) -> VecDeque<OsString> {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    named.collect()
}
