//! What a store keeps beside images: signatures, attestations, SBOMs, charts.

use layerlift_archive::{Digest, FileRange};

use crate::Error;

/// Something that is not an image, and which the tools of its kind find by its name or digest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Artifact {
    /// The digest of its manifest, or of an index of such manifests.
    pub digest: Digest,
    /// Its type: `application/vnd.cncf.helm.config.v1+json`, say.
    pub kind: String,
    /// Its names, as they are written.
    pub names: Vec<String>,
    /// Its line in the index of the layout, byte for byte: a JSON object.
    pub line: String,
    /// All its blobs, each before the blobs that name it; its manifest is the last. The error says what of it
    /// is not there.
    pub blobs: Result<Vec<ArtifactBlob>, Error>,
}

/// A blob of an [`Artifact`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ArtifactBlob {
    /// As its manifest says.
    pub media_type: String,
    /// The bytes; they have a digest.
    pub content: FileRange,
}

impl Artifact {
    /// What messages call it: its name, or its digest.
    pub fn name(&self) -> String {
        self.names.first().cloned().unwrap_or_else(|| self.digest.to_string())
    }
}
