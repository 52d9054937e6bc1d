//! Compares a layer's tree with its parent's, both ways.
//!
//! An entry has changed if its mode, owner, group, device number or `security.capability` differs and, unless
//! it is a directory, if its time or size does (Docker 1.8, `pkg/archive/changes.go` and `changes_unix.go`).
//! Contents, the targets of symbolic links, other attributes and link counts are not compared.
//!
//! Today's images often have one time for all files, so containerd compares contents and targets where both
//! times are whole seconds, as times from a tar are (`continuity/fs/diff.go`, `sameFile`).

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use rustix::fs::FileType;

use super::attributes::{Attributes, CAPABILITY};
use super::faults::{Faults, or_changed, or_left_out};
use super::records::{Id, Kind, Metadata, ROOT, Records, removes};
use super::walk::{self, Cursor, DirNames, Name};
use crate::{Error, Root, fs};

/// A directory whose names have not been read.
struct Dir {
    id: Id,
    /// The device of the directory of that name in the parent, if there is one.
    old: Option<u64>,
}

/// The bit by which Docker recognizes a directory. Block devices and sockets have it too, so their time and
/// size are not compared either.
const DIR_BIT: u32 = 0o40000;

/// Everything in a tree, which is a base layer. With `faults`, what cannot be read is left out if they say
/// so.
pub(super) fn all(root: &Root, faults: Option<&Faults>) -> Result<Records, Error> {
    Comparison { faults, ..Comparison::new(root, root)? }.run(None)
}

/// The same for a tree that is not a layer: a name means nothing but itself.
pub(super) fn tree(root: &Root, faults: Option<&Faults>) -> Result<Records, Error> {
    Comparison { literal: true, faults, ..Comparison::new(root, root)? }.run(None)
}

/// What turns `old` into `new`. `contents` are compared where times say nothing.
pub(super) fn compare(
    new: &Root,
    old: &Root,
    contents: bool,
    faults: Option<&Faults>,
) -> Result<Records, Error> {
    let device = old.stat()?.st_dev;
    let mut records = Comparison { contents, faults, ..Comparison::new(new, old)? }.run(Some(device))?;
    records.write_ancestors();
    Ok(records)
}

struct Comparison<'a> {
    contents: bool,
    /// Whether names that mean deletions in a layer are names like others.
    literal: bool,
    faults: Option<&'a Faults>,
    records: Records,
    new: Cursor<'a>,
    old: Cursor<'a>,
    new_attributes: Attributes,
    old_attributes: Attributes,
}

impl<'a> Comparison<'a> {
    fn new(new: &'a Root, old: &'a Root) -> Result<Self, Error> {
        Ok(Comparison {
            contents: false,
            literal: false,
            faults: None,
            records: Records::new(Metadata::new(&new.stat()?)),
            new: Cursor::new(new),
            old: Cursor::new(old),
            new_attributes: Attributes::default(),
            old_attributes: Attributes::default(),
        })
    }

    fn run(mut self, old: Option<u64>) -> Result<Records, Error> {
        let mut todo = vec![Dir { id: ROOT, old }];
        let (mut new_names, mut old_names) = (DirNames::default(), DirNames::default());
        while let Some(dir) = todo.pop() {
            let listed = self.new.list(&self.records, dir.id, &mut new_names);
            let is_listed = or_left_out(listed, self.faults)?.is_some();
            if !is_listed {
                new_names.clear();
            }
            old_names.clear();
            // If it is not known what is in a directory, nothing in it is deleted.
            if is_listed && dir.old.is_some() {
                let listed = self.old.list(&self.records, dir.id, &mut old_names);
                if or_left_out(listed, self.faults)?.is_none() {
                    old_names.clear();
                }
            }
            let first = self.records.next();
            let known = todo.len();
            let mut left = old_names.iter().peekable();
            for name in new_names.iter() {
                let mut same = None;
                while let Some(other) = left.peek() {
                    match other.bytes.cmp(name.bytes) {
                        Ordering::Less => self.removed(dir.id, other.bytes),
                        Ordering::Equal => same = Some(*other),
                        Ordering::Greater => break,
                    }
                    left.next();
                }
                todo.extend(self.found(&dir, name, same)?);
            }
            left.for_each(|name| self.removed(dir.id, name.bytes));
            self.records.close(dir.id, first);
            todo[known..].reverse();
        }
        Ok(self.records)
    }

