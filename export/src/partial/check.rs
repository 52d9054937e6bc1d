//! Whether what a partial archive requires is there: in stores of engines, as these engines look for it, or
//! in other archives.
//!
//! | engine | looks for |
//! |---|---|
//! | Docker with a graph driver | the stack of layers, by its chain id |
//! | Podman and its like | the layer, by its blob; by its diff id if the blob is not compressed |
//! | containerd, Docker with its store | the blob; without it, the stack lets containers run, and no more |
//! | Docker until 1.9 | the layer of a v1 image, by its id |

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use layerlift_archive::{Digest, Options};
use layerlift_store::{
    Broken, ChainId, DiffId, Document, Image, ImageKey, LayerKey, LayerTar, Listing, Needs, Requirement,
    Store, StoreKind,
};
use serde::Deserialize;

use crate::Error;

/// What there is of a layer that an archive requires, from nothing to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Presence {
    /// Nothing.
    Missing,
    /// The same layer on top of others, where the engine does not look for it.
    OtherStack,
    /// The same layer, but as another blob, and the engine does not look for it by its tar.
    OtherPacking,
    /// The unpacked layer, but not the blob: the engine runs the image, and cannot save or push it.
    OtherBlob,
    /// All that is needed.
    Here,
}

/// A layer that an archive requires, and what there is of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckedLayer {
    /// The layer.
    pub required: Requirement,
    /// Whether the archive says that it leaves the layer out.
    pub is_listed: bool,
    /// What there is of it.
    pub presence: Presence,
    /// Where that is: the name of a root. `None` if it is nowhere.
    pub place: Option<String>,
}

/// What [`check`] found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Checked {
    /// Every layer that an archive requires, once.
    pub layers: Vec<CheckedLayer>,
    /// Number of images that were looked at.
    pub images: usize,
    /// What the images need that is not there.
    pub missing: Needs,
    /// Number of things in the archives that cannot be read, so that nobody knows what they need.
    pub unreadable: usize,
}

/// A store in which layers are looked up, and its name.
pub struct CheckedRoot<'s> {
    /// What messages call it: its path.
    pub name: String,
    /// The store.
    pub store: &'s dyn Store,
}

impl Checked {
    /// Whether every layer is there, in whatever form the engine can use.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unreadable == 0
    }

    /// Number of layers that are missing from an archive without a word in its `requires.json`.
    pub fn unlisted(&self) -> usize {
        self.layers.iter().filter(|layer| !layer.is_listed).count()
    }

    /// Number of layers of which there is just this.
    pub fn count(&self, presence: Presence) -> usize {
        self.layers.iter().filter(|layer| layer.presence == presence).count()
    }
}

