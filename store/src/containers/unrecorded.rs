//! Containers whose record in `containers.json` is lost, or has lost some of its members.
//!
//! ```text
//! <driver>-containers/<id>/userdata/   the folder of each container, see `runtime`
//! <driver>-layers/layers.json          a container's layer is called "<its name>-layer"
//! libpod/bolt_state.db, db.sql         its name and its image, see `libpod`
//! ```
//!
//! The engine removes the record before the folder and the layer (containers/storage, `store.go`,
//! `DeleteContainer`), so a folder that no longer has a layer is what an interrupted removal leaves.

use std::collections::BTreeSet;

use super::container_lists::Record;
use super::images::Images;
use super::libpod::Libpod;
use super::records::LayerId;
use super::runtime;

/// The containers that the lists of a driver do not have. `whole` says that no list has lost anything: then
/// only what has a layer is a container.
pub(super) fn find(images: &Images, libpod: &Libpod, listed: &[Record], whole: bool) -> Vec<Record> {
    let Some(root) = images.places.first() else { return Vec::new() };
    let folders = root.try_list(format!("{}-containers", images.driver)).unwrap_or_default();
    let folders = folders.into_iter().filter_map(|name| name.into_string().ok());
    let folders: BTreeSet<String> = folders.filter(|name| crate::hex_id(name)).collect();
    let known: BTreeSet<&str> = listed.iter().map(|record| &*record.id).collect();
    let taken: BTreeSet<&str> = listed.iter().filter_map(|record| record.layer.as_deref()).collect();
    let ids: BTreeSet<&String> = folders.iter().chain(libpod.containers.keys()).collect();
    let mut found = Vec::new();
    for id in ids.into_iter().filter(|id| !known.contains(id.as_str())) {
        let mut record = Record::without(id.clone());
        complete(&mut record, images, libpod);
        let layer = record.layer.as_deref().filter(|layer| !taken.contains(layer));
        let has_layer = layer.is_some_and(|layer| has_directory(images, layer));
        if has_layer || !whole && folders.contains(id) {
            record.layer = layer.map(str::to_owned);
            found.push(record);
        }
    }
    found
}

/// Finds what a record lacks.
pub(super) fn complete(record: &mut Record, images: &Images, libpod: &Libpod) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if given(&record.layer) && given(&record.image) && !record.names.is_empty() {
        return;
    }
    let Some(root) = images.places.first() else { return };
    let known = runtime::read(root, &images.driver, &record.id).known;
    let documents = libpod.containers.get(&record.id).map(|documents| documents.brief());
    if record.names.is_empty() {
        let name = documents.as_ref().and_then(|brief| brief.name.clone());
        record.names.extend(name.or(known.name));
    }
    if !given(&record.layer) {
        let named = |name: &String| images.layer_named(&format!("{name}-layer"));
        let by_name = || record.names.iter().find_map(named).map(|id| id.to_string());
        record.layer = known.layer.or_else(by_name);
    }
    if let Some(layer) = record.layer.as_deref().and_then(LayerId::parse)
        && record.names.is_empty()
    {
        record.names.extend(images.container_of(layer));
    }
    if !given(&record.image) {
        let by_layer = || {
            let chain = images.below(record.layer.as_deref()?, None, "").ok()?;
            images.only_image_on(*chain.below.first()?)
        };
        let by_libpod = documents.and_then(|brief| brief.image_id);
        record.image = by_libpod.or(known.image_id).filter(|id| !id.is_empty()).or_else(by_layer);
    }
    if !given(&record.created) {
        record.created = known.created;
    }
}

pub(super) fn has_directory(images: &Images, layer: &str) -> bool {
    let Ok(driver) = crate::driver::find_containers(&images.driver) else { return false };
    images.places.iter().any(|place| driver.open(place, layer, "a container").is_ok())
}

impl Images {
    /// The layer with this name. Only those of containers have names.
    pub(super) fn layer_named(&self, name: &str) -> Option<LayerId> {
        let has = |names: &Vec<String>| names.iter().any(|known| known == name);
        let mut layers = self.layers.values().map(|found| &found.record);
        layers.find(|layer| layer.names.as_ref().is_some_and(has)).map(|layer| layer.id)
    }

    /// The name of the container that has this layer.
    fn container_of(&self, layer: LayerId) -> Option<String> {
        let names = self.layers.get(&layer)?.record.names.as_ref()?;
        names.iter().find_map(|name| name.strip_suffix("-layer")).map(str::to_owned)
    }

    /// The image whose top layer this is, if there is only one.
    fn only_image_on(&self, top: LayerId) -> Option<String> {
        let mut images = self.images.values().filter(|found| found.record.layer == Some(top));
        let first = images.next()?;
        images.next().is_none().then(|| first.record.id.clone())
    }

    /// Layers that are recorded, without those that only a container can have: they have no digest, and
    /// neither an image nor a layer is on top of them.
    pub(super) fn layers_of_images(&self) -> impl Iterator<Item = &LayerId> {
        let parents = self.layers.values().filter_map(|found| found.record.parent);
        let tops = self.images.values().filter_map(|found| found.record.layer);
        let below: BTreeSet<LayerId> = parents.chain(tops).collect();
        let of_image = move |(id, found): &(&LayerId, &super::images::Found<super::records::LayerRecord>)| {
            below.contains(*id) || found.record.diff_id().is_some()
        };
        self.layers.iter().filter(of_image).map(|(id, _)| id)
    }
}
