//! Containers for machines.

use std::collections::BTreeMap;

use layerlift_store::{Container, Mount, Port};
use serde::Serialize;
use serde_json::Value;

use super::row::Row;

/// A container for machines.
#[derive(Serialize)]
pub(in crate::commands) struct ContainerJson<'a> {
    id: &'a str,
    names: &'a [String],
    image: Option<&'a str>,
    image_id: Option<&'a str>,
    image_present: bool,
    command: &'a [String],
    created: Option<&'a str>,
    state: &'static str,
    exit_code: Option<i64>,
    started: Option<&'a str>,
    finished: Option<&'a str>,
    size: Option<u64>,
    mounts: Vec<MountJson<'a>>,
    ports: Vec<PortJson<'a>>,
    labels: &'a BTreeMap<String, String>,
    restart_policy: Option<&'a str>,
    compose_project: Option<&'a str>,
    compose_service: Option<&'a str>,
    compose_files: Vec<&'a str>,
    pod: Option<PodJson<'a>>,
    /// What is wrong with its records.
    damage: Vec<String>,
    driver: &'a str,
    store: &'a str,
    root: &'a str,
}

#[derive(Serialize)]
struct MountJson<'a> {
    r#type: &'a str,
    name: Option<&'a str>,
    source: Option<&'a str>,
    destination: &'a str,
    rw: bool,
    driver: Option<&'a str>,
}

#[derive(Serialize)]
struct PortJson<'a> {
    container_port: u16,
    /// How many ports follow each other.
    range: u16,
    protocol: &'a str,
    host_ip: Option<&'a str>,
    /// A number, or a range as it was typed.
    host_port: Value,
    published: bool,
}

#[derive(Serialize)]
struct PodJson<'a> {
    id: &'a str,
    name: Option<&'a str>,
}

impl<'a> ContainerJson<'a> {
    pub(in crate::commands) fn new(row: &'a Row<'_>) -> Self {
        let container = &row.container;
        let state = &container.state;
        let files = compose(container, "project.config_files").unwrap_or_default();
        ContainerJson {
            id: container.key.id(),
            names: &container.names,
            image: container.image.as_deref(),
            image_id: container.image_id.as_deref(),
            image_present: container.image_present,
            command: &container.command,
            created: container.created.as_deref(),
            state: state.status.name(),
            exit_code: state.exit_code,
            started: state.started.as_deref(),
            finished: state.finished.as_deref(),
            size: row.size,
            mounts: container.mounts.iter().map(MountJson::new).collect(),
            ports: container.ports.iter().map(PortJson::new).collect(),
            labels: &container.labels,
            restart_policy: container.restart_policy.as_deref(),
            compose_project: compose(container, "project"),
            compose_service: compose(container, "service"),
            compose_files: files.split(',').filter(|file| !file.is_empty()).collect(),
            pod: container.pod.as_ref().map(|pod| PodJson { id: &pod.id, name: pod.name.as_deref() }),
            damage: container.faults().map(ToString::to_string).collect(),
            driver: container.key.partition(),
            store: row.source.kind.name(),
            root: &row.root,
        }
    }
}

/// A label of Compose.
pub(in crate::commands) fn compose<'a>(container: &'a Container, what: &str) -> Option<&'a str> {
    let label = |prefix: &str| container.labels.get(&format!("{prefix}.compose.{what}"));
    label("com.docker").or_else(|| label("io.podman")).map(String::as_str)
}

impl<'a> MountJson<'a> {
    fn new(mount: &'a Mount) -> Self {
        MountJson {
            r#type: &mount.kind,
            name: mount.name.as_deref(),
            source: mount.source.as_deref(),
            destination: &mount.destination,
            rw: mount.writable,
            driver: mount.driver.as_deref(),
        }
    }
}

impl<'a> PortJson<'a> {
    fn new(port: &'a Port) -> Self {
        let host = port.host.as_deref();
        let number = |text: &str| text.parse::<u16>().map_or_else(|_| Value::from(text), Value::from);
        PortJson {
            container_port: port.container,
            range: port.count,
            protocol: &port.protocol,
            host_ip: port.host_ip.as_deref(),
            host_port: host.map_or(Value::Null, number),
            published: port.published,
        }
    }
}
