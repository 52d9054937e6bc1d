//! Where the tar of a layer comes from.
//!
//! ```text
//! <driver>-layers/<id>.tar-split.gz     see `tarsplit`; with a separate image store still in the
//!                                       main root
//! <driver>-layers/<id>/=enN0ZC1jaHVua2VkLW1hbmlmZXN0
//!                                       "zstd-chunked-manifest", the table of contents of a layer that
//!                                       was pulled in parts; names the files of composefs
//! overlay/<id>/diff, vfs/dir/<id>, …    see `driver`
//! ```

use super::bigdata;
use super::images::Images;
use super::records::{LayerId, LayerRecord};
use crate::diff::{Form, LayerDir, Watch};
use crate::driver::{self, Driver, Holds};
use crate::tarsplit::{self, Objects, Record};
use crate::{DiffLayer, Error, Image, Layer, LayerKey, LayerTar, Root, RootFs};

/// Bytes that a table of contents may have; a file takes about 300.
const CONTENTS_LIMIT: u64 = 64 << 20;

/// Finds what a layer is made of. One without tar-split data was pulled by a table of contents that had none,
/// or has lost them.
pub(super) fn tar(images: &Images, key: &LayerKey) -> Result<LayerTar, Error> {
    let not_found = || Error::not_found(format!("layer {}", key.id()));
    let id = LayerId::parse(key.id()).ok_or_else(not_found)?;
    let driver = driver::find_containers(&images.driver)?;
    let record = images.layer(id, "the request")?;
    let dir = tree(images, driver, id)?;
    let objects = composefs(images, id)?;
    let of_composefs = objects.is_some();
    let unusable = match split(images, record, &dir, objects)? {
        Some(Record::Exact(layer)) => return Ok(LayerTar::Split(layer)),
        // `--salvage` can find these in another store.
        unusable if of_composefs => {
            const ONLY: &str = "the names of its files are then only in an image of composefs";
            let file = images.tar_split_file(id);
            let path = images.places_of(id).next().map(|place| place.join(&file)).unwrap_or_default();
            return Err(match unusable {
                Some(Record::Unusable(unusable)) => {
                    Error::malformed(path, format!("{}; {ONLY}", unusable.notice.what))
                }
                _ => Error::NotThere { path, why: format!("{ONLY}; `podman save` may read them") },
            });
        }
        Some(Record::Unusable(unusable)) => Some(unusable),
        None => None,
    };
    let holds = match (driver.holds, record.parent) {
        (Holds::Upper, _) => LayerDir::Upper,
        (Holds::Full, None) => LayerDir::Full { parent: None },
        (Holds::Full, Some(parent)) => LayerDir::Full { parent: Some(tree(images, driver, parent)?) },
    };
    let still = images.still(record, unusable.is_some());
    still()?;
    let layer = DiffLayer::new(dir, holds, 0).in_form(Form::ContainersStorage);
    Ok(LayerTar::Diff(layer.in_place_of(unusable).watched(Watch::new(still))))
}

/// Fails if the directory of a layer is not there.
pub(super) fn has_files(images: &Images, key: &LayerKey) -> Result<(), Error> {
    let id = LayerId::parse(key.id()).ok_or_else(|| Error::not_found(format!("layer {}", key.id())))?;
    images.layer(id, "the request")?;
    tree(images, driver::find_containers(&images.driver)?, id).map(drop)
}

/// The directory of a layer, with its files under their names.
pub(super) fn unpacked(images: &Images, id: LayerId) -> Result<Root, Error> {
    let blob = format!("{}/{id}/composefs-data/composefs.blob", images.driver);
    for place in images.places_of(id) {
        if place.exists(&blob)? {
            let what = format!("the names of layer {id}'s files are in an image of composefs");
            return Err(Error::unsupported(what, "`podman image mount` or `podman export` may read it"));
        }
    }
    tree(images, driver::find_containers(&images.driver)?, id)
}

/// The directories of an image's root file system.
pub(super) fn root_fs(images: &Images, image: &Image) -> Result<RootFs, Error> {
    let driver = driver::find_containers(&images.driver)?;
    let dir = |layer: &Layer| {
        let id = LayerId::parse(layer.key.id());
        unpacked(images, id.ok_or_else(|| Error::not_found(layer.key.id()))?)
    };
    match (driver.holds, image.layers.last()) {
        (Holds::Full, Some(top)) => Ok(RootFs::whole(dir(top)?, Form::ContainersStorage)),
        _ => {
            let stack = image.layers.iter().rev().map(dir).collect::<Result<_, _>>()?;
            Ok(RootFs::stacked(stack, &images.driver, Form::ContainersStorage))
        }
    }
}

/// The directory of a layer: beside its record, or in another place of the store.
fn tree(images: &Images, driver: &Driver, id: LayerId) -> Result<Root, Error> {
    let (id_text, of) = (id.to_string(), format!("layer {id}"));
    let mut missing = None;
    for place in images.places_of(id) {
        match driver.open(place, &id_text, &of) {
            Err(error @ (Error::Missing { .. } | Error::Unsupported { .. })) => {
                missing.get_or_insert(error);
            }
            opened => return opened,
        }
    }
    Err(missing.unwrap_or_else(|| images.malformed_layer(id, "it is nowhere")))
}

/// Where the files of a layer of composefs are. `None` for every other layer.
fn composefs(images: &Images, id: LayerId) -> Result<Option<Objects>, Error> {
    let blob = format!("{}/{id}/composefs-data/composefs.blob", images.driver);
    let contents = format!("{}-layers/{id}/{}", images.driver, bigdata::file_name("zstd-chunked-manifest"));
    let mut missing = None;
    for place in images.places_of(id) {
        if place.exists(&blob)? {
            missing.get_or_insert_with(|| place.join(&contents));
        }
    }
    let Some(path) = missing else { return Ok(None) };
    for place in images.places_of(id) {
        if let Some(bytes) = place.try_read(&contents, CONTENTS_LIMIT)? {
            let objects = Objects::parse(&bytes);
            return objects.map(Some).map_err(|why| Error::malformed(place.join(&contents), why));
        }
    }
    let why =
        format!("the names of layer {id}'s files are in an image of composefs; `podman save` may read it");
    Err(Error::NotThere { path, why })
}

fn split(
    images: &Images,
    record: &LayerRecord,
    dir: &Root,
    objects: Option<Objects>,
) -> Result<Option<Record>, Error> {
    let file = images.tar_split_file(record.id);
    for place in images.places_of(record.id) {
        let Some(metadata) = place.try_open_file(&file)? else { continue };
        let path = place.join(&file);
        let (diff_id, size) = (record.diff_id(), record.exact_size());
        return tarsplit::open_with(objects, dir.clone(), metadata, path, diff_id, size).map(Some);
    }
    Ok(None)
}
