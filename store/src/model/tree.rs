//! An index as it is stored, with all its lines: images, other indexes, attestations; what is here, and what
//! is not.

use layerlift_archive::Digest;

use super::{Artifact, ImageKey, Platform};
use crate::Error;

/// An index, byte for byte, and what its lines lead to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IndexTree {
    /// Its media type: of an OCI image index, or of a Docker manifest list.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// Its lines, in its order.
    pub lines: Vec<IndexLine>,
}

/// A line of an index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IndexLine {
    /// The digest that it names.
    pub digest: Digest,
    /// The platform, from the line, or if that names none, from the image's config.
    pub platform: Option<Platform>,
    /// Its bytes, a JSON object.
    pub raw: String,
    /// The image that an attestation is about (`vnd.docker.reference.digest`).
    pub about: Option<Digest>,
    /// What it leads to.
    pub leads_to: LeadsTo,
}

/// What a line of an index leads to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LeadsTo {
    /// An image of the store.
    Image(ImageKey),
    /// Another index.
    Index(IndexTree),
    /// An attestation, or another artifact.
    Artifact(Box<Artifact>),
    /// An image or an artifact that was never pulled as a whole: the blobs of it that are here, or what is
    /// wrong with one of these.
    InPart(Box<Artifact>),
    /// What this store does not have.
    Missing,
    /// What cannot be read.
    Unreadable(Error),
}

impl IndexTree {
    /// An index with these lines.
    pub fn new(media_type: impl Into<String>, digest: Digest, raw: Vec<u8>, lines: Vec<IndexLine>) -> Self {
        IndexTree { media_type: media_type.into(), digest, raw, lines }
    }

    /// Its lines and those of the indexes in it, none of which is an index that is here.
    pub fn leaves(&self) -> Vec<&IndexLine> {
        let mut leaves = Vec::new();
        for line in &self.lines {
            match &line.leads_to {
                LeadsTo::Index(index) => leaves.extend(index.leaves()),
                _ => leaves.push(line),
            }
        }
        leaves
    }

    /// The indexes in it, each behind those that it names, and itself.
    pub fn indexes(&self) -> Vec<&IndexTree> {
        let mut all = Vec::new();
        for line in &self.lines {
            if let LeadsTo::Index(index) = &line.leads_to {
                all.extend(index.indexes());
            }
        }
        all.push(self);
        all
    }
}

impl IndexLine {
    /// A line with what it leads to.
    pub fn new(digest: Digest, platform: Option<Platform>, raw: String, leads_to: LeadsTo) -> Self {
        IndexLine { digest, platform, raw, about: None, leads_to }
    }

    /// What it leads to, if that is not an image that is here: an artifact with its blobs, or with those that
    /// were ever here, or why it cannot be read. `None` too if nothing of it is here.
    pub fn artifact(&self) -> Option<Artifact> {
        match &self.leads_to {
            LeadsTo::Artifact(artifact) | LeadsTo::InPart(artifact) => Some((**artifact).clone()),
            LeadsTo::Unreadable(error) => Some(Artifact {
                digest: self.digest,
                kind: if self.about.is_some() { "attestation" } else { "unknown" }.to_owned(),
                names: Vec::new(),
                line: self.raw.clone(),
                blobs: Err(error.clone()),
            }),
            LeadsTo::Image(_) | LeadsTo::Index(_) | LeadsTo::Missing => None,
        }
    }
}
