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

use super::layout::Layout;
use super::oci::{self, Blobs, Listed, Stored};
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
        for reference in image.references {
            let (name, full) = (reference.to_string(), reference::full(reference));
            new.push((
                Some(name.clone()),
                manifest.digest().to_string(),
                Listed::named(manifest.clone(), full, name),
            ));
        }
        if image.references.is_empty() {
            new.push((None, manifest.digest().to_string(), Listed::nameless(manifest)));
        }
        ids.push(Some(ImageId(config)));
    }
    let mut index = existing.kept_beside(&new);
    index.extend(new.into_iter().map(|(_, _, entry)| entry));
    let mut tree = blobs.into_tree();
    tree.extend(oci::documents(index));
    Ok(Built { tree, ids })
}
