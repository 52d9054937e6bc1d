//! What can be chosen about an export.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use layerlift_archive::{Compression, CompressionLevel, Digest};
use layerlift_store::DiffId;

use crate::{Error, Format, OtherSide, Ready, TagPolicy, Warning};

/// What can be chosen.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The output format.
    pub format: Format,
    /// Which tags are kept.
    pub tags: TagPolicy,
    /// Leave out images that cannot be exported, instead of failing; [`crate::Plan::left_out`] and
    /// [`crate::Prepared::left_out`] say which, and why.
    pub keep_going: bool,
    /// With [`Options::keep_going`], go on to the output without reading the layers first. For an output that
    /// can leave out what turns out to be damaged: see [`crate::Prepared::without`].
    pub unchecked: bool,
    /// Keep images whose layers are damaged or missing in the plan, for [`crate::Plan::salvage`].
    pub salvage: bool,
    /// Refuse layers that can only be computed from directories, although a digest of them is recorded: the
    /// image would get another id.
    pub recorded_only: bool,
    /// Keep the index of an image as it is stored, even if it names images that are not in the archive.
    pub keep_index: bool,
    /// Keep every manifest and every index of an archive that still fits, whatever its media types.
    pub as_archived: bool,
    /// How layers are compressed.
    pub layers: LayerCompression,
    /// What is checked of a compressed blob that is copied as it is.
    pub check: LayerCheck,
    /// What the other side has: such layers are left out.
    pub other_side: Arc<OtherSide>,
    /// Compressed blobs that the target has, by the diff ids of their layers: a layer that would have to be
    /// compressed is taken to be that blob, and is not read.
    pub there: Arc<BTreeMap<DiffId, BlobThere>>,
    /// What the index of a layout calls the images (`org.opencontainers.image.ref.name`). `None`: by their
    /// whole names.
    pub ref_name: Option<String>,
    /// Hears of layers that have been compressed; see [`crate::put_ahead`].
    pub ready: Option<Ready>,
    /// Where layers of unknown length are spooled. Empty: where the system keeps temporary files.
    pub temp_dir: PathBuf,
}

/// A compressed blob of a layer that a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobThere {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
}

/// How layers are compressed in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerCompression {
    /// As the store has them, where the format allows it; the digests of blobs and manifests then stay.
    #[default]
    AsStored,
    /// Not at all.
    Plain,
    /// Like this. A layer that has this compression already stays as it is, whatever its level.
    With(CompressionLevel),
    /// As the store has them where they are compressed or an image's manifest stays; all others like this.
    Packed(CompressionLevel),
}

/// What is checked of a compressed blob that is copied as it is, and has a digest of its own.
///
/// A blob without one is always decompressed, and so is one that only stands in for the blob that an image
/// names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerCheck {
    /// Its own digest, which proves that it is the blob that was stored. Engines check the diff id when they
    /// load it.
    #[default]
    Digest,
    /// The diff id of the tar in it, too: the blob is decompressed, which takes many times as long.
    DiffIds,
}

impl Options {
    /// The same options with this format.
    pub fn with_format(self, format: Format) -> Self {
        Options { format, ..self }
    }

    /// The same options with this choice of tags.
    pub fn with_tags(self, tags: TagPolicy) -> Self {
        Options { tags, ..self }
    }

    /// The same options, with or without leaving out what cannot be exported.
    pub fn with_keep_going(self, keep_going: bool) -> Self {
        Options { keep_going, ..self }
    }

    /// The same options, with or without layers that are read first.
    pub fn with_unchecked(self, unchecked: bool) -> Self {
        Options { unchecked, ..self }
    }

    /// Whether layers are read before the output is begun, although nothing else needs that.
    pub(crate) fn checks_first(&self) -> bool {
        self.keep_going && !self.unchecked
    }

    /// The same options, for a plan that is salvaged or one that is not.
    pub fn with_salvage(self, salvage: bool) -> Self {
        Options { salvage, ..self }
    }

