//! `manifest.json`, by which Docker, Podman and skopeo find the images of an archive: `manifestItem` of
//! Docker's `image/tarexport/tarexport.go`.
//!
//! ```text
//! [{"Config":"blobs/sha256/…","RepoTags":["base:1"],"Layers":["blobs/sha256/…"],"LayerSources":{…}}]
//! ```

use std::collections::{BTreeMap, HashMap};

use layerlift_archive::Digest;
use layerlift_store::{Reference, Rules};
use serde::Serialize;

use super::oci::{self, to_json};
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

impl Item {
    pub(crate) fn new(config: Digest, layers: Vec<Digest>, tags: Vec<Reference>) -> Self {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        Item {
            config: oci::path(config),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: layers.into_iter().map(oci::path).collect(),
            layer_sources: BTreeMap::new(),
        }
    }
}

/// Names of images as `manifest.json` has them: as Docker spells them, each given to one image. `I` is what
/// tells images apart.
pub(crate) struct RepoTags<I>(HashMap<Reference, I>);

impl<I> Default for RepoTags<I> {
    fn default() -> Self {
        RepoTags(HashMap::new())
    }
}

impl<I: Clone + PartialEq> RepoTags<I> {
    /// An image's name; `None` if it has it already. The error says why the image cannot have it.
    pub(crate) fn give(&mut self, name: &Reference, image: &I) -> Result<Option<Reference>, &'static str> {
        name.check(Rules::Distribution)?;
        if name.is_digest() {
            return Err("it is a digest");
        }
        let name = name.familiar();
        match self.0.get(&name) {
            Some(owner) if owner == image => Ok(None),
            Some(_) => Err("another image has it too"),
            None => {
                self.0.insert(name.clone(), image.clone());
                Ok(Some(name))
            }
        }
    }
}

/// The document, with the line end that Docker writes behind it.
pub(crate) fn document(items: &[impl Serialize]) -> Vec<u8> {
    let mut bytes = to_json(&items);
    bytes.push(b'\n');
    bytes
}
