//! Several archives as one source: what one of them leaves out, another one has.
//!
//! ```text
//! sources   their images are listed and found by their names
//! others    their layers are looked up, and nothing else
//! ```
//!
//! A layer that an archive leaves out is looked up by its blob, then by its diff id: first the same blob
//! again, in stores that do not name layers by blobs, then any other. In docker-v1 its id comes first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use layerlift_archive::Digest;

use crate::discover::Opened;
use crate::kind::StoreKind;
use crate::{
    Artifact, Broken, DiffId, Document, Error, Image, ImageKey, ImageSummary, Index, IndexSummary, IndexTree,
    Layer, LayerKey, LayerTar, Listing, Needs, Reference, Requirement, Selected, Store, Subject,
};

/// Where an archive has the blob of a layer.
const BLOBS: &str = "blobs/sha256/";

/// Several archives as one source. Other stores may have the layers that they leave out.
pub struct Joined {
    members: Vec<Opened>,
    /// Number of members that are sources; they come first.
    sources: usize,
    /// Which member made a key.
    keyrings: HashMap<u64, usize>,
    layers: Layers,
}

/// The layers that are there.
#[derive(Default)]
struct Layers {
    by_diff_id: HashMap<DiffId, Vec<LayerKey>>,
    by_v1_id: HashMap<String, LayerKey>,
    /// Those whose digest is not recorded.
    unrecorded: Vec<LayerKey>,
    /// One key for each blob, though several archives have it.
    blobs: HashMap<String, LayerKey>,
}

impl Joined {
    /// Reads what all of them have. No layer is read unless a store records no digests and a layer is still
    /// missing.
    pub fn new(sources: Vec<Opened>, others: Vec<Opened>) -> Result<Self, Error> {
        let count = sources.len();
        let members: Vec<Opened> = sources.into_iter().chain(others).collect();
        let mut joined =
            Joined { members, sources: count, keyrings: HashMap::new(), layers: Layers::default() };
        let mut required = Vec::new();
        for at in 0..joined.members.len() {
            for key in joined.keys(at)? {
                joined.keyrings.insert(key.keyring(), at);
                let Ok(image) = joined.members[at].store.image(&key) else { continue };
                let is_v1 = matches!(image.document, Document::V1(_));
                for layer in image.layers {
                    match layer.required() {
                        Some(lacking) if at < count => required.push(lacking.clone()),
                        Some(_) => {}
                        None if layer.lost.is_none() => joined.layers.add(&layer, is_v1),
                        None => {}
                    }
                }
            }
        }
        if required.iter().any(|required| joined.find(required).is_none()) {
            joined.hash_unrecorded()?;
        }
        Ok(joined)
    }

    /// The sources that leave something out, in their order.
    pub fn partial(&self) -> Result<Vec<&dyn Store>, Error> {
        let mut partial = Vec::new();
        for at in 0..self.sources {
            let store = &*self.members[at].store;
            let needs = |key: &ImageKey| {
                store
                    .image(key)
                    .is_ok_and(|image| image.layers.iter().any(|layer| layer.required().is_some()))
            };
            if self.keys(at)?.iter().any(needs) {
                partial.push(store);
            }
        }
        Ok(partial)
    }

    /// An image that cannot be read in its own archive, if all its layers are in the others.
    pub fn completed(&self, broken: &Broken) -> Option<Image> {
        let image = self.image(broken.key.as_ref()?).ok()?;
        image.first_lost().is_none().then_some(image)
    }

    /// Every image of a member.
    fn keys(&self, at: usize) -> Result<Vec<ImageKey>, Error> {
        let listing = self.members[at].store.images()?;
        let members = listing.indexes.iter().flat_map(|index| &index.index.members);
        let members = members.filter_map(|member| member.image.clone());
        let broken = listing.broken.iter().filter_map(|broken| broken.key.clone());
        let intermediate = listing.intermediate.iter().map(|image| image.key.clone());
        let listed = listing.images.iter().map(|image| image.key.clone());
        let mut seen = HashSet::new();
        let all = listed.chain(intermediate).chain(members).chain(broken);
        Ok(all.filter(|key| seen.insert(key.clone())).collect())
    }

