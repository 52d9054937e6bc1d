//! `containers/`: Docker's containers, whatever keeps their layers (a graph driver or containerd).
//!
//! ```text
//! containers/<id>/config.v2.json     everything about it; without it, it may still have a layer
//! containers/<id>/hostconfig.json    limits, ports, restart policy
//! containers/<id>/{hostname,hosts,resolv.conf}, <id>-json.log    not needed here
//! ```
//!
//! Docker 1.10 and later. A host that died leaves `State.Running` true.

mod begin;
mod config;
mod host;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{Container, ContainerKey, ContainerListing, Error, Root, hex_id, json, parallel};

use config::Config;
use host::Host;

const FILE: &str = "config.v2.json";
const HOST: &str = "hostconfig.json";
const HOSTNAME: &str = "hostname";

/// A container as its files describe it, or as much of that as can be read.
pub(crate) struct Record {
    pub(crate) id: String,
    config: Config,
    /// A JSON object, in any case.
    raw: Vec<u8>,
    host: Option<(Host, Vec<u8>)>,
    /// What is wrong with `config.v2.json`.
    pub(crate) damage: Option<Error>,
    host_damage: Option<Error>,
}

/// Reads the containers of a data root, by id. What is wrong with one hides no other.
///
/// `with_layer` are ids of containers that have a layer, and `has_layer` says it of one. These are listed
/// even if their record is missing.
pub(crate) fn read(
    data: &Root,
    with_layer: Vec<String>,
    has_layer: impl Fn(&str) -> bool + Sync,
) -> Result<Vec<Record>, Error> {
    let names = data.try_list("containers")?.into_iter().filter_map(|name| name.into_string().ok());
    let ids: BTreeSet<String> = names.chain(with_layer).filter(|name| hex_id(name)).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let records = parallel::map(&ids, |id| record(data, id, &has_layer));
    Ok(records.into_iter().flatten().collect())
}

/// `None` for a folder without the file and without a layer: Docker makes the folder first, and removes it
/// last.
fn record(data: &Root, id: &str, has_layer: &dyn Fn(&str) -> bool) -> Option<Record> {
    let path = |name: &str| format!("containers/{id}/{name}");
    let (raw, damage) = match data.try_read(path(FILE), json::LIMIT) {
        Ok(Some(raw)) => match parse::<Config>(&raw) {
            Ok(Config { id: Some(named), .. }) if named != id => {
                (b"{}".to_vec(), Some(format!("it is of container {named:?}")))
            }
            Ok(config) => {
                let (host, host_damage) = host(data, &path(HOST));
                return Some(Record { id: id.to_owned(), config, raw, host, damage: None, host_damage });
            }
            Err(why) => (begin::of(&raw), Some(why)),
        },
        Ok(None) if has_layer(id) => (b"{}".to_vec(), None),
        Ok(None) => return None,
        Err(error) => {
            let (host, host_damage) = host(data, &path(HOST));
            let (config, raw) = (Config::left(&Map::new()), b"{}".to_vec());
            return Some(Record { id: id.to_owned(), config, raw, host, damage: Some(error), host_damage });
        }
    };
    let hostname = data.try_read(path(HOSTNAME), LIMIT).ok().flatten();
    let hostname = hostname.and_then(|name| String::from_utf8(name).ok()).map(|name| name.trim().to_owned());
    let called = match hostname.filter(|name| !name.is_empty() && !id.starts_with(name.as_str())) {
        Some(name) => format!("; its host name was {name:?}"),
        None => String::new(),
    };
    let damage = match damage {
        Some(why) => Error::malformed(data.join(path(FILE)), format!("{why}{called}")),
        None => {
            let why = format!("it says what the container is and how it was run; its layer is there{called}");
            Error::NotThere { path: data.join(path(FILE)), why }
        }
    };
    let members: Map<String, Value> = serde_json::from_slice(&raw).unwrap_or_default();
    let (host, host_damage) = host(data, &path(HOST));
    let config = Config::left(&members);
    Some(Record { id: id.to_owned(), config, raw, host, damage: Some(damage), host_damage })
}

/// Bytes that a host name may have, far more than any has.
const LIMIT: u64 = 1 << 12;

/// `hostconfig.json`, or what is left of it, and what is wrong with it.
fn host(data: &Root, file: &str) -> (Option<(Host, Vec<u8>)>, Option<Error>) {
    match data.try_read(file, json::LIMIT) {
        Ok(Some(raw)) => match parse::<Host>(&raw) {
            Ok(host) => (Some((host, raw)), None),
            Err(why) => {
                let left = begin::of(&raw);
                let host = parse::<Host>(&left).ok().filter(|_| left.len() > 2);
                (host.map(|host| (host, left)), Some(Error::malformed(data.join(file), why)))
            }
        },
        Ok(None) => {
            let why = "it has the limits, ports and restart policy of the container".to_owned();
            (None, Some(Error::NotThere { path: data.join(file), why }))
        }
        Err(error) => (None, Some(error)),
    }
}

/// Parses an object in a file that a crash may have left empty or full of zeros.
pub(super) fn parse<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    match bytes {
        [] => Err("it is empty".to_owned()),
        bytes if bytes.iter().all(|byte| *byte == 0) => Err("it has only zero bytes".to_owned()),
        bytes => json::object(bytes),
    }
}

impl Record {
    /// What keeps its layers: a graph driver, or with containerd's store a snapshotter.
    pub(crate) fn driver(&self) -> &str {
        self.config.driver.as_deref().unwrap_or_default()
    }

    /// Whether containerd keeps its layers. Docker 25 to 28 record a manifest then; the names of the two
    /// snapshotters are those of no graph driver.
    pub(crate) fn is_of_containerd(&self) -> bool {
        self.config.image_manifest.is_some() || matches!(self.driver(), "overlayfs" | "native")
    }

    /// The digest by which it names its image.
    pub(crate) fn image_digest(&self) -> Option<layerlift_archive::Digest> {
        self.config.image.as_deref()?.parse().ok()
    }

    /// Adds the container to a listing.
    pub(crate) fn list(self, key: ContainerKey, image_present: bool, listing: &mut ContainerListing) {
        let Record { id, config, raw, host, damage, host_damage } = self;
        let image_id = config.image.as_deref().map(|id| id.strip_prefix("sha256:").unwrap_or(id).to_owned());
        let (host, host_config) = host.unzip();
        let policy = host.as_ref().and_then(Host::restart_policy);
        let lost = host_damage.clone();
        listing.lost.extend(lost.map(|error| error.within(format!("the settings of container {id}"))));
        listing.broken.extend(damage.clone().map(|error| (id, error)));
        let record = crate::ContainerRecord::Docker { config: raw, host_config };
        listing.containers.push(Container {
            image_id: image_id.filter(|id| !id.is_empty()),
            image_present,
            restart_policy: policy.or_else(|| host_damage.is_none().then(|| "no".to_owned())),
            ports: host::ports(host.as_ref(), &config.settings.exposed_ports),
            damage: damage.into_iter().collect(),
            host_damage,
            ..config.describe(Container::new(key, record))
        });
    }
}
