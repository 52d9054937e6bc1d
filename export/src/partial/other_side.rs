//! What the other side has.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use layerlift_archive::Digest;
use layerlift_store::{
    ChainId, DiffId, Document, Image, ImageKey, Layer, LayerKey, LayerTar, Platforms, Selected, Store,
};

use super::listed::{self, Stack};
use crate::Error;

/// What the other side has, and an export can therefore leave out.
#[derive(Clone, Default)]
pub struct OtherSide {
    layers: Vec<Held>,
    by_diff_id: HashMap<DiffId, usize>,
    by_blob: HashMap<Digest, usize>,
    /// Layers of the store that is exported.
    by_key: HashMap<LayerKey, usize>,
    /// Layers of archives that record only ids.
    by_v1_id: HashMap<String, usize>,
    /// The stacks of layers, from the base up.
    chains: HashSet<ChainId>,
    /// Layers of lists that do not say what they lie on.
    loose: HashSet<DiffId>,
    /// Layers of the store that is exported, without a recorded digest, or without a tar that has it.
    unrecorded: BTreeMap<LayerKey, LayerTar>,
}

/// A layer that the other side has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// The blobs that it has of the layer, where that is known.
    pub(crate) blobs: Vec<Digest>,
    /// The blobs that the store has of the layer, in the images that the other side has.
    pub(crate) stored_blobs: Vec<Digest>,
    /// Whether digests are missing that would say which layers it lies on.
    pub(crate) is_loose: bool,
    /// The images that have it.
    pub(crate) of: Vec<Arc<str>>,
}

/// What identifies a layer.
#[derive(Default, Clone, Copy)]
struct Identity<'a> {
    key: Option<&'a LayerKey>,
    v1_id: Option<&'a str>,
    diff_id: Option<DiffId>,
    blob: Option<Digest>,
}

impl OtherSide {
    /// It has what a name means in the store that will be exported: all its images, for whatever platform.
    pub fn add_selected(&mut self, store: &dyn Store, name: &str, found: &[Selected]) -> Result<(), Error> {
        for selected in found {
            let name = selected.reference.as_ref().map_or_else(|| name.to_owned(), ToString::to_string);
            for key in selected.choose_all(store, &Platforms::All)? {
                let image = store.image(&key)?;
                let name: Arc<str> = name.as_str().into();
                self.add_stack(&image, |other, layer| {
                    let identity =
                        Identity { key: Some(&layer.key), diff_id: layer.diff_id, ..Identity::default() };
                    let place = other.add(identity, Some(&name));
                    let tar = store.layer(&layer.key);
                    if let Ok(LayerTar::Blob(blob)) = &tar {
                        other.layers[place].stored_blobs.extend(blob.digest());
                    }
                    // A layer that cannot be opened has no bytes to compare.
                    match tar {
                        Ok(tar) if layer.diff_id.is_none() || matches!(tar, LayerTar::Diff(_)) => {
                            other.unrecorded.insert(layer.key.clone(), tar);
                        }
                        _ => {}
                    }
                    Ok((place, layer.diff_id))
                })?;
            }
        }
        Ok(())
    }

    /// It has all images of a store, an earlier archive in most cases. Layers without a recorded digest are
    /// read. An image that cannot be read is the error: nobody can have loaded it.
    pub fn add_store(&mut self, store: &dyn Store) -> Result<(), Error> {
        for (key, name) in images(store)? {
            let image = store.image(&key)?;
            let is_v1 = matches!(image.document, Document::V1(_));
            self.add_stack(&image, |other, layer| {
                let v1_id = is_v1.then(|| layer.key.id());
                if let Some(required) = &layer.left_out {
                    // Of a layer that is known by an id, only a list says so.
                    let diff_id = required.diff_id.filter(|_| !is_v1);
                    let blob = required.digest;
                    let place = other.add(Identity { key: None, v1_id, diff_id, blob }, Some(&name));
                    return Ok((place, diff_id));
                }
                let called = store.layer_name(&layer.key);
                let tar = layer.lost.clone().map_or_else(|| store.layer(&layer.key), Err);
                let tar = tar.map_err(|error| Error::from(error).of_layer(&called))?;
                let recorded = layer.diff_id.or(tar.diff_id());
                let diff_id = match recorded {
                    Some(recorded) => recorded,
                    None => {
                        let written = tar.write_to(&mut io::sink());
                        written.map_err(|error| Error::from(error).of_layer(&called))?.diff_id
                    }
                };
                let blob = match &tar {
                    LayerTar::Blob(blob) => blob.digest(),
                    LayerTar::Split(_) | LayerTar::Diff(_) => None,
                };
                let identity = Identity { key: None, v1_id, diff_id: Some(diff_id), blob };
                Ok((other.add(identity, Some(&name)), Some(diff_id)))
            })?;
        }
        Ok(())
    }

