//! What is not an image and goes along: signatures, attestations, SBOMs, charts. OCI formats hold it as it
//! is.

use std::sync::Arc;

use layerlift_archive::{Check, Options};
use layerlift_store::Artifact;

use crate::bundle::{Blob, Descriptor, Root};
use crate::{Error, Format, Warning};

/// An artifact on its way into an archive.
pub(crate) struct PlannedArtifact {
    name: String,
    pub(crate) root: Root,
    /// Each before the blobs that name it.
    pub(crate) blobs: Vec<Blob>,
}

/// The artifacts that the format holds, or why one cannot be had; a warning for each that it does not hold.
pub(crate) fn plan(
    artifacts: Vec<Artifact>,
    format: Format,
) -> (Vec<Result<PlannedArtifact, Error>>, Vec<Warning>) {
    if format.holds_artifacts() {
        return (artifacts.into_iter().map(PlannedArtifact::new).collect(), Vec::new());
    }
    let left_out = |artifact: Artifact| Warning::ArtifactLeftOut {
        name: artifact.name(),
        artifact: artifact.kind,
        format: format.name(),
    };
    (Vec::new(), artifacts.into_iter().map(left_out).collect())
}

/// Compares the blobs of artifacts with their digests, and says what is wrong with each artifact.
pub fn verify_artifacts(artifacts: Vec<Artifact>, options: &Options<'_>) -> Vec<Option<Error>> {
    let check = |artifact| PlannedArtifact::new(artifact).and_then(|planned| planned.checked(options)).err();
    artifacts.into_iter().map(check).collect()
}

impl PlannedArtifact {
    pub(crate) fn new(artifact: Artifact) -> Result<Self, Error> {
        let name = artifact.name();
        let blobs = artifact.blobs.map_err(|error| Error::from(error).of_image(&name))?;
        let blobs: Vec<Blob> = blobs
            .into_iter()
            .filter_map(|blob| {
                let digest = blob.content.digest?;
                let descriptor = Descriptor::new(blob.media_type, digest, blob.content.len);
                Some(Blob::new(descriptor, Some(Arc::new(blob.content) as _)))
            })
            .collect();
        let manifest = blobs.last().map(|blob| blob.descriptor.clone());
        let root = manifest.unwrap_or_else(|| Descriptor::new("", artifact.digest, 0));
        Ok(PlannedArtifact { name, root: Root { line: Some(artifact.line), ..Root::new(root) }, blobs })
    }

    /// Compares its bytes with their digests.
    pub(crate) fn checked(self, options: &Options<'_>) -> Result<Self, Error> {
        let contents = self.blobs.iter().filter_map(|blob| blob.content.as_ref());
        let names: Vec<String> =
            self.blobs.iter().map(|blob| format!("blob {}", blob.descriptor.digest)).collect();
        let checks: Vec<Check<'_>> =
            contents.zip(&names).map(|(content, name)| Check { name, content: &**content }).collect();
        let failed = layerlift_archive::check(&checks, options).into_iter().find_map(Result::err);
        match failed {
            Some(error) => Err(Error::from(error).of_image(&self.name)),
            None => Ok(self),
        }
    }
}