    fn removed(&mut self, dir: Id, name: &[u8]) {
        self.records.push(dir, name, Kind::Whiteout, Metadata::default(), true);
    }

    /// Handles a name of the layer, and the parent's if it has the same. Returns it if it is a directory.
    fn found(&mut self, dir: &Dir, name: Name<'_>, old: Option<Name<'_>>) -> Result<Option<Dir>, Error> {
        let device = self.records.metadata(dir.id).dev;
        if let (Some(old), Some(old_device)) = (old, dir.old)
            && (device, name.ino) == (old_device, old.ino)
            && name.file_type == old.file_type
            && !matches!(name.file_type, FileType::Directory | FileType::Unknown)
        {
            // Two names of one inode: the overlay driver hard-links every file that did not change.
            return Ok(None);
        }
        let stat = self.new.stat(&self.records, dir.id, name.bytes);
        let Some(stat) = or_left_out(stat, self.faults)? else {
            return Ok(None);
        };
        let old = match old {
            Some(old) => or_left_out(self.old.stat(&self.records, dir.id, old.bytes), self.faults)?,
            None => None,
        };
        let written = match &old {
            Some(old) => {
                let differs = self.differs(dir.id, name.bytes, &Metadata::new(&stat), &Metadata::new(old));
                or_changed(differs, self.faults)?
            }
            None => true,
        };
        let metadata = Metadata::new(&stat);
        if !written && !metadata.is_dir() {
            return Ok(None);
        }
        if written && !self.literal && removes(name.bytes) {
            return Err(unrepresentable(self.records.join(self.new.root(), dir.id, name.bytes)));
        }
        let id = self.records.push(dir.id, name.bytes, Kind::Present, metadata, written);
        // Where a directory became something else, what was below it needs no whiteouts.
        let old = old.filter(|old| Metadata::new(old).is_dir()).map(|old| old.st_dev);
        Ok(metadata.is_dir().then_some(Dir { id, old }))
    }

    fn differs(&mut self, dir: Id, name: &[u8], new: &Metadata, old: &Metadata) -> Result<bool, Error> {
        Ok(differ(new, old, self.contents)
            || self.capabilities_differ(dir, name)?
            || self.contents && whole_seconds(new, old) && self.contents_differ(dir, name)?)
    }

    fn capabilities_differ(&mut self, dir: Id, name: &[u8]) -> Result<bool, Error> {
        let capability = |cursor: &mut Cursor<'_>, attributes: &mut Attributes| {
            let root = cursor.root();
            let fd = cursor.dir(&self.records, dir)?;
            let value = attributes.value(fd, name, CAPABILITY);
            let value = value.map(|value| value.map(<[u8]>::to_vec));
            value.map_err(|errno| walk::error("read attributes of", root, &self.records, dir, name, errno))
        };
        let new = capability(&mut self.new, &mut self.new_attributes)?;
        Ok(new != capability(&mut self.old, &mut self.old_attributes)?)
    }
}

impl Comparison<'_> {
    /// Compares the bytes of two files, or the targets of two links.
    fn contents_differ(&mut self, dir: Id, name: &[u8]) -> Result<bool, Error> {
        let new = content(&mut self.new, &self.records, dir, name)?;
        let old = content(&mut self.old, &self.records, dir, name)?;
        let error = |source| Error::io("read", self.records.join(self.new.root(), dir, name), source);
        new.differs(old).map_err(error)
    }
}

/// What a name has.
pub(super) enum Content {
    File(File),
    /// The target of a link; empty for everything else.
    Other(Vec<u8>),
}

