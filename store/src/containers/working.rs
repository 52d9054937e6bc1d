//! The containers of containers-storage: those of Podman and CRI-O, and the working containers of Buildah.
//!
//! ```text
//! <driver>-containers/containers.json            [{"id":"f3c1…","names":["web"],"image":"afe1…",
//!                                                  "layer":"a721…","metadata":"{…}","created":"…"}, …]
//! <driver>-containers/volatile-containers.json   the same for those that need not survive a crash
//! <driver>/…/<layer>/…                           the writable layer, see `driver`
//! ```
//!
//! How Podman's were run is in a database of its own, see `libpod`. A folder beside these files has what the
//! runtime was given, see `runtime`; a container without a record is found by it, see `unrecorded`.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::chain::{Chain, Flaw};
use super::container_lists::{FILES, Lists, Record, file, note_unrecorded, read};
use super::gaps::Gaps;
use super::images::Images;
use super::libpod::{self, Known, Libpod};
use super::records::LayerId;
use super::runtime::{self, Folder};
use super::{claims, layers, unrecorded};
use crate::diff::owners::{IdMaps, Owners};
use crate::diff::{Form, written};
use crate::driver::{self, Holds};
use crate::{
    Container, ContainerKey, ContainerListing, ContainerRecord, ContainerState, ContainerStatus, DiffLayer,
    Error, Keyring, Layer, LayerDir, Notice, Root, RootFs, json,
};

/// What engines write into `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    image_name: Option<String>,
    /// Only CRI-O's have one.
    pod_id: Option<String>,
}

/// Lists the containers of all drivers. The first place of a driver is the one with containers.
pub(super) fn list(keys: &Keyring, drivers: &[Images]) -> Result<ContainerListing, Error> {
    let mut listing = ContainerListing::default();
    let Some(root) = drivers.first().and_then(|images| images.places.first()) else { return Ok(listing) };
    let mut libpod = Libpod::read(root);
    listing.lost.append(&mut libpod.lost);
    listing.notices.append(&mut libpod.notices);
    let mut seen = BTreeSet::new();
    let mut gaps = Gaps::default();
    for images in drivers {
        let Lists { mut records, whole } = read(images, &mut listing)?;
        records.iter_mut().for_each(|record| unrecorded::complete(record, images, &libpod));
        claims::settle(&mut records, images, None);
        listing.lost.extend(records.iter().filter_map(|record| Some(record.doubt.as_ref()?.error())));
        let found = unrecorded::find(images, &libpod, &records, whole);
        note_unrecorded(root, images, &found, whole, &mut listing);
        let mut flaws = (Vec::new(), Vec::new());
        for record in records.into_iter().chain(found) {
            if !seen.insert(record.id.clone()) {
                let why = "its id is there twice; the first record counts";
                let path = root.join(file(&images.driver, FILES[0]));
                listing.broken.push((record.id, Error::malformed(path, why)));
                continue;
            }
            match record.flaw(images) {
                Some(Flaw::Lost) => flaws.0.push(record.name().to_owned()),
                Some(Flaw::Other) => flaws.1.push(record.name().to_owned()),
                None => {}
            }
            let image_present = record.image.as_ref().is_some_and(|id| images.images.contains_key(id));
            let key = keys.container(&images.driver, &record.id);
            if let Some(documents) = libpod.containers.remove(&record.id) {
                let (names, image_id) = (record.names.clone(), record.image.clone());
                let known = Known { key: key.clone(), names, image_id, image_present };
                match libpod::container(known, documents, &libpod, root, &mut listing) {
                    Ok(container) => {
                        listing.containers.push(container);
                        continue;
                    }
                    Err(error) => listing.lost.push(error),
                }
            }
            let folder = runtime::read(root, &images.driver, &record.id);
            let container = record.describe(folder, (key, image_present), &libpod, (root, &mut gaps));
            listing.containers.push(container);
        }
        listing.lost.extend(images.flawed_chains(&flaws.0, &flaws.1));
    }
    // What only the database has: containers whose root file system is a folder of the host, and those whose
    // layer is lost, too.
    if let Some(images) = drivers.first() {
        for (id, documents) in std::mem::take(&mut libpod.containers) {
            let key = keys.container(&images.driver, &id);
            let known = Known { key, names: Vec::new(), image_id: None, image_present: false };
            match libpod::container(known, documents, &libpod, root, &mut listing) {
                Ok(container) => listing.containers.push(container),
                Err(error) => listing.broken.push((id, error)),
            }
        }
    }
    listing.lost.append(&mut gaps.lost);
    listing.lost.extend(gaps.error(root, &libpod));
    listing.sort();
    Ok(listing)
}

