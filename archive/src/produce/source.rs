//! The reading end of an item, and the buffers that it fills.

use std::io::{self, Read};
use std::ops::Range;

use super::Item;
use super::item::BLOCK;
use crate::{Error, Gaps, Outline, Outlined};

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

/// A buffer that was taken through: what it holds, and what is still missing in it.
pub(super) struct LaidOut<'a> {
    pub(super) filled: Filled,
    pub(super) gaps: Option<Box<dyn Gaps + 'a>>,
}

/// Where the bytes of a content come from.
enum Bytes<'a> {
    Unopened,
    Reader(Box<dyn Read + Send + 'a>),
    Outline(Box<dyn Outline<'a> + 'a>),
}

/// An item that is read.
pub(super) struct Source<'a> {
    item: &'a Item<'a>,
    bytes: Bytes<'a>,
    /// What was read, head and content.
    at: u64,
    /// What turned out to be wrong after bytes that still count.
    failed: Option<Error>,
}

impl<'a> Source<'a> {
    pub(super) fn new(item: &'a Item<'a>) -> Self {
        Source { item, bytes: Bytes::Unopened, at: 0, failed: None }
    }

    /// Bytes of content that are left.
    pub(super) fn left(&self) -> u64 {
        self.item.content_len().saturating_sub(self.at.saturating_sub(self.item.head.len() as u64))
    }

    /// Reads as much as fits into the buffer, or lays it out if several threads can fill it. Opens the
    /// content first.
    pub(super) fn read(&mut self, buffer: &mut Buffer) -> Result<LaidOut<'a>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let item = self.item;
        if matches!(self.bytes, Bytes::Unopened) {
            self.bytes = match item.content.map(|content| (content, content.raw_outline())) {
                Some((_, Some(outline))) => Bytes::Outline(outline),
                Some((content, None)) => {
                    Bytes::Reader(content.raw_reader().map_err(|source| item.read_error(source))?)
                }
                None => Bytes::Reader(Box::new(io::empty())),
            };
        }
        let offset = self.at;
        let room = BUFFER - ((item.start + offset) % PAGE) as usize;
        let head = usize::try_from(self.at).ok().and_then(|at| item.head.get(at..)).unwrap_or_default();
        let head = &head[..head.len().min(room)];
        buffer[..head.len()].copy_from_slice(head);
        self.at += head.len() as u64;
        let mut gaps = None;
        let mut last = false;
        let mut len = head.len();
        if self.at >= item.head.len() as u64 {
            let left = item.content_len() - (self.at - item.head.len() as u64);
            let (read, ended);
            ((read, gaps), ended) =
                self.bytes.next(&mut buffer[len..room], left).map_err(|source| item.read_error(source))?;
            self.at += read as u64;
            last = read as u64 == left || ended;
            if last && let Err(error) = self.bytes.check_end(item, item.content_len() - left + read as u64) {
                // What could be wrong with the gaps comes first.
                if gaps.is_none() {
                    return Err(error);
                }
                self.failed = Some(error);
                last = false;
            }
            len += read;
        }
        let content = head.len()..len;
        if last {
            buffer[len..len + item.padding].fill(0);
            len += item.padding;
        }
        Ok(LaidOut { filled: Filled { offset, len, content, last }, gaps })
    }
}

impl<'a> Bytes<'a> {
    /// The next bytes, at most `left`; how many they are, whether it is clear that they are the last, and
    /// what is missing among them.
    fn next(&mut self, buffer: &mut [u8], left: u64) -> io::Result<(Outlined<'a>, bool)> {
        match self {
            Bytes::Unopened => Ok(((0, None), true)),
            Bytes::Reader(reader) => {
                let read = fill(&mut **reader, buffer, left)?;
                Ok(((read, None), read < buffer.len()))
            }
            Bytes::Outline(outline) => {
                let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                if want == 0 {
                    return Ok(((0, None), left == 0));
                }
                let (read, gaps) = outline.next(&mut buffer[..want])?;
                Ok(((read, gaps), read == 0))
            }
        }
    }

    /// After the last byte: neither too few nor too many.
    fn check_end(&mut self, item: &Item<'_>, at: u64) -> Result<(), Error> {
        if at < item.content_len() {
            return Err(item.length_error(at));
        }
        match self.next(&mut [0], 1) {
            Ok(((0, _), _)) => Ok(()),
            Ok(_) => Err(item.length_error(at + 1)),
            Err(source) => Err(item.read_error(source)),
        }
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
