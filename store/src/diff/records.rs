//! What was found in a layer's directory: one table with a compact record for each entry that may be written.
//!
//! The records of a directory's entries are adjacent, sorted by name, and come after that of the directory.
//! The first record is the layer's root, which is never written.
//!
//! Several directories that are stacked have one table, too. A record says which of them has its entry,
//! usually at the path that the record has in the table. If the layers were mounted with `redirect_dir`, the
//! entry may be at another path, and with `metacopy` the contents of a file may be in another layer.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::metadata::{Compact, Shared};
use crate::{Notice, Root};

pub(super) use super::metadata::Metadata;

/// The index of a record.
pub(super) type Id = u32;

/// The record of the layer's root.
pub(super) const ROOT: Id = 0;

/// The type bits of a directory's mode.
const DIRECTORY: u32 = FileType::Directory.as_raw_mode();

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something in the directory.
    Present,
    /// A name that the layer removes. It has no metadata.
    Whiteout,
    /// The mark that hides what lower layers have in its directory.
    Opaque,
}

#[derive(Debug)]
pub(super) struct Record {
    /// Where its name begins. It ends where that of the next record begins.
    name_at: usize,
    pub(super) parent: Id,
    /// Which of the directories has it; 0 if there is only one.
    pub(super) layer: u16,
    pub(super) kind: Kind,
    /// Whether it goes into the tar.
    pub(super) written: bool,
    metadata: Compact,
}

/// Whether an engine that unpacks the layer would take a file of this name for a deletion. Engines ignore the
/// names of aufs's own folders.
pub(super) fn removes(name: &[u8]) -> bool {
    name.strip_prefix(b".wh.").is_some_and(|name| !name.starts_with(b".wh.") || name == b".wh..opq")
}

/// The table of records.
#[derive(Debug, Default)]
pub(super) struct Records {
    names: Vec<u8>,
    records: Vec<Record>,
    shared: Shared,
    /// By record: the directory that has its entry, if that is not the one that its path says.
    moved: HashMap<Id, Id>,
    /// By record: where the contents of a file are, if not at its own entry.
    contents: HashMap<Id, Place>,
    /// By record: other names of the file, which follow it at once although they would come before it.
    further: HashMap<Id, Vec<Id>>,
    /// Entries that are left out because of their owners.
    unowned: HashSet<Id>,
}

/// Where an entry is: a name in a directory of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) layer: u16,
    /// A record that has the path of the directory.
    pub(super) dir: Id,
    pub(super) name: Vec<u8>,
}

impl Records {
    /// A table with only the root.
    pub(super) fn new(root: Metadata) -> Self {
        let mut records = Records::default();
        let root = Metadata { mode: DIRECTORY | root.mode & 0o7777, ..root };
        records.push(ROOT, b"", Kind::Present, root, false);
        records
    }

    /// How many bytes the files have that are written: each once, as in a tar (Docker, where it unpacked
    /// one); and with every name of a file and the targets of symbolic links (Docker, where it compared
    /// trees; `ChangesSize` in `pkg/archive/changes.go`).
    pub(super) fn sizes(&self) -> [u64; 2] {
        let mut seen = HashSet::new();
        let mut sizes = [0_u64; 2];
        let present = self.records.iter().filter(|record| record.written && record.kind == Kind::Present);
        let present = present.map(|record| self.shared.unpack(&record.metadata));
        for metadata in present.filter(|metadata| !metadata.is_dir()) {
            let is_file = metadata.file_type() == FileType::RegularFile;
            let first = !metadata.linked || seen.insert((metadata.dev, metadata.ino));
            let counted = if is_file && first { metadata.size } else { 0 };
            sizes = [sizes[0].saturating_add(counted), sizes[1].saturating_add(metadata.size)];
        }
        sizes
    }

    /// Whether any entry is written by today's engines, which leave out sockets.
    pub(super) fn any_written(&self) -> bool {
        let socket = |record: &Record| self.shared.unpack(&record.metadata).file_type() == FileType::Socket;
        let mut records = (0..).zip(&self.records).skip(1);
        records.any(|(id, record)| record.written && !socket(record) && !self.is_unowned(id))
    }

