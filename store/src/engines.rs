//! The table of engines: where each keeps its stores, how a store is recognised, and how it is opened.
//!
//! To support another engine, add a folder and a row.

use std::path::{Path, PathBuf};

use crate::containers::settings;
use crate::kind::{Detected, OpenOptions, StoreKind};
use crate::{Error, Root, Store, containerd, containers, docker, graph, layout};

/// Opens the store of a root.
pub(crate) type Open = fn(Root, &OpenOptions) -> Result<Box<dyn Store>, Error>;

/// An engine, or several that share a store.
pub(crate) struct Engine {
    /// The kinds of its stores. Of several kinds in one place, the first that is recognised counts.
    pub(crate) kinds: &'static [StoreKind],
    /// Places of the system's store, relative to the root of the system.
    pub(crate) places: &'static [&'static str],
    /// Places of a user's store, relative to the user's data folder (`~/.local/share`).
    pub(crate) user_places: &'static [&'static str],
    /// Settings that name other places.
    pub(crate) settings: Settings,
    /// Recognises a store in a directory.
    pub(crate) detect: fn(&Root) -> Result<Option<Detected>, Error>,
    /// Opens the store of a directory.
    pub(crate) open: Open,
}

/// Settings that can name the place of a store.
pub(crate) enum Settings {
    /// None are read.
    None,
    /// Those of a daemon, for a system with this root.
    Daemon(fn(&Path) -> Option<PathBuf>),
    /// Those of a system and its users, for a system with this root and these homes.
    Users(fn(&Path, &[PathBuf]) -> Vec<PathBuf>),
}

/// All engines. Stores in one place are listed in this order.
pub(crate) const ENGINES: &[Engine] = &[
    Engine {
        kinds: &[StoreKind::DockerGraph],
        // Its places are those of its successor.
        places: &[],
        user_places: &[],
        settings: Settings::None,
        detect: graph::detect,
        open: |root, options| Ok(Box::new(graph::open(root, options)?)),
    },
    Engine {
        kinds: &[StoreKind::Docker],
        places: &[
            "var/lib/docker",
            "var/snap/docker/common/var-lib-docker",
            "var/lib/balena-engine",
            "var/lib/balena",
        ],
        user_places: &["docker"],
        settings: Settings::Daemon(docker::data_root),
        detect: docker::detect,
        open: |root, options| Ok(Box::new(docker::open(root, options)?)),
    },
    Engine {
        kinds: &[StoreKind::ContainersStorage],
        places: &["var/lib/containers/storage"],
        user_places: &["containers/storage"],
        settings: Settings::Users(settings::roots),
        detect: containers::detect,
        open: |root, options| Ok(Box::new(containers::open(root, options)?)),
    },
    Engine {
        kinds: &[StoreKind::Containerd],
        places: &[
            "var/lib/containerd",
            "var/lib/rancher/k3s/agent/containerd",
            "var/lib/rancher/rke2/agent/containerd",
            "var/lib/k0s/containerd",
            "var/snap/microk8s/common/var/lib/containerd",
        ],
        user_places: &["containerd"],
        settings: Settings::None,
        detect: containerd::detect,
        open: |root, options| Ok(Box::new(containerd::open(&root, options)?)),
    },
    Engine {
        kinds: &[StoreKind::OciLayout, StoreKind::DockerArchive, StoreKind::DockerV1Archive, StoreKind::Dir],
        places: &[],
        user_places: &[],
        settings: Settings::None,
        detect: layout::detect,
        open: layout::open,
    },
];

/// The row of a kind.
pub(crate) fn engine(kind: StoreKind) -> &'static Engine {
    ENGINES.iter().find(|engine| engine.kinds.contains(&kind)).expect("every kind has a row, as a test says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row() {
        for kind in StoreKind::ALL {
            assert_eq!(ENGINES.iter().filter(|engine| engine.kinds.contains(kind)).count(), 1, "{kind}");
        }
    }
}
