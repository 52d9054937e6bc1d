//! The containers of containers-storage: those of Podman and CRI-O, and the working containers of Buildah.
//!
//! ```text
//! <driver>-containers/containers.json            [{"id":"f3c1…","names":["web"],"image":"afe1…",
//!                                                  "layer":"a721…","metadata":"{…}","created":"…"}, …]
//! <driver>-containers/volatile-containers.json   the same for those that need not survive a crash
//! <driver>/…/<layer>/…                           the writable layer, see `driver`
//! ```
//!
//! How Podman's were run is in a database of its own, see `libpod`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::images::Images;
use super::layers;
use super::libpod::{self, Known, Libpod};
use super::records::{self, LayerId};
use crate::diff::{Form, written};
use crate::driver::{self, Holds};
use crate::{
    Container, ContainerKey, ContainerListing, ContainerRecord, ContainerState, ContainerStatus, DiffLayer,
    Error, Keyring, Layer, LayerDir, Root, RootFs, json,
};

/// A record of containers-storage.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    layer: Option<String>,
    metadata: Option<String>,
    created: Option<String>,
}

/// What engines write into `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    image_name: Option<String>,
}

/// Lists the containers of all drivers. The first place of a driver is the one with containers.
pub(super) fn list(keys: &Keyring, drivers: &[Images]) -> Result<ContainerListing, Error> {
    let mut listing = ContainerListing::default();
    let Some(root) = drivers.first().and_then(|images| images.places.first()) else { return Ok(listing) };
    let mut libpod = Libpod::read(root);
    if let Some(libpod) = &mut libpod {
        listing.lost.append(&mut libpod.lost);
        listing.notices.append(&mut libpod.notices);
    }
    let mut seen = BTreeSet::new();
    for images in drivers {
        for (record, raw) in read(images, &mut listing)? {
            if !crate::hex_id(&record.id) || !seen.insert(record.id.clone()) {
                let why = "its id is not 64 hex digits, or is there twice";
                let path = root.join(file(&images.driver, FILES[0]));
                listing.broken.push((record.id, Error::malformed(path, why)));
                continue;
            }
            let image = record.image.as_deref().unwrap_or_default();
            let image_present = images.images.contains_key(image);
            let documents = libpod.as_mut().and_then(|libpod| libpod.containers.remove(&record.id));
            let key = keys.container(&images.driver, &record.id);
            match (documents, &libpod) {
                (Some(documents), Some(libpod)) => {
                    let names = record.names.unwrap_or_default();
                    let known = Known { key, names, image_present };
                    libpod::list(known, documents, libpod, root, &mut listing);
                }
                _ => {
                    let container = Container { image_present, ..Container::new(key, raw) };
                    listing.containers.push(record.describe(container));
                }
            }
        }
    }
    // What the database has and containers-storage has not: containers whose root file system is a folder of
    // the host, and those whose record is lost.
    if let (Some(mut libpod), Some(images)) = (libpod, drivers.first()) {
        for (id, documents) in std::mem::take(&mut libpod.containers) {
            let known =
                Known { key: keys.container(&images.driver, &id), names: Vec::new(), image_present: false };
            libpod::list(known, documents, &libpod, root, &mut listing);
        }
    }
    listing.sort();
    Ok(listing)
}

const FILES: [&str; 2] = ["containers.json", "volatile-containers.json"];

fn file(driver: &str, name: &str) -> String {
    format!("{driver}-containers/{name}")
}

/// The records of a driver. What cannot be read is noted in the listing.
fn read(images: &Images, listing: &mut ContainerListing) -> Result<Vec<(Record, ContainerRecord)>, Error> {
    let mut found = Vec::new();
    let Some(root) = images.places.first() else { return Ok(found) };
    for name in FILES {
        let file = file(&images.driver, name);
        if !root.exists(&file)? {
            continue;
        }
        let path = root.join(&file);
        let records = records::read::<Box<RawValue>>(root, &file)?;
        match records.lost {
            Some(Error::Malformed { why, .. }) if why == records::EMPTY => {}
            Some(error) => listing.lost.push(error.within("the list of containers")),
            None => {}
        }
        for raw in records.good {
            let raw = raw.get().as_bytes().to_vec();
            match json::object::<Record>(&raw) {
                Ok(record) => found.push((record, ContainerRecord::Storage { record: raw })),
                Err(why) => listing.broken.push((name.to_owned(), Error::malformed(&path, why))),
            }
        }
        let flawed = records.flawed.into_iter();
        listing.broken.extend(flawed.map(|flawed| (flawed.what, Error::malformed(&path, flawed.why))));
    }
    Ok(found)
}

