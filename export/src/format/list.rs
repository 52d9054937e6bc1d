//! Several images of one index, or one image with its attestations: the archive has an index of them, too.
//!
//! ```text
//! index.json ─> the index ─> manifests of the images that are in the archive, each line as it was
//!                         └> attestations of these images
//! ```
//!
//! The stored index is kept if the archive has everything that it names, or if the options ask for that.
//! Otherwise, a new index names what is there, so that no engine looks for anything else.

use std::collections::{HashMap, HashSet};

use layerlift_archive::Digest;
use layerlift_store::{Index, IndexLine, IndexTree, LeadsTo, Platform, Reference};
use serde::Serialize;
use serde_json::value::RawValue;

use super::index::{self, Members};
use super::oci::{OciImage, to_json};
use crate::artifacts::PlannedArtifact;
use crate::bundle::{Blob, Descriptor, Root};
use crate::format::media_type::INDEX;

/// An index on its way into an archive.
pub(crate) struct List {
    /// The index, with the images from which the store chooses.
    pub(crate) index: Index,
    /// As it is stored; `None` if it is not a document, but manifests that share a name.
    pub(crate) tree: Option<IndexTree>,
    /// Whether the stored index stays, whatever is left out of it.
    pub(crate) keep: bool,
    /// Whether it stays if all its images in the archive keep their manifests.
    pub(crate) as_archived: bool,
    /// The ids of its images that were chosen, the default choice first.
    pub(crate) images: Vec<String>,
    /// Its names, as the store has them.
    pub(crate) as_stored: Vec<Reference>,
    /// Its names, as the archive has them.
    pub(crate) names: Vec<Reference>,
    /// The parts of it that are not images and can go along.
    pub(crate) companions: Vec<Companion>,
}

/// An attestation, or another artifact of an index.
pub(crate) struct Companion {
    /// The image that it is about, by its manifest; `None` if it does not say.
    pub(crate) about: Option<Digest>,
    pub(crate) artifact: PlannedArtifact,
}