impl Record {
    /// What is wrong with the records of its layer.
    fn flaw(&self, images: &Images) -> Option<Flaw> {
        let chain = images.below(self.layer.as_deref()?, self.image.as_deref(), "");
        chain.map_or(Some(Flaw::Lost), |chain| chain.flaw)
    }

    /// A container that Podman's database does not have.
    fn describe(
        self,
        folder: Folder,
        (key, image_present): (ContainerKey, bool),
        libpod: &Libpod,
        (root, gaps): (&Root, &mut Gaps),
    ) -> Container {
        let metadata = self.metadata.unwrap_or_default();
        let noted: Metadata = json::object(metadata.as_bytes()).unwrap_or_default();
        let Folder { runtime, builder, known, mut lost } = folder;
        gaps.lost.append(&mut lost);
        // `podman commit` leaves Buildah's record of the container that it reads.
        let of_buildah =
            metadata.is_empty() && runtime.is_none() && (builder.is_some() || self.raw.is_some());
        let of_podman = !of_buildah && noted.pod_id.is_none();
        if of_podman {
            let name = self.names.first().unwrap_or(&self.id).clone();
            if runtime.is_some() { &mut gaps.started } else { &mut gaps.bare }.push(name);
        }
        let lacks = of_podman.then(|| root.join(libpod.database().0));
        // What Buildah notes of it is not how it was run.
        let builder = builder.filter(|_| of_buildah);
        let status = if of_buildah { ContainerStatus::External } else { ContainerStatus::Unknown };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let record = ContainerRecord::Storage { record: self.raw, runtime, builder, lacks };
        let container = Container::new(key, record);
        Container {
            names: self.names,
            image: given(noted.image_name).or(known.image),
            image_id: given(self.image),
            image_present,
            command: known.command,
            created: given(self.created),
            mounts: known.mounts,
            state: ContainerState { status, ..container.state },
            ..container
        }
    }
}

/// The layers that containers of a driver write to, as far as that is known.
pub(super) fn layers_of_all(images: &Images) -> Result<BTreeSet<String>, Error> {
    let Some(root) = images.places.first() else { return Ok(BTreeSet::new()) };
    let Lists { mut records, whole } = read(images, &mut ContainerListing::default())?;
    let libpod = Libpod::read(root);
    records.iter_mut().for_each(|record| unrecorded::complete(record, images, &libpod));
    claims::settle(&mut records, images, None);
    let found = unrecorded::find(images, &libpod, &records, whole);
    Ok(records.into_iter().chain(found).filter_map(|record| record.layer).collect())
}

/// Bytes of the files in the writable layer of a container.
pub(super) fn written(images: &Images, key: &ContainerKey) -> Result<Option<u64>, Error> {
    match writable(images, key)? {
        Some(writable) => written::of(&writable.dir, &writable.layer_dir(images)?).map(Some),
        None => Ok(None),
    }
}

/// What a container wrote.
pub(super) fn layer(images: &Images, container: &Container) -> Result<Option<DiffLayer>, Error> {
    let Some(writable) = writable(images, &container.key)? else { return Ok(None) };
    let holds = writable.layer_dir(images)?;
    let layer = DiffLayer::new(writable.dir, holds, container.last_known_secs())
        .owned(Owners::InContainer(writable.owners));
    Ok(Some(layer.in_form(Form::ContainersStorage)))
}

/// The layers below, base first. A layer without a record has no digest.
pub(super) fn below(keys: &Keyring, images: &Images, key: &ContainerKey) -> Result<Vec<Layer>, Error> {
    let Some(Writable { chain, .. }) = writable(images, key)? else { return Ok(Vec::new()) };
    let of = format!("container {}", key.id());
    let layer = |id: &LayerId| {
        let record = images.layer(*id, &of)?;
        Ok(Layer::new(keys.layer(&images.driver, id.to_string()), record.diff_id()))
    };
    chain?.below.iter().rev().map(layer).collect()
}

