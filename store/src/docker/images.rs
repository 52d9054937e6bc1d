//! `image/<driver>`: the directories that describe the images of each driver.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::mounts;
use crate::{ChainId, Error, Keyring, Root, driver};

/// The images of all drivers.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) keys: Keyring,
    /// The data root.
    pub(super) data: Root,
    /// The preferred driver first.
    pub(super) roots: Vec<ImageRoot>,
    /// Drivers of which the configs are missing, but not the records of layers.
    pub(super) layers: Vec<ImageRoot>,
    /// What is missing as a whole.
    pub(super) lost: Vec<Error>,
}

/// The images of one driver.
#[derive(Debug)]
pub(super) struct ImageRoot {
    pub(super) driver: String,
    pub(super) root: Root,
    owners: OnceLock<HashMap<String, Vec<String>>>,
    /// Directories of layers without a record.
    pub(super) unrecorded: OnceLock<HashMap<ChainId, Found>>,
}

/// The directory of a layer without a record.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// What the driver calls it.
    pub(super) id: String,
    /// Whether records say that it is the layer's. If not, only its digest can.
    pub(super) is_proven: bool,
}

impl ImageRoot {
    pub(super) fn new(driver: &str, root: Root) -> Self {
        ImageRoot { driver: driver.to_owned(), root, owners: OnceLock::new(), unrecorded: OnceLock::new() }
    }

    /// The containers by their writable layers. Read once: an engine at work gives a layer to one container
    /// only, so what it has changed since then makes no difference.
    pub(super) fn owners(&self) -> &HashMap<String, Vec<String>> {
        self.owners.get_or_init(|| mounts::owners(&self.root))
    }
}

impl Images {
    pub(super) fn new(data: Root, roots: Vec<ImageRoot>, layers: Vec<ImageRoot>, lost: Vec<Error>) -> Self {
        Images { keys: Keyring::new(), data, roots, layers, lost }
    }

    /// The drivers that have records of layers.
    pub(super) fn with_layers(&self) -> impl Iterator<Item = &ImageRoot> {
        self.roots.iter().chain(&self.layers)
    }

    /// The images of a driver. `id` is for the error: what was looked for in it.
    pub(super) fn place(&self, driver: &str, id: &str) -> Result<&ImageRoot, Error> {
        let images = self.with_layers().find(|images| images.driver == driver);
        images.ok_or_else(|| Error::not_found(format!("{id} of driver {driver}")))
    }

    /// The directory of a driver.
    pub(super) fn root(&self, driver: &str, id: &str) -> Result<&Root, Error> {
        Ok(&self.place(driver, id)?.root)
    }
}

/// Drivers that have images, or had some once. The preferred one comes first.
pub(super) fn drivers(root: &Root) -> Result<Vec<String>, Error> {
    let mut drivers = Vec::new();
    for name in root.try_list("image")? {
        if let Ok(name) = name.into_string()
            && (root.exists(format!("image/{name}/imagedb"))?
                || root.exists(format!("image/{name}/layerdb"))?)
        {
            drivers.push(name);
        }
    }
    drivers.sort_by_key(|name| driver::preference(name));
    Ok(drivers)
}

/// A number of things.
pub(super) fn count(number: usize, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(start)) => format!("{number} {start}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}
