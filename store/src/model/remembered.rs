//! What a store remembers of registries.

use layerlift_archive::Digest;

/// A compressed blob of a layer that a registry has, or once had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remembered {
    /// The blob.
    pub digest: Digest,
    /// Where it is from, with the registry: `docker.io/library/alpine`.
    pub repository: Option<String>,
}
