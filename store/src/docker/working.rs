//! The containers whose layers a graph driver keeps.
//!
//! ```text
//! image/<driver>/layerdb/mounts/<container id>/
//!   mount-id    what the driver calls the writable layer
//!   init-id     the same for the layer below it, with mount points and /etc/hosts; "<mount-id>-init"
//!   parent      "sha256:<chain id>" of the image's top layer; absent for an image without layers
//! ```

use super::containers::{self, Found};
use super::imagedb;
use super::images::Images;
use super::layerdb::LayerDb;
use crate::diff::{Form, written};
use crate::driver::{self, Driver, Holds, overlay};
use crate::{
    ChainId, Container, ContainerKey, ContainerListing, DiffLayer, Error, Layer, LayerDir, Root, RootFs,
};

/// Bytes that an id may have, far more than any has.
const LIMIT: u64 = 1 << 12;

/// Lists the containers of the opened drivers.
pub(super) fn list(images: &Images) -> Result<ContainerListing, Error> {
    let mut listing = ContainerListing::default();
    for Found { id, record } in containers::read(&images.data)? {
        match record {
            Ok(record) if record.is_of_containerd() => {}
            Ok(record) => {
                let Some(place) = images.roots.iter().find(|place| place.driver == record.driver()) else {
                    // Those of a driver that was not asked for are not this store's.
                    if !super::images::drivers(&images.data)?.iter().any(|known| known == record.driver()) {
                        let why = format!("its driver {:?} has no images", record.driver());
                        let path = images.data.join(format!("containers/{id}/config.v2.json"));
                        listing.broken.push((id, Error::malformed(path, why)));
                    }
                    continue;
                };
                let image = record.image_digest();
                let present =
                    image.is_some_and(|image| imagedb::exists(&place.root, &image.hex()).unwrap_or(false));
                record.list(images.keys.container(&place.driver, &id), present, &mut listing);
            }
            Err(error) if is_mine(images, &id)? => listing.broken.push((id, error)),
            Err(_) => {}
        }
    }
    listing.sort();
    Ok(listing)
}

/// Whether a container that cannot be read is one of the opened drivers, or of nobody.
fn is_mine(images: &Images, id: &str) -> Result<bool, Error> {
    for place in &images.roots {
        if place.root.exists(format!("layerdb/mounts/{id}"))? {
            return Ok(true);
        }
    }
    Ok(!is_mounted(&images.data, id)?)
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
    let (dir, holds) = writable(images, key)?;
    written::of(&dir, &holds)
}

/// What a container wrote.
pub(super) fn layer(images: &Images, container: &Container) -> Result<DiffLayer, Error> {
    let (dir, holds) = writable(images, &container.key)?;
    Ok(DiffLayer::new(dir, holds, container.last_known_secs()).in_form(Form::Docker28))
}

/// The layers below, as the records of layers have them.
pub(super) fn below(images: &Images, key: &ContainerKey) -> Result<Vec<Layer>, Error> {
    let root = images.root(key.partition(), key.id())?;
    let file = format!("layerdb/mounts/{}/parent", key.id());
    // An image without layers.
    let Some(bytes) = root.try_read(&file, LIMIT)? else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    let mut chain = match text.parse::<ChainId>() {
        Ok(chain) => Some(chain),
        Err(_) => {
            return Err(Error::malformed(root.join(file), format!("{text:?} is not the id of a layer")));
        }
    };
    let records = LayerDb::open(root)?;
    let mut layers = Vec::new();
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
    let (dir, holds) = writable(images, key)?;
    let root = images.root(key.partition(), key.id())?;
    let driver = driver::find(key.partition())?;
    if matches!(holds, LayerDir::Full { .. }) {
        return Ok(RootFs::whole(dir, Form::Docker28));
    }
    let mut stack = vec![dir];
    if driver.holds == Holds::Full {
        let mount = id(root, key.id(), "mount-id")?;
        if let Some((_, lower)) = overlay::upper(&images.data, &mount)? {
            stack.push(driver.open(&images.data, &lower, &format!("container {}", key.id()))?);
        }
        return Ok(RootFs::stacked(stack, driver.name, Form::Docker28));
    }
    let init = id(root, key.id(), "init-id")?;
    stack.push(driver.open(&images.data, &init, &format!("container {}", key.id()))?);
    for below in below(images, key)?.iter().rev() {
        stack.push(layer(below)?);
    }
    Ok(RootFs::stacked(stack, driver.name, Form::Docker28))
}

/// The directory that a container writes to, and what it holds.
fn writable(images: &Images, key: &ContainerKey) -> Result<(Root, LayerDir), Error> {
    images.keys.check_container(key)?;
    let root = images.root(key.partition(), key.id())?;
    let driver = driver::find(key.partition())?;
    let of = format!("container {}", key.id());
    let mount = id(root, key.id(), "mount-id")?;
    let open = |id: &str| driver.open(&images.data, id, &of);
    match driver.holds {
        Holds::Upper => Ok((open(&mount)?, LayerDir::Upper)),
        Holds::Full => match overlay_upper(images, driver, &mount)? {
            Some(upper) => Ok((upper, LayerDir::Upper)),
            None => {
                let init = open(&id(root, key.id(), "init-id")?)?;
                Ok((open(&mount)?, LayerDir::Full { parent: Some(init) }))
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

/// What the driver calls a layer of a container. Safe as a component of a path.
fn id(root: &Root, container: &str, file: &'static str) -> Result<String, Error> {
    let path = format!("layerdb/mounts/{container}/{file}");
    let Some(bytes) = root.try_read(&path, LIMIT)? else {
        let (of, path) = (format!("container {container}"), root.join(path));
        return Err(Error::Missing { of, what: "file", id: file.to_owned(), path });
    };
    match std::str::from_utf8(&bytes).ok().map(str::trim).filter(|id| driver::safe_id(id)) {
        Some(id) => Ok(id.to_owned()),
        None => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let why = format!("{text:?} cannot be the name of a layer's directory");
            Err(Error::malformed(root.join(path), why))
        }
    }
}
