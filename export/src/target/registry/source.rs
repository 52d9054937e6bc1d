//! The bytes of a blob on their way: from any place, as often as it takes.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use layerlift_archive::{Content, Error as ArchiveError, Observer, Verified, verified};

/// A content that is read from one place on, and again from another after a break.
pub(super) struct Source<'c> {
    content: &'c dyn Content,
    name: String,
    observer: &'c dyn Observer,
    reader: Option<Verified<'c>>,
    at: u64,
    /// The bytes that the observer has heard of.
    counted: u64,
    /// All bytes that were handed out, those that were sent again included.
    pub(super) sent: u64,
    failed: Option<ArchiveError>,
}

impl<'c> Source<'c> {
    /// `name` is what messages call it.
    pub(super) fn new(content: &'c dyn Content, name: String, observer: &'c dyn Observer) -> Self {
        Source { content, name, observer, reader: None, at: 0, counted: 0, sent: 0, failed: None }
    }

    pub(super) fn len(&self) -> u64 {
        self.content.len()
    }

    /// Bytes that the observer has not heard of, once all are there.
    pub(super) fn uncounted(&self) -> u64 {
        self.len().saturating_sub(self.counted)
    }

    /// What went wrong with the content, not with the connection. The next read begins again.
    pub(super) fn take_failure(&mut self) -> Option<ArchiveError> {
        self.failed.take()
    }

    /// A reader of `len` bytes from `from` on.
    pub(super) fn part(&mut self, from: u64, len: u64) -> Part<'_, 'c> {
        Part { source: self, from, left: len }
    }

    /// Goes to a place: forth by reading, back from the start.
    fn seek(&mut self, to: u64) -> io::Result<()> {
        if to < self.at {
            self.reader = None;
            self.at = 0;
        }
        let mut buffer = Vec::new();
        while self.at < to {
            buffer.resize(usize::try_from(to - self.at).unwrap_or(usize::MAX).min(1 << 16), 0);
            if self.read(&mut buffer)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.observer.cancelled() {
            return Err(ArchiveError::Cancelled.into_io());
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(verified(self.content)?),
        };
        let n = reader.read(buf)?;
        self.at += n as u64;
        Ok(n)
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        let of_archive = error.get_ref().and_then(|inner| inner.downcast_ref::<ArchiveError>());
        let known = of_archive.map(|error| error.clone().of_entry(&self.name));
        let kind = error.kind();
        let unknown = || ArchiveError::Content { entry: self.name.clone(), source: Arc::new(error) };
        self.failed = Some(known.unwrap_or_else(unknown));
        self.reader = None;
        self.at = 0;
        kind.into()
    }
}

/// A part of a content.
pub(super) struct Part<'s, 'c> {
    source: &'s mut Source<'c>,
    from: u64,
    left: u64,
}

impl Read for Part<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let source = &mut *self.source;
        let read = source.seek(self.from).and_then(|()| source.read(&mut buf[..want]));
        let n = read.map_err(|error| source.fail(error))? as u64;
        self.from += n;
        self.left -= n;
        source.sent += n;
        let more = source.at.saturating_sub(source.counted);
        source.counted += more;
        source.observer.advance(more);
        Ok(n as usize)
    }
}

/// Reads, and knows when it began.
pub(super) struct Begun<R> {
    pub(super) inner: R,
    pub(super) at: Option<Instant>,
}

impl<R: Read> Read for Begun<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.at.get_or_insert_with(Instant::now);
        self.inner.read(buf)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use layerlift_archive::{Bytes, Digest};

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicU64);

    impl Observer for Counted {
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    #[test]
    fn parts_in_any_order() {
        let (content, counted) = (Bytes((0..=255).collect()), Counted::default());
        let mut source = Source::new(&content, "blob".to_owned(), &counted);
        for (from, len) in [(0, 100), (100, 100), (50, 10), (200, 56), (0, 256)] {
            let mut bytes = Vec::new();
            source.part(from, len).read_to_end(&mut bytes).unwrap();
            let expected: Vec<u8> = (from..from + len).map(|byte| byte as u8).collect();
            assert_eq!(bytes, expected);
        }
        // What is sent again is not done twice.
        assert_eq!(counted.0.load(Ordering::Relaxed), 256);
        assert_eq!(source.sent, 100 + 100 + 10 + 56 + 256);
    }

    #[test]
    fn a_content_that_fails_is_to_blame() {
        struct Damaged;
        impl Content for Damaged {
            fn len(&self) -> u64 {
                3
            }
            fn digest(&self) -> Option<Digest> {
                Some(Digest::of(b"abc"))
            }
            fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
                Ok(Box::new(&b"abd"[..]))
            }
        }
        let mut source = Source::new(&Damaged, "blobs/x".to_owned(), &());
        assert!(source.part(0, 3).read_to_end(&mut Vec::new()).is_err());
        let error = source.take_failure().unwrap();
        assert!(matches!(&error, ArchiveError::Mismatch { entry, .. } if entry == "blobs/x"), "{error}");
    }
}
