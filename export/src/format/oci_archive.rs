//! oci-archive: an OCI image layout (image-spec 1.1, `image-layout.md`), and nothing besides.
//!
//! ```text
//! blobs/sha256/<digest>   layers, configs, manifests
//! oci-layout
//! index.json              the manifests, with names
//! ```
//!
//! A name is whole in it (`localhost/app:1`), as podman and skopeo write it: a layout can hold several repositories.

use layerlift_store::ImageId;

use super::index::{self, Listed};
use super::layout::{Layout, New};
use super::oci::{self, Blobs, Stored};
use super::{Blob, Built, Failed, Source, reference};

/// The tree; entries of a layout that is extended stay in its index.
pub(super) fn build(images: &[Source<'_>], layers: &[Blob], existing: &Layout) -> Result<Built, Failed> {
    let mut blobs = Blobs::new();
    let mut ids = Vec::new();
    let mut new = Vec::new();
    for (at, image) in images.iter().enumerate() {
        let failed = |error| Failed { image: at, error };
        let converted = oci::convert(image, layers).map_err(failed)?;
        blobs.add_layers(&converted);
        let (Stored { config, manifest }, _) = oci::store(converted, &mut blobs).map_err(failed)?;
        let digest = manifest.digest().to_string();
        for reference in image.references {
            let (name, full) = (reference.to_string(), reference::full(reference));
            let entry = Listed::named(manifest.clone(), full.clone(), name.clone());
            new.push(New { name: Some((name, full)), digest: digest.clone(), entry });
        }
        if image.references.is_empty() {
            new.push(New { name: None, digest, entry: Listed::nameless(manifest) });
        }
        ids.push(Some(ImageId(config)));
    }
    let mut listed = existing.kept_beside(&new);
    listed.extend(new.into_iter().map(|new| new.entry));
    let mut tree = blobs.into_tree();
    tree.extend(index::documents(listed, &existing.members));
    Ok(Built { tree, ids })
}
