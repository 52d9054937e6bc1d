//! The lists of containers, record by record and member by member: what is damaged hides nothing beside it.

use serde_json::Value;
use serde_json::value::RawValue;

use super::claims::Doubt;
use super::images::Images;
use super::records;
use crate::diff::owners::{IdMaps, IdRange};
use crate::{ContainerListing, Error, Root, json};

/// A record of containers-storage. What it lacks, or what cannot be read of it, is looked for elsewhere.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) names: Vec<String>,
    pub(super) image: Option<String>,
    pub(super) layer: Option<String>,
    pub(super) created: Option<String>,
    pub(super) metadata: Option<String>,
    /// As stored; `None` if there is no record.
    pub(super) raw: Option<Vec<u8>>,
    /// The list that it is in, or should be in.
    pub(super) file: &'static str,
    /// Its ids and what they are on the host: `--uidmap`, `--gidmap`, `--userns=auto` or `keep-id`.
    pub(super) owners: IdMaps,
    /// What is wrong with `layer` as it was recorded.
    pub(super) doubt: Option<Doubt>,
}

pub(super) const FILES: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// A list, below the root.
pub(super) fn file(driver: &str, name: &str) -> String {
    format!("{driver}-containers/{name}")
}

/// What the lists of a driver have.
pub(super) struct Lists {
    pub(super) records: Vec<Record>,
    /// Whether nothing of them is lost.
    pub(super) whole: bool,
}

/// The records of a driver. What cannot be read is noted in the listing.
pub(super) fn read(images: &Images, listing: &mut ContainerListing) -> Result<Lists, Error> {
    let mut found = Lists { records: Vec::new(), whole: true };
    let Some(root) = images.places.first() else { return Ok(found) };
    for name in FILES {
        let file = file(&images.driver, name);
        if !root.exists(&file)? {
            found.whole &= name != FILES[0];
            continue;
        }
        let path = root.join(&file);
        let records = records::read::<Box<RawValue>>(root, &file)?;
        match records.lost {
            // A new store has such a file, too: the folders say whether there were records.
            Some(Error::Malformed { why, .. }) if why == records::EMPTY => found.whole = false,
            Some(error) => {
                found.whole = false;
                listing.lost.push(error.within("the list of containers"));
            }
            None => {}
        }
        for raw in records.good {
            let raw = raw.get().as_bytes();
            match Record::parse(raw) {
                Ok((record, flaws)) => {
                    let id = &record.id;
                    let lost = flaws.into_iter().map(|why| format!("the record of container {id}: {why}"));
                    listing.lost.extend(lost.map(|why| Error::malformed(&path, why)));
                    found.records.push(Record { file: name, ..record });
                }
                // Its container is found by its folder.
                Err(why) => {
                    found.whole = false;
                    listing.lost.push(Error::malformed(&path, format!("a record: {why}")));
                }
            }
        }
        let flawed = records.flawed.into_iter();
        found.whole &= flawed.len() == 0;
        listing.lost.extend(flawed.map(|flawed| Error::malformed(&path, flawed.why)));
    }
    Ok(found)
}

/// Says that containers have no record.
pub(super) fn note_unrecorded(
    root: &Root,
    images: &Images,
    found: &[Record],
    whole: bool,
    listing: &mut ContainerListing,
) {
    let Some(first) = found.first() else { return };
    let (what, are) = match found.len() {
        1 => (format!("container {}", first.name()), "it is"),
        count => (format!("container {} and {} more", first.name(), count - 1), "they are"),
    };
    let file = file(&images.driver, FILES[0]);
    let path = root.join(&file);
    let means = format!("{what}; {are} known by folder, layer and Podman's database");
    listing.lost.push(match root.exists(&file) {
        Ok(false) => Error::NotThere { path, why: format!("it had the record of {means}") },
        _ if whole => Error::malformed(path, format!("it has no record of {means}")),
        _ => Error::malformed(path, format!("it has no usable record of {means}")),
    });
}

fn range(range: &Value) -> Option<IdRange> {
    let number = |name: &str| range.get(name)?.as_u64()?.try_into().ok();
    Some(IdRange { container: number("container_id")?, host: number("host_id")?, size: number("size")? })
}

impl Record {
    /// One of which only the id is known.
    pub(super) fn without(id: String) -> Self {
        let (names, image, layer, created) = (Vec::new(), None, None, None);
        let file = FILES[0];
        let (metadata, raw, owners, doubt) = (None, None, IdMaps::default(), None);
        Record { id, names, image, layer, created, metadata, raw, file, owners, doubt }
    }

    /// Takes each member that is what it should be, and says which are not. A record without an id is an
    /// error.
    fn parse(raw: &[u8]) -> Result<(Self, Vec<String>), String> {
        let mut members: serde_json::Map<String, Value> = json::object(raw)?;
        let Some(Value::String(id)) = members.remove("id") else { return Err("it has no id".to_owned()) };
        if !crate::hex_id(&id) {
            return Err(format!("its id {id:?} is not 64 hex digits"));
        }
        let mut record = Record { raw: Some(raw.to_vec()), ..Record::without(id) };
        let mut flaws = Vec::new();
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            None | Some(Value::Null) => None,
            Some(_) => {
                flaws.push(format!("its {name} is not a string"));
                None
            }
        };
        record.image = text("image");
        record.layer = text("layer");
        record.metadata = text("metadata");
        record.created = text("created");
        let mut ranges = |name: &str| {
            let ranges = members.remove(name).unwrap_or_default();
            let ranges = ranges.as_array().into_iter().flatten().map(range).collect::<Option<_>>();
            ranges.unwrap_or_else(|| {
                flaws.push(format!("its {name} is not a list of ranges"));
                Vec::new()
            })
        };
        record.owners = IdMaps { uids: ranges("uidmap"), gids: ranges("gidmap") };
        match members.remove("names").map(serde_json::from_value::<Option<Vec<String>>>) {
            None => {}
            Some(Ok(names)) => record.names = names.unwrap_or_default(),
            Some(Err(_)) => flaws.push("its names are not a list of strings".to_owned()),
        }
        Ok((record, flaws))
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        self.names.first().unwrap_or(&self.id)
    }
}
