//! Layers whose length is unknown until they are produced: once, front to back, into a temporary file or a hash.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use layerlift_archive::{
    Compression, CompressionLevel, Compressor, Content, Digest, Error as ArchiveError, Hasher, Observer,
    Options, Spool,
};
use layerlift_store::{BlobLayer, DiffId, LayerTar};

use crate::format::Blob;

/// Produces a layer into a temporary file in `folder`, compressed on request. Without `hash`, only a layer with a recorded
/// digest is hashed. `name` is for messages.
pub(crate) fn spool(
    name: &str,
    tar: &LayerTar,
    folder: &Path,
    compression: Option<CompressionLevel>,
    hash: bool,
    options: &Options<'_>,
) -> Result<Blob, ArchiveError> {
    let hash = hash || compression.is_none() && tar.diff_id().is_some();
    let mut watched = Watched { to: Spool::new(folder, hash)?, observer: options.observer, failed: None };
    let written = match compression {
        None => {
            let mut out = io::BufWriter::with_capacity(256 << 10, &mut watched);
            produce(tar, &mut out).and_then(|found| out.flush().map(|()| found)).map(|found| (found, None))
        }
        Some(compression) => {
            let compressor = Compressor::new(&mut watched, compression, options.threads);
            let mut out = Hashed { inner: compressor, hasher: Hasher::default() };
            produce(tar, &mut out).and_then(|found| {
                out.inner.finish()?;
                Ok((found, Some(DiffId(out.hasher.finish()))))
            })
        }
    };
    let (blob, diff_id) = match (written, watched.failed) {
        (Ok(found), _) => found,
        (Err(_), _) if options.observer.cancelled() => return Err(ArchiveError::Cancelled),
        (Err(_), Some(source)) => {
            let path = watched.to.folder().to_owned();
            return Err(ArchiveError::Output {
                action: "write a temporary file in",
                path,
                source: Arc::new(source),
            });
        }
        (Err(source), None) => {
            return Err(ArchiveError::Content { entry: name.to_owned(), source: Arc::new(source) });
        }
    };
    compare_blob(name, tar, blob)?;
    let spooled = watched.to.finish();
    let digest = spooled.sha256();
    let diff_id = diff_id.or(digest.map(DiffId));
    if let Some(expected) = tar.diff_id() {
        compare(name, expected.0, diff_id.expect("a layer with a recorded digest is hashed").0)?;
    }
    let compression = compression.map_or(Compression::None, CompressionLevel::compression);
    Ok(Blob { content: Arc::new(spooled), compression, digest, diff_id })
}

/// Length and digest of a layer's tar. A blob's own digest is checked as well.
pub(crate) fn digest(
    name: &str,
    tar: &LayerTar,
    observer: &dyn Observer,
) -> Result<(u64, DiffId), ArchiveError> {
    let mut out = Watched { to: Hasher::default(), observer, failed: None };
    match produce(tar, &mut out) {
        Ok(found) => {
            compare_blob(name, tar, found)?;
            Ok((out.to.len(), DiffId(out.to.finish())))
        }
        Err(_) if observer.cancelled() => Err(ArchiveError::Cancelled),
        Err(source) => Err(ArchiveError::Content { entry: name.to_owned(), source: Arc::new(source) }),
    }
}

/// Writes the plain tar of a layer, and returns the digest of a blob as stored.
fn produce(tar: &LayerTar, out: &mut dyn Write) -> io::Result<Option<Digest>> {
    match tar {
        LayerTar::Blob(blob) => decompress(blob, out).map(Some),
        other => other.write_to(out).map(|()| None),
    }
}

fn compare_blob(name: &str, tar: &LayerTar, found: Option<Digest>) -> Result<(), ArchiveError> {
    match (tar, found) {
        (LayerTar::Blob(BlobLayer { stored, .. }), Some(found)) => {
            stored.digest.map_or(Ok(()), |expected| compare(name, expected, found))
        }
        _ => Ok(()),
    }
}

fn compare(name: &str, expected: Digest, found: Digest) -> Result<(), ArchiveError> {
    if expected == found {
        return Ok(());
    }
    Err(ArchiveError::Mismatch { entry: name.to_owned(), expected, found, source: None })
}

/// Decompresses a blob, and returns its digest.
fn decompress(blob: &BlobLayer, out: &mut dyn Write) -> io::Result<Digest> {
    let mut stored = Hashed { inner: blob.stored.raw_reader()?, hasher: Hasher::default() };
    io::copy(&mut blob.compression.decompress(&mut stored)?, out)?;
    // Bytes behind the end of the compressed stream are part of the blob.
    io::copy(&mut stored, &mut io::sink())?;
    Ok(stored.hasher.finish())
}

/// Hashes what is read or written through it.
struct Hashed<T> {
    inner: T,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

/// Keeps errors of the output apart from those of the layer, and stops when cancelled.
struct Watched<'a, W> {
    to: W,
    observer: &'a dyn Observer,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.observer.cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        match self.to.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
