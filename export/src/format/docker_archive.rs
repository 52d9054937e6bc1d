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

use layerlift_archive::Entry;
use layerlift_store::ImageId;
use oci_spec::image::MediaType;
use serde::Serialize;

use super::index::{self, Listed, Members};
use super::oci::{self, Blobs, Layer, Stored};
use super::repositories::Repositories;
use super::{Blob, Built, Failed, Source, reference};

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

pub(super) fn build(images: &[Source<'_>], layers: &[Blob]) -> Result<Built, Failed> {
    let mut blobs = Blobs::new();
    let mut converted = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let one = oci::convert(image, layers).map_err(|error| Failed { image: index, error })?;
        blobs.add_layers(&one);
        converted.push(one);
    }
    let mut listed = Vec::new();
    let mut items = Vec::new();
    let mut ids = Vec::new();
    let mut repositories = Repositories::default();
    for (at, (image, converted)) in images.iter().zip(converted).enumerate() {
        let stored = oci::store(converted, &mut blobs).map_err(|error| Failed { image: at, error })?;
        let (Stored { config, manifest }, layers) = stored;
        let mut tags = Vec::new();
        for reference in image.references {
            if let Some(top) = layers.last() {
                repositories.insert(reference, &top.diff_id.0.hex());
            }
            tags.push(reference.to_string());
            listed.push(Listed::named(
                manifest.clone(),
                reference::full(reference),
                reference.tag_or_digest().to_owned(),
            ));
        }
        if tags.is_empty() {
            listed.push(Listed::nameless(manifest));
        }
        items.push(Item {
            config: oci::path(config),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: layers.iter().map(Layer::path).collect(),
            layer_sources: layers.iter().filter_map(layer_source).collect(),
        });
        ids.push(Some(ImageId(config)));
    }
    let mut tree = blobs.into_tree();
    tree.extend(index::documents(listed, &Members::new()));
    tree.extend(repositories.entry());
    let mut manifest = oci::to_json(&items);
    manifest.push(b'\n');
    tree.push(Entry::bytes("manifest.json", 0, manifest));
    Ok(Built { tree, ids })
}

/// Docker writes it for its plain layers; it is by diff id that it looks for it.
fn layer_source(layer: &Layer) -> Option<(String, LayerSource)> {
    let media_type = layer.descriptor.media_type().clone();
    let digest = layer.descriptor.digest().to_string();
    let source = LayerSource { size: layer.descriptor.size(), digest: digest.clone(), media_type };
    (source.media_type == MediaType::ImageLayer).then_some((digest, source))
}