    /// Computes the digests of layers of which none is recorded.
    fn hash_unrecorded(&mut self) -> Result<(), Error> {
        for key in std::mem::take(&mut self.layers.unrecorded) {
            let Ok(tar) = self.layer(&key) else { continue };
            if let Ok(written) = tar.write_to(&mut io::sink()) {
                self.layers.by_diff_id.entry(written.diff_id).or_default().push(key);
            }
        }
        Ok(())
    }

    /// A layer that an archive leaves out, if any of them has it: the same blob if possible.
    pub fn find(&self, required: &Requirement) -> Option<LayerKey> {
        let blob = required.digest.map(|digest| format!("{BLOBS}{}", digest.hex()));
        let by_digest = blob.and_then(|blob| self.layers.blobs.get(&blob));
        let same = required.diff_id.and_then(|diff_id| self.layers.by_diff_id.get(&diff_id));
        let same = same.map_or(&[][..], Vec::as_slice);
        let is_blob = |key: &&LayerKey| match self.layer(key) {
            Ok(LayerTar::Blob(blob)) => blob.digest().is_some() && blob.digest() == required.digest,
            Ok(LayerTar::Split(layer)) => LayerTar::Split(layer).diff_id().map(|id| id.0) == required.digest,
            _ => false,
        };
        let openable = |key: &&LayerKey| self.layer(key).is_ok();
        let by_id = || self.layers.by_v1_id.get(required.id.as_ref()?.as_str());
        // Where layers have ids, nothing but `requires.json` says what their digests are.
        if let Some(found) = by_id().filter(openable) {
            return Some(found.clone());
        }
        let by_diff_id = || same.iter().find(is_blob).or_else(|| same.iter().find(openable));
        by_digest.filter(openable).or_else(by_diff_id).cloned()
    }

    /// Who made a key.
    fn owner(&self, keyring: u64, id: &str) -> Result<&dyn Store, Error> {
        let at = self.keyrings.get(&keyring).ok_or_else(|| Error::not_found(id))?;
        Ok(&*self.members[*at].store)
    }

    fn sources(&self) -> &[Opened] {
        &self.members[..self.sources]
    }

    /// What is looked up in each source, put together: each image once, and a name for one image.
    fn merged(&self, name: &str, found: Vec<(PathBuf, Vec<Selected>)>) -> Result<Vec<Selected>, Error> {
        let mut merged: Vec<Selected> = Vec::new();
        let mut by_name: BTreeMap<Option<Reference>, (String, PathBuf)> = BTreeMap::new();
        for (path, selected) in found {
            for selected in selected {
                let id = match &selected.subject {
                    Subject::Image(key) => key.id().to_owned(),
                    Subject::Index(index) => index.digest.hex(),
                };
                match by_name.get(&selected.reference) {
                    Some((known, _)) if *known == id => {}
                    Some((known, first)) => {
                        let line = |id: &str, path: &PathBuf| format!("{id:.12}  in {}", path.display());
                        let candidates = vec![line(known, first), line(&id, &path)];
                        let name = name.to_owned();
                        return Err(Error::Ambiguous { name, candidates, drivers: false });
                    }
                    None => {
                        by_name.insert(selected.reference.clone(), (id, path.clone()));
                        merged.push(selected);
                    }
                }
            }
        }
        Ok(merged)
    }
}

impl Layers {
    fn add(&mut self, layer: &Layer, is_v1: bool) {
        let key = self.canonical(&layer.key);
        if is_v1 {
            self.by_v1_id.entry(key.id().to_owned()).or_insert_with(|| key.clone());
        }
        match layer.diff_id {
            Some(diff_id) => {
                let known = self.by_diff_id.entry(diff_id).or_default();
                if !known.contains(&key) {
                    known.push(key);
                }
            }
            None if self.unrecorded.contains(&key) => {}
            None => self.unrecorded.push(key),
        }
    }

    /// The key by which a blob is known, whichever archive it is asked of.
    fn canonical(&mut self, key: &LayerKey) -> LayerKey {
        match key.id().starts_with(BLOBS) {
            true => self.blobs.entry(key.id().to_owned()).or_insert_with(|| key.clone()).clone(),
            false => key.clone(),
        }
    }
}

impl Store for Joined {
    fn kind(&self) -> StoreKind {
        self.members[0].store.kind()
    }

