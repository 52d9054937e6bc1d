//! One image as blobs: its layers, its config and its manifest.

use std::collections::BTreeMap;

use layerlift_archive::{Compression, Digest, Entry, Tree};
use layerlift_store::{DiffId, Document, Manifest};
use serde::{Deserialize, Serialize};

use super::source::SourceImage;
use crate::Error;
use crate::bundle::{Blob, Bundle, Descriptor};
use crate::document::to_config;
use crate::format::media_type::{CONFIG, LAYER, LAYER_GZIP, LAYER_ZSTD, MANIFEST, SCHEMA_VERSION};
use crate::layers::Measured;

/// An image as blobs.
#[derive(Clone)]
pub(crate) struct OciImage {
    /// Base first.
    pub(crate) layers: Vec<Blob>,
    pub(crate) config: Blob,
    pub(crate) manifest: Blob,
}

impl OciImage {
    /// The digest of its manifest.
    pub(super) fn digest(&self) -> Digest {
        self.manifest.descriptor.digest
    }

    pub(super) fn new(image: &SourceImage<'_>) -> Result<Self, Error> {
        let diff_ids = image.diff_ids()?;
        let config = match &image.image.document {
            Document::Config { raw, .. } => image.config(raw, &diff_ids)?,
            Document::V1(documents) => to_config::config(documents, &diff_ids)?,
        };
        let config = image.declared(config)?;
        let config = Blob::document(CONFIG, config);
        let layers: Vec<Blob> =
            diff_ids.iter().zip(&image.layers).map(|(id, layer)| layer_blob(*id, layer)).collect();
        let by_manifest: &[Manifest] = match &image.image.document {
            Document::Config { manifests, .. } if image.of_index => manifests,
            _ => image.image.own_manifest().map_or(&[], std::slice::from_ref),
        };
        for own in by_manifest {
            if let Some(kind) = own_kind(&own.raw, &config, &layers) {
                return Ok(OciImage { manifest: Blob::document(kind, own.raw.clone()), config, layers });
            }
        }
        let stored = match &image.image.document {
            Document::Config { manifests, .. } => {
                manifests.iter().find(|manifest| names(&manifest.raw, &config, &layers))
            }
            Document::V1(_) => None,
        };
        let manifest = match stored {
            Some(manifest) => manifest.raw.clone(),
            None => new_manifest(&config, &layers),
        };
        Ok(OciImage { manifest: Blob::document(MANIFEST, manifest), config, layers })
    }
}

pub(crate) fn layer_blob(diff_id: DiffId, layer: &Measured) -> Blob {
    let kind = match layer.compression {
        Compression::Gzip => LAYER_GZIP,
        Compression::Zstd => LAYER_ZSTD,
        // Other compressions are not in an archive: `Format::takes`.
        _ => LAYER,
    };
    let descriptor = Descriptor::new(kind, layer.digest.unwrap_or(diff_id.0), layer.len);
    Blob { descriptor, diff_id: Some(diff_id), content: layer.content.clone() }
}

/// The media type of a manifest by whose digest an image is known, if it names just these blobs. Such a
/// manifest is kept, whatever types it gives them, because engines look at the blobs.
fn own_kind(raw: &[u8], config: &Blob, layers: &[Blob]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest {
        media_type: Option<String>,
        config: Named,
        layers: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        digest: String,
    }
    let manifest: Manifest = serde_json::from_slice(raw).ok()?;
    let names = |named: &Named, blob: &Blob| named.digest == blob.descriptor.digest.to_string();
    let all = names(&manifest.config, config)
        && manifest.layers.len() == layers.len()
        && manifest.layers.iter().zip(layers).all(|(named, layer)| names(named, layer));
    let kind = manifest.media_type.filter(|kind| !kind.is_empty());
    all.then(|| kind.unwrap_or_else(|| MANIFEST.to_owned()))
}

/// Whether a stored manifest is an OCI manifest that names just these blobs. Docker's manifests name them by
/// other media types, which readers of a layout do not look for.
fn names(raw: &[u8], config: &Blob, layers: &[Blob]) -> bool {
    let Ok(manifest) = serde_json::from_slice::<StoredManifest>(raw) else { return false };
    let kind = manifest.media_type.as_deref().unwrap_or(MANIFEST);
    manifest.schema_version == SCHEMA_VERSION
        && kind == MANIFEST
        && manifest.config.media_type == CONFIG
        && manifest.config.digest == config.descriptor.digest.to_string()
        && manifest.layers.len() == layers.len()
        && manifest.layers.iter().zip(layers).all(|(named, layer)| {
            named.digest == layer.descriptor.digest.to_string()
                && named.media_type == layer.descriptor.media_type
        })
}

/// What the specification asks of a manifest, as far as its form goes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredManifest {
    schema_version: u32,
    media_type: Option<String>,
    config: StoredDescriptor,
    layers: Vec<StoredDescriptor>,
    #[serde(rename = "annotations")]
    _annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredDescriptor {
    media_type: String,
    digest: String,
    #[serde(rename = "size")]
    _size: u64,
    #[serde(rename = "annotations")]
    _annotations: Option<BTreeMap<String, String>>,
}

/// The manifest of an image that has none, as Docker since 25 writes it.
fn new_manifest(config: &Blob, layers: &[Blob]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'a> {
        schema_version: u32,
        media_type: &'static str,
        config: &'a Descriptor,
        layers: Vec<&'a Descriptor>,
    }
    to_json(&Manifest {
        schema_version: SCHEMA_VERSION,
        media_type: MANIFEST,
        config: &config.descriptor,
        layers: layers.iter().map(|layer| &layer.descriptor).collect(),
    })
}

/// Where a blob is, in an archive and in a layout.
pub(crate) fn path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// What precedes the blobs in an archive.
pub(crate) fn folders() -> [Entry; 2] {
    [Entry::dir("blobs/", 0), Entry::dir("blobs/sha256/", 0)]
}

/// A tree of the blobs. Those that are left out on purpose are not in it.
pub(super) fn blobs(bundle: &Bundle) -> Tree {
    let mut tree = Tree::from_iter(folders());
    tree.extend(bundle.blobs.iter().filter_map(|blob| {
        blob.content.as_ref().map(|content| Entry::file(path(blob.descriptor.digest), 0, content.clone()))
    }));
    tree
}

/// Serializes what has only string keys.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, numbers and lists become JSON")
}
