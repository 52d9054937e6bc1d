//! What a store says about images: the documents as stored, and the layers from the base up. No layer bytes.

use std::cmp::Reverse;

use layerlift_archive::Digest;

use crate::id::{DiffId, ImageId, V1Id};
use crate::reference::Reference;

/// An image of a store: its driver (as the listing's column says; empty where a store has only one place) and its id,
/// 64 hex digits. One id can be there under several drivers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey {
    /// `overlay2`, `vfs`, …
    pub driver: String,
    /// 64 hex digits: the config's digest, or the id of a v1 image. containers-storage may call an image otherwise;
    /// [`Image::image_id`] is the digest in any case.
    pub id: String,
}

/// A layer of a store; opaque outside of the store that made it. Equal keys mean equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerKey {
    /// As in [`ImageKey`].
    pub driver: String,
    /// The store's own id of it: a chain id, a v1 id, a blob's digest.
    pub id: String,
}

/// An image as stored.
#[derive(Debug, Clone)]
pub struct Image {
    /// Which one.
    pub key: ImageKey,
    /// What describes it.
    pub document: Document,
    /// Layers, base first. May be empty.
    pub layers: Vec<Layer>,
}

/// A layer as its image names it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Which one.
    pub key: LayerKey,
    /// The digest of its uncompressed tar, where the store records one. A graph store does not.
    pub diff_id: Option<DiffId>,
}

/// What describes an image, byte for byte as it is stored.
#[derive(Debug, Clone)]
pub enum Document {
    /// Docker until 1.9: a document for each layer, base first, as many as there are layers.
    V1(Vec<V1Document>),
    /// Since then: a config, and for what came from a registry or an archive its manifests.
    Config {
        /// The config's bytes; their digest is the image id for every engine that loads it.
        raw: Vec<u8>,
        /// Manifests that name this config, the preferred one first; empty where the store keeps none.
        manifests: Vec<Manifest>,
    },
}

/// A stored manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub raw: Vec<u8>,
}

/// The document of one v1 image.
#[derive(Debug, Clone)]
pub struct V1Document {
    /// The id.
    pub id: V1Id,
    /// The parent's id, from wherever the store says it.
    pub parent: Option<V1Id>,
    /// The bytes of `json`.
    pub raw: Vec<u8>,
}

/// A line of a listing.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Which one.
    pub key: ImageKey,
    /// Its tags and digests; none for an untagged image.
    pub references: Vec<Reference>,
    /// RFC 3339, as stored.
    pub created: Option<String>,
    /// Bytes of file contents in all layers, as engines count it; `None` where the store does not record it.
    pub size: Option<u64>,
    /// Number of layers.
    pub layers: usize,
}

/// What [`crate::Store::images`] found.
#[derive(Debug, Default)]
pub struct Listing {
    /// Images that can be named, newest first, those of the same time by id.
    pub images: Vec<Summary>,
    /// What looks like an image and cannot be read. It hides no other.
    pub broken: Vec<Broken>,
}

impl Listing {
    /// Puts the images in their order. One without a time that can be read comes last; of one id in several drivers the
    /// order is kept.
    pub(crate) fn sort(&mut self) {
        let time =
            |image: &Summary| image.created.as_ref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        self.images.sort_by_cached_key(|image| (Reverse(time(image)), image.key.id.clone()));
    }
}

/// Something that could not be read.
#[derive(Debug)]
pub struct Broken {
    /// Its id, or the file's name.
    pub what: String,
    /// Names that lead to it.
    pub references: Vec<Reference>,
    /// What is wrong.
    pub error: crate::Error,
}

impl Image {
    /// The digest of the config, for images that have one.
    pub fn image_id(&self) -> Option<ImageId> {
        match &self.document {
            Document::Config { raw, .. } => Some(ImageId(Digest::of(raw))),
            Document::V1(_) => None,
        }
    }
}
