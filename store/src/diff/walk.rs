//! Reading directories: through their descriptors and one component at a time, so that no link leads anywhere, no depth is too great for
//! a path, and no more than a few descriptors are open.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use super::entries::{Entries, Id, ROOT};
use crate::{Error, Root};

/// Directories kept open on the way to the current one. Half of them are closed when there are more. Layers are computed side
/// by side, two trees each, and all together must stay far below the usual limit of 1024.
const OPEN: usize = 16;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Opens directories of a tree by their records, keeping those above open for the next.
pub(super) struct Cursor<'a> {
    root: &'a Root,
    /// Each is above the next, though not always directly; so ids rise.
    open: Vec<(Id, OwnedFd)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        Cursor { root, open: Vec::new() }
    }

    pub(super) fn root(&self) -> &'a Root {
        self.root
    }

    /// The directory `id`, open.
    pub(super) fn dir(&mut self, entries: &Entries, id: Id) -> Result<BorrowedFd<'_>, Error> {
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
            at = entries.get(at).parent;
        };
        self.open.truncate(keep);
        let near = missing.len().min(OPEN / 2);
        let mut above = None;
        for (left, &next) in missing.iter().enumerate().rev() {
            let here = above.as_ref().or(self.open.last().map(|(_, dir)| dir));
            let dir = open(here.unwrap_or(self.root.as_dir()), entries.name(next), DIR)
                .map_err(|errno| error("open", self.root, entries, next, b"", errno))?;
            // Far from the goal a directory is only passed; near it, its neighbours come next.
            if left < near {
                above = None;
                self.open.push((next, dir));
            } else {
                above = Some(dir);
            }
        }
        if self.open.len() > OPEN {
            self.open.drain(..OPEN / 2);
        }
        Ok(self.open.last().map_or(self.root.as_dir(), |(_, dir)| dir).as_fd())
    }

    /// What is in the directory `id`, which this opens.
    pub(super) fn list(&mut self, entries: &Entries, id: Id, listing: &mut Listing) -> Result<(), Error> {
        let root = self.root;
        let dir = self.dir(entries, id)?;
        let listed = if id == ROOT {
            // The descriptor of the root is shared, and so would be the position in it.
            open(dir, b".", DIR).and_then(|dir| listing.read(dir.as_fd()))
        } else {
            listing.read(dir)
        };
        listed.map_err(|errno| error("list", root, entries, id, b"", errno))
    }

    /// `stat` of `name` in the directory `id`; not of what a link leads to.
    pub(super) fn stat(&mut self, entries: &Entries, id: Id, name: &[u8]) -> Result<Stat, Error> {
        let root = self.root;
        rustix::fs::statat(self.dir(entries, id)?, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| error("look up", root, entries, id, name, errno))
    }
}

/// Opens `name`, a single component, without following a link and, where that is allowed, without a trace in its access time.
pub(super) fn open(dir: impl AsFd, name: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    match rustix::fs::openat(&dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(&dir, name, flags, Mode::empty()),
        other => other,
    }
}

/// `stat` of the root itself.
pub(super) fn stat_root(root: &Root) -> Result<Stat, Error> {
    rustix::fs::fstat(root.as_dir()).map_err(|errno| Error::Io {
        action: "look up",
        path: root.path().to_owned(),
        source: errno.into(),
    })
}

/// An error about `name` in the directory `dir`, or about the directory if the name is empty.
pub(super) fn error(
    action: &'static str,
    root: &Root,
    entries: &Entries,
    dir: Id,
    name: &[u8],
    errno: Errno,
) -> Error {
    Error::Io { action, path: entries.join(root, dir, name), source: errno.into() }
}

/// A directory's names, sorted. Kept for the next directory, to spare allocations.
pub(super) struct Listing {
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

/// A name in a [`Listing`].
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) bytes: &'a [u8],
    /// The inode's number in the device of the directory.
    pub(super) ino: u64,
    /// [`FileType::Unknown`] on some file systems.
    pub(super) file_type: FileType,
}

impl Default for Listing {
    fn default() -> Self {
        Listing { buffer: vec![MaybeUninit::uninit(); 32 << 10], names: Vec::new(), items: Vec::new() }
    }
}

impl Listing {
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
