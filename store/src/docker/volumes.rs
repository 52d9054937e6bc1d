//! `volumes/`: Docker's volumes, whatever keeps its images.
//!
//! ```text
//! volumes/metadata.db        bucket `volumes`: {"Name":"named","Driver":"local","Labels":{…},"Options":{…}}
//! volumes/<name>/_data       the data
//! volumes/<name>/opts.json   {"MountType":"none","MountOpts":"bind","MountDevice":"/srv/data", …}: they are
//!                            elsewhere, and `_data` is an empty mount point
//! volumes/backingFsBlockDev  a device node
//! ```
//!
//! Without the database, the folders still have the names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::bolt::{Bucket, Database, Entry};
use crate::{Error, Root, Volume, VolumeListing, json};

const DATABASE: &str = "volumes/metadata.db";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Record {
    driver: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    options: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Options {
    mount_device: Option<String>,
}

/// Reads the volumes of a data root.
pub(crate) fn read(data: &Root) -> Result<VolumeListing, Error> {
    let mut listing = VolumeListing::default();
    let mut records = BTreeMap::new();
    if data.exists(DATABASE)?
        && let Err(error) = records_of(data, &mut records)
    {
        listing.lost.push(error.within("labels and drivers of volumes"));
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    for name in data.try_list("volumes")? {
        let Ok(name) = name.into_string() else { continue };
        // Files are something else, and a link is a volume that cannot be read.
        let path = Path::new("volumes").join(&name);
        if data.try_link(&path)?.is_some() || data.dir(&path).is_ok() {
            names.insert(name);
        }
    }
    names.extend(records.keys().filter(|name| is_component(name)).cloned());
    for name in names {
        let mut volume = Volume::new(data, &name);
        let file = format!("volumes/{name}/opts.json");
        match data.try_read(&file, json::LIMIT).map(|raw| raw.map(|raw| json::object::<Options>(&raw))) {
            Ok(Some(Ok(options))) => volume = volume.mounted(options.mount_device.as_deref()),
            Ok(Some(Err(why))) => listing.lost.push(Error::malformed(data.join(&file), why)),
            Ok(None) | Err(_) => {}
        }
        if let Some(record) = records.remove(&name) {
            let driver = record.driver.filter(|driver| !driver.is_empty());
            volume.driver = driver.unwrap_or(volume.driver);
            volume.labels = record.labels.unwrap_or_default();
            volume.options = record.options.unwrap_or_default();
        }
        listing.volumes.push(volume);
    }
    Ok(listing)
}

/// Whether a name from the database is one component of a path.
fn is_component(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".."
}

fn records_of(data: &Root, records: &mut BTreeMap<String, Record>) -> Result<(), Error> {
    let database = Database::open(data, Path::new(DATABASE))?;
    for entry in database.root().bucket(b"volumes")?.iter().flat_map(Bucket::entries) {
        if let Entry::Value { key, value } = entry? {
            let name = String::from_utf8_lossy(key).into_owned();
            let record = json::object::<Record>(value);
            let why = |why| Error::malformed(data.join(DATABASE), format!("volume {name}: {why}"));
            records.insert(name.clone(), record.map_err(why)?);
        }
    }
    Ok(())
}
