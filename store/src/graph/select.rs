//! Chooses the graph driver of a data root.
//!
//! There can be traces of several: Docker writes `repositories-<driver>` for each driver that it was ever
//! started with, and until 1.6 it kept volumes with the vfs driver, whatever the driver of the images. So the
//! driver with names counts, and if none has names, the driver with layers.

use std::collections::HashSet;

use super::repositories;
use crate::{Error, Hint, Root, driver};

/// The driver that was asked for, or the one whose `repositories-<driver>` names images.
pub(super) fn driver(root: &Root, graph: &Root, wanted: Option<&str>) -> Result<String, Error> {
    let files = repositories::drivers(root)?;
    if let Some(wanted) = wanted {
        let has_layers = driver::inventory(wanted).map(|dir| root.exists(dir)).transpose()?;
        if files.iter().any(|name| name == wanted) || has_layers == Some(true) {
            return Ok(wanted.to_owned());
        }
        let (path, wanted) = (root.path().to_owned(), wanted.to_owned());
        return Err(Error::NoPartition { path, wanted, present: files });
    }
    let with_layers = with_layers(root, graph)?;
    let has_layers = |driver: &String| driver::inventory(driver).is_none() || with_layers.contains(driver);
    // A file that is damaged or missing may have named images.
    let names_images = |driver: &&String| {
        let names = repositories::read(root, graph, driver);
        let named = names.repositories.values().any(|tags| !tags.is_empty());
        named || !names.lost.is_empty() && has_layers(driver)
    };
    let mut naming: Vec<String> = files.iter().filter(names_images).cloned().collect();
    naming.extend(with_layers.iter().filter(|driver| !files.contains(driver)).cloned());
    if !naming.is_empty() {
        naming.sort_by_key(|name| driver::preference(name));
        return the_only(root, naming);
    }
    if !with_layers.is_empty() {
        return the_only(root, with_layers);
    }
    if files.is_empty() {
        let why = "it has a directory graph, but neither a file repositories-<driver> nor layers of a driver";
        return Err(Error::no_store(root.path(), why));
    }
    the_only(root, files)
}

/// Drivers with a layer of an image in `graph/`. The preferred one comes first.
pub(super) fn with_layers(root: &Root, graph: &Root) -> Result<Vec<String>, Error> {
    let ids: HashSet<_> =
        graph.list(".")?.into_iter().filter(|name| name.to_str().is_some_and(crate::hex_id)).collect();
    let mut drivers = Vec::new();
    for (name, inventory) in driver::INVENTORIES {
        if root.try_list(inventory)?.iter().any(|name| ids.contains(name)) {
            drivers.push((*name).to_owned());
        }
    }
    drivers.sort_by_key(|name| driver::preference(name));
    Ok(drivers)
}

fn the_only(root: &Root, mut candidates: Vec<String>) -> Result<String, Error> {
    match candidates.len() {
        1 => Ok(candidates.remove(0)),
        _ => Err(Error::SeveralStores {
            path: root.path().to_owned(),
            candidates,
            choose: Hint::ChoosePartition,
        }),
    }
}