    /// It has the layers of a list: diff ids, one a line, or what `docker image inspect` or `podman image
    /// inspect` print. Digests of blobs count, too. The error says what is wrong with the list.
    pub fn add_list(&mut self, text: &[u8]) -> Result<(), String> {
        for Stack { name, diff_ids, is_stack } in listed::parse(text)? {
            let name: Option<Arc<str>> = name.map(Into::into);
            let mut chain = None;
            for digest in diff_ids {
                let (diff_id, blob) = (Some(DiffId(digest)), (!is_stack).then_some(digest));
                self.add(Identity { diff_id, blob, ..Identity::default() }, name.as_ref());
                if is_stack {
                    let next = ChainId::new(chain, DiffId(digest));
                    self.chains.insert(next);
                    chain = Some(next);
                } else {
                    self.loose.insert(DiffId(digest));
                }
            }
        }
        Ok(())
    }

    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layer with this key, id or digest, if it has it.
    pub(crate) fn find(
        &self,
        key: Option<&LayerKey>,
        v1_id: Option<&str>,
        diff_id: Option<DiffId>,
    ) -> Option<&Held> {
        self.place(Identity { key, v1_id, diff_id, blob: None }).map(|place| &self.layers[place])
    }

    /// The layer with this blob, if it has it.
    pub(crate) fn find_blob(&self, blob: Digest) -> Option<&Held> {
        self.by_blob.get(&blob).map(|&place| &self.layers[place])
    }

    /// Layers whose digests have to be computed: their ids, their tars, and what is known of them.
    pub(crate) fn unrecorded(&self) -> impl Iterator<Item = (&str, &LayerTar, &Held)> {
        self.unrecorded.iter().filter_map(|(key, tar)| {
            let place = self.by_key.get(key)?;
            Some((key.id(), tar, &self.layers[*place]))
        })
    }

    /// Whether it may have a layer on top of just these others.
    pub(crate) fn may_have_stack(&self, chain: ChainId, top: DiffId) -> bool {
        self.chains.contains(&chain) || self.loose.contains(&top)
    }

    /// Adds the layers of an image, and the stacks that they form. `add` says a layer's place and digest.
    fn add_stack(
        &mut self,
        image: &Image,
        mut add: impl FnMut(&mut Self, &Layer) -> Result<(usize, Option<DiffId>), Error>,
    ) -> Result<(), Error> {
        let mut chain = None;
        let mut is_known = true;
        for layer in &image.layers {
            let (place, diff_id) = add(self, layer)?;
            is_known &= diff_id.is_some();
            self.layers[place].is_loose |= !is_known;
            if let Some(diff_id) = diff_id.filter(|_| is_known) {
                let next = ChainId::new(chain, diff_id);
                self.chains.insert(next);
                chain = Some(next);
            }
        }
        Ok(())
    }

    fn place(&self, identity: Identity<'_>) -> Option<usize> {
        let Identity { key, v1_id, diff_id, .. } = identity;
        let by_key = || self.by_key.get(key?);
        let by_v1_id = || self.by_v1_id.get(v1_id?);
        let by_diff_id = || self.by_diff_id.get(&diff_id?);
        by_diff_id().or_else(by_key).or_else(by_v1_id).copied()
    }

    fn add(&mut self, identity: Identity<'_>, of: Option<&Arc<str>>) -> usize {
        let place = self.place(identity).unwrap_or_else(|| {
            self.layers.push(Held::default());
            self.layers.len() - 1
        });
        let held = &mut self.layers[place];
        held.of.extend(of.filter(|name| !held.of.contains(name)).cloned());
        if let Some(key) = identity.key {
            self.by_key.insert(key.clone(), place);
        }
        if let Some(id) = identity.v1_id {
            self.by_v1_id.insert(id.to_owned(), place);
        }
        if let Some(diff_id) = identity.diff_id {
            self.by_diff_id.insert(diff_id, place);
        }
        if let Some(blob) = identity.blob {
            self.by_blob.insert(blob, place);
            held.blobs.extend(Some(blob).filter(|blob| !held.blobs.contains(blob)));
        }
        place
    }
}

/// Every image of a store once, and what messages call it.
fn images(store: &dyn Store) -> Result<Vec<(ImageKey, Arc<str>)>, Error> {
    let listing = store.images()?;
    if let Some(broken) = listing.broken.into_iter().next() {
        let name = broken.references.first().map_or(broken.what, ToString::to_string);
        return Err(Error::from(broken.error).of_image(&name));
    }
    let mut all: BTreeMap<ImageKey, Arc<str>> = BTreeMap::new();
    let short = |key: &ImageKey| key.id().get(..12).unwrap_or(key.id()).to_owned();
    for image in &listing.images {
        let name = image.references.first().map_or_else(|| short(&image.key), ToString::to_string);
        all.insert(image.key.clone(), name.into());
    }
    for index in &listing.indexes {
        for key in index.index.members.iter().filter_map(|member| member.image.clone()) {
            let name = index.references.first().map_or_else(|| short(&key), ToString::to_string);
            all.entry(key).or_insert_with(|| name.into());
        }
    }
    Ok(all.into_iter().collect())
}

impl fmt::Debug for OtherSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtherSide({} layers)", self.layers.len())
    }
}
