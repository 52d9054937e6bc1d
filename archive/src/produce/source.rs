//! The reading end of an item, and the buffers that it fills.

use std::io::{self, Read};
use std::ops::Range;

use super::Item;
use super::item::BLOCK;
use crate::Error;

/// Content that a buffer takes. Small enough that what was just read is still in the processor's cache when
/// it is hashed.
const BUFFER: usize = 256 << 10;

/// Pages of files: a write of whole pages is cheaper than one that begins or ends within one.
const PAGE: u64 = 4096;

pub(super) type Buffer = Box<[u8]>;

/// An empty buffer, with room for padding behind a full one's content.
pub(super) fn buffer() -> Buffer {
    vec![0; BUFFER + BLOCK].into_boxed_slice()
}

/// What a buffer was filled with.
#[derive(Clone)]
pub(super) struct Filled {
    /// Where its first byte belongs, counted from the item's.
    pub(super) offset: u64,
    /// Bytes of head, content and padding.
    pub(super) len: usize,
    /// The content among them.
    pub(super) content: Range<usize>,
    /// The item ends here.
    pub(super) last: bool,
}

/// An item that is read.
pub(super) struct Source<'a> {
    item: &'a Item<'a>,
    reader: Option<Box<dyn Read + Send + 'a>>,
    /// What was read, head and content.
    at: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(item: &'a Item<'a>) -> Self {
        Source { item, reader: None, at: 0 }
    }

    /// Bytes of content that are left.
    pub(super) fn left(&self) -> u64 {
        self.item.content_len().saturating_sub(self.at.saturating_sub(self.item.head.len() as u64))
    }

    /// Reads as much as fits into the buffer. Opens the content first.
    pub(super) fn read(&mut self, buffer: &mut Buffer) -> Result<Filled, Error> {
        let item = self.item;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(match item.content {
                Some(content) => content.raw_reader().map_err(|source| item.read_error(source))?,
                None => Box::new(io::empty()),
            }),
        };
        let offset = self.at;
        let room = BUFFER - ((item.start + offset) % PAGE) as usize;
        let head = usize::try_from(self.at).ok().and_then(|at| item.head.get(at..)).unwrap_or_default();
        let head = &head[..head.len().min(room)];
        buffer[..head.len()].copy_from_slice(head);
        self.at += head.len() as u64;
        let mut last = false;
        let mut len = head.len();
        if self.at >= item.head.len() as u64 {
            let left = item.content_len() - (self.at - item.head.len() as u64);
            let read = fill(&mut **reader, &mut buffer[len..room], left)
                .map_err(|source| item.read_error(source))?;
            self.at += read as u64;
            last = read as u64 == left || read < room - len;
            if last {
                check_end(&mut **reader, item, item.content_len() - left + read as u64)?;
            }
            len += read;
        }
        let content = head.len()..len;
        if last {
            buffer[len..len + item.padding].fill(0);
            len += item.padding;
        }
        Ok(Filled { offset, len, content, last })
    }
}

/// After the last byte: neither too few nor too many.
fn check_end(reader: &mut dyn Read, item: &Item<'_>, at: u64) -> Result<(), Error> {
    if at < item.content_len() {
        return Err(item.length_error(at));
    }
    match fill(reader, &mut [0], 1) {
        Ok(0) => Ok(()),
        Ok(_) => Err(item.length_error(at + 1)),
        Err(source) => Err(item.read_error(source)),
    }
}

/// Reads until the buffer is full, the content ends, or `left` bytes have come.
fn fill(reader: &mut dyn Read, buffer: &mut [u8], left: u64) -> io::Result<usize> {
    let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    let mut n = 0;
    while n < want {
        match reader.read(&mut buffer[n..want]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}
