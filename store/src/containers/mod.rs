//! containers-storage: the images of Podman, Buildah, CRI-O and skopeo, one set for each graph driver.
//!
//! ```text
//! <driver>-images/images.json             names, digests and top layers of images
//! <driver>-images/<image id>/             config and manifests, see `bigdata`
//! <driver>-layers/layers.json             parents, diff ids and sizes of layers
//! <driver>-layers/volatile-layers.json    layers of containers that need not survive a crash
//! <driver>-layers/<layer id>.tar-split.gz see `tarsplit`
//! <driver>/…/<layer id>/…                 files of layers, see `driver`
//! <driver>-containers/, libpod/, *.lock   not needed here; no lock is taken
//! ```
//!
//! Checked with Podman 4.3 and 5.8, Buildah 1.28 and 1.43, skopeo 1.9 and 1.22.

mod bigdata;
mod catalog;
mod images;
mod layers;
mod lists;
mod lost;
mod records;
pub(crate) mod settings;
mod still;
mod store;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

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

/// Whether a path is in a store that this user owns. Files in it can belong to subordinate ids, which only a
/// user namespace gives the user.
pub(crate) fn is_in_store_of(path: &Path, user: u32) -> bool {
    let is_store = |folder: &Path| folder.join("storage.lock").exists();
    let owner = |folder: &Path| folder.symlink_metadata().ok().map(|metadata| metadata.uid());
    path.ancestors().skip(1).any(|folder| is_store(folder) && owner(folder) == Some(user))
}

/// Drivers that have images, or had some once. The preferred one comes first.
fn drivers(root: &Root) -> Result<Vec<String>, Error> {
    let mut drivers = Vec::new();
    for name in root.list(".")? {
        // The folder of the images may be what is lost.
        if let Some(driver) = name.to_str().and_then(|name| name.strip_suffix("-layers"))
            && driver::safe_id(driver)
            && (root.exists(format!("{driver}-images"))?
                || root.exists(format!("{driver}-layers/layers.json"))?)
        {
            drivers.push(driver.to_owned());
        }
    }
    drivers.sort_by_key(|name| driver::preference(name));
    Ok(drivers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_of_a_user() {
        let home = tempfile::tempdir().unwrap();
        let user = home.path().metadata().unwrap().uid();
        let file = home.path().join("storage/overlay/l/diff/etc/shadow");
        std::fs::create_dir_all(home.path().join("storage")).unwrap();
        assert!(!is_in_store_of(&file, user));
        std::fs::write(home.path().join("storage/storage.lock"), "").unwrap();
        assert!(is_in_store_of(&file, user));
        assert!(!is_in_store_of(&file, user + 1));
    }
}
