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
use crate::{Error, Notice, Root, Volume, VolumeListing, json};

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
    mount_type: Option<String>,
    mount_device: Option<String>,
}

/// The folders that Docker has made in its data root since it has had the database.
const NEWER: [&str; 4] = ["swarm", "plugins", "buildkit", "runtimes"];

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
        let mut is_newer = false;
        for folder in NEWER {
            is_newer |= data.exists(folder)?;
        }
        // Docker until 1.10 had none, and nothing to keep in it.
        if is_newer {
            let why = "it had labels and drivers of volumes, and which of them are kept elsewhere".to_owned();
            listing.lost.push(Error::NotThere { path: data.join(DATABASE), why });
        } else {
            let what = "not there: what Docker since 1.11 knew of volumes, their labels for example, is lost";
            listing.notices.push(Notice::new(data.join(DATABASE), what));
        }
    }
    names.extend(records.keys().filter(|name| is_component(name)).cloned());
    for name in names {
        let mut volume = Volume::new(data, &name);
        volume.created = made(data, &name);
        let Options { mut mount_type, mut mount_device } = options(data, &name).unwrap_or_else(|error| {
            listing.lost.push(error.within(format!("where the data of volume {name} are")));
            Options::default()
        });
        if let Some(record) = records.remove(&name) {
            let driver = record.driver.filter(|driver| !driver.is_empty());
            volume.driver = driver.unwrap_or(volume.driver);
            volume.labels = record.labels.unwrap_or_default();
            volume.options = record.options.unwrap_or_default();
            // Plugins have options of their own.
            let recorded = |name| volume.options.get(name).filter(|_| volume.driver == "local").cloned();
            mount_device = mount_device.or_else(|| recorded("device"));
            mount_type = mount_type.or_else(|| recorded("type"));
        }
        listing.volumes.push(volume.mounted(mount_device.as_deref(), mount_type.as_deref()));
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

/// What `opts.json` says of where a volume's data are.
fn options(data: &Root, name: &str) -> Result<Options, Error> {
    let folder = Path::new("volumes").join(name);
    // What is behind a link is not the volume's, which its data say.
    if data.try_link(&folder)?.is_some() {
        return Ok(Options::default());
    }
    let file = folder.join("opts.json");
    let Some(raw) = data.try_read(&file, json::LIMIT)? else { return Ok(Options::default()) };
    let options: Options = parse(&raw).map_err(|why| Error::malformed(data.join(&file), why))?;
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    Ok(Options { mount_type: given(options.mount_type), mount_device: given(options.mount_device) })
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
