//! What a store has of the layers that a partial archive requires, as its engine looks for them.
//!
//! An engine goes by its records and does not look at the files, so a record without files makes it say that
//! it has loaded an image which it cannot run.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use layerlift_archive::{Digest, Options};
use layerlift_store::{
    ChainId, DiffId, Document, ErrorKind, Image, ImageKey, Layer, LayerKey, LayerTar, Listing, Requirement,
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
    /// It, or a layer below it, is on record, but its files are not there: the engine says that it has the
    /// layer, and cannot run the image.
    RecordOnly,
    /// The same layer on top of others, where the engine does not look for it.
    OtherStack,
    /// The same layer, but as another blob, and the engine does not look for it by its tar.
    OtherPacking,
    /// The unpacked layer, but not the blob: the engine runs the image, and cannot save or push it.
    OtherBlob,
    /// All that is needed.
    Here,
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

pub(super) fn listed(listing: &Listing) -> impl Iterator<Item = ImageKey> {
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
pub(super) struct Inventory<'s> {
    pub(super) name: &'s str,
    store: &'s dyn Store,
    by_diff_id: BTreeMap<DiffId, Vec<LayerKey>>,
    v1_ids: HashMap<String, LayerKey>,
    chains: HashMap<ChainId, Vec<LayerKey>>,
    /// The blobs that manifests name, be they there or not.
    blobs: HashSet<Digest>,
    /// Images with layers whose digests nobody recorded.
    unrecorded: Vec<Image>,
    /// Whether records of layers lead to files, as far as that was asked.
    with_files: RefCell<HashMap<LayerKey, bool>>,
}

impl<'s> Inventory<'s> {
    /// What the images of a store have. Messages call it by this name.
    pub(super) fn of(name: &'s str, store: &'s dyn Store) -> Result<Self, Error> {
        let mut inventory = Inventory {
            name,
            store,
            by_diff_id: BTreeMap::new(),
            v1_ids: HashMap::new(),
            chains: HashMap::new(),
            blobs: HashSet::new(),
            unrecorded: Vec::new(),
            with_files: RefCell::default(),
        };
        for key in keys(store)? {
            // What cannot be read is not there.
            let Ok(image) = store.image(&key) else { continue };
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
                self.v1_ids.insert(layer.key.id().to_owned(), layer.key.clone());
            }
            if let Some(diff_id) = layer.diff_id {
                add(self.by_diff_id.entry(diff_id).or_default(), &layer.key);
            }
            if let Some(chain) = chain {
                add(self.chains.entry(chain).or_default(), &layer.key);
            }
        }
        if image.layers.iter().any(|layer| layer.diff_id.is_none() && layer.lost.is_none()) {
            self.unrecorded.push(image);
        }
    }

    /// Computes the digests that nobody recorded.
    pub(super) fn hash(&mut self, options: &Options<'_>) -> Result<(), Error> {
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

    /// What the store has of each layer of an image, base first. Those that nothing requires are looked at
    /// only as what others lie on.
    pub(super) fn presences(&self, image: &Image) -> Vec<Presence> {
        let mut below = true;
        let mut presence = |(layer, chain): (&Layer, Option<ChainId>)| {
            below &= self.used(layer, chain).is_none_or(|keys| self.have_files(keys));
            let Some(required) = layer.required() else { return Presence::Here };
            match self.presence(required, chain) {
                presence if presence > Presence::Missing && !below => Presence::RecordOnly,
                presence => presence,
            }
        };
        match image.layers.iter().any(|layer| layer.required().is_some()) {
            true => image.layers.iter().zip(chains(image)).map(&mut presence).collect(),
            false => vec![Presence::Here; image.layers.len()],
        }
    }

    /// What the engine takes for a layer because its records say that it has it, also if the archive has its
    /// bytes.
    fn used(&self, layer: &Layer, chain: Option<ChainId>) -> Option<&[LayerKey]> {
        match self.store.kind() {
            StoreKind::DockerGraph => self.v1_ids.get(layer.key.id()).map(std::slice::from_ref),
            StoreKind::Docker | StoreKind::ContainersStorage => self.chains.get(&chain?).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Whether the records of all of these lead to files. Those of drivers that keep none are believed.
    fn have_files(&self, keys: &[LayerKey]) -> bool {
        let is_there = |key: &LayerKey| match self.store.has_files(key) {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::Unsupported,
        };
        let mut known = self.with_files.borrow_mut();
        keys.iter().all(|key| *known.entry(key.clone()).or_insert_with(|| is_there(key)))
    }

    /// What the store has of a layer that an image has at the top of a stack, by its records.
    fn presence(&self, required: &Requirement, chain: Option<ChainId>) -> Presence {
        let keys = required.diff_id.and_then(|diff_id| self.by_diff_id.get(&diff_id));
        let has_stack = chain.is_some_and(|chain| self.chains.contains_key(&chain));
        let by_id = || required.id.as_ref().is_some_and(|id| self.v1_ids.contains_key(id.as_str()));
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
            // It copies the layer to another stack, from whichever it finds first.
            (StoreKind::ContainersStorage, Some(keys)) if !has_stack && !self.have_files(keys) => {
                Presence::RecordOnly
            }
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

fn add(keys: &mut Vec<LayerKey>, key: &LayerKey) {
    if !keys.contains(key) {
        keys.push(key.clone());
    }
}
