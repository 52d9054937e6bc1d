//! docker-archive: an OCI layout that is at the same time what `docker load` reads, as Docker writes it since 25.
//!
//! ```text
//! blobs/sha256/<digest>   layers (plain tars), configs, manifests
//! oci-layout              for containerd, podman, skopeo, umoci
//! index.json              the manifests, with names
//! repositories            {"base":{"latest":"<diff id of the top layer>"}}
//! manifest.json           for docker load, podman, skopeo
//! ```
//!
//! The documents stand behind the blobs that they name, so that what is left of a broken stream is never taken for
//! the whole.

use std::collections::BTreeMap;

use layerlift_archive::{Digest, Entry};
use layerlift_store::{Document, ImageId};
use oci_spec::image::{Descriptor, MediaType};
use serde::Serialize;

use super::oci::{self, Blobs, Named};
use super::repositories::Repositories;
use super::{Blob, Built, Failed, Source, reference};
use crate::Error;
use crate::document::up;

/// An entry of `manifest.json`: `manifestItem` of Docker's `image/tarexport/tarexport.go`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    /// `null` for an image that was named by its id.
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layer_sources: BTreeMap<String, LayerSource>,
}

/// The same as an OCI descriptor; its type in Docker has the fields in another order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerSource {
    media_type: MediaType,
    size: u64,
    digest: String,
}

/// An image's documents.
struct Converted {
    config: Vec<u8>,
    layers: Vec<(Digest, Descriptor)>,
}

pub(super) fn build(images: &[Source<'_>], layers: &[Blob]) -> Result<Built, Failed> {
    let mut blobs = Blobs::new();
    let mut converted = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let one = convert(image, layers).map_err(|error| Failed { image: index, error })?;
        for ((digest, _), &layer) in one.layers.iter().zip(image.layers) {
            blobs.add(*digest, layers[layer].content.clone());
        }
        converted.push(one);
    }
    let mut index = Vec::new();
    let mut items = Vec::new();
    let mut ids = Vec::new();
    let mut repositories = Repositories::default();
    for (at, (image, Converted { config, layers })) in images.iter().zip(converted).enumerate() {
        let failed = |error| Failed { image: at, error };
        let config_len = config.len() as u64;
        let id = blobs.add_bytes(config);
        let config = oci::descriptor(MediaType::ImageConfig, id, config_len).map_err(failed)?;
        let (digests, descriptors): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
        let manifest = oci::manifest(config, descriptors.clone()).map_err(failed)?;
        let manifest_len = manifest.len() as u64;
        let manifest = blobs.add_bytes(manifest);
        let manifest = oci::descriptor(MediaType::ImageManifest, manifest, manifest_len).map_err(failed)?;
        let mut tags = Vec::new();
        for reference in image.references {
            if let Some(top) = digests.last() {
                repositories.insert(reference, &top.hex());
            }
            tags.push(reference.to_string());
            index.push(Named::new(manifest.clone(), reference::full(reference), reference.tag.clone()));
        }
        if tags.is_empty() {
            index.push(Named::without_name(manifest));
        }
        items.push(Item {
            config: oci::path(id),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: digests.iter().map(|&digest| oci::path(digest)).collect(),
            layer_sources: descriptors.into_iter().map(layer_source).collect(),
        });
        ids.push(Some(ImageId(id)));
    }
    let mut tree = blobs.into_tree();
    tree.extend(oci::documents(index));
    tree.extend(repositories.entry());
    let mut manifest = oci::to_json(&items);
    manifest.push(b'\n');
    tree.push(Entry::bytes("manifest.json", 0, manifest));
    Ok(Built { tree, ids })
}

fn convert(image: &Source<'_>, layers: &[Blob]) -> Result<Converted, Error> {
    let diff_ids = image.diff_ids(layers)?;
    let config = match &image.image.document {
        Document::Config { raw, .. } => image.config(raw, &diff_ids)?,
        Document::V1(documents) => up::config(documents, &diff_ids)?,
    };
    let describe =
        |(id, &layer): (&layerlift_store::DiffId, &usize)| Ok((id.0, oci::layer(id.0, &layers[layer])?));
    let layers = diff_ids.iter().zip(image.layers).map(describe).collect::<Result<_, Error>>()?;
    Ok(Converted { config, layers })
}

fn layer_source(descriptor: Descriptor) -> (String, LayerSource) {
    let digest = descriptor.digest().to_string();
    let media_type = descriptor.media_type().clone();
    (digest.clone(), LayerSource { media_type, size: descriptor.size(), digest })
}
