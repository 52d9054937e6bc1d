//! oci-archive: an OCI image layout (image-spec 1.1, `image-layout.md`), and a `manifest.json` beside it.
//!
//! ```text
//! blobs/sha256/<digest>   layers, configs, manifests
//! oci-layout
//! index.json              the manifests, with names
//! manifest.json           for docker load and podman, which refuses an index with more than one entry
//! ```
//!
//! It has whole names (`localhost/app:1`), as podman and skopeo write them: a layout can hold several
//! repositories.

use layerlift_archive::{Entry, Tree};

use super::index::{self, Members};
use super::manifest_json::{self, Item, RepoTags};
use super::{NamedImage, oci};
use crate::bundle::Bundle;

/// The tree; `images` are those that the bundle's roots lead to.
pub(super) fn tree(bundle: &Bundle, images: &[NamedImage]) -> Tree {
    let listed = bundle.roots.iter().flat_map(index::entries).map(|entry| entry.listed);
    let mut tree = oci::blobs(bundle);
    tree.extend(index::documents(listed.collect(), &Members::new()));
    let mut tags = RepoTags::default();
    let item = |NamedImage { names, image }: &NamedImage| {
        let digest = image.digest();
        let tags = names.iter().filter_map(|name| tags.give(name, &digest).ok().flatten());
        let layers = image.layers.iter().map(|layer| layer.descriptor.digest);
        Item::new(image.config.descriptor.digest, layers.collect(), tags.collect())
    };
    let items: Vec<Item> = images.iter().map(item).collect();
    tree.push(Entry::bytes("manifest.json", 0, manifest_json::document(&items)));
    tree
}
