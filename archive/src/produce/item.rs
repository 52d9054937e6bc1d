//! What is produced: a content, and the bytes around it.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::{Content, Digest, Error, FileRange};

/// Contents are padded to a multiple of this.
pub(super) const BLOCK: usize = 512;

/// One thing to produce: bytes before a content, the content, zeros after it. A sink gets them as one run of
/// bytes.
pub struct Item<'a> {
    name: &'a str,
    pub(super) head: Vec<u8>,
    pub(super) content: Option<&'a dyn Content>,
    /// Zero bytes after the content, less than a block.
    pub(super) padding: usize,
    hash: bool,
    pub(crate) start: u64,
}

impl<'a> Item<'a> {
    /// A content and nothing around it. Messages call it `name`.
    pub fn new(name: &'a str, content: &'a dyn Content) -> Self {
        Item { content: Some(content), ..Item::without_content(name, Vec::new()) }
    }

    /// Bytes without a content, such as a directory's header.
    pub fn without_content(name: &'a str, bytes: Vec<u8>) -> Self {
        Item { name, head: bytes, content: None, padding: 0, hash: false, start: 0 }
    }

    /// Puts bytes before the content. They are not hashed.
    pub fn with_head(self, head: Vec<u8>) -> Self {
        Item { head, ..self }
    }

    /// Fills the content's last block of 512 bytes up with zeros, as a tar has it. They are not hashed.
    pub fn with_padding(self) -> Self {
        let rest = (self.content_len() % BLOCK as u64) as usize;
        Item { padding: (BLOCK - rest) % BLOCK, ..self }
    }

    /// Hashes the content even if it names no digest; [`crate::Outcome::Done`] has it.
    pub fn with_hash(self) -> Self {
        Item { hash: true, ..self }
    }

    /// Says where in a file the sink will put the item's first byte: buffers then end where the file's pages
    /// do, which makes writes cheaper.
    pub fn with_start(self, start: u64) -> Self {
        Item { start, ..self }
    }

    /// Bytes of content.
    pub(crate) fn content_len(&self) -> u64 {
        self.content.map_or(0, |content| content.len())
    }

    /// Where its content is in a file. `None` for one that is hashed, which has to be read.
    pub(crate) fn in_file(&self) -> Option<&FileRange> {
        self.content.filter(|_| !self.is_hashed()).and_then(Content::in_file)
    }

    /// Whether its content is in this file already, where the item has it.
    pub(crate) fn is_in_place(&self, file: &Arc<File>) -> bool {
        self.in_file().is_some_and(|range| is_file(range, file) && range.offset == self.content_start())
    }

    /// The same without its content, and without the zeros behind that.
    pub(crate) fn only_head(self) -> Self {
        Item { content: None, padding: 0, ..self }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// Where in a file its content begins.
    pub(crate) fn content_start(&self) -> u64 {
        self.start + self.head.len() as u64
    }

    /// Bytes that a sink gets.
    pub(crate) fn len(&self) -> u64 {
        self.head.len() as u64 + self.content_len() + self.padding as u64
    }

    pub(super) fn is_hashed(&self) -> bool {
        self.hash || self.content.is_some_and(|content| content.digest().is_some())
    }

    pub(super) fn read_error(&self, source: io::Error) -> Error {
        Error::Content { entry: self.name.to_owned(), source: Arc::new(source) }
    }

    pub(super) fn length_error(&self, found: u64) -> Error {
        Error::Length { entry: self.name.to_owned(), expected: self.content_len(), found }
    }

    /// Compares the digest that was found with the content's own.
    pub(super) fn compare(&self, found: Digest) -> Result<Digest, Error> {
        match self.content.map(|content| (content, content.digest())) {
            Some((content, Some(expected))) if expected != found => {
                let entry = self.name.to_owned();
                Err(Error::Mismatch { entry, expected, found, source: content.explain() })
            }
            _ => Ok(found),
        }
    }
}

/// Whether a range is one of this file.
pub(crate) fn is_file(range: &FileRange, file: &Arc<File>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(&range.file), Arc::as_ptr(file))
}