    /// Adds a record. Those of one directory are added in one go, sorted by name, and then
    /// [`Records::close`]d.
    pub(super) fn push(
        &mut self,
        parent: Id,
        name: &[u8],
        kind: Kind,
        metadata: Metadata,
        written: bool,
    ) -> Id {
        let id = self.next();
        let name_at = self.names.len();
        self.names.extend_from_slice(name);
        let metadata = self.shared.pack(&metadata);
        self.records.push(Record { name_at, parent, layer: 0, kind, written, metadata });
        id
    }

    /// Says where an entry is: in this layer, in the directory whose path the record `dir` has.
    pub(super) fn put_in(&mut self, id: Id, layer: u16, dir: Id) {
        let record = &mut self.records[id as usize];
        record.layer = layer;
        if record.parent != dir {
            self.moved.insert(id, dir);
        }
    }

    /// Says where the contents of a file are, if not where its metadata are.
    pub(super) fn put_contents(&mut self, id: Id, place: Place) {
        self.contents.insert(id, place);
    }

    /// What follows an entry at once.
    pub(super) fn further(&self, id: Id) -> &[Id] {
        self.further.get(&id).map_or(&[], Vec::as_slice)
    }

    /// If one name of a file has changed, the others are written, too. Those that come before it in a walk
    /// follow it at once. `ids` are all names of files with several names, changed or not.
    pub(super) fn write_links(&mut self, ids: &[Id]) {
        let mut names: HashMap<(u64, u64), (Option<Id>, Vec<Id>)> = HashMap::new();
        for &id in ids {
            let Metadata { dev, ino, .. } = self.metadata(id);
            let (first, before) = names.entry((dev, ino)).or_default();
            match (self.get(id).written, &first) {
                (false, None) => before.push(id),
                (false, Some(_)) => self.records[id as usize].written = true,
                (true, None) => {
                    *first = Some(id);
                    if !before.is_empty() {
                        self.further.insert(id, std::mem::take(before));
                    }
                }
                (true, Some(_)) => {}
            }
        }
    }

    /// The layer that has an entry, and a record with the path of its directory there.
    pub(super) fn place(&self, id: Id) -> (u16, Id) {
        let record = self.get(id);
        (record.layer, self.moved.get(&id).copied().unwrap_or(record.parent))
    }

    /// Where the contents of a file are.
    pub(super) fn contents(&self, id: Id) -> (u16, Id, &[u8]) {
        match self.contents.get(&id) {
            Some(Place { layer, dir, name }) => (*layer, *dir, name),
            None => {
                let (layer, dir) = self.place(id);
                (layer, dir, self.name(id))
            }
        }
    }

    /// Whether the contents of a file are in another file than its metadata.
    pub(super) fn has_contents_elsewhere(&self, id: Id) -> bool {
        self.contents.contains_key(&id)
    }

