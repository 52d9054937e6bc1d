//! The bytes of a file entry: how many there are is known first, then they are read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::Digest;

/// Bytes whose number is known before the first of them exists.
///
/// Contents are shared between threads; each reader stands for itself, so that one content can be read twice,
/// or for two entries at once.
pub trait Content: Send + Sync {
    /// How many bytes a reader yields: exactly this many, or the read is an error.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the bytes must hash to. Whoever writes the content checks it.
    fn digest(&self) -> Option<Digest> {
        None
    }

    /// Starts at the first byte. A reader should fill as much of the buffer as it can.
    fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>>;

    /// After the bytes turned out not to be those of [`Content::digest`]: what is wrong with them, if the content can
    /// tell (which file of a layer has changed, say). May read everything once more.
    fn explain(&self) -> Option<Box<dyn std::error::Error + Send + Sync>> {
        None
    }
}

/// Bytes in memory, for documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Content for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0.as_slice()))
    }
}

/// A part of an open file, such as a blob, or an entry of a tar that is read in place.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The file. Its position is neither used nor changed.
    pub file: Arc<File>,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
    /// What it must hash to, if that is known.
    pub digest: Option<Digest>,
}

impl FileRange {
    /// A reader that owns its handle, for whoever must outlive the range.
    pub fn into_reader(self) -> impl Read + Send {
        RangeReader { range: self, at: 0 }
    }
}

impl Content for FileRange {
    fn len(&self) -> u64 {
        self.len
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.clone().into_reader()))
    }
}

struct RangeReader {
    range: FileRange,
    at: u64,
}

impl Read for RangeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.len - self.at).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        let n = self.range.file.read_at(&mut buf[..want], self.range.offset + self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
