//! The JSON that Podman keeps of a container.
//!
//! ```text
//! config   {"spec":{"process":{"args":[…],"env":[…]},"mounts":[…], …},"id":"f435…","name":"changed",
//!           "CreateCommand":["podman","run", …],"rootfsImageID":"1adb…","rootfsImageName":"localhost/app:2",
//!           "namedVolumes":[{"volumeName":"9190…","dest":"/data","options":["rw", …]}],
//!           "userVolumes":["/data"],"newPortMappings":[{"host_ip":"","container_port":80,"host_port":8080,
//!           "range":1,"protocol":"tcp"}],"exposedPorts":{"53":["udp"]},"labels":{…},"restart_policy":"on-failure",
//!           "restart_retries":3,"newNetworks":{"net":{…}},"pod":"020a…","createdTime":"2026-11-25T07:53:31.9Z",
//!           …}
//! state    {"state":6,"startedTime":"…","finishedTime":"…","exitCode":1, …}
//! ```
//!
//! What is empty or zero is left out. Source: podman, `libpod/container_config.go`, `libpod/container.go` and
//! `libpod/define/containerstate.go`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::spec::{Spec, SpecMount, is_writable};
use super::{Documents, Known, Libpod};
use crate::{
    Container, ContainerListing, ContainerRecord, ContainerState, ContainerStatus, Error, Mount, Pod, Port,
    Root, json,
};

