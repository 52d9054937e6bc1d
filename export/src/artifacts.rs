//! What is not an image and goes along: signatures, attestations, SBOMs, charts. OCI formats hold it as it
//! is.

use std::collections::HashSet;
use std::sync::Arc;

use layerlift_archive::{Check, Options};
use layerlift_store::{Artifact, ErrorKind, ImageKey, Reference, Selected, Store, Subject};

use crate::bundle::{Blob, Descriptor, Root};
use crate::{Error, Format, Warning};

/// An artifact on its way into an archive.
pub(crate) struct PlannedArtifact {
    name: String,
    pub(crate) root: Root,
    /// Each before the blobs that name it.
    pub(crate) blobs: Vec<Blob>,
}

/// The artifacts that the format holds, or why one cannot be read; a warning for each that the format does
/// not hold, or that cannot be copied.
pub(crate) fn plan(
    artifacts: Vec<Artifact>,
    format: Format,
) -> (Vec<Result<PlannedArtifact, Error>>, Vec<Warning>) {
    if format.holds_artifacts() {
        let mut warnings = Vec::new();
        let mut planned = Vec::with_capacity(artifacts.len());
        for artifact in artifacts {
            match &artifact.blobs {
                // Nothing is wrong with it, and no image needs it.
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    let (name, why) = (artifact.name(), error.to_string());
                    warnings.push(Warning::ArtifactNotCopied { name, why });
                }
                _ => planned.push(PlannedArtifact::new(artifact)),
            }
        }
        return (planned, warnings);
    }
    let left_out = |artifact: Artifact| Warning::ArtifactLeftOut {
        name: artifact.name(),
        artifact: artifact.kind,
        format: format.name(),
    };
    (Vec::new(), artifacts.into_iter().map(left_out).collect())
}

/// The artifacts that a name leads to; none if it leads to an image or to an index.
pub fn artifacts_of(store: &dyn Store, selected: &Selected) -> Result<Vec<Artifact>, Error> {
    match &selected.subject {
        Subject::Image(key) => of_key(store, key, selected.reference.as_slice()),
        _ => Ok(Vec::new()),
    }
}

/// The same for the key of what a name leads to, with the `names` that were requested. If none of them is an
/// artifact's, the one with the key's id.
pub(crate) fn of_key(store: &dyn Store, key: &ImageKey, names: &[Reference]) -> Result<Vec<Artifact>, Error> {
    if !store.image(key).is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
        return Ok(Vec::new());
    }
    let spelled: HashSet<String> =
        names.iter().flat_map(|name| [name.to_string(), name.familiar().to_string()]).collect();
    let is_named = |artifact: &Artifact| artifact.names.iter().any(|name| spelled.contains(name));
    let all = store.images()?.artifacts;
    let (mut named, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_named);
    if named.is_empty() {
        named.extend(others.into_iter().find(|artifact| artifact.digest.hex() == key.id()));
    }
    Ok(named)
}

/// Compares the blobs of artifacts with their digests, and says what is wrong with each artifact.
pub fn verify_artifacts(artifacts: Vec<Artifact>, options: &Options<'_>) -> Vec<Option<Error>> {
    let check = |artifact| PlannedArtifact::new(artifact).and_then(|planned| planned.checked(options)).err();
    artifacts.into_iter().map(check).collect()
}

impl PlannedArtifact {
    pub(crate) fn new(artifact: Artifact) -> Result<Self, Error> {
        let name = artifact.name();
        PlannedArtifact::named(artifact, name)
    }

    /// One that belongs to an image.
    pub(crate) fn of(artifact: Artifact, image: &str) -> Result<Self, Error> {
        let name = format!("{} of {image}", artifact.digest);
        PlannedArtifact::named(artifact, name)
    }

    fn named(artifact: Artifact, name: String) -> Result<Self, Error> {
        let blobs = artifact.blobs.map_err(|error| Error::from(error).of_artifact(&name))?;
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

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has the blob of these hex digits.
    pub(crate) fn has(&self, hex: &str) -> bool {
        self.blobs.iter().any(|blob| blob.descriptor.digest.hex() == hex)
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
            Some(error) => Err(Error::from(error).of_artifact(&self.name)),
            None => Ok(self),
        }
    }
}