    /// The same options, with or without layers whose recorded bytes are lost.
    pub fn with_recorded_only(self, recorded_only: bool) -> Self {
        Options { recorded_only, ..self }
    }

    /// The same options, with a name for the index of a layout.
    pub fn with_ref_name(self, ref_name: Option<String>) -> Self {
        Options { ref_name, ..self }
    }

    /// The same options, with or without indexes that stay as they are.
    pub fn with_keep_index(self, keep_index: bool) -> Self {
        Options { keep_index, ..self }
    }

    /// The same options, for images of archives that are put together.
    pub fn with_as_archived(self, as_archived: bool) -> Self {
        Options { as_archived, ..self }
    }

    /// The same options with this compression of layers.
    pub fn with_layers(self, layers: LayerCompression) -> Self {
        Options { layers, ..self }
    }

    /// The same options with this check of blobs that are copied.
    pub fn with_check(self, check: LayerCheck) -> Self {
        Options { check, ..self }
    }

    /// Whether the diff ids of blobs that are copied are checked. A salvage looks for every damage.
    pub(crate) fn checks_diff_ids(&self) -> bool {
        self.check == LayerCheck::DiffIds || self.salvage
    }

    /// The same options; what the other side has is left out.
    pub fn with_other_side(self, other_side: OtherSide) -> Self {
        Options { other_side: Arc::new(other_side), ..self }
    }

    /// The same options; these compressed blobs are at the target.
    pub fn with_there(self, there: BTreeMap<DiffId, BlobThere>) -> Self {
        Options { there: Arc::new(there), ..self }
    }

    /// The blob at the target that a layer is, if it would have to be compressed otherwise.
    pub(crate) fn blob_there(&self, diff_id: Option<DiffId>) -> Option<&BlobThere> {
        let there = self.there.get(&diff_id?)?;
        let is_wanted = self.layers.target().is_some() && self.layers.keeps(there.compression, self.format);
        is_wanted.then_some(there)
    }

    /// The same options with this folder for spooled layers.
    pub fn with_temp_dir(self, temp_dir: impl Into<PathBuf>) -> Self {
        Options { temp_dir: temp_dir.into(), ..self }
    }

    /// Whether an oci-archive has the layers of all images before their documents, so that layers of unknown
    /// length can be written to their places at once. Otherwise it has one image after another.
    pub(crate) fn puts_layers_first(&self) -> bool {
        self.layers.target().is_some()
    }

    /// What not every reader of the format can read.
    pub(crate) fn warning(&self) -> Option<Warning> {
        let compression = self.layers.target()?.compression();
        let engines = self.format.refused_by(compression)?;
        Some(Warning::LayersRefused { compression: compression.name(), engines })
    }

    /// Refuses what the format cannot hold.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.layers.target() {
            Some(compression) if !self.format.takes(compression.compression()) => {
                Err(Error::Compression { format: self.format, compression })
            }
            _ if self.keep_index && !self.format.holds_indexes() => {
                Err(Error::NoIndexes { format: self.format })
            }
            _ => Ok(()),
        }
    }
}

impl LayerCompression {
    /// Whether a layer with this compression stays as it is in an archive of this format.
    pub(crate) fn keeps(self, compression: Compression, format: Format) -> bool {
        match self {
            LayerCompression::AsStored => format.keeps(compression),
            LayerCompression::Plain => compression == Compression::None,
            LayerCompression::With(to) => compression == to.compression(),
            LayerCompression::Packed(_) => compression != Compression::None && format.keeps(compression),
        }
    }

    /// Whether the blobs that a manifest names stay as they are, whatever their compression.
    pub(crate) fn keeps_blobs(self) -> bool {
        matches!(self, LayerCompression::AsStored | LayerCompression::Packed(_))
    }

    /// How other layers are compressed.
    pub(crate) fn target(self) -> Option<CompressionLevel> {
        match self {
            LayerCompression::AsStored | LayerCompression::Plain => None,
            LayerCompression::With(compression) | LayerCompression::Packed(compression) => Some(compression),
        }
    }
}