#[derive(Debug, Deserialize)]
struct Config {
    name: Option<String>,
    #[serde(rename = "rootfsImageID")]
    image_id: Option<String>,
    #[serde(rename = "rootfsImageName")]
    image: Option<String>,
    #[serde(default)]
    spec: Spec,
    #[serde(rename = "namedVolumes")]
    named_volumes: Option<Vec<NamedVolume>>,
    #[serde(rename = "userVolumes")]
    user_volumes: Option<Vec<String>>,
    #[serde(rename = "newPortMappings")]
    ports: Option<Vec<Mapping>>,
    #[serde(rename = "exposedPorts")]
    exposed: Option<BTreeMap<String, Option<Vec<String>>>>,
    labels: Option<BTreeMap<String, String>>,
    restart_policy: Option<String>,
    #[serde(rename = "restart_retries")]
    retries: Option<u64>,
    #[serde(rename = "newNetworks")]
    networks: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    pod: Option<String>,
    #[serde(rename = "createdTime")]
    created: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NamedVolume {
    #[serde(rename = "volumeName")]
    name: String,
    #[serde(rename = "dest")]
    destination: String,
    options: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    host_ip: Option<String>,
    container_port: u16,
    host_port: Option<u16>,
    range: Option<u16>,
    protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct State {
    state: Option<i64>,
    #[serde(rename = "startedTime")]
    started: Option<String>,
    #[serde(rename = "finishedTime")]
    finished: Option<String>,
    #[serde(rename = "exitCode")]
    exit_code: Option<i64>,
}

/// A container as the database has it. The error says why its config cannot be read; a state that cannot be
/// read is lost.
pub(in crate::containers) fn container(
    known: Known,
    documents: Documents,
    libpod: &Libpod,
    root: &Root,
    listing: &mut ContainerListing,
) -> Result<Container, Error> {
    let id = known.key.id().to_owned();
    let malformed = |what: &str, why: String| {
        Error::malformed(root.join(documents.file), format!("{what} of container {id}: {why}"))
    };
    let config: Config = json::object(&documents.config).map_err(|why| malformed("the config", why))?;
    let state = match documents.state.as_deref().map(json::object::<State>) {
        Some(Ok(state)) => state.describe(),
        other => {
            let why = other.and_then(Result::err).unwrap_or_else(|| "it is missing".to_owned());
            listing.lost.push(malformed("the state", why));
            State::default().describe()
        }
    };
    let Documents { config: raw, state: raw_state, mut networks, .. } = documents;
    networks.extend(config.networks.iter().flatten().map(|(name, _)| name.clone()));
    networks.sort();
    networks.dedup();
    let Known { key, names, image_id, image_present } = known;
    let record = ContainerRecord::Podman { config: raw, state: raw_state, networks };
    let mounts = config.mounts();
    let ports = config.ports();
    let pod = |id: String| {
        let known = libpod.pods.get(&id).cloned().unwrap_or_default();
        Pod { name: known.name, create_command: known.create_command.unwrap_or_default(), id }
    };
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let restart_policy = match (given(config.restart_policy), config.retries) {
        (None, _) => "no".to_owned(),
        (Some(policy), Some(retries @ 1..)) => format!("{policy}:{retries}"),
        (Some(policy), _) => policy,
    };
    Ok(Container {
        names: if names.is_empty() { config.name.into_iter().collect() } else { names },
        image: given(config.image),
        image_id: given(config.image_id).or(image_id),
        image_present,
        command: config.spec.process.and_then(|process| process.args).unwrap_or_default(),
        created: given(config.created),
        state,
        mounts,
        ports,
        labels: config.labels.unwrap_or_default(),
        restart_policy: Some(restart_policy),
        pod: given(config.pod).map(pod),
        ..Container::new(key, record)
    })
}

impl Config {
    /// Volumes, and of the other mounts those that were asked for: `/proc` and the like are in every spec.
    fn mounts(&self) -> Vec<Mount> {
        let volumes = self.named_volumes.iter().flatten().map(|volume| Mount {
            kind: "volume".to_owned(),
            name: Some(volume.name.clone()),
            source: None,
            destination: volume.destination.clone(),
            writable: is_writable(volume.options.as_deref()),
            driver: None,
        });
        let asked = |mount: &&SpecMount| {
            mount.kind.as_deref() == Some("bind")
                || self.user_volumes.iter().flatten().any(|path| *path == mount.destination)
        };
        let others = self.spec.mounts.iter().flatten().filter(asked).map(|mount| Mount {
            kind: mount.kind.clone().unwrap_or_default(),
            name: None,
            source: mount.source.clone().filter(|source| source.starts_with('/')),
            destination: mount.destination.clone(),
            writable: mount.is_writable(),
            driver: None,
        });
        let mut mounts: Vec<Mount> = volumes.chain(others).collect();
        mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
        mounts
    }

    fn ports(&self) -> Vec<Port> {
        let mut ports: Vec<Port> = Vec::new();
        for mapping in self.ports.iter().flatten() {
            ports.push(Port {
                container: mapping.container_port,
                count: mapping.range.unwrap_or(1).max(1),
                protocol: mapping.protocol.clone().unwrap_or_else(|| "tcp".to_owned()),
                host_ip: mapping.host_ip.clone().filter(|ip| !ip.is_empty()),
                host: mapping.host_port.filter(|port| *port > 0).map(|port| port.to_string()),
                published: true,
            });
        }
        for (port, protocols) in self.exposed.iter().flatten() {
            for protocol in protocols.iter().flatten() {
                let Some(port) = Port::exposed(&format!("{port}/{protocol}")) else { continue };
                // Ranges are one entry where they are published, and many here.
                let same = |known: &Port| {
                    let at = port.container.checked_sub(known.container);
                    known.protocol == port.protocol && at.is_some_and(|at| at < known.count)
                };
                if !ports.iter().any(same) {
                    ports.push(port);
                }
            }
        }
        ports.sort_by(|a, b| (a.container, &a.protocol).cmp(&(b.container, &b.protocol)));
        ports
    }
}

impl State {
    fn describe(self) -> ContainerState {
        // Podman has words for steps on the way; `podman ps` shows the same ones.
        let status = match self.state {
            Some(1 | 2) => ContainerStatus::Created,
            Some(3 | 8) => ContainerStatus::Running,
            Some(4 | 6) => ContainerStatus::Exited,
            Some(5) => ContainerStatus::Paused,
            Some(7) => ContainerStatus::Removing,
            _ => ContainerStatus::Unknown,
        };
        let set = |time: Option<String>| time.filter(|time| !time.starts_with("0001-01-01T00:00:00"));
        let exit_code = self.exit_code.or(self.state.map(|_| 0));
        ContainerState { status, exit_code, started: set(self.started), finished: set(self.finished) }
    }
}
