//! Layers that have no length beforehand: produced once, front to back, into a temporary file or only into a hash.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use layerlift_archive::{Content, Digest, Error as ArchiveError, Hasher, Observer, Spool};
use layerlift_store::{BlobLayer, DiffId, LayerTar};

use crate::format::Blob;

/// Produces a layer into a temporary file in `folder`. `name` is for messages.
pub(crate) fn spool(
    name: &str,
    tar: &LayerTar,
    folder: &Path,
    observer: &dyn Observer,
) -> Result<Blob, ArchiveError> {
    let watched = Watched { to: Spool::new(folder)?, observer, failed: None };
    let mut out = io::BufWriter::with_capacity(256 << 10, watched);
    let written = tar.write_to(&mut out).and_then(|()| out.flush());
    let (watched, _) = out.into_parts();
    match (written, watched.failed) {
        (Ok(()), _) => {}
        (Err(_), _) if observer.cancelled() => return Err(ArchiveError::Cancelled),
        (Err(_), Some(source)) => {
            let path = watched.to.folder().to_owned();
            return Err(ArchiveError::Output { action: "write a temporary file in", path, source });
        }
        (Err(source), None) => return Err(ArchiveError::Content { entry: name.to_owned(), source }),
    }
    let spooled = watched.to.finish();
    let found = spooled.sha256();
    if let (Some(expected), Some(found)) = (tar.diff_id(), found) {
        compare(name, expected.0, found)?;
    }
    Ok(Blob { content: Arc::new(spooled), diff_id: found.map(DiffId) })
}

/// Length and digest of a layer's tar. A blob's own digest is checked on the way.
pub(crate) fn digest(
    name: &str,
    tar: &LayerTar,
    observer: &dyn Observer,
) -> Result<(u64, DiffId), ArchiveError> {
    let mut out = Watched { to: Counted::default(), observer, failed: None };
    let written = match tar {
        LayerTar::Blob(blob) => decompress(blob, &mut out),
        other => other.write_to(&mut out).map(|()| None),
    };
    match written {
        Ok(found) => {
            if let (LayerTar::Blob(BlobLayer { stored, .. }), Some(found)) = (tar, found)
                && let Some(expected) = stored.digest
            {
                compare(name, expected, found)?;
            }
            Ok((out.to.len, DiffId(out.to.hasher.finish())))
        }
        Err(_) if observer.cancelled() => Err(ArchiveError::Cancelled),
        Err(source) => Err(ArchiveError::Content { entry: name.to_owned(), source }),
    }
}

fn compare(name: &str, expected: Digest, found: Digest) -> Result<(), ArchiveError> {
    if expected == found {
        return Ok(());
    }
    Err(ArchiveError::Mismatch { entry: name.to_owned(), expected, found, source: None })
}

/// Decompresses a blob; returns the digest of its compressed bytes.
fn decompress(blob: &BlobLayer, out: &mut dyn Write) -> io::Result<Option<Digest>> {
    let mut stored = Hashed { from: blob.stored.reader()?, hasher: Hasher::default() };
    io::copy(&mut blob.compression.decompress(&mut stored)?, out)?;
    // What a decompressor leaves unread belongs to the blob all the same.
    io::copy(&mut stored, &mut io::sink())?;
    Ok(Some(stored.hasher.finish()))
}

struct Hashed<R> {
    from: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

/// Hashes and counts.
#[derive(Default)]
struct Counted {
    hasher: Hasher,
    len: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells a full disk from a layer that cannot be read, and stops when asked to.
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
