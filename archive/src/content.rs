//! The bytes of a file entry: how many there are is known first, then they are read.

use std::io::{self, Read};
use std::sync::Arc;

use crate::{Digest, Error, Explanation, Hasher, Outline, ReadAt};

/// Bytes whose number is known before the first of them exists.
///
/// Contents are shared between threads. Each reader has a position of its own, so one content can be read
/// twice, or for two entries at once.
pub trait Content: Send + Sync {
    /// How many bytes a reader yields: exactly this many, or the read is an error.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the bytes must hash to. Every output compares it, and so does [`verified`].
    fn digest(&self) -> Option<Digest> {
        None
    }

    /// Starts at the first byte. Raw, because nothing is compared with [`Content::digest`] or
    /// [`Content::len`]: that is for those who hash the bytes anyway. [`verified`] makes a reader that
    /// compares.
    ///
    /// A reader should fill as much of the buffer as it can. [`crate::content_error`] gives its errors a
    /// kind.
    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Where these bytes are in a file, if there is a file that has them. A caller that takes them from there
    /// does not use [`Content::raw_reader`].
    fn in_file(&self) -> Option<&FileRange> {
        None
    }

    /// The same bytes for several threads, which bring them together side by side; `None` if they only come
    /// one after another.
    fn raw_outline(&self) -> Option<Box<dyn Outline<'_> + '_>> {
        None
    }

    /// After the bytes turned out to differ from [`Content::digest`]: what is wrong with them, if the content
    /// can tell (which file of a layer has changed, say). May read everything once more.
    fn explain(&self) -> Option<Explanation> {
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

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0.as_slice()))
    }
}

/// A part of an open file, such as a blob, or an entry of a tar that is read in place.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The file. Its position is neither used nor changed.
    pub file: Arc<dyn ReadAt>,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
    /// What it must hash to, if that is known.
    pub digest: Option<Digest>,
}

impl FileRange {
    /// A raw reader that owns its handle and so outlives the range.
    pub fn into_raw_reader(self) -> impl Read + Send {
        self.into_raw_reader_at(0)
    }

    /// The same, from the byte `at` of the range.
    pub fn into_raw_reader_at(self, at: u64) -> impl Read + Send {
        RangeReader { at: at.min(self.len), range: self }
    }
}

impl Content for FileRange {
    fn len(&self) -> u64 {
        self.len
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.clone().into_raw_reader()))
    }

    fn in_file(&self) -> Option<&FileRange> {
        Some(self)
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

/// A reader that compares: see [`Verified`].
pub fn verified(content: &dyn Content) -> io::Result<Verified<'_>> {
    Ok(Verified {
        content,
        name: "the content",
        reader: content.raw_reader()?,
        hasher: content.digest().map(|digest| (digest, Hasher::default())),
        at: 0,
        state: State::Open,
    })
}

/// The bytes of a content, compared with its length and its digest.
///
/// The read that would hand out the last byte fails with [`Error::Length`] or [`Error::Mismatch`] (inside the
/// [`io::Error`]) if they differ, and so does every read after it. So [`Content::len`] bytes are the right
/// bytes, even for a caller that does not read on to the end of file.
pub struct Verified<'a> {
    content: &'a dyn Content,
    name: &'a str,
    reader: Box<dyn Read + Send + 'a>,
    hasher: Option<(Digest, Hasher)>,
    at: u64,
    state: State,
}

enum State {
    Open,
    Compared,
    Failed(Error),
}

impl<'a> Verified<'a> {
    /// What messages call the content.
    pub fn named(self, name: &'a str) -> Self {
        Verified { name, ..self }
    }

    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn length(&self, found: u64) -> Error {
        Error::Length { entry: self.name.to_owned(), expected: self.content.len(), found }
    }

    /// After the last byte: nothing follows, and the digest is the right one.
    fn compare(&mut self) -> Result<(), Error> {
        match self.read_some(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(self.length(self.at + 1)),
            Err(source) => {
                return Err(Error::Content { entry: self.name.to_owned(), source: Arc::new(source) });
            }
        }
        let Some((expected, hasher)) = self.hasher.take() else { return Ok(()) };
        let found = hasher.finish();
        if expected == found {
            return Ok(());
        }
        let entry = self.name.to_owned();
        Err(Error::Mismatch { entry, expected, found, source: self.content.explain() })
    }

    fn fail(&mut self, error: Error) -> io::Error {
        self.state = State::Failed(error.clone());
        error.into_io()
    }
}

impl Read for Verified<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.state {
            State::Failed(error) => return Err(error.clone().into_io()),
            State::Compared => return Ok(0),
            State::Open => {}
        }
        let left = self.content.len() - self.at;
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if want == 0 && left > 0 {
            return Ok(0);
        }
        let n = if want > 0 { self.read_some(&mut buf[..want])? } else { 0 };
        if n == 0 && left > 0 {
            let error = self.length(self.at);
            return Err(self.fail(error));
        }
        if let Some((_, hasher)) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        self.at += n as u64;
        if self.at == self.content.len() {
            match self.compare() {
                Ok(()) => self.state = State::Compared,
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    struct Says {
        bytes: &'static [u8],
        len: u64,
        digest: Option<Digest>,
    }

    impl Content for Says {
        fn len(&self) -> u64 {
            self.len
        }

        fn digest(&self) -> Option<Digest> {
            self.digest
        }

        fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
            Ok(Box::new(self.bytes))
        }

        fn explain(&self) -> Option<Explanation> {
            Some(Explanation::new("the third byte"))
        }
    }

    #[test]
    fn the_last_byte_comes_only_with_the_right_ones_before_it() {
        let bytes = b"0123456789";
        let right = Some(Digest::of(bytes));
        let wrong = Some(Digest::of(b"other"));
        for (len, digest, damaged) in
            [(10, right, false), (10, None, false), (10, wrong, true), (9, None, true), (11, None, true)]
        {
            let content = Says { bytes, len, digest };
            for piece in [1, 3, 10, 64] {
                let mut reader = verified(&content).unwrap().named("blob");
                let mut found: Vec<u8> = Vec::new();
                let mut buf = vec![0; piece];
                let error = loop {
                    match reader.read(&mut buf) {
                        Ok(0) => break None,
                        Ok(n) => found.extend(&buf[..n]),
                        Err(error) => break Some(error),
                    }
                };
                assert_eq!(error.is_some(), damaged, "{len} {digest:?}");
                assert_eq!(found.len() == 10 && len == 10, !damaged, "{len} {digest:?}");
                if let Some(error) = error {
                    assert_eq!(ErrorKind::of_io(&error), Some(ErrorKind::Damaged));
                    assert!(error.to_string().starts_with("blob "), "{error}");
                    let again = reader.read(&mut buf).unwrap_err();
                    assert_eq!(again.to_string(), error.to_string());
                }
            }
        }
    }

    #[test]
    fn of_nothing() {
        let nothing = |digest| Says { bytes: b"", len: 0, digest };
        let read = |content: Says| verified(&content).unwrap().read(&mut [0; 4]).map_err(|e| e.to_string());
        assert_eq!(read(nothing(Some(Digest::of(b"")))), Ok(0));
        assert!(read(nothing(Some(Digest::of(b"x")))).is_err());
        assert!(read(Says { bytes: b"x", ..nothing(None) }).is_err());
    }
}
