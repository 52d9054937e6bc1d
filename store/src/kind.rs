//! Which kinds of store there are, and how one is opened. Below all engines, which know nothing of one
//! another.

use std::fmt;
use std::path::PathBuf;

/// Kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// Docker until 1.9: `graph/`, `repositories-<driver>`.
    DockerGraph,
    /// Docker since 1.10: `image/<driver>/`.
    Docker,
    /// Podman, Buildah, CRI-O, skopeo: `<driver>-images/`, `<driver>-layers/`.
    ContainersStorage,
    /// An OCI image layout, as a directory or a tar.
    OciLayout,
    /// A tar with `manifest.json`.
    DockerArchive,
    /// A tar with `repositories` and a directory for each layer.
    DockerV1Archive,
    /// containerd's content store.
    Containerd,
}

/// How to open a store.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Only this kind; by default whatever is there.
    pub kind: Option<StoreKind>,
    /// Only images of this partition, a graph driver; by default all of a Docker store, and of a graph
    /// store the one in use.
    pub partition: Option<String>,
    /// Where a compressed archive is decompressed to; by default the system's directory for temporary files.
    pub temp_dir: Option<PathBuf>,
}

/// A store that was recognised.
#[derive(Debug, Clone)]
pub struct Detected {
    /// Which engine's.
    pub kind: StoreKind,
    /// Where.
    pub root: PathBuf,
    /// Graph drivers whose images are there.
    pub partitions: Vec<String>,
    /// The files that it was recognised by, relative to the root.
    pub evidence: Vec<String>,
}

impl StoreKind {
    /// All kinds, for a program that lets its users choose.
    pub const ALL: &[StoreKind] = &[
        StoreKind::DockerGraph,
        StoreKind::Docker,
        StoreKind::ContainersStorage,
        StoreKind::OciLayout,
        StoreKind::DockerArchive,
        StoreKind::DockerV1Archive,
        StoreKind::Containerd,
    ];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            StoreKind::DockerGraph => "docker-graph",
            StoreKind::Docker => "docker",
            StoreKind::ContainersStorage => "containers-storage",
            StoreKind::OciLayout => "oci-layout",
            StoreKind::DockerArchive => "docker-archive",
            StoreKind::DockerV1Archive => "docker-v1",
            StoreKind::Containerd => "containerd",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
