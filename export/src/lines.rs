//! What `index.json` says of images beside their names: annotations, and the platform of an image that was
//! chosen from an index. `docker save` and `ctr images export` write the same.

use std::collections::{BTreeMap, HashMap};

use layerlift_archive::Digest;
use layerlift_store::{Document, Image, IndexTree, Store};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bundle::Root;

/// What is known of manifests and indexes, by their digests.
#[derive(Default)]
pub(crate) struct Lines(HashMap<Digest, Line>);

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
            self.0.entry(leaf.digest).or_default().platform = platform;
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

    fn add(&mut self, store: &dyn Store, digest: Digest) {
        self.0.entry(digest).or_default().annotations = store.annotations(digest);
    }

    /// Says in the roots what is known of what they lead to. Nothing is known of a manifest or an index that
    /// was made for the archive.
    pub(crate) fn describe(&self, roots: &mut [Root]) {
        for root in roots {
            if let Some(Line { annotations, platform }) = self.0.get(&root.descriptor.digest) {
                root.annotations.clone_from(annotations);
                root.platform.clone_from(platform);
            }
        }
    }
}
