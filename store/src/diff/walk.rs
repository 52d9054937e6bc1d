//! Reads directories through their descriptors, one component at a time.
//!
//! So no symbolic link is followed, a tree may be deeper than a path can be long, and only a few descriptors
//! are open at a time.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, RawDir, Stat};
use rustix::io::Errno;

use super::records::{Id, ROOT, Records};
use crate::{Error, Root, fs};

/// How many directories stay open above the current one; when there are more, half are closed. Several layers
/// are computed at a time, with two trees each, and together they must stay far below the usual limit of
/// 1024.
const OPEN: usize = 16;
/// When a chain of directories has to be opened again, this many at its end are opened and kept one by one,
const NEAR: usize = 8;
/// and this many before them are opened in one go.
const FAR: usize = 128;

/// A little less than the kernel's limit for a path.
const PATH: usize = 4000;

/// Opens directories of a tree by their records, and keeps those above open for the next one.
pub(super) struct Cursor<'a> {
    root: &'a Root,
    /// Each is an ancestor of the next, not always its parent. So the ids are ascending.
    open: Vec<(Id, OwnedFd)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        Cursor { root, open: Vec::new() }
    }

    pub(super) fn root(&self) -> &'a Root {
        self.root
    }

    /// How many directories below the root are open.
    pub(super) fn opened(&self) -> usize {
        self.open.len()
    }

    /// Closes all directories below the root.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    /// The directory `id`, open.
    pub(super) fn dir(&mut self, records: &Records, id: Id) -> Result<BorrowedFd<'_>, Error> {
        let mut missing = Vec::new();
        let mut at = id;
        let keep = loop {
            if at == ROOT {
                break 0;
            }
            if let Ok(index) = self.open.binary_search_by_key(&at, |(id, _)| *id) {
                break index + 1;
            }
            missing.push(at);
            at = records.get(at).parent;
        };
        self.open.truncate(keep);
        // The next directories are most likely neighbours of this one, so those near it are worth keeping
        // open. The rest is crossed in two steps; the directory between them spares most of the way next
        // time.
        let far = missing.split_off(missing.len().min(NEAR));
        let (far, farther) = far.split_at(far.len().min(FAR));
        for passed in [farther, far] {
            let Some(&last) = passed.first() else { continue };
            let dir = pass(self.top(), passed.iter().rev().map(|&id| records.name(id)))
                .map_err(|errno| error("open", self.root, records, last, b"", errno))?;
            self.open.push((last, dir));
        }
        for &next in missing.iter().rev() {
            let dir = fs::open_dir_in(self.top(), records.name(next))
                .map_err(|errno| error("open", self.root, records, next, b"", errno))?;
            self.open.push((next, dir));
        }
        if self.open.len() > OPEN {
            self.open.drain(..OPEN / 2);
        }
        Ok(self.top().as_fd())
    }

    /// The innermost open directory.
    fn top(&self) -> &OwnedFd {
        self.open.last().map_or(self.root.as_dir(), |(_, dir)| dir)
    }

    /// Reads the names in the directory `id`.
    pub(super) fn list(&mut self, records: &Records, id: Id, listing: &mut DirNames) -> Result<(), Error> {
        let root = self.root;
        let dir = self.dir(records, id)?;
        let listed = if id == ROOT {
            // The descriptor of the root is shared, and the position in it would be too.
            fs::reopen_dir(dir).and_then(|dir| listing.read(dir.as_fd()))
        } else {
            listing.read(dir)
        };
        listed.map_err(|errno| error("list", root, records, id, b"", errno))
    }

    /// `stat` of `name` in the directory `id`, without following a link.
    pub(super) fn stat(&mut self, records: &Records, id: Id, name: &[u8]) -> Result<Stat, Error> {
        let root = self.root;
        rustix::fs::statat(self.dir(records, id)?, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| error("look up", root, records, id, name, errno))
    }
}

/// Opens the last of a chain of directories, no link among them; as many at a time as a path can hold.
fn pass<'n>(dir: &OwnedFd, names: impl Iterator<Item = &'n [u8]>) -> rustix::io::Result<OwnedFd> {
    let mut names = names.peekable();
    let mut here: Option<OwnedFd> = None;
    let mut path = Vec::new();
    while let Some(name) = names.next() {
        path.extend_from_slice(name);
        path.push(b'/');
        if names.peek().is_some_and(|next| path.len() + next.len() < PATH) {
            continue;
        }
        here = Some(fs::pass(here.as_ref().unwrap_or(dir), &path)?);
        path.clear();
    }
    here.map_or_else(|| rustix::io::fcntl_dupfd_cloexec(dir, 0), Ok)
}

/// An error about `name` in the directory `dir`, or about the directory if the name is empty.
pub(super) fn error(
    action: &'static str,
    root: &Root,
    records: &Records,
    dir: Id,
    name: &[u8],
    errno: Errno,
) -> Error {
    Error::io(action, records.join(root, dir, name), errno)
}

/// A directory's names, sorted. Reused for the next directory, to save allocations.
pub(super) struct DirNames {
    buffer: Vec<MaybeUninit<u8>>,
    names: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Clone, Copy)]
struct Item {
    at: usize,
    len: usize,
    ino: u64,
    file_type: FileType,
}

/// One of [`DirNames`].
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) bytes: &'a [u8],
    /// The inode number, on the device of the directory.
    pub(super) ino: u64,
    /// [`FileType::Unknown`] on some file systems.
    pub(super) file_type: FileType,
}

impl Default for DirNames {
    fn default() -> Self {
        DirNames { buffer: vec![MaybeUninit::uninit(); 32 << 10], names: Vec::new(), items: Vec::new() }
    }
}

impl DirNames {
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.items.clear();
    }

    fn read(&mut self, dir: BorrowedFd<'_>) -> rustix::io::Result<()> {
        self.clear();
        let mut raw = RawDir::new(dir, &mut self.buffer);
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let item = Item {
                at: self.names.len(),
                len: name.len(),
                ino: entry.ino(),
                file_type: entry.file_type(),
            };
            self.names.extend_from_slice(name);
            self.items.push(item);
        }
        let names = &self.names;
        self.items.sort_unstable_by_key(|item| &names[item.at..][..item.len]);
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Name<'_>> {
        self.items.iter().map(|item| Name {
            bytes: &self.names[item.at..][..item.len],
            ino: item.ino,
            file_type: item.file_type,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_directories_has_no_link() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("a/b/c")).unwrap();
        std::os::unix::fs::symlink("a", temp.path().join("link")).unwrap();
        let root = Root::open(temp.path()).unwrap();
        let inode = |opened: rustix::io::Result<OwnedFd>| rustix::fs::fstat(opened?).map(|stat| stat.st_ino);
        for (path, found) in [("a/b/c", true), ("link/b", false), ("a/none", false)] {
            let passed = inode(pass(root.as_dir(), path.split('/').map(str::as_bytes)));
            let named = root.dir(path).ok().map(|dir| dir.stat().unwrap().st_ino);
            assert_eq!((passed.is_ok(), passed.ok()), (found, named), "{path}");
        }
    }
}
