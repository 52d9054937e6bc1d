//! A tree that grows as the entries of tars come, in any order.
//!
//! It is a table of records from the beginning, which is brought into order in the end. A name that is
//! removed keeps its record, and gets it back if it comes again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use rustix::fs::FileType;

use super::super::attributes::Attribute;
use super::super::records::{Id, Kind, Metadata, ROOT, Records};

/// What says that names lead to the same file: `dev` and `ino` of its metadata.
pub(super) type Key = (u64, u64);

/// A tree of names.
pub(super) struct Growing {
    records: Records,
    /// By record: its first child and its next sibling; [`ROOT`] for none.
    chains: Vec<[Id; 2]>,
    slots: Vec<Id>,
    hasher: RandomState,
    /// Of files with several names, the metadata that came last.
    relinked: HashMap<Key, Metadata>,
    /// Those that are written, of the files that have any.
    pub(super) attributes: HashMap<Key, Vec<Attribute>>,
}

impl Growing {
    /// A tree with only its root.
    pub(super) fn new(root: Metadata) -> Self {
        Growing {
            records: Records::new(root),
            chains: vec![[ROOT; 2]],
            slots: vec![ROOT; 64],
            hasher: RandomState::new(),
            relinked: HashMap::new(),
            attributes: HashMap::new(),
        }
    }

    /// The name in a directory.
    pub(super) fn find(&self, dir: Id, name: &[u8]) -> Option<Id> {
        let id = self.slots[self.slot(dir, name)];
        (id != ROOT && self.records.get(id).written).then_some(id)
    }

    /// Adds a name to a directory that lacks it.
    pub(super) fn insert(&mut self, dir: Id, name: &[u8], metadata: Metadata, layer: u16) -> Id {
        if self.chains.len() * 2 > self.slots.len() {
            self.grow();
        }
        let slot = self.slot(dir, name);
        let mut id = self.slots[slot];
        if id == ROOT {
            id = self.records.push(dir, name, Kind::Present, metadata, true);
            self.slots[slot] = id;
            let next = std::mem::replace(&mut self.chains[dir as usize][0], id);
            self.chains.push([ROOT, next]);
        }
        self.set(id, metadata, layer);
        self.records.get_mut(id).written = true;
        id
    }

    /// Whether it was not removed.
    pub(super) fn is_there(&self, id: Id) -> bool {
        self.records.get(id).written
    }

    /// Its metadata, and the layer that it comes from.
    pub(super) fn get(&self, id: Id) -> (Metadata, u16) {
        (self.records.metadata(id), self.records.get(id).layer)
    }

    /// The directory that has it.
    pub(super) fn parent(&self, id: Id) -> Id {
        self.records.get(id).parent
    }

    /// Gives a directory other metadata.
    pub(super) fn set(&mut self, id: Id, metadata: Metadata, layer: u16) {
        self.records.set_metadata(id, &metadata);
        self.records.get_mut(id).layer = layer;
    }

    /// Makes a file one with several names; returns its metadata.
    pub(super) fn link(&mut self, id: Id) -> Metadata {
        let metadata = Metadata { linked: true, ..self.records.metadata(id) };
        self.records.set_metadata(id, &metadata);
        self.relinked.get(&(metadata.dev, metadata.ino)).copied().unwrap_or(metadata)
    }

    /// Gives all names of a file other metadata.
    pub(super) fn relink(&mut self, metadata: Metadata) {
        self.relinked.insert((metadata.dev, metadata.ino), metadata);
    }

    /// Removes a name and all that is below it; `removed` gets each file that no name leads to any more.
    pub(super) fn remove(&mut self, id: Id, removed: &mut dyn FnMut(&Metadata)) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            if !std::mem::replace(&mut self.records.get_mut(id).written, false) {
                continue;
            }
            let metadata = self.records.metadata(id);
            if metadata.file_type() == FileType::RegularFile && !metadata.linked {
                removed(&metadata);
            }
            self.children(id, &mut todo);
        }
    }

    /// Removes what layers before this one have below a directory.
    pub(super) fn hide_below(&mut self, dir: Id, layer: u16, removed: &mut dyn FnMut(&Metadata)) {
        // Directories on the way to what stays; a directory comes before those in it.
        let mut dirs = vec![dir];
        let mut at = 0;
        let mut names = Vec::new();
        while let Some(&dir) = dirs.get(at) {
            names.clear();
            self.children(dir, &mut names);
            for &id in &names {
                let record = self.records.get(id);
                if record.written && self.records.metadata(id).is_dir() {
                    dirs.push(id);
                } else if record.layer != layer {
                    self.remove(id, removed);
                }
            }
            at += 1;
        }
        for &id in dirs[1..].iter().rev() {
            let mut names = Vec::new();
            self.children(id, &mut names);
            let holds = names.iter().any(|id| self.records.get(*id).written);
            if !holds && self.records.get(id).layer != layer {
                self.remove(id, removed);
            }
        }
    }

    /// The names in a directory, with those that were removed.
    pub(super) fn children(&self, dir: Id, names: &mut Vec<Id>) {
        let mut next = self.chains[dir as usize][0];
        while next != ROOT {
            names.push(next);
            next = self.chains[next as usize][1];
        }
    }

    pub(super) fn name(&self, id: Id) -> &[u8] {
        self.records.name(id)
    }

    /// The whole tree, in order.
    pub(super) fn finish(self) -> (Records, HashMap<Key, Vec<Attribute>>) {
        let Growing { mut records, chains, relinked, attributes, slots, .. } = self;
        drop(slots);
        records.arrange(|dir, names| {
            let mut next = chains[dir as usize][0];
            while next != ROOT {
                names.push(next);
                next = chains[next as usize][1];
            }
        });
        if !relinked.is_empty() {
            for id in 0..records.next() {
                let Metadata { dev, ino, .. } = records.metadata(id);
                if let Some(metadata) = relinked.get(&(dev, ino)) {
                    records.set_metadata(id, metadata);
                }
            }
        }
        (records, attributes)
    }

    /// Where the name is, or would be.
    fn slot(&self, dir: Id, name: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one((dir, name)) as usize & mask;
        loop {
            let id = self.slots[slot];
            if id == ROOT || self.records.get(id).parent == dir && self.records.name(id) == name {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        self.slots = vec![ROOT; self.slots.len() * 2];
        for id in 1..self.records.next() {
            let slot = self.slot(self.records.get(id).parent, self.records.name(id));
            self.slots[slot] = id;
        }
    }
}
