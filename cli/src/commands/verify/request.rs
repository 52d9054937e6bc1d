//! What `verify` checks of a store: images for all platforms that are here, and what belongs to an index.

use std::collections::{HashMap, HashSet};

use layerlift_archive::Digest;
use layerlift_export::artifacts_of;
use layerlift_store::{
    Artifact, Broken, Error as StoreError, ImageKey, Index, Listing, Member, Platforms, Reference, Selected,
    Store, Subject,
};

use crate::error::Error;

/// What is to be checked in one store.
#[derive(Default)]
pub(super) struct Request {
    pub(super) images: Vec<(ImageKey, Vec<Reference>)>,
    /// The platforms of images of which an index has several.
    pub(super) platforms: HashMap<ImageKey, String>,
    /// Each once.
    pub(super) artifacts: Vec<Artifact>,
    known: HashSet<Digest>,
    pub(super) broken: Vec<Broken>,
    /// Images for other platforms than the requested ones.
    pub(super) other_platforms: Vec<Broken>,
}

impl Request {
    /// Adds everything that a store lists.
    pub(super) fn add_all(&mut self, store: &dyn Store, listing: Listing, platforms: &Platforms) {
        for summary in &listing.indexes {
            self.add_index(store, &summary.index, platforms);
        }
        let listing = listing.on(store, platforms.clone());
        let mut names: HashMap<ImageKey, Vec<Reference>> = HashMap::new();
        for image in &listing.images {
            for key in image.members.iter().filter_map(|member| member.image.clone()) {
                names.entry(key).or_default().extend(image.references.iter().cloned());
            }
        }
        for image in listing.images {
            // The others of an index have its names, too.
            let unnamed = image.references.is_empty();
            let references = names.remove(&image.key).filter(|_| unnamed).unwrap_or(image.references);
            self.images.push((image.key, references));
        }
        for broken in listing.broken {
            if matches!(broken.error, StoreError::NoPlatform { .. }) && !platforms.wanted().is_empty() {
                self.other_platforms.push(broken);
                continue;
            }
            match broken.rest(store) {
                // Layer by layer, so that the sound ones are checked and the lost ones named.
                Some(image) => self.images.push((image.key, broken.references)),
                None => self.broken.push(broken),
            }
        }
        // What the listing reports as an image is reported once.
        let listed: Vec<String> = self.broken.iter().map(|broken| broken.error.to_string()).collect();
        let is_new = |artifact: &Artifact| match &artifact.blobs {
            Ok(_) => true,
            Err(error) => !listed.contains(&error.to_string()),
        };
        self.artifacts.retain(is_new);
        listing.artifacts.into_iter().for_each(|artifact| self.add_artifact(artifact));
    }

    /// Whether there is nothing for the requested platforms.
    pub(super) fn is_empty(&self) -> bool {
        self.images.is_empty() && self.broken.is_empty()
    }

    /// Adds what a name means.
    pub(super) fn add(
        &mut self,
        store: &dyn Store,
        selected: Selected,
        platforms: &Platforms,
    ) -> Result<(), Error> {
        let artifacts = artifacts_of(store, &selected)?;
        if !artifacts.is_empty() {
            artifacts.into_iter().for_each(|artifact| self.add_artifact(artifact));
            return Ok(());
        }
        for image in selected.choose_all(store, platforms)? {
            self.add_image(image, selected.reference.clone());
        }
        if let Subject::Index(index) = &selected.subject {
            self.add_index(store, index, platforms);
        }
        Ok(())
    }

    fn add_image(&mut self, image: ImageKey, reference: Option<Reference>) {
        let index = self.images.iter().position(|(key, _)| *key == image).unwrap_or_else(|| {
            self.images.push((image, Vec::new()));
            self.images.len() - 1
        });
        let references = &mut self.images[index].1;
        references.extend(reference.filter(|reference| !references.contains(reference)));
    }

    /// Adds the platforms of an index, and what is not an image that is here: attestations of those for the
    /// platforms, and the parts of others that were never pulled as a whole.
    fn add_index(&mut self, store: &dyn Store, index: &Index, platforms: &Platforms) {
        let here = || index.members.iter().filter(|member| member.image.is_some());
        if here().nth(1).is_some() {
            let of = |member: &Member| Some((member.image.clone()?, member.platform.as_ref()?.to_string()));
            self.platforms.extend(here().filter_map(of));
        }
        let tree = match store.tree(index) {
            Ok(Some(tree)) => tree,
            Ok(None) => return,
            Err(error) => {
                self.broken.push(Broken::new(index.digest.hex(), Vec::new(), error));
                return;
            }
        };
        let chosen = index.choose_some(platforms).unwrap_or_default();
        let of_chosen = |digest| chosen.iter().any(|member| member.manifest == digest);
        let is_member = |digest| index.members.iter().any(|member| member.manifest == digest);
        let all = *platforms == Platforms::All;
        for line in tree.leaves() {
            let belongs = line.about.map_or(!is_member(line.digest), of_chosen);
            if all || belongs {
                line.artifact().into_iter().for_each(|artifact| self.add_artifact(artifact));
            }
        }
    }

    fn add_artifact(&mut self, artifact: Artifact) {
        if self.known.insert(artifact.digest) {
            self.artifacts.push(artifact);
        }
    }
}
