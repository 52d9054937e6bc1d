//! `volumes/`: Docker's volumes, whatever keeps its images.
//!
//! ```text
//! volumes/metadata.db        bucket `volumes`: {"Name":"named","Driver":"local","Labels":{…},
//!                            "Options":{"device":"/srv/data", …}}
//! volumes/<name>/_data       the data
//! volumes/<name>/opts.json   {"MountType":"none","MountOpts":"bind","MountDevice":"/srv/data", …}: they are
//!                            elsewhere, and `_data` is an empty mount point
//! volumes/backingFsBlockDev  a device node
//! ```
//!
//! Without the database, the folders still have the names. The database and `opts.json` both say where the
//! data are, and either is enough. A volume without options has no `opts.json`. Docker has had the database,
//! and volumes with options, since 1.11.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::containers::parse;
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
    let has_records = data.exists(DATABASE)?;
    if has_records {
        records = records_of(data, &mut listing.lost);
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
    if !has_records && !names.is_empty() {
        let why = "it had labels and drivers of volumes, and which of them are kept elsewhere".to_owned();
        listing.lost.push(Error::NotThere { path: data.join(DATABASE), why });
    }
    names.extend(records.keys().filter(|name| is_component(name)).cloned());
    for name in names {
        let mut volume = Volume::new(data, &name);
        volume.created = made(data, &name);
        let mut device = options(data, &name).unwrap_or_else(|error| {
            listing.lost.push(error.within(format!("where the data of volume {name} are")));
            None
        });
        if let Some(record) = records.remove(&name) {
            let driver = record.driver.filter(|driver| !driver.is_empty());
            volume.driver = driver.unwrap_or(volume.driver);
            volume.labels = record.labels.unwrap_or_default();
            volume.options = record.options.unwrap_or_default();
            // Plugins have options of their own.
            let recorded = volume.options.get("device").filter(|_| volume.driver == "local");
            device = device.or_else(|| recorded.cloned());
        }
        listing.volumes.push(volume.mounted(device.as_deref()));
    }
    Ok(listing)
}

/// The modification time of a volume's folder, which stays in a copy of the store. `docker volume inspect`
/// gives the change time of the inode as `CreatedAt`, which a copy does not keep; 20.10 takes that of the
/// data's folder, which changes with its entries.
fn made(data: &Root, name: &str) -> Option<String> {
    let folder = data.try_dir(Path::new("volumes").join(name)).ok()??;
    let time = Timestamp::from_second(folder.stat().ok()?.st_mtime).ok()?;
    Some(time.to_string())
}

/// The place of a volume's data in `opts.json`.
fn options(data: &Root, name: &str) -> Result<Option<String>, Error> {
    let folder = Path::new("volumes").join(name);
    // What is behind a link is not the volume's, which its data say.
    if data.try_link(&folder)?.is_some() {
        return Ok(None);
    }
    let file = folder.join("opts.json");
    let Some(raw) = data.try_read(&file, json::LIMIT)? else { return Ok(None) };
    let options: Options = parse(&raw).map_err(|why| Error::malformed(data.join(&file), why))?;
    Ok(options.mount_device.filter(|device| !device.is_empty()))
}

/// Whether a name from the database is one component of a path.
fn is_component(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".."
}

/// The records in the database. One that cannot be read hides no other.
fn records_of(data: &Root, lost: &mut Vec<Error>) -> BTreeMap<String, Record> {
    let mut lose = |error: Error| lost.push(error.within("labels, drivers and places of volumes"));
    let mut records = BTreeMap::new();
    let database = match Database::open(data, Path::new(DATABASE)) {
        Ok(database) => database,
        Err(error) => {
            lose(error);
            return records;
        }
    };
    let bucket = database.root().bucket(b"volumes").unwrap_or_else(|error| {
        lose(error);
        None
    });
    for entry in bucket.iter().flat_map(Bucket::entries) {
        match entry {
            Ok(Entry::Value { key, value }) => {
                let name = String::from_utf8_lossy(key).into_owned();
                match parse::<Record>(value) {
                    Ok(record) => drop(records.insert(name, record)),
                    Err(why) => lose(Error::malformed(data.join(DATABASE), format!("volume {name}: {why}"))),
                }
            }
            Ok(Entry::Bucket { .. }) => {}
            Err(error) => lose(error),
        }
    }
    records
}
