//! Reads the tar of a layer and compares it with what is recorded.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use layerlift_archive::{
    Compression, Content, Digest, Error as ArchiveError, ErrorKind, Explanation, Hasher,
};

use super::{BlobLayer, LayerTar, NAME, Written};
use crate::id::DiffId;
use crate::pushed::Pushed;

/// The uncompressed tar of a layer, compared with what is recorded: see [`LayerTar::reader`].
pub struct TarReader<'a> {
    source: Source<'a>,
    /// The last byte that was read, until it is known that others follow, or that all are right.
    held: Option<u8>,
    state: State,
}

enum State {
    Open,
    Compared,
    Failed(ArchiveError),
}

impl<'a> TarReader<'a> {
    pub(super) fn new(layer: &'a LayerTar) -> Result<Self, ArchiveError> {
        let hash = layer.diff_id().is_some();
        Ok(TarReader { source: Source::new(layer, hash)?, held: None, state: State::Open })
    }

    /// Reads some bytes; the last of all is held back until they are compared.
    fn read_held(&mut self, buf: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut one = [0];
        while !buf.is_empty() {
            let begun = match self.held.take() {
                Some(byte) => {
                    buf[0] = byte;
                    1
                }
                None => 0,
            };
            let free = if buf.len() > begun { &mut buf[begun..] } else { &mut one[..] };
            let n = self.source.read(free)?;
            let Some(last) = n.checked_sub(1) else {
                self.source.compare()?;
                self.state = State::Compared;
                return Ok(begun);
            };
            self.held = Some(free[last]);
            if begun + last > 0 {
                return Ok(begun + last);
            }
        }
        Ok(0)
    }
}

impl Read for TarReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.state {
            State::Failed(error) => return Err(error.clone().into_io()),
            State::Compared => return Ok(0),
            State::Open => {}
        }
        self.read_held(buf).map_err(|error| {
            self.state = State::Failed(error.clone());
            error.into_io()
        })
    }
}

/// The tar of a layer as it is read, with the digests of what has come so far.
pub(super) struct Source<'a> {
    layer: &'a LayerTar,
    plain: Box<dyn Read + Send + 'a>,
    /// A compressed blob that has a digest.
    stored: Option<(Digest, Stored<'a>)>,
    hasher: Option<Hasher>,
    len: u64,
}

impl<'a> Source<'a> {
    /// With `hash`, the tar is hashed. A compressed blob is, if its digest is known.
    pub(super) fn new(layer: &'a LayerTar, hash: bool) -> Result<Self, ArchiveError> {
        let mut source = Source::raw(layer)?;
        if let LayerTar::Blob(blob) = layer
            && blob.compression != Compression::None
            && let Some(digest) = blob.digest()
        {
            let stored = Stored::new(blob).map_err(content)?;
            source.plain = blob.compression.decompress(stored.clone()).map_err(content)?;
            source.stored = Some((digest, stored));
        }
        source.hasher = hash.then(Hasher::default);
        Ok(source)
    }

    /// Nothing is hashed.
    pub(super) fn raw(layer: &'a LayerTar) -> Result<Self, ArchiveError> {
        let plain = match layer {
            LayerTar::Split(layer) => layer.raw_reader(),
            LayerTar::Blob(BlobLayer { stored, compression: Compression::None, .. }) => stored.raw_reader(),
            LayerTar::Blob(layer) => {
                layer.stored.raw_reader().and_then(|stored| layer.compression.decompress(stored))
            }
            LayerTar::Diff(layer) => {
                let layer = layer.clone();
                Pushed::new(move |out| layer.write_to(out)).map(|pushed| Box::new(pushed) as _)
            }
        };
        Ok(Source { layer, plain: plain.map_err(content)?, stored: None, hasher: None, len: 0 })
    }

    /// Reads some bytes; 0 at the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, ArchiveError> {
        let n = loop {
            match self.plain.read(buf) {
                Ok(n) => break n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(error)),
            }
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        self.len += n as u64;
        Ok(n)
    }

    /// A compressed stream that makes no sense is damage, if its digest is another.
    fn unreadable(&mut self, error: io::Error) -> ArchiveError {
        if ErrorKind::of_io(&error) == Some(ErrorKind::Malformed)
            && let Err(ArchiveError::Mismatch { entry, expected, found, .. }) = self.compare_stored()
        {
            let source = Some(Explanation::new(error));
            return ArchiveError::Mismatch { entry, expected, found, source };
        }
        content(error)
    }

    /// After the end: whether all is what is recorded. Returns what was found, if the tar was hashed.
    pub(super) fn compare(&mut self) -> Result<Option<Written>, ArchiveError> {
        if let Some(expected) = self.layer.tar_len().filter(|expected| *expected != self.len) {
            return Err(ArchiveError::Length { entry: NAME.to_owned(), expected, found: self.len });
        }
        self.compare_stored()?;
        let Some(found) = self.hasher.take().map(Hasher::finish) else { return Ok(None) };
        if let Some(DiffId(expected)) = self.layer.diff_id().filter(|expected| expected.0 != found) {
            let source = match self.layer {
                LayerTar::Split(layer) => layer.explain(),
                LayerTar::Blob(_) | LayerTar::Diff(_) => None,
            };
            return Err(ArchiveError::Mismatch { entry: NAME.to_owned(), expected, found, source });
        }
        Ok(Some(Written { len: self.len, diff_id: DiffId(found) }))
    }

    fn compare_stored(&mut self) -> Result<(), ArchiveError> {
        let Some((expected, mut stored)) = self.stored.take() else { return Ok(()) };
        // Bytes behind the end of the compressed stream are part of the blob.
        io::copy(&mut stored, &mut io::sink()).map_err(content)?;
        let found = stored.digest();
        if expected == found {
            return Ok(());
        }
        Err(ArchiveError::Mismatch { entry: NAME.to_owned(), expected, found, source: None })
    }
}

pub(super) fn content(source: io::Error) -> ArchiveError {
    ArchiveError::Content { entry: NAME.to_owned(), source: Arc::new(source) }
}

/// A blob as stored, hashed while a decompressor reads it. Two handles: the decompressor's, and one for the
/// end.
#[derive(Clone)]
struct Stored<'a>(Arc<Mutex<Hashed<'a>>>);

struct Hashed<'a> {
    reader: Box<dyn Read + Send + 'a>,
    hasher: Hasher,
}

impl<'a> Stored<'a> {
    fn new(blob: &'a BlobLayer) -> io::Result<Self> {
        let hashed = Hashed { reader: blob.stored.raw_reader()?, hasher: Hasher::default() };
        Ok(Stored(Arc::new(Mutex::new(hashed))))
    }

    fn digest(&self) -> Digest {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hasher.clone().finish()
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut hashed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = hashed.reader.read(buf)?;
        hashed.hasher.update(&buf[..n]);
        Ok(n)
    }
}