/// The directories of a container's root file system.
pub(super) fn root_fs(images: &Images, key: &ContainerKey) -> Result<Option<RootFs>, Error> {
    let Some(Writable { dir, holds, chain, owners, notices }) = writable(images, key)? else {
        return Ok(None);
    };
    if holds == Holds::Full {
        return Ok(Some(RootFs::whole(dir, Form::ContainersStorage).noticed(notices)));
    }
    let below = chain?.below.into_iter().map(|id| layers::unpacked(images, id));
    let stack = std::iter::once(Ok(dir)).chain(below).collect::<Result<_, _>>()?;
    let root_fs = RootFs::stacked(stack, &images.driver, Form::ContainersStorage);
    Ok(Some(root_fs.owned(Owners::OnHost(owners)).noticed(notices)))
}

/// What a container writes to.
struct Writable {
    dir: Root,
    holds: Holds,
    /// What is below; the error says why that is not known.
    chain: Result<Chain, Error>,
    /// Its ids.
    owners: IdMaps,
    /// What is wrong with the record of the container's layer.
    notices: Vec<Notice>,
}

impl Writable {
    /// What the directory holds.
    fn layer_dir(&self, images: &Images) -> Result<LayerDir, Error> {
        if self.holds == Holds::Upper {
            return Ok(LayerDir::Upper);
        }
        let parent = self.chain.as_ref().map_err(Clone::clone)?.below.first();
        let parent = parent.map(|id| layers::unpacked(images, *id)).transpose()?;
        Ok(LayerDir::Full { parent })
    }
}

/// Whether a store belongs to root as this process sees it. Ids in the records of a rootless store are those
/// of its owner's namespace, where it does (`podman unshare`); outside, the disk has others.
fn is_seen_as_roots(root: &Root) -> bool {
    root.stat().is_ok_and(|stat| stat.st_uid == 0)
}

/// The directory that a container writes to. `None` if it has none, like one of Podman whose root file system
/// is a folder of the host.
fn writable(images: &Images, key: &ContainerKey) -> Result<Option<Writable>, Error> {
    let of = format!("container {}", key.id());
    let mut listing = ContainerListing::default();
    let Lists { mut records, whole } = read(images, &mut listing)?;
    let listed = records.iter().position(|record| record.id == key.id());
    let complete = |record: &Record| record.layer.is_some() && record.image.is_some();
    let libpod = match (listed, images.places.first()) {
        (Some(at), _) if complete(&records[at]) => Libpod::default(),
        (_, Some(root)) => Libpod::read(root),
        (_, None) => Libpod::default(),
    };
    let record = match listed {
        Some(at) => {
            unrecorded::complete(&mut records[at], images, &libpod);
            claims::settle(&mut records, images, Some(key.id()));
            records.into_iter().nth(at)
        }
        None => {
            let found = unrecorded::find(images, &libpod, &records, whole);
            found.into_iter().find(|record| record.id == key.id())
        }
    };
    let Some(record) = record else { return Ok(None) };
    if let Some(doubt) = record.doubt.as_ref().filter(|doubt| !doubt.settled) {
        return Err(doubt.error());
    }
    let mut notices: Vec<Notice> = record.doubt.iter().map(|doubt| doubt.notice.clone()).collect();
    let mut owners = record.owners;
    if let Some(root) = images.places.first().filter(|root| !is_seen_as_roots(root)) {
        owners = IdMaps::default();
        let what = "it is an ordinary user's store: files have the owners that they have on the disk; podman \
                    unshare layerlift … gives that user the owners that the container saw";
        notices.push(Notice::new(root.path(), what));
    }
    let Some(layer) = record.layer.filter(|layer| !layer.is_empty()) else {
        let file = file(&images.driver, FILES[0]);
        let root = images.places.first();
        let path = root.map(|root| root.join(&file)).unwrap_or_default();
        let why = format!("nothing else says which layer is that of container {}", key.id());
        return Err(match root.is_some_and(|root| root.exists(&file).unwrap_or(true)) {
            true => Error::malformed(path, format!("it has no usable record, and {why}")),
            false => Error::NotThere { path, why },
        });
    };
    let driver = driver::find_containers(&images.driver)?;
    let mut missing = None;
    let mut dir = None;
    for place in &images.places {
        match driver.open(place, &layer, &of) {
            Err(error @ Error::Missing { .. }) => drop(missing.get_or_insert(error)),
            opened => {
                dir = Some(opened?);
                break;
            }
        }
    }
    let dir = dir.ok_or_else(|| missing.unwrap_or_else(|| Error::not_found(&of)))?;
    let chain = images.below(&layer, record.image.as_deref(), &of);
    Ok(Some(Writable { dir, holds: driver.holds, chain, owners, notices }))
}
