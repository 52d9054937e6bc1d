//! A data root of which Docker's records are lost, but not its layers.
//!
//! ```text
//! image/                            names, configs, diff ids: missing after a restore in part, say
//! image/<driver>/imagedb            the configs
//! <driver>/…                        the layers' files, which alone make no image
//! containers, volumes, network      Docker keeps one of these beside them, other engines do not
//! ```

use super::images::count;
use crate::{Error, Root, driver};

/// Folders of a data root of Docker.
const BESIDE: [&str; 3] = ["containers", "volumes", "network"];

/// Drivers of a data root without `image/`, with the number of directories that each has.
pub(super) fn drivers(root: &Root) -> Result<Vec<(&'static str, usize)>, Error> {
    let mut found = Vec::new();
    // Docker until 1.9 had `graph`, and containers-storage has the rest.
    for other in ["image", "graph", "storage.lock", "overlay-images", "overlay-layers"] {
        if root.exists(other)? {
            return Ok(found);
        }
    }
    for driver in driver::all() {
        // The short names of overlay2.
        let layers = driver.ids(root)?.iter().filter(|id| *id != "l").count();
        if layers > 0 {
            found.push((driver.name, layers));
        }
    }
    for folder in BESIDE {
        if !found.is_empty() && root.exists(folder)? {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// What is wrong with a data root without `image/`.
pub(super) fn everything(root: &Root, drivers: &[(&str, usize)]) -> Error {
    let left: Vec<String> =
        drivers.iter().map(|(name, layers)| format!("{} in {name}", count(*layers, "directory"))).collect();
    let why = format!("names and configs of all images are lost; of layers, {} are left", left.join(", "));
    Error::NotThere { path: root.join("image"), why }
}

/// What is wrong with the images of a driver of which the configs are missing.
pub(super) fn configs(root: &Root, driver: &str) -> Result<Error, Error> {
    let layers = root.try_list(format!("image/{driver}/layerdb/sha256"))?.len();
    let why = format!("the configs of all images are lost; {} are left", count(layers, "layer"));
    Ok(Error::NotThere { path: root.join(format!("image/{driver}/imagedb")), why })
}