impl Record {
    /// A container of which only this record is known.
    fn describe(self, container: Container) -> Container {
        let metadata = self.metadata.unwrap_or_default();
        let podman: Metadata = json::object(metadata.as_bytes()).unwrap_or_default();
        // Buildah leaves it empty; Podman and CRI-O name the image.
        let status = if metadata.is_empty() { ContainerStatus::External } else { ContainerStatus::Unknown };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Container {
            names: self.names.unwrap_or_default(),
            image: given(podman.image_name),
            image_id: given(self.image),
            created: given(self.created),
            state: ContainerState { status, ..container.state },
            ..container
        }
    }
}

/// Bytes of the files in the writable layer of a container.
pub(super) fn written(images: &Images, key: &ContainerKey) -> Result<Option<u64>, Error> {
    match writable(images, key)? {
        Some((dir, holds, _)) => written::of(&dir, &holds).map(Some),
        None => Ok(None),
    }
}

/// What a container wrote.
pub(super) fn layer(images: &Images, container: &Container) -> Result<Option<DiffLayer>, Error> {
    let found = writable(images, &container.key)?;
    let layer = |(dir, holds, _)| {
        DiffLayer::new(dir, holds, container.last_known_secs()).in_form(Form::ContainersStorage)
    };
    Ok(found.map(layer))
}

/// The layers below, as the records of layers have them.
pub(super) fn below(keys: &Keyring, images: &Images, key: &ContainerKey) -> Result<Vec<Layer>, Error> {
    let mut next = writable(images, key)?.and_then(|(_, _, parent)| parent);
    let mut layers = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(id) = next {
        let record = images.layer(id, &format!("container {}", key.id()))?;
        if !seen.insert(id) {
            return Err(images.malformed_layer(id, "its parents form a circle"));
        }
        layers.push(Layer::new(keys.layer(&images.driver, id.to_string()), record.diff_id()));
        next = record.parent;
    }
    layers.reverse();
    Ok(layers)
}

/// The directories of a container's root file system.
pub(super) fn root_fs(images: &Images, key: &ContainerKey) -> Result<Option<RootFs>, Error> {
    let Some((dir, holds, mut next)) = writable(images, key)? else { return Ok(None) };
    if matches!(holds, LayerDir::Full { .. }) {
        return Ok(Some(RootFs::whole(dir, Form::ContainersStorage)));
    }
    let mut stack = vec![dir];
    let mut seen = BTreeSet::new();
    while let Some(id) = next {
        let record = images.layer(id, &format!("container {}", key.id()))?;
        if !seen.insert(id) {
            return Err(images.malformed_layer(id, "its parents form a circle"));
        }
        stack.push(layers::unpacked(images, id)?);
        next = record.parent;
    }
    Ok(Some(RootFs::stacked(stack, &images.driver, Form::ContainersStorage)))
}

/// The directory that a container writes to, what it holds, and the layer below it.
fn writable(images: &Images, key: &ContainerKey) -> Result<Option<(Root, LayerDir, Option<LayerId>)>, Error> {
    let of = format!("container {}", key.id());
    let mut listing = ContainerListing::default();
    let mut records = read(images, &mut listing)?.into_iter();
    let Some((record, _)) = records.find(|(record, _)| record.id == key.id()) else {
        return Ok(None);
    };
    let Some(layer) = record.layer.filter(|layer| !layer.is_empty()) else { return Ok(None) };
    let driver = driver::find_containers(&images.driver)?;
    let place = |id: &str| -> Result<Root, Error> {
        let mut missing = None;
        for place in &images.places {
            match driver.open(place, id, &of) {
                Err(error @ Error::Missing { .. }) => drop(missing.get_or_insert(error)),
                opened => return opened,
            }
        }
        Err(missing.unwrap_or_else(|| Error::not_found(&of)))
    };
    let parent = LayerId::parse(&layer).and_then(|id| images.layers.get(&id));
    let parent = parent.and_then(|found| found.record.parent);
    let holds = match (driver.holds, parent) {
        (Holds::Upper, _) => LayerDir::Upper,
        (Holds::Full, None) => LayerDir::Full { parent: None },
        (Holds::Full, Some(parent)) => LayerDir::Full { parent: Some(place(&parent.to_string())?) },
    };
    Ok(Some((place(&layer)?, holds, parent)))
}