impl List {
    /// Whether the image is one that was chosen.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.images.iter().any(|image| image == id)
    }

    /// Whether the manifest of an image is one that the index names.
    pub(crate) fn names_manifest(&self, manifest: Digest) -> bool {
        self.index.members.iter().any(|member| member.manifest == manifest)
    }

    /// Whether a companion belongs to an image that is in the archive as the index names it.
    pub(crate) fn goes_along(companion: &Companion, manifests: &HashSet<Digest>) -> bool {
        companion.about.is_none_or(|about| manifests.contains(&about))
    }

    /// The index with what goes along, for those of its images that are in the archive, by their ids.
    pub(super) fn of(&self, images: &HashMap<&str, &OciImage>) -> Option<(Root, Vec<Blob>)> {
        let here: Vec<(&str, &OciImage)> =
            self.images.iter().filter_map(|id| Some((&**id, *images.get(&**id)?))).collect();
        if here.is_empty() {
            return None;
        }
        let manifests: HashSet<Digest> = here.iter().map(|(_, image)| image.digest()).collect();
        let here: HashMap<&str, &OciImage> = here.into_iter().collect();
        let along: HashSet<Digest> = self
            .companions
            .iter()
            .filter(|companion| List::goes_along(companion, &manifests))
            .map(|companion| companion.artifact.root.descriptor.digest)
            .collect();
        let mut blobs: Vec<Blob> = self
            .companions
            .iter()
            .filter(|one| along.contains(&one.artifact.root.descriptor.digest))
            .flat_map(|one| one.artifact.blobs.clone())
            .collect();
        let (lines, is_whole) = self.lines(&here, &manifests, &along);
        let is_unedited = lines.iter().all(|line| !line.edited);
        let root = match &self.tree {
            Some(tree) if is_whole || self.keep || self.as_archived && is_unedited => {
                for index in tree.indexes() {
                    let size = index.raw.len() as u64;
                    let descriptor = Descriptor::new(&*index.media_type, index.digest, size);
                    blobs.push(Blob::of_bytes(descriptor, index.raw.clone()));
                }
                Descriptor::new(&*tree.media_type, tree.digest, tree.raw.len() as u64)
            }
            tree => {
                let (media_type, members) = match tree {
                    Some(tree) => (&*tree.media_type, members(&tree.raw)),
                    None => (INDEX, Members::new()),
                };
                let edited = lines.iter().any(|line| line.edited);
                let media_type = if edited { INDEX } else { media_type };
                let lines = lines.into_iter().map(|line| line.raw).collect();
                let bytes = index::document(media_type, lines, &members);
                let descriptor = Descriptor::new(media_type, Digest::of(&bytes), bytes.len() as u64);
                blobs.push(Blob::of_bytes(descriptor.clone(), bytes));
                descriptor
            }
        };
        Some((Root { names: self.names.clone(), ..Root::new(root) }, blobs))
    }

    /// The lines for what is in the archive, and whether the stored index has no others.
    fn lines(
        &self,
        here: &HashMap<&str, &OciImage>,
        manifests: &HashSet<Digest>,
        along: &HashSet<Digest>,
    ) -> (Vec<Line>, bool) {
        let mut lines = Vec::new();
        let mut is_whole = true;
        let mut edited: HashSet<Digest> = HashSet::new();
        for leaf in self.leaves() {
            let line = match &leaf.leads_to {
                LeadsTo::Image(_) if manifests.contains(&leaf.digest) && !leaf.raw.is_empty() => {
                    Line::kept(&leaf)
                }
                LeadsTo::Image(key) => {
                    let image = here.get(key.id());
                    // Another line may have its manifest already.
                    let image = image.filter(|image| {
                        leaf.digest == image.digest() || !self.names_manifest(image.digest())
                    });
                    let image = image.filter(|image| edited.insert(image.digest()));
                    is_whole = false;
                    image.and_then(|image| Line::edited(&leaf, &image.manifest.descriptor))
                }
                LeadsTo::Artifact(_) if along.contains(&leaf.digest) => Line::kept(&leaf),
                _ => None,
            };
            is_whole &= line.is_some();
            lines.extend(line);
        }
        (lines, is_whole)
    }

    /// The lines of the index; those that it would have, where it is not a document.
    fn leaves(&self) -> Vec<IndexLine> {
        if let Some(tree) = &self.tree {
            return tree.leaves().into_iter().cloned().collect();
        }
        let line = |member: &layerlift_store::Member| {
            let leads_to = member.image.clone().map_or(LeadsTo::Missing, LeadsTo::Image);
            IndexLine::new(member.manifest, member.platform.clone(), String::new(), leads_to)
        };
        self.index.members.iter().map(line).collect()
    }
}

/// A line of an index.
struct Line {
    raw: Box<RawValue>,
    edited: bool,
}

impl Line {
    /// One that is in the stored index, or would be if there was one.
    fn kept(leaf: &IndexLine) -> Option<Line> {
        Some(Line { raw: RawValue::from_string(leaf.raw.clone()).ok()?, edited: false })
    }

    /// One that names another manifest.
    fn edited(leaf: &IndexLine, manifest: &Descriptor) -> Option<Line> {
        #[derive(Serialize)]
        struct Edited<'a> {
            #[serde(flatten)]
            manifest: &'a Descriptor,
            #[serde(flatten)]
            members: Members,
        }
        let mut members: Members = serde_json::from_str(&leaf.raw).unwrap_or_default();
        for changed in ["mediaType", "digest", "size", "data", "urls"] {
            members.remove(changed);
        }
        if let Some(platform) = leaf.platform.as_ref().filter(|_| !members.contains_key("platform")) {
            members.insert("platform".to_owned(), self::platform(platform)?);
        }
        let text = String::from_utf8(to_json(&Edited { manifest, members })).ok()?;
        Some(Line { raw: RawValue::from_string(text).ok()?, edited: true })
    }
}

/// As a descriptor has it.
pub(super) fn platform(platform: &Platform) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Fields<'a> {
        architecture: &'a str,
        os: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<&'a str>,
    }
    let Platform { os, architecture, variant, .. } = platform;
    let fields = Fields { architecture, os, variant: variant.as_deref() };
    RawValue::from_string(String::from_utf8(to_json(&fields)).ok()?).ok()
}

/// What else the stored index has. What it was about is not what the new one is about.
fn members(raw: &[u8]) -> Members {
    let mut members: Members = serde_json::from_slice(raw).unwrap_or_default();
    for changed in ["schemaVersion", "mediaType", "manifests", "subject"] {
        members.remove(changed);
    }
    members
}
