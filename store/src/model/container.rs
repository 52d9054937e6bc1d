//! Containers: what a store keeps of each, and which of them a name means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{ContainerKey, Notice};
use crate::Error;

/// What [`crate::Containers::containers`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ContainerListing {
    /// Newest first; of the same time by id.
    pub containers: Vec<Container>,
    /// Whose record cannot be read, by id. It hides nothing else: a container of which anything is left is
    /// among the others.
    pub broken: Vec<(String, Error)>,
    /// What the store had on record and has no longer: a database, settings.
    pub lost: Vec<Error>,
    /// What is odd and was read nevertheless.
    pub notices: Vec<Notice>,
}

/// A container as its engine recorded it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Container {
    /// Which one.
    pub key: ContainerKey,
    /// Its names, as a user types them.
    pub names: Vec<String>,
    /// The image as it was typed: a name, perhaps a short id.
    pub image: Option<String>,
    /// 64 hex digits: the id of the image; with containerd's store, the digest of its manifest or index.
    pub image_id: Option<String>,
    /// Whether the image is still in the store.
    pub image_present: bool,
    /// The command with its arguments, entrypoint included.
    pub command: Vec<String>,
    /// RFC 3339, as stored.
    pub created: Option<String>,
    /// What it was doing when the store was last written.
    pub state: ContainerState,
    /// Volumes, folders of the host, and tmpfs.
    pub mounts: Vec<Mount>,
    /// Ports that it publishes or exposes.
    pub ports: Vec<Port>,
    /// Labels, those of its image included.
    pub labels: BTreeMap<String, String>,
    /// `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:3`. `None` where that is not recorded.
    pub restart_policy: Option<String>,
    /// The pod that it belongs to.
    pub pod: Option<Pod>,
    /// The engine's own records of it.
    pub record: ContainerRecord,
    /// What is wrong with these records. What they do not say is empty above.
    pub damage: Vec<Error>,
    /// What is wrong with a record of limits, ports and the restart policy alone, which images do not have.
    pub host_damage: Option<Error>,
}

/// The documents in which an engine keeps a container: JSON, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerRecord {
    /// Docker's.
    Docker {
        /// `config.v2.json`. Where it is damaged, an object with what is left of it.
        config: Vec<u8>,
        /// `hostconfig.json`: limits, ports, the restart policy. `None` if nothing is left of it.
        host_config: Option<Vec<u8>>,
    },
    /// Podman's.
    Podman {
        /// How it was made, from the database.
        config: Vec<u8>,
        /// What became of it, from the database.
        state: Option<Vec<u8>>,
        /// Names of the networks that it joins, sorted.
        networks: Vec<String>,
    },
    /// Only containers-storage has it: Buildah or CRI-O made it, or Podman's database does not have it.
    Storage {
        /// The record in `containers.json`; `None` if it is lost.
        record: Option<Vec<u8>>,
        /// What the engine gave the runtime when the container was last started (`userdata/config.json`, as
        /// in the OCI runtime specification).
        runtime: Option<Vec<u8>>,
        /// What Buildah notes of its working container (`userdata/buildah.json`).
        builder: Option<Vec<u8>>,
        /// The database that should say how the container was run, and does not.
        lacks: Option<PathBuf>,
    },
}

/// What a container was doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerState {
    /// The word for it.
    pub status: ContainerStatus,
    /// The last exit code; 0 if it has not ended yet.
    pub exit_code: Option<i64>,
    /// RFC 3339; `None` if it was never started.
    pub started: Option<String>,
    /// RFC 3339; `None` if it has not ended, or if its host died with it.
    pub finished: Option<String>,
}

/// The words of engines for what a container was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerStatus {
    /// Made and never started.
    Created,
    /// It was running when its host or its engine died.
    Running,
    /// The same, and it was paused.
    Paused,
    /// The same, and its engine was about to start it again.
    Restarting,
    /// It has ended.
    Exited,
    /// Its engine was removing it.
    Removing,
    /// Its engine failed to remove it.
    Dead,
    /// Not a container that is run: a working container of Buildah.
    External,
    /// Not recorded.
    Unknown,
}

