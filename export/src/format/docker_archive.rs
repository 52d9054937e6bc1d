//! docker-archive: an OCI layout that is also what `docker load` reads, as Docker writes it since 25.
//!
//! ```text
//! blobs/sha256/<digest>   layers (plain tars), configs, manifests
//! oci-layout              for containerd, podman, skopeo, umoci
//! index.json              the manifests, with names
//! repositories            {"base":{"latest":"<diff id of the top layer>"}}
//! manifest.json           for docker load, podman, skopeo
//! ```
//!
//! The documents follow the blobs that they name: what is left of a broken stream is never taken for the
//! whole.

use layerlift_archive::{Entry, Tree};
use layerlift_store::Reference;

use super::index::{self, Listed, Members};
use super::manifest_json::{self, Item, LayerSource};
use super::repositories::Repositories;
use super::{NamedImage, oci};
use crate::bundle::{Blob, Bundle, Root};
use crate::format::media_type;

/// The tree; `images` are those that the bundle's roots lead to.
pub(super) fn tree(bundle: &Bundle, images: &[NamedImage]) -> Tree {
    let listed = bundle.roots.iter().flat_map(listed).collect();
    let mut items = Vec::new();
    let mut repositories = Repositories::default();
    for NamedImage { names, image } in images {
        for name in names {
            if let Some(diff_id) = image.layers.last().and_then(|top| top.diff_id) {
                repositories.insert(name, &diff_id.0.hex());
            }
        }
        let tags: Vec<String> = names.iter().map(ToString::to_string).collect();
        items.push(Item {
            config: oci::path(image.config.descriptor.digest),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: image.layers.iter().map(|layer| oci::path(layer.descriptor.digest)).collect(),
            layer_sources: image.layers.iter().filter_map(layer_source).collect(),
        });
    }
    let mut tree = oci::blobs(bundle);
    tree.extend(index::documents(listed, &Members::new()));
    tree.extend(repositories.entry());
    tree.push(Entry::bytes("manifest.json", 0, manifest_json::document(&items)));
    tree
}

/// An entry of `index.json` for each name, or one without a name.
fn listed(root: &Root) -> Vec<Listed> {
    if root.names.is_empty() {
        return vec![Listed::nameless(root)];
    }
    let named = |name: &Reference| {
        let tag = name.tag_or_digest().to_owned();
        Listed::named(root, Some(name.full().to_string()), tag)
    };
    root.names.iter().map(named).collect()
}

/// Docker writes one for each plain layer, since it looks layers up by their diff ids.
fn layer_source(layer: &Blob) -> Option<(String, LayerSource)> {
    let plain = layer.descriptor.media_type == media_type::LAYER;
    plain.then(|| (layer.descriptor.digest.to_string(), LayerSource::from(&layer.descriptor)))
}
