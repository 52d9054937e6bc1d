//! `config.v2.json`: what a container is, and what it was doing.
//!
//! ```text
//! {"State":{"Running":false,"ExitCode":0,"StartedAt":"…","FinishedAt":"…", …},"ID":"947043a8…",
//!  "Created":"2026-11-25T07:36:03.6Z","Path":"/bin/pause","Args":[],"Config":{ …,"Image":"base:1", …},
//!  "Image":"sha256:8ea6…","ImageManifest":null,"Name":"/orphan-1","Driver":"overlay2",
//!  "MountPoints":{"/data":{"Type":"volume","Name":"e20e…","RW":true, …}}, …}
//! ```
//!
//! `Config` has the settings of the image, merged with those of the command line. Times that are unset are
//! those of the year 1. Source: moby, `container/container.go` and `container/state.go`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use crate::{Container, ContainerState, ContainerStatus, Mount};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    name: Option<String>,
    created: Option<String>,
    path: Option<String>,
    args: Option<Vec<String>>,
    #[serde(rename = "Config")]
    pub(super) settings: Settings,
    pub(super) image: Option<String>,
    pub(super) image_manifest: Option<IgnoredAny>,
    pub(super) driver: Option<String>,
    state: Option<State>,
    mount_points: Option<BTreeMap<String, MountPoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Settings {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) exposed_ports: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
    paused: bool,
    restarting: bool,
    removal_in_progress: bool,
    dead: bool,
    exit_code: Option<i64>,
    started_at: Option<String>,
    finished_at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MountPoint {
    #[serde(rename = "Type")]
    kind: Option<String>,
    name: Option<String>,
    source: Option<String>,
    #[serde(rename = "RW", default)]
    writable: bool,
    driver: Option<String>,
}

impl Config {
    /// What can be read of a damaged record: each member by itself.
    pub(super) fn left(members: &Map<String, Value>) -> Self {
        Config {
            id: member(members, "ID"),
            name: member(members, "Name"),
            created: member(members, "Created"),
            path: member(members, "Path"),
            args: member(members, "Args"),
            settings: member(members, "Config").unwrap_or_default(),
            image: member(members, "Image"),
            image_manifest: member(members, "ImageManifest"),
            driver: member(members, "Driver"),
            state: member(members, "State"),
            mount_points: member(members, "MountPoints"),
        }
    }

    /// Adds what it says.
    pub(super) fn describe(self, container: Container) -> Container {
        let name = self.name.as_deref().map(|name| name.trim_start_matches('/').to_owned());
        // A record that was cut may lack the program; an argument may be empty.
        let program = self.path.into_iter().filter(|path| !path.is_empty());
        let command = program.chain(self.args.into_iter().flatten());
        let mounts = self.mount_points.unwrap_or_default().into_iter();
        Container {
            names: name.into_iter().filter(|name| !name.is_empty()).collect(),
            image: self.settings.image.filter(|image| !image.is_empty()),
            command: command.collect(),
            created: self.created.and_then(set),
            state: self.state.map_or(container.state, State::describe),
            mounts: mounts.map(|(destination, mount)| mount.describe(destination)).collect(),
            labels: self.settings.labels.unwrap_or_default(),
            ..container
        }
    }
}

impl State {
    fn describe(self) -> ContainerState {
        let started = self.started_at.and_then(set);
        // In the order of Docker's `StateString`.
        let status = match self {
            State { running: true, paused: true, .. } => ContainerStatus::Paused,
            State { running: true, restarting: true, .. } => ContainerStatus::Restarting,
            State { running: true, .. } => ContainerStatus::Running,
            State { removal_in_progress: true, .. } => ContainerStatus::Removing,
            State { dead: true, .. } => ContainerStatus::Dead,
            _ if started.is_none() => ContainerStatus::Created,
            _ => ContainerStatus::Exited,
        };
        ContainerState {
            status,
            exit_code: self.exit_code,
            started,
            finished: self.finished_at.and_then(set),
        }
    }
}

impl MountPoint {
    fn describe(self, destination: String) -> Mount {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let name = given(self.name);
        // Docker 1.10 recorded no type.
        let of_name = if name.is_some() { "volume" } else { "bind" };
        Mount {
            kind: given(self.kind).unwrap_or_else(|| of_name.to_owned()),
            name,
            source: given(self.source),
            destination,
            writable: self.writable,
            driver: given(self.driver),
        }
    }
}

fn member<T: DeserializeOwned>(members: &Map<String, Value>, name: &str) -> Option<T> {
    let value = members.get(name).filter(|value| !value.is_null())?;
    serde_json::from_value(value.clone()).ok()
}

/// Go's time of nothing.
fn set(time: String) -> Option<String> {
    (!time.is_empty() && !time.starts_with("0001-01-01T00:00:00")).then_some(time)
}