/// Looks for all that the images of some archives require: what their own documents name and the archive does
/// not have, whether its `requires.json` lists it or not. Layers of stores that record no digests are read if
/// something is not found without them.
///
/// # Errors
///
/// An archive or a store that cannot be listed.
pub fn check(
    archives: &[&dyn Store],
    roots: &[CheckedRoot<'_>],
    options: &Options<'_>,
) -> Result<Checked, Error> {
    let mut inventories = roots.iter().map(Inventory::of).collect::<Result<Vec<Inventory<'_>>, Error>>()?;
    let mut images = Vec::new();
    let mut unreadable = 0;
    for archive in archives {
        let listing = archive.images()?;
        let (lacking, broken): (Vec<&Broken>, Vec<&Broken>) =
            listing.broken.iter().partition(|broken| broken.only_lacks_layers(*archive));
        unreadable += broken.len() + listing.lost.len();
        let lacking = lacking.into_iter().filter_map(|broken| broken.key.clone());
        let mut seen = HashSet::new();
        for key in listed(&listing).chain(lacking).filter(|key| seen.insert(key.clone())) {
            match archive.image(&key) {
                Ok(image) => images.push(image),
                Err(_) => unreadable += usize::from(broken.is_empty()),
            }
        }
    }
    let mut checked = look(&images, &inventories);
    if !checked.missing.is_empty() {
        inventories.iter_mut().try_for_each(|inventory| inventory.hash(options))?;
        checked = look(&images, &inventories);
    }
    Ok(Checked { unreadable, ..checked })
}

/// Looks each required layer up in all roots. One of several images is enough to miss it.
fn look(images: &[Image], inventories: &[Inventory<'_>]) -> Checked {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut layers: Vec<CheckedLayer> = Vec::new();
    for image in images {
        let chains = chains(image);
        for (layer, chain) in image.layers.iter().zip(chains) {
            let Some(required) = layer.required() else { continue };
            let is_listed = layer.left_out.is_some();
            let found = inventories.iter().map(|root| (root.presence(required, chain), root.name));
            let found = found.max_by_key(|(presence, _)| *presence);
            let (presence, place) = match found {
                Some((presence, name)) if presence > Presence::Missing => (presence, Some(name.to_owned())),
                _ => (Presence::Missing, None),
            };
            let at = *places.entry(identity(required)).or_insert(layers.len());
            match layers.get_mut(at) {
                Some(known) if known.presence <= presence => {}
                Some(known) => (known.presence, known.place) = (presence, place),
                None => layers.push(CheckedLayer { required: required.clone(), is_listed, presence, place }),
            }
        }
    }
    let missing = layers.iter().filter(|layer| layer.presence < Presence::OtherBlob);
    let missing = Needs::of(missing.map(|layer| &layer.required));
    Checked { images: images.len(), missing, layers, unreadable: 0 }
}

fn identity(required: &Requirement) -> String {
    let digest = required.digest.map_or_else(String::new, |digest| digest.hex());
    format!("{} {digest}", required.name())
}

/// The chain ids of an image's layers, as far as their digests are known.
fn chains(image: &Image) -> Vec<Option<ChainId>> {
    let mut below = Some(None);
    let next = |layer: &layerlift_store::Layer| {
        let chain = below.zip(layer.diff_id).map(|(below, diff_id)| ChainId::new(below, diff_id));
        below = chain.map(Some);
        chain
    };
    image.layers.iter().map(next).collect()
}

/// Every image of a store, also those that only others were built on.
fn keys(store: &dyn Store) -> Result<Vec<ImageKey>, Error> {
    let listing = store.images()?;
    let mut seen = HashSet::new();
    Ok(listed(&listing).filter(|key| seen.insert(key.clone())).collect())
}

fn listed(listing: &Listing) -> impl Iterator<Item = ImageKey> {
    let members = listing.indexes.iter().flat_map(|index| &index.index.members);
    let members = members.filter_map(|member| member.image.clone());
    let listed = listing.images.iter().chain(&listing.intermediate).map(|image| image.key.clone());
    listed.chain(members)
}

/// The blobs of layers that the manifests of an image name.
fn named_blobs(image: &Image) -> Vec<Digest> {
    #[derive(Deserialize)]
    struct Named {
        layers: Vec<Blob>,
    }
    #[derive(Deserialize)]
    struct Blob {
        digest: String,
    }
    let Document::Config { manifests, .. } = &image.document else { return Vec::new() };
    let named = manifests.iter().filter_map(|manifest| serde_json::from_slice::<Named>(&manifest.raw).ok());
    named.flat_map(|named| named.layers).filter_map(|blob| blob.digest.parse().ok()).collect()
}

/// The layers of a store.
struct Inventory<'s> {
    name: &'s str,
    store: &'s dyn Store,
    by_diff_id: BTreeMap<DiffId, Vec<LayerKey>>,
    v1_ids: HashSet<String>,
    chains: HashSet<ChainId>,
    /// The blobs that manifests name, be they there or not.
    blobs: HashSet<Digest>,
    /// Images with layers whose digests nobody recorded.
    unrecorded: Vec<Image>,
}

impl<'s> Inventory<'s> {
    fn of(root: &'s CheckedRoot<'_>) -> Result<Self, Error> {
        let mut inventory = Inventory {
            name: &root.name,
            store: root.store,
            by_diff_id: BTreeMap::new(),
            v1_ids: HashSet::new(),
            chains: HashSet::new(),
            blobs: HashSet::new(),
            unrecorded: Vec::new(),
        };
        for key in keys(root.store)? {
            // What cannot be read is not there.
            let Ok(image) = root.store.image(&key) else { continue };
            inventory.add(image);
        }
        Ok(inventory)
    }

    fn add(&mut self, image: Image) {
        let is_v1 = matches!(image.document, Document::V1(_));
        self.blobs.extend(named_blobs(&image));
        for (layer, chain) in image.layers.iter().zip(chains(&image)) {
            if layer.lost.is_some() {
                continue;
            }
            if is_v1 {
                self.v1_ids.insert(layer.key.id().to_owned());
            }
            if let Some(diff_id) = layer.diff_id {
                let known = self.by_diff_id.entry(diff_id).or_default();
                known.extend(Some(&layer.key).filter(|key| !known.contains(key)).cloned());
            }
            self.chains.extend(chain);
        }
        if image.layers.iter().any(|layer| layer.diff_id.is_none() && layer.lost.is_none()) {
            self.unrecorded.push(image);
        }
    }

    /// Computes the digests that nobody recorded.
    fn hash(&mut self, options: &Options<'_>) -> Result<(), Error> {
        let mut known: HashMap<LayerKey, DiffId> = HashMap::new();
        for mut image in std::mem::take(&mut self.unrecorded) {
            for layer in &mut image.layers {
                if options.observer.cancelled() {
                    return Err(layerlift_archive::Error::Cancelled.into());
                }
                let Ok(tar) = self.store.layer(&layer.key) else { continue };
                let found = match known.get(&layer.key) {
                    Some(found) => *found,
                    None => match tar.write_to(&mut io::sink()) {
                        Ok(written) => written.diff_id,
                        Err(_) => continue,
                    },
                };
                known.insert(layer.key.clone(), found);
                layer.diff_id = Some(found);
            }
            self.add(image);
        }
        Ok(())
    }

    /// What the store has of a layer that an image has at the top of a stack.
    fn presence(&self, required: &Requirement, chain: Option<ChainId>) -> Presence {
        let keys = required.diff_id.and_then(|diff_id| self.by_diff_id.get(&diff_id));
        let has_stack = chain.is_some_and(|chain| self.chains.contains(&chain));
        let by_id = || required.id.as_ref().is_some_and(|id| self.v1_ids.contains(id.as_str()));
        match (self.store.kind(), keys) {
            // Docker up to 1.9 knows nothing else of a layer of docker-v1.
            (StoreKind::DockerGraph, _) if required.id.is_some() => match by_id() {
                true => Presence::Here,
                false => Presence::Missing,
            },
            (StoreKind::Containerd, Some(keys)) if keys.iter().any(|key| self.is_blob(key, required)) => {
                Presence::Here
            }
            (StoreKind::Containerd, Some(_)) if has_stack => Presence::OtherBlob,
            (StoreKind::Docker, Some(_)) if has_stack => Presence::Here,
            (StoreKind::Containerd | StoreKind::Docker, Some(_)) => Presence::OtherStack,
            // Podman 5.8 looks for a compressed blob by its own digest alone.
            (StoreKind::ContainersStorage, Some(_)) if !self.knows_blob(required) => Presence::OtherPacking,
            (_, Some(_)) => Presence::Here,
            (_, None) if by_id() => Presence::Here,
            (_, None) => Presence::Missing,
        }
    }

    /// Whether containers-storage finds a layer by its blob.
    fn knows_blob(&self, required: &Requirement) -> bool {
        required.digest.is_none_or(|blob| {
            required.diff_id.is_some_and(|diff_id| diff_id.0 == blob) || self.blobs.contains(&blob)
        })
    }

    /// Whether a layer of containerd is there as just this blob.
    fn is_blob(&self, key: &LayerKey, required: &Requirement) -> bool {
        match self.store.layer(key) {
            Ok(LayerTar::Blob(blob)) => blob.notice.is_none() && blob.digest() == required.digest,
            _ => false,
        }
    }
}
