//! What `index.json` says of images beside their names: annotations, and the platform of an image that was
//! chosen from an index. `docker save` and `ctr images export` write the same.

use std::collections::{BTreeMap, HashMap};

use layerlift_archive::Digest;
use layerlift_store::{Document, Image, IndexTree, Reference, Store};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Warning;
use crate::bundle::Root;
use crate::format::index::CONTAINERD_NAME;
use crate::format::list::List;
use crate::layered::Layered;

/// What is known of manifests and indexes, by their digests.
#[derive(Default)]
pub(crate) struct Lines {
    of: HashMap<Digest, Line>,
    /// Names by digest, for what has no other name.
    pinned: HashMap<Digest, Reference>,
}

#[derive(Default)]
struct Line {
    annotations: BTreeMap<String, String>,
    /// A JSON object.
    platform: Option<String>,
}

impl Lines {
    /// Adds an index, and the platforms that it names.
    pub(crate) fn add_index(&mut self, store: &dyn Store, tree: &IndexTree) {
        #[derive(Deserialize)]
        struct OfPlatform {
            platform: Option<Box<RawValue>>,
        }
        self.add(store, tree.digest);
        for leaf in tree.leaves() {
            let line = serde_json::from_str::<OfPlatform>(&leaf.raw).ok();
            let platform = line.and_then(|line| line.platform).map(|platform| platform.get().to_owned());
            self.of.entry(leaf.digest).or_default().platform = platform;
        }
    }

    /// Adds images.
    pub(crate) fn add_images<'a>(&mut self, store: &dyn Store, images: impl Iterator<Item = &'a Image>) {
        for image in images {
            if let Document::Config { manifests, .. } = &image.document {
                manifests.iter().for_each(|manifest| self.add(store, manifest.digest));
            }
        }
    }

    /// Keeps the names of images that only have names by digest: pods may ask for those. `ctr images export`
    /// writes them into `index.json`, `docker save` does not, and Docker refuses a digest among the tags of
    /// `manifest.json`. Returns the names that cannot be kept.
    pub(crate) fn pin(&mut self, images: &[Layered], lists: &[List]) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for Layered { wanted, image, .. } in images {
            let Document::Config { manifests, .. } = &image.document else { continue };
            let of_docker = wanted.key.partition() == "moby" || wanted.key.partition().starts_with("moby-");
            if of_docker || !wanted.references.iter().all(Reference::is_digest) {
                continue;
            }
            for name in &wanted.references {
                let Some(digest) = name.digest().and_then(|digest| digest.parse().ok()) else { continue };
                let is_here = manifests.iter().any(|manifest| manifest.digest == digest)
                    || lists.iter().any(|list| list.index.digest == digest);
                let taken = self.pinned.get(&digest).is_some_and(|other| other != name);
                match (is_here, taken) {
                    (true, false) => _ = self.pinned.insert(digest, name.clone()),
                    (true, true) => warnings.push(left_out(name, "another name by this digest is kept")),
                    (false, _) => warnings.push(left_out(name, "the archive does not have what it names")),
                }
            }
        }
        warnings
    }

    fn add(&mut self, store: &dyn Store, digest: Digest) {
        self.of.entry(digest).or_default().annotations = store.annotations(digest);
    }

    /// Says in the roots what is known of what they lead to. Nothing is known of a manifest or an index that
    /// was made for the archive.
    pub(crate) fn describe(&self, roots: &mut [Root]) {
        for root in roots {
            if let Some(Line { annotations, platform }) = self.of.get(&root.descriptor.digest) {
                root.annotations.clone_from(annotations);
                root.platform.clone_from(platform);
            }
            let pinned = self.pinned.get(&root.descriptor.digest).filter(|_| root.names.is_empty());
            if let Some(name) = pinned {
                root.annotations.insert(CONTAINERD_NAME.to_owned(), name.full().to_string());
            }
        }
    }
}

fn left_out(name: &Reference, why: &'static str) -> Warning {
    Warning::NameLeftOut { name: name.clone(), why }
}
