//! A compressed layer that is copied as it is: its diff id is checked while it is read.

use std::io::{self, Read, Write};

use layerlift_archive::{
    Content, Decompressor, Digest, Error as ArchiveError, ErrorKind, Hasher, content_error,
};
use layerlift_store::{BlobLayer, DiffId};

use crate::Error;

/// The blob as stored, but for zeros behind the end of its stream. Who writes it checks its digest; its
/// reader checks the diff id, at the end.
pub(crate) struct CompressedBlob {
    pub(crate) layer: BlobLayer,
    pub(crate) diff_id: DiffId,
    /// How many zeros are left out. Without them the blob has a digest that nobody knows yet.
    pub(crate) padding: u64,
}

impl Content for CompressedBlob {
    fn len(&self) -> u64 {
        self.layer.stored.len - self.padding
    }

    fn digest(&self) -> Option<Digest> {
        self.layer.stored.digest.filter(|_| self.padding == 0)
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        let plain = Decompressor::new(self.layer.compression, Hasher::default())?;
        let with_padding = self.layer.stored.digest.filter(|_| self.padding > 0);
        Ok(Box::new(Reader {
            stored: self.layer.stored.raw_reader()?.take(self.len()),
            plain: Some(plain),
            expected: self.diff_id,
            with_padding: with_padding.map(|digest| (digest, Hasher::default())),
            padding: self.padding,
        }))
    }
}

struct Reader<'a> {
    stored: io::Take<Box<dyn Read + Send + 'a>>,
    /// `None` after the end.
    plain: Option<Decompressor<Hasher>>,
    expected: DiffId,
    /// The digest of the blob as it is stored, if zeros of it are left out.
    with_padding: Option<(Digest, Hasher)>,
    padding: u64,
}

impl Reader<'_> {
    /// After the end: whether all is what is recorded.
    fn compare(&mut self, plain: Decompressor<Hasher>) -> io::Result<()> {
        if let Some((expected, mut hasher)) = self.with_padding.take() {
            io::copy(&mut io::repeat(0).take(self.padding), &mut hasher)?;
            let found = hasher.finish();
            if found != expected {
                let entry = "the blob".to_owned();
                return Err(ArchiveError::Mismatch { entry, expected, found, source: None }.into_io());
            }
        }
        let (plain, padding) = plain.finish_padded()?;
        if padding > 0 {
            // They were not seen when this was planned.
            return Err(content_error(ErrorKind::Malformed, Padded(padding)));
        }
        let found = DiffId(plain.finish());
        if found != self.expected {
            let error = Error::DiffId { expected: self.expected, found };
            return Err(content_error(error.kind(), error));
        }
        Ok(())
    }
}

/// Zeros that would go out with the blob.
#[derive(Debug, thiserror::Error)]
#[error("{0} zero bytes follow the end of its gzip stream, which engines refuse")]
struct Padded(u64);

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stored.read(buf)?;
        if n > 0 {
            if let Some(plain) = &mut self.plain {
                plain.write_all(&buf[..n])?;
            }
            if let Some((_, hasher)) = &mut self.with_padding {
                hasher.update(&buf[..n]);
            }
        } else if !buf.is_empty()
            && let Some(plain) = self.plain.take()
        {
            self.compare(plain)?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use layerlift_archive::{Check, Compression, CompressionLevel, Compressor, FileRange, Options, check};

    use super::*;

    fn blob(compressed: &[u8], compression: Compression) -> BlobLayer {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(compressed).unwrap();
        let file: Arc<File> = Arc::new(file);
        let digest = Some(Digest::of(compressed));
        let stored = FileRange { file, offset: 0, len: compressed.len() as u64, digest };
        BlobLayer::new(stored, compression, None)
    }

    #[test]
    fn both_digests_are_checked() {
        let tar = vec![7; 3_000_000];
        for with in [CompressionLevel::GZIP, CompressionLevel::ZSTD] {
            let compression = with.compression();
            let mut compressor = Compressor::new(Vec::new(), with, NonZeroUsize::MIN);
            compressor.write_all(&tar).unwrap();
            let compressed = compressor.finish().unwrap();
            let layer = blob(&compressed, compression);
            let right =
                CompressedBlob { layer: layer.clone(), diff_id: DiffId(Digest::of(&tar)), padding: 0 };
            let wrong = CompressedBlob { layer, diff_id: DiffId(Digest::of(b"other")), padding: 0 };
            let cut = &compressed[..compressed.len() - 3];
            let cut = CompressedBlob {
                layer: blob(cut, compression),
                diff_id: DiffId(Digest::of(&tar)),
                padding: 0,
            };
            let checks = [("right", &right), ("wrong", &wrong), ("cut", &cut)];
            let found = check(&checks.map(|(name, content)| Check { name, content }), &Options::default());
            assert_eq!(found[0].as_ref().ok(), Some(&Digest::of(&compressed)), "{compression:?}");
            assert!(found[1].is_err() && found[2].is_err(), "{compression:?}: {:?}", found[2]);
        }
    }
}
