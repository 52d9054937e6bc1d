//! containers-storage: the images of Podman, Buildah, CRI-O and skopeo, one set for each graph driver.
//!
//! ```text
//! <driver>-images/images.json             names, digests and top layers of images
//! <driver>-images/<image id>/             config and manifests, see `bigdata`
//! <driver>-layers/layers.json             parents, diff ids and sizes of layers
//! <driver>-layers/volatile-layers.json    layers of containers that need not survive a crash
//! <driver>-layers/<layer id>.tar-split.gz see `tarsplit`
//! <driver>/…/<layer id>/…                 files of layers, see `driver`
//! <driver>-containers/                    containers, see `working`, `runtime` and `unrecorded`
//! libpod/bolt_state.db, db.sql            how Podman's were run, see `libpod`
//! *.lock                                  not needed here; no lock is taken
//! ```
//!
//! Checked with Podman 4.3 and 5.8, Buildah 1.28 and 1.43, skopeo 1.9 and 1.22.

mod bigdata;
mod catalog;
mod chain;
mod claims;
mod container_lists;
mod gaps;
mod images;
mod layers;
mod libpod;
mod lists;
mod lost;
pub(crate) mod owner;
mod records;
mod runtime;
pub(crate) mod settings;
mod spec;
mod still;
mod store;
mod unrecorded;
mod volumes;
mod working;

use std::collections::BTreeSet;

use crate::kind::{Detected, OpenOptions, StoreKind};
use crate::{Error, Root, driver};

pub(crate) use store::ContainersStore;

/// Looks for this kind of store in a directory.
pub(crate) fn detect(root: &Root) -> Result<Option<Detected>, Error> {
    let drivers = drivers(root)?;
    if drivers.is_empty() {
        return Ok(None);
    }
    let evidence = drivers.iter().map(|driver| format!("{driver}-images")).collect();
    let root = root.path().to_owned();
    Ok(Some(Detected { kind: StoreKind::ContainersStorage, root, partitions: drivers, evidence }))
}

/// Opens the store of a root, of all drivers unless the options name one.
pub(crate) fn open(root: Root, options: &OpenOptions) -> Result<ContainersStore, Error> {
    let found = drivers(&root)?;
    let wanted = |driver: &&String| options.partition.as_ref().is_none_or(|only| only == *driver);
    let chosen: Vec<String> = found.iter().filter(wanted).cloned().collect();
    if chosen.is_empty() {
        let path = root.path().to_owned();
        return Err(match &options.partition {
            Some(driver) if !found.is_empty() => {
                Error::NoPartition { path, wanted: driver.clone(), present: found }
            }
            _ => Error::no_store(path, "it has no directories <driver>-images and <driver>-layers"),
        });
    }
    let beside = settings::beside(root.path());
    ContainersStore::read(chosen, root, beside)
}

/// Drivers that have images, or had some once. The preferred one comes first.
fn drivers(root: &Root) -> Result<Vec<String>, Error> {
    let mut drivers = BTreeSet::new();
    for name in root.list(".")? {
        let Some(name) = name.to_str() else { continue };
        let (driver, is_store) = match (name.strip_suffix("-layers"), name.strip_suffix("-images")) {
            // The folder of the images may be what is lost, or that of the layers.
            (Some(driver), _) if driver::safe_id(driver) => {
                let images = root.exists(format!("{driver}-images"))?;
                (driver, images || root.exists(format!("{driver}-layers/layers.json"))?)
            }
            (None, Some(driver)) if driver::safe_id(driver) => {
                (driver, root.exists(format!("{driver}-images/images.json"))?)
            }
            _ => continue,
        };
        if is_store {
            drivers.insert(driver.to_owned());
        }
    }
    let mut drivers: Vec<String> = drivers.into_iter().collect();
    drivers.sort_by_key(|name| driver::preference(name));
    Ok(drivers)
}