impl Content {
    pub(super) fn differs(self, old: Content) -> io::Result<bool> {
        let (mut new, mut old) = match (self, old) {
            (Content::File(new), Content::File(old)) => (BufReader::new(new), BufReader::new(old)),
            (Content::Other(new), Content::Other(old)) => return Ok(new != old),
            _ => return Ok(true),
        };
        loop {
            let (one, other) = (new.fill_buf()?, old.fill_buf()?);
            let len = one.len().min(other.len());
            if one[..len] != other[..len] || len == 0 {
                return Ok(!one.is_empty() || !other.is_empty());
            }
            new.consume(len);
            old.consume(len);
        }
    }
}

pub(super) fn content(
    cursor: &mut Cursor<'_>,
    records: &Records,
    dir: Id,
    name: &[u8],
) -> Result<Content, Error> {
    let stat = cursor.stat(records, dir, name)?;
    let root = cursor.root();
    let fd = cursor.dir(records, dir)?;
    let found = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => fs::open_file_in(fd, name).map(Content::File),
        FileType::Symlink => {
            rustix::fs::readlinkat(fd, name, Vec::new()).map(|link| Content::Other(link.into_bytes()))
        }
        _ => Ok(Content::Other(Vec::new())),
    };
    found.map_err(|errno| walk::error("read", root, records, dir, name, errno))
}

pub(super) fn whole_seconds(new: &Metadata, old: &Metadata) -> bool {
    (new.mtime_nanos, old.mtime_nanos) == (0, 0)
}

/// Whether the records of two entries differ. `contents` says that contents decide where times have no
/// fraction, as for containerd; a fraction then differs from none.
pub(super) fn differ(new: &Metadata, old: &Metadata, contents: bool) -> bool {
    new.mode != old.mode
        || new.uid != old.uid
        || new.gid != old.gid
        || new.rdev != old.rdev
        || new.mode & DIR_BIT == 0 && (!same_time(new, old, contents) || new.size != old.size)
}

/// For Docker's graph drivers, a copy may have lost the fraction of a second, so none matches any.
fn same_time(new: &Metadata, old: &Metadata, contents: bool) -> bool {
    let one_has_none = new.mtime_nanos == 0 || old.mtime_nanos == 0;
    new.mtime == old.mtime && (new.mtime_nanos == old.mtime_nanos || !contents && one_has_none)
}

pub(super) fn unrepresentable(path: PathBuf) -> Error {
    let what = format!("{} cannot be in an image: in a layer its name means a deletion", path.display());
    Error::Unsupported { what, hint: None }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

    use super::*;

    fn at(path: &Path, tv_nsec: i64) {
        let time = Timespec { tv_sec: 1_700_000_000, tv_nsec };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }

    /// Files of one length and one time, as reproducible builds make them.
    #[test]
    fn contents_decide_where_times_are_whole_seconds() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, one, other, nanos) in [
            ("same", "aaaa", "aaaa", 0),
            ("other", "aaaa", "aaab", 0),
            ("later", "aaaa", "aaab", 5),
            ("fraction", "aaaa", "aaab", 0),
            ("empty", "", "", 0),
            ("long", &*"a".repeat(100_000), &*format!("{}b", "a".repeat(99_999)), 0),
        ] {
            for (dir, content) in [(&old, one), (&new, other)] {
                fs::write(dir.path().join(name), content).unwrap();
                at(&dir.path().join(name), nanos);
            }
        }
        // Only one of the two times has a fraction.
        at(&new.path().join("fraction"), 7);
        for (dir, target) in [(&old, "a"), (&new, "b")] {
            symlink(target, dir.path().join("link")).unwrap();
            symlink("a", dir.path().join("same link")).unwrap();
            at(&dir.path().join("link"), 0);
            at(&dir.path().join("same link"), 0);
        }
        let (old, new) = (Root::open(old.path()).unwrap(), Root::open(new.path()).unwrap());
        let written = |contents| {
            let records = compare(&new, &old, contents, None).unwrap();
            let ids = records.children(ROOT).filter(|&id| records.get(id).written);
            ids.map(|id| String::from_utf8(records.name(id).to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(written(true), ["fraction", "link", "long", "other"]);
        assert_eq!(written(false), [""; 0]);
    }
}
