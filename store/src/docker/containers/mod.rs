//! `containers/`: Docker's containers, whatever keeps their layers (a graph driver or containerd).
//!
//! ```text
//! containers/<id>/config.v2.json     everything about it; without this file it is not a container
//! containers/<id>/hostconfig.json    limits, ports, restart policy
//! containers/<id>/{hostname,hosts,resolv.conf}, <id>-json.log    not needed here
//! ```
//!
//! Docker 1.10 and later. A host that died leaves `State.Running` true.

mod config;
mod host;

use crate::{Container, ContainerKey, ContainerListing, Error, Root, hex_id, json, parallel};

use config::Config;
use host::Host;

const FILE: &str = "config.v2.json";
const HOST: &str = "hostconfig.json";

/// A folder of a container.
pub(crate) struct Found {
    pub(crate) id: String,
    /// What is in it, or why that cannot be read.
    pub(crate) record: Result<Record, Error>,
}

/// A container as its files describe it.
pub(crate) struct Record {
    pub(crate) id: String,
    config: Config,
    raw: Vec<u8>,
    /// `hostconfig.json`, or what is wrong with it.
    host: Result<(Host, Vec<u8>), Error>,
}

/// Reads the containers of a data root, by id. What is wrong with one hides no other.
pub(crate) fn read(data: &Root) -> Result<Vec<Found>, Error> {
    let names = data.try_list("containers")?;
    let ids: Vec<String> =
        names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| hex_id(name)).collect();
    let records = parallel::map(&ids, |id| record(data, id));
    let found = ids.into_iter().zip(records);
    Ok(found.filter_map(|(id, record)| Some(Found { id, record: record.transpose()? })).collect())
}

/// `None` for a folder without the file: Docker makes it first, and removes it last.
fn record(data: &Root, id: &str) -> Result<Option<Record>, Error> {
    let file = |name: &str| format!("containers/{id}/{name}");
    let Some(raw) = data.try_read(file(FILE), json::LIMIT)? else { return Ok(None) };
    let parsed = parse::<Config>(&raw).and_then(|config| match config.id.as_deref() {
        Some(named) if named != id => Err(format!("it is of container {named:?}")),
        _ => Ok(config),
    });
    let config = parsed.map_err(|why| Error::malformed(data.join(file(FILE)), why))?;
    let host = match data.try_read(file(HOST), json::LIMIT) {
        Ok(Some(raw)) => match parse::<Host>(&raw) {
            Ok(host) => Ok((host, raw)),
            Err(why) => Err(Error::malformed(data.join(file(HOST)), why)),
        },
        Ok(None) => {
            let why = "it has the limits, ports and restart policy of the container";
            Err(Error::NotThere { path: data.join(file(HOST)), why: why.to_owned() })
        }
        Err(error) => Err(error),
    };
    Ok(Some(Record { id: id.to_owned(), config, raw, host }))
}

fn parse<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
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
        let Record { id, config, raw, host } = self;
        let image_id = config.image.as_deref().map(|id| id.strip_prefix("sha256:").unwrap_or(id).to_owned());
        let (host, host_config) = match host {
            Ok((host, raw)) => (Some(host), Some(raw)),
            Err(error) => {
                listing.lost.push(error.within(format!("the settings of container {id}")));
                (None, None)
            }
        };
        let record = crate::ContainerRecord::Docker { config: raw, host_config };
        listing.containers.push(Container {
            image_id: image_id.filter(|id| !id.is_empty()),
            image_present,
            restart_policy: host.as_ref().map(Host::restart_policy),
            ports: host::ports(host.as_ref(), &config.settings.exposed_ports),
            ..config.describe(Container::new(key, record))
        });
    }
}
