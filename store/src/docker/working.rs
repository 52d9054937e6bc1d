//! The containers whose layers a graph driver keeps.
//!
//! ```text
//! image/<driver>/layerdb/mounts/<container id>/
//!   mount-id    what the driver calls the writable layer
//!   init-id     the same for the layer below it, with mount points and /etc/hosts; "<mount-id>-init"
//!   parent      "sha256:<chain id>" of the image's top layer; absent for an image without layers
//! ```
//!
//! See `mounts` for what follows from the other files if one of them is damaged.

use super::containers::{self, Record};
use super::images::{ImageRoot, Images};
use super::layerdb::LayerDb;
use super::mounts::{self, Mounts};
use super::{imagedb, images, repositories};
use crate::diff::owners::Owners;
use crate::diff::{Form, written};
use crate::driver::{Driver, Holds, overlay};
use crate::model::config;
use crate::{
    ChainId, Container, ContainerKey, ContainerListing, ContainerRecord, DiffLayer, Error, Layer, LayerDir,
    Notice, Orphan, Root, RootFs,
};

/// Lists the containers of the opened drivers.
pub(super) fn list(images: &Images) -> Result<ContainerListing, Error> {
    let mut listing = ContainerListing::default();
    let mut with_layer = Vec::new();
    for driver in images::drivers(&images.data)? {
        let ids = images.data.try_list(format!("image/{driver}/layerdb/mounts")).unwrap_or_default();
        with_layer.extend(ids.into_iter().filter_map(|id| id.into_string().ok()));
    }
    let has_layer = |id: &str| is_mounted(&images.data, id).unwrap_or(false);
    for record in containers::read(&images.data, with_layer, has_layer)? {
        let Some(place) = place(images, &record)? else { continue };
        let (driver, place) = match place {
            Place::Of(place) => (place.driver.clone(), Some(place)),
            Place::Lost(driver) => (driver, None),
        };
        let key = images.keys.container(&driver, &record.id);
        let (image, damaged) = (record.image_digest(), record.damage.is_some());
        let has = |image: &layerlift_archive::Digest| {
            place.is_some_and(|place| imagedb::exists(&place.root, &image.hex()).unwrap_or(false))
        };
        let present = image.as_ref().is_some_and(has);
        record.list(key, present, &mut listing);
        if let (true, None, Some(place), Some(container)) =
            (damaged, image, place, listing.containers.last_mut())
            && let Some(id) = image_of_layers(images, place, &container.key)
        {
            let what = format!("it has the layers of image {id}, which may be that of the container");
            let path = images.data.join(format!("containers/{}", container.key.id()));
            listing.notices.push(Notice::new(path, what));
            (container.image_id, container.image_present) = (Some(id), true);
        }
    }
    listing.sort();
    Ok(listing)
}

/// Where the layers of a container are.
enum Place<'a> {
    Of(&'a ImageRoot),
    /// The records of this driver are lost.
    Lost(String),
}

/// `None` for a container of another store.
fn place<'a>(images: &'a Images, record: &Record) -> Result<Option<Place<'a>>, Error> {
    if record.is_of_containerd() {
        return Ok(None);
    }
    let driver = record.driver();
    if !driver.is_empty() {
        if let Some(place) = images.with_layers().find(|place| place.driver == driver) {
            return Ok(Some(Place::Of(place)));
        }
        // Those of a driver that was not asked for are not this store's.
        let elsewhere = images::drivers(&images.data)?.iter().any(|known| known == driver);
        let lost = || Place::Lost(driver.to_owned());
        return Ok((!elsewhere || images.roots.is_empty()).then(lost));
    }
    for place in images.with_layers() {
        if place.root.exists(format!("layerdb/mounts/{}", record.id))? {
            return Ok(Some(Place::Of(place)));
        }
    }
    // Nobody has a layer of it.
    if is_mounted(&images.data, &record.id)? || images.data.exists("containerd/daemon")? {
        return Ok(None);
    }
    Ok(Some(images.roots.first().map_or_else(|| Place::Lost(String::new()), Place::Of)))
}

/// The image of a container whose record does not name it: the only one that has its layers. The steps of a
/// build have them, too, but no name.
fn image_of_layers(images: &Images, place: &ImageRoot, key: &ContainerKey) -> Option<String> {
    let mounts = mounts::find(images, key).ok()?;
    let chain = mounts.parent().ok()??;
    let has_layers = |id: &String| {
        let config = imagedb::config(&place.root, id).map(|(_, config)| config.diff_ids);
        config.is_ok_and(|ids| config::chain(&ids).last().is_some_and(|(top, ..)| top == chain))
    };
    let all: Vec<String> = imagedb::ids(&place.root).ok()?.into_iter().filter(has_layers).collect();
    let names = repositories::read(images, place);
    let named = names.by_image();
    let mut of_name = all.iter().filter(|id| named.contains_key(id.as_str()));
    match (of_name.next(), of_name.next(), &*all) {
        (Some(only), None, _) | (None, None, [only]) => Some(only.clone()),
        _ => None,
    }
}

