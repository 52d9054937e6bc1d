//! A layer of another archive in place of the blob that an image names.

use layerlift_archive::{Compression, CompressionLevel};
use layerlift_store::{DiffId, LayerTar, Requirement};

use crate::Options;

/// How a layer of another archive becomes the blob that an image names; `None` if it need not change. With a
/// compression it may come out otherwise, since that depends on who compressed it.
pub(crate) fn packed_as(
    tar: &LayerTar,
    required: &Requirement,
    diff_id: Option<DiffId>,
    options: &Options,
) -> Option<Option<CompressionLevel>> {
    let wanted = required.digest?;
    let has = match tar {
        LayerTar::Blob(blob) => blob.digest(),
        LayerTar::Split(_) | LayerTar::Diff(_) => diff_id.map(|id| id.0),
    };
    if !options.layers.keeps_blobs() || has == Some(wanted) {
        return None;
    }
    if diff_id.is_some_and(|id| id.0 == wanted) {
        return Some(None);
    }
    let level = match compression(required) {
        Compression::Gzip => CompressionLevel::GZIP,
        Compression::Zstd => CompressionLevel::ZSTD,
        _ => return None,
    };
    options.format.takes(level.compression()).then_some(Some(level))
}

/// The compression of a blob, by its media type.
pub(crate) fn compression(required: &Requirement) -> Compression {
    match required.media_type.as_deref() {
        Some(kind) if kind.ends_with("gzip") => Compression::Gzip,
        Some(kind) if kind.ends_with("zstd") => Compression::Zstd,
        _ => Compression::None,
    }
}