/// Something that is mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount {
    /// `volume`, `bind`, `tmpfs`, or another of the engine's words.
    pub kind: String,
    /// The volume.
    pub name: Option<String>,
    /// The path on the host that ran it, as recorded.
    pub source: Option<String>,
    /// The path in the container.
    pub destination: String,
    /// Whether it may be written to.
    pub writable: bool,
    /// The driver of the volume.
    pub driver: Option<String>,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// The first port in the container.
    pub container: u16,
    /// How many ports follow each other.
    pub count: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The address on the host; `None` for any.
    pub host_ip: Option<String>,
    /// The first port on the host, as typed; `None` if the port is only exposed, or one is to be chosen.
    pub host: Option<String>,
    /// Whether it is published, and not only exposed.
    pub published: bool,
}

/// A pod of Podman.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pod {
    /// 64 hex digits.
    pub id: String,
    /// `None` if its record is lost.
    pub name: Option<String>,
    /// The command line that made it, word by word; empty if that is not recorded.
    pub create_command: Vec<String>,
}

impl ContainerStatus {
    /// As engines write it.
    pub fn name(self) -> &'static str {
        match self {
            ContainerStatus::Created => "created",
            ContainerStatus::Running => "running",
            ContainerStatus::Paused => "paused",
            ContainerStatus::Restarting => "restarting",
            ContainerStatus::Exited => "exited",
            ContainerStatus::Removing => "removing",
            ContainerStatus::Dead => "dead",
            ContainerStatus::External => "external",
            ContainerStatus::Unknown => "unknown",
        }
    }
}

impl Container {
    /// A container of which nothing but its key and its record is known yet.
    pub(crate) fn new(key: ContainerKey, record: ContainerRecord) -> Self {
        let state = ContainerState {
            status: ContainerStatus::Unknown,
            exit_code: None,
            started: None,
            finished: None,
        };
        Container {
            key,
            names: Vec::new(),
            image: None,
            image_id: None,
            image_present: false,
            command: Vec::new(),
            created: None,
            state,
            mounts: Vec::new(),
            ports: Vec::new(),
            labels: BTreeMap::new(),
            restart_policy: None,
            pod: None,
            record,
            damage: Vec::new(),
            host_damage: None,
        }
    }
}

impl Container {
    /// A layer whose container is not known, as one. It changed last at this time, in seconds since 1970.
    pub(crate) fn of_orphan(key: ContainerKey, record: ContainerRecord, modified_secs: i64) -> Self {
        let time = jiff::Timestamp::from_second(modified_secs).ok().map(|time| time.to_string());
        Container { created: time, ..Container::new(key, record) }
    }

    /// All that is wrong with its records.
    pub fn faults(&self) -> impl Iterator<Item = &Error> {
        self.damage.iter().chain(&self.host_damage)
    }

    /// When it ended, else when it was made: RFC 3339, as stored. Without either, the time at which nothing
    /// has a time.
    pub fn last_known(&self) -> &str {
        let found = self.state.finished.as_deref().or(self.created.as_deref());
        found.unwrap_or("0001-01-01T00:00:00Z")
    }

    /// The same in seconds since 1970; 0 if it cannot be.
    pub(crate) fn last_known_secs(&self) -> i64 {
        let time = self.last_known().parse::<jiff::Timestamp>();
        time.map_or(0, |time| time.as_second().max(0))
    }
}

impl Port {
    /// A port that is only exposed: `8080/tcp`, or a range (`8000-8010/tcp`).
    pub fn exposed(text: &str) -> Option<Self> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        Some(Port {
            container: first,
            count: last.checked_sub(first)?.checked_add(1)?,
            protocol: protocol.to_owned(),
            host_ip: None,
            host: None,
            published: false,
        })
    }
}

impl ContainerListing {
    /// Puts the containers in their order. Those without a valid time come last.
    pub(crate) fn sort(&mut self) {
        let time = |container: &Container| {
            container.created.as_ref().and_then(|time| time.parse::<jiff::Timestamp>().ok())
        };
        self.containers.sort_by_cached_key(|container| {
            (std::cmp::Reverse(time(container)), container.key.id().to_owned())
        });
    }

