//! Opens a path one component at a time, for systems without `openat2`. The kernel follows no link; this
//! module does.
//!
//! The results are those of `openat2`, errors included. Tests compare the two on random trees and paths.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, Result};

use super::PASSED;
use super::beneath::Links;

/// How many links a path may lead through: the kernel's limit.
const LINKS: usize = 40;
/// Length of a path with its terminating zero: the kernel's limit.
const PATH: usize = 4096;

/// Opens `path` below `root`.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags, links: Links) -> Result<OwnedFd> {
    let path = path.as_os_str();
    match path.len() {
        0 => return Err(Errno::NOENT),
        PATH.. => return Err(Errno::NAMETOOLONG),
        _ => {}
    }
    if path.as_bytes()[0] == b'/' && links == Links::Refused {
        return Err(Errno::XDEV);
    }
    let mut todo = components(path);
    let mut dirs: Vec<OwnedFd> = Vec::new();
    let mut followed = 0;
    while let Some(name) = todo.pop_front() {
        let here = dirs.last().map_or(root, |dir| dir.as_fd());
        if name == "." {
            continue;
        }
        if name == ".." {
            if dirs.pop().is_none() && links == Links::Refused {
                return Err(Errno::XDEV);
            }
            continue;
        }
        let last = todo.is_empty();
        let stat = rustix::fs::statat(here, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            if last && flags.contains(OFlags::NOFOLLOW) {
                return open_link(here, &name, flags);
            }
            followed += 1;
            if links == Links::Refused || followed > LINKS {
                return Err(Errno::LOOP);
            }
            let target = rustix::fs::readlinkat(here, &name, Vec::new())?;
            let target = OsString::from_vec(target.into_bytes());
            if target.as_bytes().first() == Some(&b'/') {
                dirs.clear();
            }
            components(&target).into_iter().rev().for_each(|component| todo.push_front(component));
            continue;
        }
        if last {
            return rustix::fs::openat(here, &name, flags | OFlags::NOFOLLOW, Mode::empty());
        }
        let next = rustix::fs::openat(here, &name, PASSED | OFlags::NOFOLLOW, Mode::empty())?;
        if links == Links::Refused && !todo.iter().any(|name| name == "..") {
            // No `..` leads back to them, and a path can have more components than a process open files.
            dirs.clear();
        }
        dirs.push(next);
    }
    let here = dirs.last().map_or(root, |dir| dir.as_fd());
    rustix::fs::openat(here, ".", flags, Mode::empty())
}

/// Opens a link itself, which only `O_PATH` can.
fn open_link(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd> {
    if flags.contains(OFlags::DIRECTORY) {
        Err(Errno::NOTDIR)
    } else if flags.contains(OFlags::PATH) {
        rustix::fs::openat(dir, name, flags, Mode::empty())
    } else {
        Err(Errno::LOOP)
    }
}

/// The components of a path. A slash at its end becomes a `.`, which also asks for a directory.
fn components(path: &OsStr) -> VecDeque<OsString> {
    let parts = path.as_bytes().split(|&byte| byte == b'/').filter(|part| !part.is_empty());
    let mut components: VecDeque<OsString> = parts.map(|part| OsStr::from_bytes(part).to_owned()).collect();
    if path.as_bytes().last() == Some(&b'/') {
        components.push_back(".".into());
    }
    components
}