/// Whether any graph driver of a data root has a layer of the container.
pub(crate) fn is_mounted(data: &Root, id: &str) -> Result<bool, Error> {
    for driver in super::images::drivers(data)? {
        if data.exists(format!("image/{driver}/layerdb/mounts/{id}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes of the files in the writable layer of a container.
pub(super) fn written(images: &Images, key: &ContainerKey) -> Result<u64, Error> {
    let (dir, holds) = writable(images, &mounts::find(images, key)?)?;
    written::of(&dir, &holds)
}

/// What a container wrote.
pub(super) fn layer(images: &Images, container: &Container) -> Result<DiffLayer, Error> {
    let (dir, holds) = writable(images, &mounts::find(images, &container.key)?)?;
    let layer = DiffLayer::new(dir, holds, container.last_known_secs()).in_form(Form::Docker28);
    Ok(layer.owned(Owners::of_docker(images.data.path())))
}

/// The layers below, as the records of layers have them.
pub(super) fn below(images: &Images, key: &ContainerKey) -> Result<Vec<Layer>, Error> {
    let mounts = mounts::find(images, key)?;
    let root = images.root(key.partition(), key.id())?;
    let lost = match by_parent(images, key, &mounts) {
        Ok(found) => match mounted_instead(images, &mounts, root, &found) {
            Some((_, notice)) => Error::malformed(notice.path, notice.what),
            None => return Ok(found),
        },
        Err(error) => error,
    };
    // The driver has a record of its own.
    let Ok(Some((ids, _))) = mounts.below(images) else { return Err(lost) };
    let Some(top) = ids.first() else { return Ok(Vec::new()) };
    let top = LayerDb::open(root)?.by_cache_id()?.remove(top).ok_or(lost)?;
    let found = chain_of(images, key, root, top)?;
    match mounted_instead(images, &mounts, root, &found) {
        Some((_, notice)) => Err(Error::malformed(notice.path, notice.what)),
        None => Ok(found),
    }
}

/// The layers below by the file `parent`, the base first.
fn by_parent(images: &Images, key: &ContainerKey, mounts: &Mounts<'_>) -> Result<Vec<Layer>, Error> {
    match mounts.parent()? {
        Some(chain) => chain_of(images, key, images.root(key.partition(), key.id())?, chain),
        None if mounts.has_no_layers_below(images)? => Ok(Vec::new()),
        None => Err(mounts.no_parent()),
    }
}

/// What the driver mounted below the container, if that is not `layers` (the base first), and what to say of
/// it. A record of the driver that ends early was cut.
fn mounted_instead(
    images: &Images,
    mounts: &Mounts<'_>,
    root: &Root,
    layers: &[Layer],
) -> Option<(Vec<String>, Notice)> {
    let (ids, _) = mounts.below(images).ok()??;
    let records = LayerDb::open(root).ok();
    // One that is lost or cut says nothing.
    let id = |layer: &Layer| {
        let chain = layerlift_archive::Digest::from_hex(layer.key.id()).map(ChainId)?;
        let id = records.as_ref()?.cache_id(chain).ok()?;
        mounts.driver.has(&images.data, &id).is_ok_and(|has| has).then_some(id)
    };
    let recorded: Vec<Option<String>> = layers.iter().rev().map(id).collect();
    let same = recorded.iter().zip(&ids).all(|(one, other)| one.as_ref().is_none_or(|one| one == other));
    if same && ids.len() <= recorded.len() {
        return None;
    }
    let named = |ids: &[String]| match ids {
        [] => "none".to_owned(),
        ids => ids.join(", "),
    };
    let recorded: Vec<String> = recorded.into_iter().map(|id| id.unwrap_or_else(|| "?".to_owned())).collect();
    let name = mounts.driver.name;
    let what = format!(
        "it leads to other layers ({}) than {name} mounted below the container ({}), which are used",
        named(&recorded),
        named(&ids)
    );
    Some((ids, Notice::new(mounts.file("parent"), what)))
}

/// A layer without a record as a container, and the lowest of the layers below that records have.
pub(super) fn adopt(images: &Images, orphan: &Orphan) -> Result<(Container, Vec<Layer>), Error> {
    let key = images.keys.container(&orphan.driver, &orphan.id);
    let record = ContainerRecord::Docker { config: b"{}".to_vec(), host_config: None };
    let container = Container::of_orphan(key, record, orphan.modified_secs);
    let mut layers = Vec::new();
    let Some(place) = images.with_layers().find(|place| place.driver == orphan.driver) else {
        return Ok((container, layers));
    };
    let Ok(records) = LayerDb::open(&place.root) else { return Ok((container, layers)) };
    let (by_id, mut below) = (records.by_cache_id()?, None);
    for id in orphan.below.iter().rev().flatten() {
        let Some(&chain) = by_id.get(id) else { break };
        let Ok(record) = records.record(chain) else { break };
        if record.parent != below {
            break;
        }
        layers.push(Layer::new(images.keys.layer(&orphan.driver, chain.0.hex()), Some(record.diff_id)));
        below = Some(chain);
    }
    Ok((container, layers))
}

/// A layer and those below it, the base first.
fn chain_of(images: &Images, key: &ContainerKey, root: &Root, top: ChainId) -> Result<Vec<Layer>, Error> {
    let records = LayerDb::open(root)?;
    let mut layers = Vec::new();
    let mut chain = Some(top);
    // Each id is a digest of the one below, so that they cannot form a circle.
    while let Some(id) = chain {
        let record = records.record(id)?;
        layers.push(Layer::new(images.keys.layer(key.partition(), id.0.hex()), Some(record.diff_id)));
        chain = record.parent;
    }
    layers.reverse();
    Ok(layers)
}

/// The directories of a container's root file system.
pub(super) fn root_fs(
    images: &Images,
    key: &ContainerKey,
    layer: impl Fn(&Layer) -> Result<Root, Error>,
) -> Result<RootFs, Error> {
    Ok(directories(images, key, layer)?.owned(Owners::of_docker(images.data.path())))
}

fn directories(
    images: &Images,
    key: &ContainerKey,
    layer: impl Fn(&Layer) -> Result<Root, Error>,
) -> Result<RootFs, Error> {
    let mounts = mounts::find(images, key)?;
    let (dir, holds) = writable(images, &mounts)?;
    let driver = mounts.driver;
    let mut notices = mounts.notices.clone();
    if matches!(holds, LayerDir::Full { .. }) {
        return Ok(RootFs::whole(dir, Form::Docker28).noticed(notices));
    }
    let of = format!("container {}", key.id());
    let mut stack = vec![dir];
    if driver.holds == Holds::Full {
        if let Some((_, lower)) = overlay::upper(&images.data, &mounts.mount)? {
            stack.push(driver.open(&images.data, &lower, &of)?);
        }
        return Ok(RootFs::stacked(stack, driver.name, Form::Docker28).noticed(notices));
    }
    match driver.open(&images.data, &mounts.init, &of) {
        // Nothing of the image or of the container is in it.
        Err(error @ Error::Missing { .. }) => {
            let what = format!("{error}: mount points and empty files that Docker made are left out");
            notices.push(Notice::new(mounts.file("init-id"), what));
        }
        init => stack.push(init?),
    }
    let root = images.root(key.partition(), key.id())?;
    let by_records = || -> Result<_, Error> {
        let layers = by_parent(images, key, &mounts)?;
        match mounted_instead(images, &mounts, root, &layers) {
            Some((ids, notice)) => {
                let open = |id: &String| driver.open(&images.data, id, &of);
                Ok((ids.iter().map(open).collect::<Result<Vec<_>, _>>()?, Some(notice)))
            }
            None => Ok((layers.iter().rev().map(&layer).collect::<Result<_, _>>()?, None)),
        }
    };
    match by_records() {
        Ok((below, notice)) => {
            stack.extend(below);
            notices.extend(notice);
        }
        // The driver has a record of its own.
        Err(lost) => {
            let Ok(Some((ids, more))) = mounts.below(images) else { return Err(lost) };
            for id in &ids {
                stack.push(driver.open(&images.data, id, &of)?);
            }
            let what = format!("{lost}; the layers below are those that {} names", driver.name);
            notices.push(Notice::new(mounts.file("parent"), what));
            notices.extend(more);
        }
    }
    Ok(RootFs::stacked(stack, driver.name, Form::Docker28).noticed(notices))
}

/// The directory that a container writes to, and what it holds.
fn writable(images: &Images, mounts: &Mounts<'_>) -> Result<(Root, LayerDir), Error> {
    let driver = mounts.driver;
    let open = |id: &str| driver.open(&images.data, id, &mounts.of());
    match driver.holds {
        Holds::Upper => Ok((open(&mounts.mount)?, LayerDir::Upper)),
        Holds::Full => match overlay_upper(images, driver, &mounts.mount)? {
            Some(upper) => Ok((upper, LayerDir::Upper)),
            None => {
                let init = open(&mounts.init)?;
                Ok((open(&mounts.mount)?, LayerDir::Full { parent: Some(init) }))
            }
        },
    }
}

/// The writable layer of a container of the first overlay driver.
fn overlay_upper(images: &Images, driver: &Driver, mount: &str) -> Result<Option<Root>, Error> {
    if driver.name != "overlay" {
        return Ok(None);
    }
    Ok(overlay::upper(&images.data, mount)?.map(|(upper, _)| upper))
}
