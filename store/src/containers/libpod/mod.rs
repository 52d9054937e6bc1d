//! What Podman keeps of containers, pods and volumes beside containers-storage: how they were made, and what
//! became of them.
//!
//! ```text
//! libpod/bolt_state.db    until Podman 4.7: buckets ctr/<id>/{config,state,networks}, pod/<id>/config,
//!                         vol/<name>/config
//! db.sql                  since 4.8 for new stores: tables ContainerConfig, ContainerState, PodConfig,
//!                         VolumeConfig (SQLite)
//! ```
//!
//! Both hold the same JSON. A store that was moved from one to the other may have both.

mod bolt;
mod record;
mod sql;

use std::collections::BTreeMap;

use crate::{ContainerKey, Error, Notice, Root};

pub(super) use record::container;

/// What the databases have.
#[derive(Debug, Default)]
pub(super) struct Libpod {
    /// By id.
    pub(super) containers: BTreeMap<String, Documents>,
    /// By id.
    pub(super) pods: BTreeMap<String, PodConfig>,
    /// Configs of volumes by their names.
    pub(super) volumes: BTreeMap<String, Vec<u8>>,
    /// The databases that are there, relative to the root.
    pub(super) databases: Vec<&'static str>,
    /// Databases that cannot be read, and what cannot be read of others.
    pub(super) lost: Vec<Error>,
    pub(super) notices: Vec<Notice>,
}

/// What is needed of a pod.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct PodConfig {
    name: Option<String>,
    #[serde(rename = "CreateCommand")]
    create_command: Option<Vec<String>>,
}

/// What says which container it is.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Brief {
    pub(super) name: Option<String>,
    #[serde(rename = "rootfsImageID")]
    pub(super) image_id: Option<String>,
}

/// The documents of a container.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    pub(super) config: Vec<u8>,
    pub(super) state: Option<Vec<u8>>,
    /// Names of networks that are recorded apart from the config.
    pub(super) networks: Vec<String>,
    /// The database that they are from, relative to the root.
    pub(super) file: &'static str,
}

impl Documents {
    /// The names of a container and of its image. Nothing, if the config cannot be read.
    pub(super) fn brief(&self) -> Brief {
        crate::json::object(&self.config).unwrap_or_default()
    }
}

impl Libpod {
    /// Reads the databases of a store. It has none if only other engines have used it.
    pub(super) fn read(root: &Root) -> Self {
        let mut found = Libpod::default();
        for (file, read) in [(bolt::FILE, bolt::read as Read), (sql::FILE, sql::read)] {
            match read(root, &mut found) {
                Ok(true) => found.databases.push(file),
                Ok(false) => {}
                Err(error) => {
                    found.databases.push(file);
                    found.lost.push(error.within("how Podman's containers were run"));
                }
            }
        }
        found
    }

    /// The database that should have a container which none has: the one that is there, else today's.
    pub(super) fn database(&self) -> (&'static str, bool) {
        match self.databases.last() {
            Some(file) => (file, true),
            None => (sql::FILE, false),
        }
    }
}

type Read = fn(&Root, &mut Libpod) -> Result<bool, Error>;

/// The key and the names that containers-storage has for a container.
pub(super) struct Known {
    pub(super) key: ContainerKey,
    pub(super) names: Vec<String>,
    pub(super) image_id: Option<String>,
    pub(super) image_present: bool,
}
