//! What takes the place of a layer's blob that is not there.
//!
//! containerd does not fetch a blob whose layer it has unpacked already, whatever the blob's compression. So
//! a healthy namespace may have an image whose manifest names a blob that never came, beside another blob
//! with the same tar in it: its label `containerd.io/uncompressed` is the layer's diff id. (`docker pull` of
//! Docker 26 and 28, the CRI and `ctr images pull` of containerd 2.1.)

use std::collections::BTreeMap;

use layerlift_archive::Digest;

use crate::DiffId;

/// What a namespace has beside the blobs that its manifests name.
#[derive(Debug, Default)]
pub(crate) struct StandIns {
    /// By diff ids, the blobs that are labelled with them.
    blobs: BTreeMap<DiffId, Vec<Digest>>,
}

impl StandIns {
    /// Adds a blob that is labelled with the digest of its tar.
    pub(crate) fn add_blob(&mut self, blob: Digest, diff_id: DiffId) {
        self.blobs.entry(diff_id).or_default().push(blob);
    }

    /// The blobs that are labelled with this diff id, in the order of the database.
    pub(super) fn blobs(&self, diff_id: DiffId) -> &[Digest] {
        self.blobs.get(&diff_id).map_or(&[], Vec::as_slice)
    }
}
