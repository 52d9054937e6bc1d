//! `volumes/`: Podman's volumes.
//!
//! ```text
//! volumes/<name>/_data                        the data
//! db.sql              VolumeConfig            {"name":"named","labels":{…},"volumeDriver":"local",
//!                                              "createdAt":"…","volumeOptions":{"device":"/srv/data", …}}
//! bolt_state.db       vol/<name>/config       the same
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::libpod::Libpod;
use crate::{Error, Root, Volume, VolumeListing, json};

#[derive(Debug, Deserialize)]
struct Record {
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "volumeDriver")]
    driver: Option<String>,
    #[serde(rename = "createdAt")]
    created: Option<String>,
    #[serde(rename = "volumeOptions")]
    options: Option<BTreeMap<String, String>>,
}

/// Reads the volumes of a store.
pub(super) fn read(root: &Root) -> Result<VolumeListing, Error> {
    let libpod = Libpod::read(root);
    let (file, there) = libpod.database();
    let (lost, notices) = (libpod.lost, libpod.notices);
    let mut listing = VolumeListing { volumes: Vec::new(), lost, notices };
    let mut names: BTreeSet<String> = libpod.volumes.keys().cloned().collect();
    for name in root.try_list("volumes")? {
        let Ok(name) = name.into_string() else { continue };
        let path = Path::new("volumes").join(&name);
        if root.try_link(&path)?.is_some() || root.dir(&path).is_ok() {
            names.insert(name);
        }
    }
    names.retain(|name| !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..");
    // Only Podman makes volumes here.
    if !there && !names.is_empty() {
        let why = "it had labels and drivers of volumes, and which of them are kept elsewhere".to_owned();
        listing.lost.push(Error::NotThere { path: root.join(file), why });
    }
    for name in names {
        let mut volume = Volume::new(root, &name);
        match libpod.volumes.get(&name).map(|raw| json::object::<Record>(raw)) {
            Some(Ok(record)) => {
                let options = record.options.unwrap_or_default();
                let given = |name| options.get(name).map(|value: &String| value.as_str());
                volume = volume.mounted(given("device"), given("type"));
                let driver = record.driver.filter(|driver| !driver.is_empty());
                volume.driver = driver.unwrap_or(volume.driver);
                volume.labels = record.labels.unwrap_or_default();
                volume.created = record.created.filter(|time| !time.starts_with("0001-"));
                volume.options = options;
            }
            Some(Err(why)) => {
                let why = format!("the config of volume {name} in Podman's database: {why}");
                listing.lost.push(Error::malformed(root.path(), why));
            }
            None => {}
        }
        listing.volumes.push(volume);
    }
    Ok(listing)
}
