//! Upper directories: what a layer adds, and marks for what it removes.
//!
//! ```text
//! name              a character device 0/0: overlayfs     -> .wh.name
//! .wh.name          a file: aufs, fuse-overlayfs          -> as it is
//! dir/              trusted.overlay.opaque = "y"          -> dir/.wh..wh..opq
//!                   user.overlay.opaque: without root
//!                   user.fuseoverlayfs.opaque
//! dir/.wh..wh..opq  a file: aufs, fuse-overlayfs          -> as it is
//! .wh..wh.aufs, .wh..wh.orph/, .wh..wh.plnk/              -> nothing: aufs's own
//! ```
//!
//! Overlayfs keeps other attributes (`origin`, `impure`, `uuid`) that say nothing about the layer. Two of its
//! attributes mean that the layer is incomplete without those below: `redirect` (a directory that was
//! renamed) and `metacopy` (a file whose contents are in a lower layer). A tar cannot express either.

use std::os::fd::BorrowedFd;

use rustix::fs::FileType;

use super::attributes::Attributes;
use super::faults::{Faults, or_left_out};
use super::records::{Id, Kind, Metadata, ROOT, Records};
use super::sight::Sight;
use super::walk::{self, Cursor, DirNames};
use crate::{Error, Root};

/// The file that marks its directory as opaque, in a tar.
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";
pub(super) const METADATA: &[u8] = b".wh..wh.";
const PREFIXES: &[&[u8]] = &[b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs."];

/// What overlayfs says about a directory or file in its attributes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// This directory hides what lower layers have in it.
    pub(super) opaque: bool,
    /// This file stands for a deletion (since Linux 6.7, where a character device cannot be made).
    pub(super) whiteout: bool,
    /// It has another name in lower layers: [`redirect`] says which.
    pub(super) redirect: bool,
    /// The contents of this file are in a lower layer.
    pub(super) metacopy: bool,
}

/// Everything in an upper directory. If something in it depends on the layers below, the result is `None` if
/// these are `known`, and an error if not. With `faults`, what cannot be read is left out if they say so.
pub(super) fn read(
    root: &Root,
    known: bool,
    faults: Option<&Faults>,
    sight: &Sight,
) -> Result<Option<Records>, Error> {
    let stat = root.stat()?;
    sight.begin(root, &stat)?;
    let mut records = Records::new(Metadata::new(&stat));
    let mut cursor = Cursor::new(root);
    let mut attributes = Attributes::default();
    let mut names = DirNames::default();
    let mut todo = vec![(ROOT, false)];
    while let Some((dir, opaque)) = todo.pop() {
        let listed = cursor.list(&records, dir, &mut names);
        if or_left_out(listed, faults)?.is_none() {
            names.clear();
        }
        let first = records.next();
        let before = todo.len();
        if opaque && !names.iter().any(|name| name.bytes == OPAQUE) {
            records.push(dir, OPAQUE, Kind::Opaque, Metadata::default(), true);
        }
        for name in names.iter() {
            let name = name.bytes;
            if dir == ROOT && name.starts_with(METADATA) && name != OPAQUE {
                continue;
            }
            let found = cursor.stat(&records, dir, name).and_then(|stat| {
                let metadata = Metadata::new(&stat);
                sight.entry(&metadata);
                let at = At { records: &records, dir, name };
                Ok((metadata, marks(&mut cursor, &mut attributes, at, &metadata, sight)?))
            });
            let Some((metadata, marks)) = or_left_out(found, faults)? else { continue };
            if let Some(attribute) = marks.incomplete() {
                if known {
                    return Ok(None);
                }
                return Err(incomplete(&records, root, dir, name, attribute));
            }
            if marks.whiteout {
                records.push(dir, name, Kind::Whiteout, metadata, true);
                continue;
            }
            let id = records.push(dir, name, Kind::Present, metadata, true);
            if metadata.is_dir() {
                todo.push((id, marks.opaque));
            }
        }
        records.close(dir, first);
        todo[before..].reverse();
    }
    Ok(Some(records))
}

impl Marks {
    /// The attribute that makes it depend on lower layers.
    fn incomplete(self) -> Option<&'static str> {
        let marks = [(self.redirect, "redirect"), (self.metacopy, "metacopy")];
        marks.into_iter().find(|(is_set, _)| *is_set).map(|(_, attribute)| attribute)
    }
}

/// A name in a directory.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) records: &'a Records,
    pub(super) dir: Id,
    pub(super) name: &'a [u8],
}

/// What a name means in an upper directory.
pub(super) fn marks(
    cursor: &mut Cursor<'_>,
    attributes: &mut Attributes,
    At { records, dir, name }: At<'_>,
    metadata: &Metadata,
    sight: &Sight,
) -> Result<Marks, Error> {
    match metadata.file_type() {
        FileType::CharacterDevice => Ok(Marks { whiteout: metadata.rdev == 0, ..Marks::default() }),
        FileType::Directory | FileType::RegularFile => {
            let root = cursor.root();
            let found = marks_in(attributes, cursor.dir(records, dir)?, name, sight);
            found.map_err(|errno| walk::error("read attributes of", root, records, dir, name, errno))
        }
        _ => Ok(Marks::default()),
    }
}

fn marks_in(
    attributes: &mut Attributes,
    dir: BorrowedFd<'_>,
    name: &[u8],
    sight: &Sight,
) -> rustix::io::Result<Marks> {
    let mut marks = Marks::default();
    let mut opaque = Vec::new();
    for attribute in attributes.names(dir, name)? {
        let Some(what) = PREFIXES.iter().find_map(|prefix| attribute.strip_prefix(*prefix)) else { continue };
        if attribute.starts_with(b"user.") {
            sight.mark_of_a_user();
        }
        match what {
            b"opaque" => opaque.push(attribute.to_vec()),
            b"whiteout" => marks.whiteout = true,
            b"redirect" => marks.redirect = true,
            b"metacopy" => marks.metacopy = true,
            _ => {}
        }
    }
    for attribute in opaque {
        // "x" is weaker: it only announces files in there that stand for deletions.
        marks.opaque |= attributes.value(dir, name, &attribute)? == Some(b"y");
    }
    Ok(marks)
}

/// What a directory or file with [`Marks::redirect`] is called in lower layers: a name in the same
/// directory, or a path from the root.
pub(super) fn redirect(
    attributes: &mut Attributes,
    dir: BorrowedFd<'_>,
    name: &[u8],
) -> rustix::io::Result<Vec<u8>> {
    for prefix in PREFIXES {
        let attribute = [prefix, &b"redirect"[..]].concat();
        if let Some(value) = attributes.value(dir, name, &attribute)? {
            return Ok(value.to_vec());
        }
    }
    Ok(Vec::new())
}

fn incomplete(records: &Records, root: &Root, dir: Id, name: &[u8], attribute: &str) -> Error {
    let what = format!(
        "{} is incomplete without the layers below (overlayfs attribute overlay.{attribute}), and its \
         layer has no tar-split data",
        records.join(root, dir, name).display()
    );
    Error::unsupported(what, "start the engine on this store and let it save the image")
}
