//! What is in reach of a repair: the other layers of the store, and those of other stores and archives.

use std::collections::HashSet;

use layerlift_store::{DiffId, ImageKey, LayerKey, LayerTar, Root, Store, StoreKind};

/// The layers of some stores.
pub(super) struct Reach<'s> {
    layers: Vec<InReach<'s>>,
}

/// A layer that may help.
pub(super) struct InReach<'s> {
    store: &'s dyn Store,
    key: LayerKey,
    diff_id: Option<DiffId>,
    /// What messages call it.
    pub(super) name: String,
}

impl<'s> Reach<'s> {
    /// All layers of the images that these stores can read; `stores` are called by these names.
    pub(super) fn new(stores: impl IntoIterator<Item = (&'s dyn Store, String)>) -> Self {
        let mut layers = Vec::new();
        for (store, of) in stores {
            let mut seen = HashSet::new();
            for key in images(store) {
                let Ok(image) = store.image(&key) else { continue };
                for layer in image.layers {
                    if layer.lost.is_none() && seen.insert(layer.key.clone()) {
                        let partition = match (layer.key.partition(), store.kind()) {
                            ("", _) => String::new(),
                            (namespace, StoreKind::Containerd) => format!(" of namespace {namespace}"),
                            (driver, _) => format!(" of driver {driver}"),
                        };
                        let name = format!("layer {}{partition}{of}", store.layer_name(&layer.key));
                        layers.push(InReach { store, key: layer.key, diff_id: layer.diff_id, name });
                    }
                }
            }
        }
        Reach { layers }
    }

    /// Other layers that have the same digest. Without one, those of the same v1 id.
    pub(super) fn same<'r>(
        &'r self,
        key: &LayerKey,
        diff_id: Option<DiffId>,
    ) -> impl Iterator<Item = &'r InReach<'s>> {
        self.layers.iter().filter(move |layer| {
            layer.key != *key
                && match diff_id {
                    Some(_) => layer.diff_id == diff_id,
                    None => layer.diff_id.is_none() && layer.key.id() == key.id(),
                }
        })
    }

    /// All layers but this one.
    pub(super) fn others<'r>(&'r self, key: &LayerKey) -> impl Iterator<Item = &'r InReach<'s>> {
        self.layers.iter().filter(move |layer| layer.key != *key)
    }
}

impl InReach<'_> {
    /// Where its tar comes from; `None` if it cannot be opened.
    pub(super) fn open(&self) -> Option<LayerTar> {
        self.store.layer(&self.key).ok()
    }

    /// Its directory, if it has one.
    pub(super) fn tree(&self) -> Option<Root> {
        match self.open()? {
            LayerTar::Split(layer) => Some(layer.tree().clone()),
            LayerTar::Diff(layer) => Some(layer.dir),
            LayerTar::Blob(_) => None,
        }
    }
}

/// Every image of a store.
fn images(store: &dyn Store) -> Vec<ImageKey> {
    let Ok(listing) = store.images() else { return Vec::new() };
    let members = listing.indexes.iter().flat_map(|index| &index.index.members);
    let members = members.filter_map(|member| member.image.clone());
    listing.images.iter().map(|image| image.key.clone()).chain(members).collect()
}
