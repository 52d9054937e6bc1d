//! The OCI side of an archive: blobs by digest, and a manifest for each image.

use std::collections::HashSet;
use std::sync::Arc;

use layerlift_archive::{Bytes, Compression, Content, Digest, Entry, Tree};
use layerlift_store::{DiffId, Document};
use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageManifest, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
    Sha256Digest,
};
use serde::Serialize;

use super::{Blob, Source};
use crate::Error;
use crate::document::to_config;

/// `blobs/sha256/`, each blob once, in the order in which they were added.
pub(super) struct Blobs {
    tree: Tree,
    present: HashSet<Digest>,
}

impl Blobs {
    pub(super) fn new() -> Self {
        let mut tree = Tree::default();
        tree.push(Entry::dir("blobs/", 0));
        tree.push(Entry::dir("blobs/sha256/", 0));
        Blobs { tree, present: HashSet::new() }
    }

    pub(super) fn add_layers(&mut self, image: &Converted) {
        image.layers.iter().for_each(|layer| self.add(layer.digest, layer.content.clone()));
    }

    fn add(&mut self, digest: Digest, content: Arc<dyn Content>) {
        if self.present.insert(digest) {
            self.tree.push(Entry::file(path(digest), 0, content));
        }
    }

    fn add_bytes(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.add(digest, Arc::new(Bytes(bytes)));
        digest
    }

    pub(super) fn into_tree(self) -> Tree {
        self.tree
    }
}

/// Where a blob is.
pub(super) fn path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Names a blob.
fn descriptor(kind: MediaType, digest: Digest, len: u64) -> Result<Descriptor, Error> {
    let error = |error: oci_spec::OciSpecError| Error::Document {
        what: format!("descriptor of {digest}"),
        why: error.to_string(),
    };
    let sha256: Sha256Digest = digest.hex().parse().map_err(error)?;
    DescriptorBuilder::default().media_type(kind).digest(sha256).size(len).build().map_err(error)
}

/// An image's documents, before their digests are known.
pub(super) struct Converted {
    config: Vec<u8>,
    pub(super) layers: Vec<Layer>,
    /// The stored manifest, where it names just these blobs.
    manifest: Option<Vec<u8>>,
}

/// A layer of an image.
pub(super) struct Layer {
    pub(super) diff_id: DiffId,
    /// Names the blob.
    pub(super) descriptor: Descriptor,
    digest: Digest,
    content: Arc<dyn Content>,
}

impl Layer {
    /// Where its blob is.
    pub(super) fn path(&self) -> String {
        path(self.digest)
    }
}

/// An image whose documents are blobs.
pub(super) struct Stored {
    pub(super) config: Digest,
    pub(super) manifest: Descriptor,
}

/// The documents of an image.
pub(super) fn convert(image: &Source<'_>, layers: &[Blob]) -> Result<Converted, Error> {
    let diff_ids = image.diff_ids(layers)?;
    let config = match &image.image.document {
        Document::Config { raw, .. } => image.config(raw, &diff_ids)?,
        Document::V1(documents) => to_config::config(documents, &diff_ids)?,
    };
    let layer = |(&diff_id, &index): (&DiffId, &usize)| {
        let Blob { content, compression, digest, .. } = &layers[index];
        let digest = digest.unwrap_or(diff_id.0);
        let kind = match compression {
            Compression::Gzip => MediaType::ImageLayerGzip,
            Compression::Zstd => MediaType::ImageLayerZstd,
            // What a format does not take has been decompressed.
            _ => MediaType::ImageLayer,
        };
        let descriptor = descriptor(kind, digest, content.len())?;
        Ok(Layer { diff_id, descriptor, digest, content: content.clone() })
    };
    let layers = diff_ids.iter().zip(image.layers).map(layer).collect::<Result<Vec<_>, Error>>()?;
    let manifest = match &image.image.document {
        Document::Config { manifests, .. } => {
            manifests.iter().find(|manifest| names(&manifest.raw, &config, &layers))
        }
        Document::V1(_) => None,
    };
    Ok(Converted { manifest: manifest.map(|manifest| manifest.raw.clone()), config, layers })
}

/// Whether a stored manifest is an OCI manifest that names just these blobs. One of Docker's names them by other media
/// types, which readers of a layout do not look for.
fn names(raw: &[u8], config: &[u8], layers: &[Layer]) -> bool {
    let Ok(manifest) = ImageManifest::from_reader(raw) else { return false };
    let is_oci = manifest.media_type().as_ref().is_none_or(|kind| *kind == MediaType::ImageManifest);
    is_oci
        && *manifest.config().media_type() == MediaType::ImageConfig
        && manifest.config().digest().to_string() == Digest::of(config).to_string()
        && manifest.layers().len() == layers.len()
        && manifest.layers().iter().zip(layers).all(|(named, layer)| {
            named.digest() == layer.descriptor.digest() && named.media_type() == layer.descriptor.media_type()
        })
}

/// Adds config and manifest of an image, behind its layers.
pub(super) fn store(converted: Converted, blobs: &mut Blobs) -> Result<(Stored, Vec<Layer>), Error> {
    let Converted { config, layers, manifest } = converted;
    let config_len = config.len() as u64;
    let config = blobs.add_bytes(config);
    let manifest = match manifest {
        Some(raw) => raw,
        None => {
            let layers = layers.iter().map(|layer| layer.descriptor.clone()).collect();
            new_manifest(descriptor(MediaType::ImageConfig, config, config_len)?, layers)?
        }
    };
    let manifest_len = manifest.len() as u64;
    let manifest = descriptor(MediaType::ImageManifest, blobs.add_bytes(manifest), manifest_len)?;
    Ok((Stored { config, manifest }, layers))
}

/// The manifest of an image that has none, as Docker since 25 writes it.
fn new_manifest(config: Descriptor, layers: Vec<Descriptor>) -> Result<Vec<u8>, Error> {
    let what = format!("manifest of image {}", config.digest());
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build();
    let manifest = manifest.map_err(|error| Error::Document { what, why: error.to_string() })?;
    Ok(to_json(&manifest))
}

/// Serializes what has only string keys.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, numbers and lists become JSON")
}