    /// The container that is meant by a name, an id or the beginning of one.
    ///
    /// # Errors
    ///
    /// [`Error::NoContainer`] if nothing has this name, [`Error::Ambiguous`] if several have it, and the
    /// error of the container if it is one that cannot be read.
    pub fn find(&self, name: &str) -> Result<&Container, Error> {
        let wanted = name.strip_prefix('/').unwrap_or(name);
        let is_prefix = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
        let by_id = |container: &Container| container.key.id() == wanted;
        let by_name = |container: &Container| container.names.iter().any(|name| name == wanted);
        let by_prefix = |container: &Container| is_prefix && container.key.id().starts_with(wanted);
        let all = |pick: &dyn Fn(&Container) -> bool| {
            self.containers.iter().filter(|container| pick(container)).collect::<Vec<_>>()
        };
        let picks: [&dyn Fn(&Container) -> bool; 3] = [&by_id, &by_name, &by_prefix];
        let found = picks.into_iter().map(all).find(|found| !found.is_empty()).unwrap_or_default();
        match &*found {
            [only] => Ok(only),
            [] => {
                let mut broken = self.broken.iter().filter(|(id, _)| is_prefix && id.starts_with(wanted));
                Err(match broken.next() {
                    Some((id, error)) => error.clone().within(format!("container {id}")),
                    None => Error::NoContainer { name: name.to_owned(), suggestions: self.near(wanted) },
                })
            }
            several => {
                let line = |container: &&Container| {
                    format!("{} {}", container.key.id(), container.names.join(", ")).trim_end().to_owned()
                };
                let candidates = several.iter().map(line).collect();
                Err(Error::Ambiguous { name: name.to_owned(), candidates, drivers: false })
            }
        }
    }

    /// Names that are similar.
    fn near(&self, name: &str) -> Vec<String> {
        let names = self.containers.iter().flat_map(|container| &container.names);
        let mut near: Vec<String> =
            names.filter(|known| strsim::jaro(known, name) > 0.8).take(5).cloned().collect();
        near.sort();
        near.dedup();
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyring;

    fn listing() -> ContainerListing {
        let keys = Keyring::new();
        let container = |digits: &str, names: &[&str]| {
            let record = ContainerRecord::Storage { record: None, runtime: None, builder: None, lacks: None };
            let key = keys.container("overlay", digits.repeat(64 / digits.len()));
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Container { names, ..Container::new(key, record) }
        };
        let containers =
            vec![container("ab", &["web"]), container("ac", &["twice"]), container("cc", &["twice", "abab"])];
        let broken = vec![("dd".repeat(32), Error::malformed("/x", "it is empty"))];
        ContainerListing { containers, broken, ..ContainerListing::default() }
    }

    #[test]
    fn names_ids_and_beginnings() {
        let listing = listing();
        let id = |name: &str| listing.find(name).map(|found| found.key.id()[..2].to_owned());
        assert_eq!(id("web").unwrap(), "ab");
        assert_eq!(id("/web").unwrap(), "ab");
        assert_eq!(id(&"ac".repeat(32)).unwrap(), "ac");
        assert_eq!(id("aba").unwrap(), "ab");
        assert_eq!(id("abab").unwrap(), "cc", "a name goes before the beginning of an id");
        assert!(matches!(id("twice"), Err(Error::Ambiguous { .. })));
        assert!(matches!(id("a"), Err(Error::Ambiguous { .. })));
        assert!(matches!(id("dddd"), Err(Error::Within { .. })));
        assert!(matches!(id(""), Err(Error::NoContainer { .. })));
        match id("weeb") {
            Err(Error::NoContainer { suggestions, .. }) => assert_eq!(suggestions, ["web"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ports_that_are_exposed() {
        let port = |text| Port::exposed(text).map(|port| (port.container, port.count, port.protocol));
        assert_eq!(port("53/udp"), Some((53, 1, "udp".to_owned())));
        assert_eq!(port("8000-8010/tcp"), Some((8000, 11, "tcp".to_owned())));
        assert_eq!(port("80"), Some((80, 1, "tcp".to_owned())));
        for text in ["", "x/tcp", "9-8/tcp", "70000/tcp"] {
            assert_eq!(port(text), None, "{text}");
        }
    }
}
