//! A tree's entries in a tar: owner 0:0 without names.

use super::header::{Encoder, Header, TRAILER, padding};
use crate::produce::Item;
use crate::tree::{Entry, Node, Tree};

impl Tree {
    /// Length in bytes of the tree as a tar, with headers, padding and the two zero blocks at the end.
    pub fn tar_len(&self) -> u64 {
        TRAILER + self.entries().iter().map(len).sum::<u64>()
    }
}

impl Entry {
    /// Bytes that the entry takes in a tar: headers, content and padding.
    pub fn tar_len(&self) -> u64 {
        len(self)
    }
}

/// The entries as what is to be produced for a tar, in its order, without the blocks at the end.
pub(crate) fn items(tree: &Tree) -> Vec<Item<'_>> {
    let mut encoder = Encoder::default();
    let mut items = Vec::with_capacity(tree.entries().len());
    let mut start = 0;
    for entry in tree.entries() {
        let head = head(&mut encoder, entry);
        let item = match entry.content() {
            Some(content) => Item::new(&entry.path, &**content).with_head(head).with_padding(),
            None => Item::without_content(&entry.path, head),
        };
        let len = item.len();
        items.push(item.with_start(start));
        start += len;
    }
    items
}

/// The blocks before an entry's content.
fn head(encoder: &mut Encoder, entry: &Entry) -> Vec<u8> {
    let (kind, link) = match &entry.node {
        Node::Dir => (b'5', ""),
        Node::Symlink(target) => (b'2', target.as_str()),
        Node::File(_) => (b'0', ""),
    };
    let header = Header {
        name: entry.path.as_bytes(),
        link: link.as_bytes(),
        kind,
        mode: entry.mode,
        size: entry.len(),
        mtime: i64::try_from(entry.mtime).unwrap_or(i64::MAX),
        ..Header::default()
    };
    let mut out = Vec::new();
    encoder.encode(&header, &mut out);
    out
}

/// Bytes that an entry takes: headers, content and padding.
fn len(entry: &Entry) -> u64 {
    head(&mut Encoder::default(), entry).len() as u64 + entry.len() + padding(entry.len())
}
