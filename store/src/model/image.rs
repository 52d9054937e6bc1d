//! Images: their documents as stored, and their layers from the base up.

use layerlift_archive::Digest;

use super::{ImageKey, LayerKey, Needs, Notice, Platform, Requirement};
use crate::Error;
use crate::id::{DiffId, ImageId, V1Id};

/// An image as stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Image {
    /// Which one.
    pub key: ImageKey,
    /// What describes it.
    pub document: Document,
    /// Layers, base first. May be empty.
    pub layers: Vec<Layer>,
    /// What is odd about its documents and was read nevertheless.
    pub notices: Vec<Notice>,
}

/// A layer as its image names it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Layer {
    /// Which one.
    pub key: LayerKey,
    /// The digest of its uncompressed tar, where the store records one. A graph store does not.
    pub diff_id: Option<DiffId>,
    /// Why its tar cannot be read, if that shows without opening it: it is missing, or has another length.
    /// The rest of the image is whole.
    pub lost: Option<Error>,
    /// In a partial archive: that the layer is left out on purpose. It is `lost`, too.
    pub left_out: Option<Requirement>,
    /// In an archive: that its file is missing, though no `requires.json` says that it is left out. This is
    /// what the image's own documents say of it. It is `lost`, too.
    pub unlisted: Option<Requirement>,
    /// That an archive leaves it out, and this layer of another one takes its place: what is required of it.
    pub wanted: Option<Requirement>,
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
#[non_exhaustive]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub raw: Vec<u8>,
}

/// The document of one v1 image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct V1Document {
    /// The id.
    pub id: V1Id,
    /// The parent's id, from wherever the store says it.
    pub parent: Option<V1Id>,
    /// The bytes of `json`.
    pub raw: Vec<u8>,
}

impl Manifest {
    /// A manifest with these bytes; its digest is computed.
    pub fn new(raw: Vec<u8>) -> Self {
        Manifest { digest: Digest::of(&raw), raw }
    }
}

impl V1Document {
    /// The document of the image `id`.
    pub fn new(id: V1Id, parent: Option<V1Id>, raw: Vec<u8>) -> Self {
        V1Document { id, parent, raw }
    }
}

impl Layer {
    /// A layer of an image.
    pub fn new(key: LayerKey, diff_id: Option<DiffId>) -> Self {
        Layer { key, diff_id, lost: None, left_out: None, unlisted: None, wanted: None }
    }

    /// What has to come from elsewhere, if the archive does not have its file: whether this is said or not.
    pub fn required(&self) -> Option<&Requirement> {
        self.left_out.as_ref().or(self.unlisted.as_ref())
    }

    /// The same layer, which cannot be read.
    pub(crate) fn lost(self, error: Error) -> Self {
        Layer { lost: Some(error), ..self }
    }
}

impl Image {
    /// An image with its layers, base first.
    pub fn new(key: ImageKey, document: Document, layers: Vec<Layer>) -> Self {
        Image { key, document, layers, notices: Vec::new() }
    }

    /// The digest of the config, for images that have one.
    pub fn image_id(&self) -> Option<ImageId> {
        match &self.document {
            Document::Config { raw, .. } => Some(ImageId(Digest::of(raw))),
            Document::V1(_) => None,
        }
    }

    /// Why the first of its layers that cannot be had is lost. One that is left out on purpose is not.
    pub fn first_lost(&self) -> Option<&Error> {
        self.layers.iter().filter(|layer| layer.left_out.is_none()).find_map(|layer| layer.lost.as_ref())
    }

    /// What it needs from elsewhere.
    pub fn needs(&self) -> Needs {
        Needs::of(self.layers.iter().filter_map(|layer| layer.left_out.as_ref()))
    }

    /// The manifest that is the image in its store: containerd and its users know an image by the digest of
    /// its manifest.
    pub fn own_manifest(&self) -> Option<&Manifest> {
        let Document::Config { manifests, .. } = &self.document else { return None };
        let id = Digest::from_hex(self.key.id())?;
        manifests.iter().find(|manifest| manifest.digest == id)
    }

    /// The platform that the config names. A v1 document often names none; that of its nearest parent holds,
    /// which it was built on.
    pub fn platform(&self) -> Option<Platform> {
        match &self.document {
            Document::Config { raw, .. } => Platform::of_config(raw),
            Document::V1(documents) => {
                documents.iter().rev().find_map(|document| Platform::of_config(&document.raw))
            }
        }
    }
}