    /// The record of a path without a slash at either end.
    pub(super) fn find(&self, path: &[u8]) -> Option<Id> {
        let mut names = path.split(|byte| *byte == b'/');
        names.try_fold(ROOT, |dir, name| self.children(dir).find(|id| self.name(*id) == name))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The id of the next record.
    pub(super) fn next(&self) -> Id {
        Id::try_from(self.records.len()).expect("four billion records do not fit in memory")
    }

    /// Ends the directory `dir`, whose records are all those since `first`.
    pub(super) fn close(&mut self, dir: Id, first: Id) {
        let until = self.next();
        self.records[dir as usize].metadata.set_children(first..until);
    }

    /// Marks the directories above each written entry as written, so that their owners and modes come along.
    pub(super) fn write_ancestors(&mut self) {
        for id in (1..self.records.len()).rev() {
            if self.records[id].written {
                let parent = self.records[id].parent;
                self.records[parent as usize].written = true;
            }
        }
    }

    pub(super) fn get(&self, id: Id) -> &Record {
        &self.records[id as usize]
    }

    pub(super) fn metadata(&self, id: Id) -> Metadata {
        self.shared.unpack(&self.get(id).metadata)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Record {
        &mut self.records[id as usize]
    }

    /// Gives an entry other metadata. A directory has no entries then, until the table is in order.
    pub(super) fn set_metadata(&mut self, id: Id, metadata: &Metadata) {
        self.records[id as usize].metadata = self.shared.pack(metadata);
    }

    /// Gives the entries of some layers other owners, once the table is in order. Those that get none are
    /// left out; what is below them is not. Returns their layers and paths. With `marks`, whiteouts get
    /// owners, too.
    pub(super) fn set_owners(
        &mut self,
        of: impl Fn(u16) -> bool,
        marks: bool,
        owner: impl Fn((u32, u32)) -> Option<(u32, u32)>,
    ) -> Vec<(u16, Vec<u8>)> {
        for (record, id) in self.records.iter_mut().zip(0..) {
            if of(record.layer)
                && (marks || record.kind == Kind::Present)
                && !self.shared.set_owner(&mut record.metadata, &owner)
                && record.written
                && id != ROOT
            {
                self.unowned.insert(id);
            }
        }
        let of = |id: &Id| (self.get(*id).layer, self.path(*id));
        let mut left_out: Vec<(u16, Vec<u8>)> = self.unowned.iter().map(of).collect();
        // A link that Docker makes itself, as root of the host.
        left_out.retain(|(_, path)| path != b"etc/mtab");
        left_out.sort();
        left_out
    }

    /// A notice of files that have names of deletions.
    pub(super) fn named_like_deletions(&self, root: &Root) -> Option<Notice> {
        let id = |(id, record): (Id, &Record)| {
            let is_one = record.written && record.kind == Kind::Present && removes(self.name(id));
            is_one.then_some(id)
        };
        let all: Vec<Id> = (0..).zip(&self.records).filter_map(id).collect();
        let path = self.path(*all.first()?);
        let what = match all.len() {
            1 => "it has a name that means a deletion in a layer".to_owned(),
            2 => "it and one more have names that mean deletions in a layer".to_owned(),
            count => format!("it and {} more have names that mean deletions in a layer", count - 1),
        };
        let what = format!("{what}: an engine that loads the image deletes what the rest of the name says");
        Some(Notice::new(root.join(Path::new(OsStr::from_bytes(&path))), what))
    }

    /// Whether an entry is left out because of its owner.
    pub(super) fn is_unowned(&self, id: Id) -> bool {
        !self.unowned.is_empty() && self.unowned.contains(&id)
    }

    /// Gives a table that grew in any order its own order. What is not written is removed. `children` adds
    /// those of a directory to a list.
    pub(super) fn arrange(&mut self, children: impl Fn(Id, &mut Vec<Id>)) {
        let mut order = vec![ROOT];
        let mut ids: Vec<Id> = Vec::new();
        let mut at = 0;
        while let Some(&dir) = order.get(at) {
            ids.clear();
            children(dir, &mut ids);
            ids.retain(|id| self.get(*id).written);
            ids.sort_unstable_by(|a, b| self.name(*a).cmp(self.name(*b)));
            if self.metadata(dir).is_dir() {
                let first = order.len() as Id;
                order.extend(&ids);
                self.records[dir as usize].metadata.set_children(first..order.len() as Id);
            }
            at += 1;
        }
        let mut names = Vec::with_capacity(self.names.len());
        let mut names_at = Vec::with_capacity(order.len());
        let mut places = vec![Id::MAX; self.records.len()];
        for (old, new) in order.iter().zip(0..) {
            places[*old as usize] = new;
            names_at.push(names.len());
            names.extend_from_slice(self.name(*old));
        }
        let kept = order.len();
        drop(order);
        let removed = places.iter_mut().filter(|place| **place == Id::MAX);
        removed.zip(kept as Id..).for_each(|(place, new)| *place = new);
        for record in &mut self.records {
            record.parent = places[record.parent as usize];
        }
        // In place, because a table may be large.
        for at in 0..places.len() {
            while places[at] as usize != at {
                let to = places[at] as usize;
                self.records.swap(at, to);
                places.swap(at, to);
            }
        }
        self.records.truncate(kept);
        self.records.iter_mut().zip(names_at).for_each(|(record, at)| record.name_at = at);
        self.names = names;
    }

    pub(super) fn children(&self, id: Id) -> Range<Id> {
        self.shared.children(&self.get(id).metadata)
    }

    pub(super) fn name(&self, id: Id) -> &[u8] {
        let end = self.records.get(id as usize + 1).map_or(self.names.len(), |next| next.name_at);
        &self.names[self.get(id).name_at..end]
    }

    /// The path relative to the root; empty for the root.
    pub(super) fn path(&self, id: Id) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = id;
        while at != ROOT {
            names.push(self.name(at));
            at = self.get(at).parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// The full path of `name` in the directory `dir`, for messages.
    pub(super) fn join(&self, root: &Root, dir: Id, name: &[u8]) -> PathBuf {
        root.join(OsStr::from_bytes(&self.path(dir))).join(OsStr::from_bytes(name))
    }
}
