//! Layers whose length is unknown until they are produced: once, front to back, into a temporary file or a
//! hash.

use std::io::{self, Write};
use std::sync::Arc;

use layerlift_archive::{
    Compression, CompressionLevel, Compressor, Content, Error as ArchiveError, Hasher, Observer, Options,
    Spool, Spooled,
};
use layerlift_store::{DiffId, LayerTar};

use super::Measured;

/// Produces a layer into the spool that `begin` makes, compressed on request. With `hash`, there will be a
/// digest of it; without, only a layer of which a digest is recorded is hashed. `name` is for messages.
pub(crate) fn spool(
    name: &str,
    tar: &LayerTar,
    begin: impl FnOnce(bool) -> Result<Spool, ArchiveError>,
    compression: Option<CompressionLevel>,
    hash: bool,
    options: &Options<'_>,
) -> Result<(Measured, Arc<Spooled>), ArchiveError> {
    // What is written as it is has the tar's digest.
    let spool = begin(hash && compression.is_some())?;
    let of_spool = spool.errors();
    let failed = |error| match error {
        ArchiveError::Stream(_) if options.observer.cancelled() => ArchiveError::Cancelled,
        ArchiveError::Stream(source) => of_spool(source),
        error => error.of_entry(name),
    };
    let stream = |source| ArchiveError::Stream(Arc::new(source));
    let (spool, diff_id) = match compression {
        None => {
            let watched = Watched::new(spool, options.observer);
            let mut out = io::BufWriter::with_capacity(256 << 10, watched);
            let written = if hash || is_recorded(tar) {
                tar.write_to(&mut out).map(|written| Some(written.diff_id))
            } else {
                tar.write_raw_to(&mut out).map(|()| None)
            };
            let found = written.map_err(failed)?;
            let watched = out.into_inner().map_err(|error| failed(stream(error.into_error())))?;
            (watched.to, found)
        }
        Some(compression) => {
            let compressor = Compressor::new(spool, compression, options.threads);
            let mut out = Watched::new(compressor, options.observer);
            let written = tar.write_to(&mut out).map_err(failed)?;
            (out.to.finish().map_err(stream).map_err(failed)?, Some(written.diff_id))
        }
    };
    let spooled = spool.finish();
    let digest = if compression.is_none() { diff_id.map(|id| id.0) } else { spooled.sha256() };
    let compression = compression.map_or(Compression::None, CompressionLevel::compression);
    let len = spooled.len();
    let spooled = Arc::new(spooled);
    let content: Option<Arc<dyn Content>> = Some(spooled.clone());
    Ok((Measured { content, len, compression, digest, diff_id, unpadded: None }, spooled))
}

/// Length and digests of a layer that is left out, compressed on request: nothing is written.
pub(crate) fn measure(
    name: &str,
    tar: &LayerTar,
    compression: Option<CompressionLevel>,
    options: &Options<'_>,
) -> Result<Measured, ArchiveError> {
    let to = Hashed { hasher: Hasher::default(), wanted: compression.is_some() };
    let mut out = Watched { to, observer: options.observer, len: 0 };
    let failed = |error| match error {
        ArchiveError::Stream(_) if options.observer.cancelled() => ArchiveError::Cancelled,
        error => error.of_entry(name),
    };
    let written = match compression {
        None => tar.write_to(&mut out).map_err(failed)?,
        Some(compression) => {
            let mut compressor = Compressor::new(&mut out, compression, options.threads);
            let written = tar.write_to(&mut compressor).map_err(failed)?;
            compressor.finish().map_err(|error| failed(ArchiveError::Stream(Arc::new(error))))?;
            written
        }
    };
    let len = out.len;
    let digest = if compression.is_some() { out.to.hasher.finish() } else { written.diff_id.0 };
    let compression = compression.map_or(Compression::None, CompressionLevel::compression);
    Ok(Measured::absent(Some(digest), len, compression, Some(written.diff_id)))
}

/// Hashes what is written, if that is wanted.
struct Hashed {
    hasher: Hasher,
    wanted: bool,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.wanted {
            self.hasher.update(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether there is a digest that the bytes of a layer must have.
fn is_recorded(tar: &LayerTar) -> bool {
    tar.diff_id().is_some() || matches!(tar, LayerTar::Blob(blob) if blob.digest().is_some())
}

/// Length and digest of a layer's tar, which is not compared with the recorded one. A blob's own digest is.
pub(crate) fn digest(
    name: &str,
    tar: &LayerTar,
    observer: &dyn Observer,
) -> Result<(u64, DiffId), ArchiveError> {
    let mut out = Watched::new(io::sink(), observer);
    match tar.write_to(&mut out) {
        Ok(written) => Ok((written.len, written.diff_id)),
        Err(ArchiveError::Mismatch { expected, found, .. }) if tar.diff_id() == Some(DiffId(expected)) => {
            Ok((out.len, DiffId(found)))
        }
        Err(ArchiveError::Stream(_)) => Err(ArchiveError::Cancelled),
        Err(error) => Err(error.of_entry(name)),
    }
}

/// A tar on its way: counts its bytes, and fails when cancelled.
struct Watched<'a, W> {
    to: W,
    observer: &'a dyn Observer,
    len: u64,
}

impl<'a, W> Watched<'a, W> {
    fn new(to: W, observer: &'a dyn Observer) -> Self {
        Watched { to, observer, len: 0 }
    }
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.observer.cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let n = self.to.write(bytes)?;
        self.len += n as u64;
        self.observer.advance(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
