//! How the tar of a layer comes about: an enum, so that a planner sees what each layer costs.

use std::io::{self, Read, Write};

use layerlift_archive::{Compression, Content, Digest, FileRange};

use crate::Error;
use crate::id::DiffId;

pub use crate::diff::DiffLayer;
pub use crate::tarsplit::SplitLayer;

/// The three ways to a layer's bytes.
pub enum LayerTar {
    /// tar-split metadata and a directory: the exact bytes, their number known from the metadata alone.
    Split(SplitLayer),
    /// A tar that exists as such, perhaps compressed.
    Blob(BlobLayer),
    /// Only a directory and perhaps its parent's: has to be walked, and has no length before that.
    Diff(DiffLayer),
}

/// A layer that is kept as a file, or as a part of one.
#[derive(Debug, Clone)]
pub struct BlobLayer {
    /// The bytes as stored; their digest is the blob's.
    pub stored: FileRange,
    /// How they are compressed.
    pub compression: Compression,
    /// The digest of the uncompressed tar.
    pub diff_id: Option<DiffId>,
}

impl LayerTar {
    /// Number of bytes of the uncompressed tar, if that is known without producing it.
    pub fn tar_len(&self) -> Option<u64> {
        match self {
            LayerTar::Split(layer) => Some(layer.len()),
            LayerTar::Blob(layer) if layer.compression == Compression::None => Some(layer.stored.len),
            LayerTar::Blob(_) | LayerTar::Diff(_) => None,
        }
    }

    /// The digest of the uncompressed tar that is recorded for it. What is computed from directories has none to keep.
    pub fn diff_id(&self) -> Option<DiffId> {
        match self {
            LayerTar::Split(layer) => layer.digest().map(DiffId),
            LayerTar::Blob(layer) => layer.diff_id,
            LayerTar::Diff(_) => None,
        }
    }

    /// Writes the uncompressed tar, front to back. The digest is the caller's to check.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            LayerTar::Split(layer) => io::copy(&mut layer.raw_reader()?, out).map(drop),
            LayerTar::Blob(layer) => io::copy(&mut layer.uncompressed()?, out).map(drop),
            LayerTar::Diff(layer) => layer.write_to(out).map_err(Error::into_io),
        }
    }
}

impl BlobLayer {
    /// A reader of the uncompressed tar.
    pub fn uncompressed(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        let stored = self.stored.raw_reader()?;
        if self.compression == Compression::None { Ok(stored) } else { self.compression.decompress(stored) }
    }

    /// The digest of the blob as stored.
    pub fn digest(&self) -> Option<Digest> {
        self.stored.digest
    }
}
