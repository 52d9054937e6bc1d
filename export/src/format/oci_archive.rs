//! oci-archive: an OCI image layout (image-spec 1.1, `image-layout.md`), and nothing besides.
//!
//! ```text
//! blobs/sha256/<digest>   layers, configs, manifests
//! oci-layout
//! index.json              the manifests, with names
//! ```
//!
//! It has whole names (`localhost/app:1`), as podman and skopeo write them: a layout can hold several
//! repositories.

use layerlift_archive::Tree;

use super::index::{self, Members};
use super::oci;
use crate::bundle::Bundle;

pub(super) fn tree(bundle: &Bundle) -> Tree {
    let listed = bundle.roots.iter().flat_map(index::entries).map(|entry| entry.listed);
    let mut tree = oci::blobs(bundle);
    tree.extend(index::documents(listed.collect(), &Members::new()));
    tree
}
