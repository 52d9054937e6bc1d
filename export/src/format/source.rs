//! An image on its way into an archive: the same for all formats.

use layerlift_store::{DiffId, Document, Image, Layer};

use crate::Error;
use crate::document::edit;
use crate::document::salvaged::{self, Declaration};
use crate::layers::Measured;

/// An image on its way into an archive.
pub(crate) struct SourceImage<'a> {
    pub(crate) image: &'a Image,
    /// Base first. Layers behind those that the image has in the store go on top of it.
    pub(crate) layers: Vec<&'a Measured>,
    /// Whether an index that goes along names it by its manifest, which is then kept if possible.
    pub(crate) of_index: bool,
    /// Said in its config, if bytes of it are not the recorded ones.
    pub(crate) salvaged: Option<&'a Declaration>,
}

impl SourceImage<'_> {
    /// The digests of its layers, base first.
    pub(super) fn diff_ids(&self) -> Result<Vec<DiffId>, Error> {
        let known = self.layers.iter().map(|layer| layer.diff_id);
        known.collect::<Option<_>>().ok_or_else(|| Error::Document {
            what: self.what(),
            why: "a layer of it has no digest".to_owned(),
        })
    }

    /// A config that says what was salvaged, if anything was.
    pub(super) fn declared(&self, config: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Some(Declaration { id, comment }) = self.salvaged else { return Ok(config) };
        salvaged::config(&config, id, comment, self.layers.len())
            .map_err(|why| Error::Document { what: self.what(), why })
    }

    /// The stored config; or, where a computed layer has another digest or is on top, the same with these
    /// diff ids.
    pub(super) fn config(&self, raw: &[u8], diff_ids: &[DiffId]) -> Result<Vec<u8>, Error> {
        let recorded = self.image.layers.iter().map(|layer: &Layer| layer.diff_id);
        if recorded.eq(diff_ids.iter().copied().map(Some)) {
            return Ok(raw.to_vec());
        }
        let (own, on_top) = diff_ids.split_at(self.image.layers.len().min(diff_ids.len()));
        edit::with_diff_ids(raw, own, on_top).map_err(|why| Error::Document { what: self.what(), why })
    }

    pub(super) fn what(&self) -> String {
        match self.image.document {
            Document::Config { .. } => format!("config of image {}", self.image.key.id()),
            Document::V1(_) => format!("image {}", self.image.key.id()),
        }
    }
}
