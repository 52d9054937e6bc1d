//! What containerd has unpacked: an image may lack the blobs of its layers then.

use std::collections::HashSet;

use layerlift_archive::Digest;

/// What the names and blobs of a namespace do not show.
#[derive(Debug, Default)]
pub(super) struct Containerd {
    /// Its name: the partition of its keys.
    pub(super) namespace: String,
    /// Digests of the configs whose images have been unpacked there.
    pub(super) unpacked: HashSet<Digest>,
    /// Ids of images that are listed elsewhere.
    pub(super) known: HashSet<String>,
}
