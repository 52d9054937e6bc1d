//! The tree: named entries in the order of the archive.

use std::sync::Arc;

use crate::content::{Bytes, Content};

/// An archive before it is written: entries in order, each with a known size.
#[derive(Default, Clone)]
pub struct Tree {
    entries: Vec<Entry>,
}

/// One entry of a [`Tree`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Entry {
    /// Relative path, `/` between components; a directory's ends in `/`.
    pub path: String,
    /// The mode as the header has it. Go's tar writer put the file type there too (`0o100644`); readers
    /// ignore it.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// What the entry is.
    pub node: Node,
}

/// What an [`Entry`] is.
#[derive(Clone)]
#[non_exhaustive]
pub enum Node {
    /// A directory.
    Dir,
    /// A symbolic link to this target.
    Symlink(String),
    /// A file.
    File(Arc<dyn Content>),
}

impl Entry {
    /// A directory of mode 0755.
    pub fn dir(path: impl Into<String>, mtime: u64) -> Self {
        Entry { path: path.into(), mode: 0o755, mtime, node: Node::Dir }
    }

    /// A symbolic link to `target`, of mode 0777.
    pub fn symlink(path: impl Into<String>, mtime: u64, target: impl Into<String>) -> Self {
        Entry { path: path.into(), mode: 0o777, mtime, node: Node::Symlink(target.into()) }
    }

    /// A file of mode 0644.
    pub fn file(path: impl Into<String>, mtime: u64, content: Arc<dyn Content>) -> Self {
        Entry { path: path.into(), mode: 0o644, mtime, node: Node::File(content) }
    }

    /// A file of mode 0644 with these bytes.
    pub fn bytes(path: impl Into<String>, mtime: u64, bytes: Vec<u8>) -> Self {
        Entry::file(path, mtime, Arc::new(Bytes(bytes)))
    }

    /// The same entry with another mode.
    pub fn with_mode(self, mode: u32) -> Self {
        Entry { mode, ..self }
    }

    /// The entry's content, if it is a file.
    pub fn content(&self) -> Option<&Arc<dyn Content>> {
        match &self.node {
            Node::File(content) => Some(content),
            Node::Dir | Node::Symlink(_) => None,
        }
    }

    /// Bytes of content; 0 for what is not a file.
    pub fn len(&self) -> u64 {
        self.content().map_or(0, |content| content.len())
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tree {
    /// Adds an entry at the end.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of content in all entries.
    pub fn content_len(&self) -> u64 {
        self.entries.iter().map(Entry::len).sum()
    }
}

impl FromIterator<Entry> for Tree {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Tree { entries: entries.into_iter().collect() }
    }
}

impl Extend<Entry> for Tree {
    fn extend<I: IntoIterator<Item = Entry>>(&mut self, entries: I) {
        self.entries.extend(entries);
    }
}
