//! `manifest.json`, by which Docker, Podman and skopeo find the images of an archive: `manifestItem` of
//! Docker's `image/tarexport/tarexport.go`.
//!
//! ```text
//! [{"Config":"blobs/sha256/…","RepoTags":["base:1"],"Layers":["blobs/sha256/…"],"LayerSources":{…}}]
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use super::oci::to_json;
use crate::bundle::Descriptor;

/// An image.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    pub(crate) config: String,
    /// `null` for an image without names.
    pub(crate) repo_tags: Option<Vec<String>>,
    /// Base first.
    pub(crate) layers: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) layer_sources: BTreeMap<String, LayerSource>,
}

/// An OCI descriptor; its type in Docker has the fields in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerSource {
    media_type: String,
    size: u64,
    digest: String,
}

impl From<&Descriptor> for LayerSource {
    fn from(Descriptor { media_type, digest, size }: &Descriptor) -> Self {
        LayerSource { media_type: media_type.clone(), size: *size, digest: digest.to_string() }
    }
}

/// The document, with the line end that Docker writes behind it.
pub(crate) fn document(items: &[Item]) -> Vec<u8> {
    let mut bytes = to_json(&items);
    bytes.push(b'\n');
    bytes
}