    fn images(&self) -> Result<Listing, Error> {
        let mut all = Listing::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut indexes: HashSet<String> = HashSet::new();
        for Opened { store, .. } in self.sources() {
            let mut listing = store.images()?;
            let (mended, broken): (Vec<Broken>, Vec<Broken>) =
                listing.broken.into_iter().partition(|broken| self.completed(broken).is_some());
            listing.broken = broken;
            for Broken { references, key, .. } in mended {
                let Some(image) = key.and_then(|key| self.image(&key).ok()) else { continue };
                listing.images.push(ImageSummary::of(&image, references));
            }
            for mut image in std::mem::take(&mut listing.images) {
                if let Some(&place) = places.get(image.key.id()) {
                    let known: &mut Vec<Reference> = &mut all.images[place].references;
                    known.extend(
                        image.references.into_iter().filter(|name| !known.contains(name)).collect::<Vec<_>>(),
                    );
                    continue;
                }
                places.insert(image.key.id().to_owned(), all.images.len());
                if !image.needs.is_empty() {
                    image.needs = self.image(&image.key)?.needs();
                }
                all.images.push(image);
            }
            listing.indexes.retain(|IndexSummary { id, .. }| indexes.insert(id.clone()));
            all.indexes.append(&mut listing.indexes);
            all.broken.append(&mut listing.broken);
            all.lost.append(&mut listing.lost);
            all.notices.append(&mut listing.notices);
            let known: HashSet<Digest> = all.artifacts.iter().map(|artifact| artifact.digest).collect();
            all.artifacts.extend(listing.artifacts.into_iter().filter(|new| !known.contains(&new.digest)));
            all.order.append(&mut listing.order);
            all.roots.append(&mut listing.roots);
        }
        all.sort();
        Ok(all)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let mut found = Vec::new();
        let mut near = Vec::new();
        for Opened { root, store, .. } in self.sources() {
            match store.resolve(name) {
                Ok(selected) => found.push((root.clone(), selected)),
                Err(Error::NotFound { suggestions, .. }) => near.extend(suggestions),
                Err(error) => return Err(error),
            }
        }
        if found.is_empty() {
            near.sort();
            near.dedup();
            return Err(Error::NotFound { name: name.to_owned(), suggestions: near });
        }
        self.merged(name, found)
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        let mut image = self.owner(key.keyring(), key.id())?.image(key)?;
        for layer in &mut image.layers {
            match layer.required() {
                Some(required) => {
                    if let Some(found) = self.find(required) {
                        let wanted = Some(required.clone());
                        *layer = Layer { wanted, ..Layer::new(found, layer.diff_id) };
                    }
                }
                None => {
                    if let Some(known) =
                        self.layers.blobs.get(layer.key.id()).filter(|_| layer.lost.is_none())
                    {
                        layer.key = known.clone();
                    }
                }
            }
        }
        Ok(image)
    }

    fn tree(&self, index: &Index) -> Result<Option<IndexTree>, Error> {
        for Opened { store, .. } in self.sources() {
            if let Some(tree) = store.tree(index)? {
                return Ok(Some(tree));
            }
        }
        Ok(None)
    }

    fn referrers(&self, of: &[Digest]) -> Vec<Artifact> {
        let mut seen = HashSet::new();
        let all = self.sources().iter().flat_map(|opened| opened.store.referrers(of));
        all.filter(|artifact| seen.insert(artifact.digest)).collect()
    }

    fn annotations(&self, digest: Digest) -> BTreeMap<String, String> {
        let mut all = self.sources().iter().map(|opened| opened.store.annotations(digest));
        all.find(|annotations| !annotations.is_empty()).unwrap_or_default()
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.owner(key.keyring(), key.id())?.layer(key)
    }

    fn has_files(&self, key: &LayerKey) -> Result<(), Error> {
        self.owner(key.keyring(), key.id())?.has_files(key)
    }

    fn layer_name(&self, key: &LayerKey) -> String {
        match self.owner(key.keyring(), key.id()) {
            Ok(store) => store.layer_name(key),
            Err(_) => key.id().to_owned(),
        }
    }
}

/// What images of some sources still need.
impl Joined {
    /// Layers that none of the members has, over all images of the sources.
    pub fn needs(&self) -> Result<Vec<(String, Needs)>, Error> {
        let listing = self.images()?;
        let name = |image: &crate::ImageSummary| {
            image.references.first().map_or_else(|| image.key.id().to_owned(), ToString::to_string)
        };
        let needy = listing.images.iter().filter(|image| !image.needs.is_empty());
        Ok(needy.map(|image| (name(image), image.needs.clone())).collect())
    }
}
