//! How the tar of a layer comes about: an enum, so that a planner sees what each layer costs.
//!
//! The plain calls, [`LayerTar::reader`] and [`LayerTar::write_to`], compare the bytes with all that is
//! recorded of them. A caller that hashes and compares them itself can do without: the `raw` calls and
//! contents are for that.

use std::io::Write;

use layerlift_archive::{Compression, Content, Digest, Error as ArchiveError, FileRange};

use crate::Notice;
use crate::id::DiffId;

mod reader;
mod write;

pub use crate::diff::{DiffLayer, LayerDir};
pub use crate::tarsplit::{Found, OtherFile, Part, Parts, RecordedFile, SplitLayer};
pub use reader::TarReader;

/// What messages call a layer; [`ArchiveError::of_entry`] puts a better name there.
const NAME: &str = "the layer";

/// The three ways to a layer's bytes.
#[derive(Debug, Clone)]
pub enum LayerTar {
    /// tar-split metadata and a directory: the exact bytes. Their number is known from the metadata alone.
    Split(SplitLayer),
    /// A tar that exists as such, perhaps compressed.
    Blob(BlobLayer),
    /// Only a directory and perhaps its parent's: they have to be walked, and the length is unknown before
    /// that ([`DiffLayer::measure`]).
    Diff(DiffLayer),
}

/// A layer that is kept as a file, or as a part of one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BlobLayer {
    /// The bytes as stored; their digest is the blob's. As a [`Content`], raw: still compressed.
    pub stored: FileRange,
    /// How they are compressed.
    pub compression: Compression,
    /// The digest of the uncompressed tar.
    pub diff_id: Option<DiffId>,
    /// That it stands in for the blob that its image names, which is missing.
    pub notice: Option<Notice>,
    /// The digest of that blob.
    pub in_place_of: Option<Digest>,
}

/// What was found while a tar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Length of the tar in bytes.
    pub len: u64,
    /// Its digest: the recorded one, if one is recorded.
    pub diff_id: DiffId,
}

impl LayerTar {
    /// Number of bytes of the uncompressed tar, if that is known without producing it.
    pub fn tar_len(&self) -> Option<u64> {
        match self {
            LayerTar::Split(layer) => Some(layer.len()),
            LayerTar::Blob(layer) if layer.compression == Compression::None => Some(layer.stored.len),
            LayerTar::Blob(_) => None,
            LayerTar::Diff(layer) => layer.measured_len(),
        }
    }

    /// The recorded digest of the uncompressed tar. A tar that is computed from directories cannot meet one.
    pub fn diff_id(&self) -> Option<DiffId> {
        match self {
            LayerTar::Split(layer) => layer.digest().map(DiffId),
            LayerTar::Blob(layer) => layer.diff_id,
            LayerTar::Diff(_) => None,
        }
    }

    /// The blob that its image names, if that is missing and this takes its place.
    pub fn lost_blob(&self) -> Option<Digest> {
        match self {
            LayerTar::Blob(layer) => layer.in_place_of,
            LayerTar::Diff(layer) => layer.blob,
            LayerTar::Split(_) => None,
        }
    }

    /// What is odd about the layer's record: it is damaged, and the layer is exact nevertheless, or computed;
    /// or its blob is missing, and another one has its tar.
    pub fn notice(&self) -> Option<&Notice> {
        match self {
            LayerTar::Split(layer) => layer.notice(),
            LayerTar::Diff(layer) => layer.notice.as_ref(),
            LayerTar::Blob(layer) => layer.notice.as_ref(),
        }
    }

    /// What turned out to be odd when the tar was last produced.
    pub fn findings(&self) -> impl Iterator<Item = &Notice> {
        self.computed().into_iter().flat_map(DiffLayer::findings)
    }

    /// The layer, if its tar is computed from directories.
    pub fn computed(&self) -> Option<&DiffLayer> {
        match self {
            LayerTar::Diff(layer) => Some(layer),
            LayerTar::Split(_) | LayerTar::Blob(_) => None,
        }
    }

    /// A reader of the uncompressed tar that compares it with what is recorded:
    ///
    /// - its diff id;
    /// - a compressed blob's own digest too, with the bytes behind the end of the compressed stream;
    /// - where no digest is recorded, the CRC-64 of each file that tar-split metadata have;
    /// - its length, if that is known.
    ///
    /// The last byte comes only if all of them are right: anything that has the whole tar has the right one.
    /// Errors have a kind ([`crate::ErrorKind::of_io`]).
    ///
    /// A tar that is computed from directories has nothing to be compared with. A thread writes it while it
    /// is read.
    pub fn reader(&self) -> Result<TarReader<'_>, ArchiveError> {
        TarReader::new(self)
    }

    /// Writes the uncompressed tar, compared as by [`LayerTar::reader`]. After an error, `out` has got some
    /// of it; after one of a digest, all.
    ///
    /// An error of `out` is an [`ArchiveError::Stream`].
    pub fn write_to(&self, out: &mut dyn Write) -> Result<Written, ArchiveError> {
        write::compared(self, out)
    }

    /// Writes the uncompressed tar, hashed by nobody and compared with nothing, except for the CRC-64 of
    /// files.
    pub fn write_raw_to(&self, out: &mut dyn Write) -> Result<(), ArchiveError> {
        write::raw(self, out)
    }
}

impl BlobLayer {
    /// A layer that is stored so, with the recorded digest of its uncompressed tar.
    pub fn new(stored: FileRange, compression: Compression, diff_id: Option<DiffId>) -> Self {
        BlobLayer { stored, compression, diff_id, notice: None, in_place_of: None }
    }

    /// The digest of the blob as stored.
    pub fn digest(&self) -> Option<Digest> {
        self.stored.digest
    }
}

#[cfg(test)]
mod tests;
