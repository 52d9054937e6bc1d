//! Kinds of store, and options to open one. All engines use this module; none knows another.

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
    /// skopeo's `dir:`, Podman's `docker-dir`: a manifest, and its blobs beside it.
    Dir,
    /// containerd, and Docker since 29: a database, and blobs by digest.
    Containerd,
}

/// How to open a store.
///
/// ```
/// use layerlift_store::{OpenOptions, StoreKind};
///
/// let options = OpenOptions::default().with_kind(StoreKind::Docker).with_partition("overlay2");
/// assert_eq!(options.partition.as_deref(), Some("overlay2"));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Only this kind; by default whatever is there.
    pub kind: Option<StoreKind>,
    /// Only images of this partition, a graph driver or a namespace. By default, these are all drivers of a
    /// Docker store, the driver in use of a graph store, and the namespace of containerd that has images.
    pub partition: Option<String>,
    /// All namespaces of containerd.
    pub all_partitions: bool,
    /// Symbolic links that are followed wherever they lead: in place of a directory that a store keeps at its
    /// top, such as `/var/lib/docker/overlay2`. Without being named here, such a link is followed only to
    /// something below [`OpenOptions::within`].
    pub follow: Vec<PathBuf>,
    /// The folder below which links of a store may lead; by default the one that is opened.
    pub within: Option<PathBuf>,
    /// In containerd, for layers whose blobs are missing: decompress all blobs to find their tars, where no
    /// label says which blob has one.
    pub find_blobs: bool,
    /// Where a compressed archive is decompressed to; by default the system's directory for temporary files.
    pub temp_dir: Option<PathBuf>,
}

impl OpenOptions {
    /// Only this kind.
    pub fn with_kind(mut self, kind: StoreKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only images of this partition.
    pub fn with_partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = Some(partition.into());
        self
    }

    /// All namespaces of containerd.
    pub fn with_all_partitions(mut self, all: bool) -> Self {
        self.all_partitions = all;
        self
    }

    /// Follows these links.
    pub fn with_follow(mut self, follow: impl IntoIterator<Item = PathBuf>) -> Self {
        self.follow = follow.into_iter().collect();
        self
    }

    /// Lets links of a store lead to anything below this folder.
    pub fn with_within(mut self, within: impl Into<PathBuf>) -> Self {
        self.within = Some(within.into());
        self
    }

    /// Decompresses blobs to find missing layers.
    pub fn with_find_blobs(mut self, find: bool) -> Self {
        self.find_blobs = find;
        self
    }

    /// Decompresses archives here.
    pub fn with_temp_dir(mut self, temp_dir: impl Into<PathBuf>) -> Self {
        self.temp_dir = Some(temp_dir.into());
        self
    }
}

/// A store that was recognised, but not opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Detected {
    /// Which engine's.
    pub kind: StoreKind,
    /// Where.
    pub root: PathBuf,
    /// Graph drivers or namespaces whose images are there.
    pub partitions: Vec<String>,
    /// The files that it was recognised by, relative to the root.
    pub evidence: Vec<String>,
}

impl StoreKind {
    /// All kinds.
    pub const ALL: &[StoreKind] = &[
        StoreKind::DockerGraph,
        StoreKind::Docker,
        StoreKind::ContainersStorage,
        StoreKind::OciLayout,
        StoreKind::DockerArchive,
        StoreKind::DockerV1Archive,
        StoreKind::Dir,
        StoreKind::Containerd,
    ];

    /// Whether it carries images from one engine to another, and no engine works on it.
    pub fn is_archive(self) -> bool {
        match self {
            StoreKind::OciLayout | StoreKind::DockerArchive | StoreKind::DockerV1Archive | StoreKind::Dir => {
                true
            }
            StoreKind::DockerGraph
            | StoreKind::Docker
            | StoreKind::ContainersStorage
            | StoreKind::Containerd => false,
        }
    }

    /// As written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            StoreKind::DockerGraph => "docker-graph",
            StoreKind::Docker => "docker",
            StoreKind::ContainersStorage => "containers-storage",
            StoreKind::OciLayout => "oci-layout",
            StoreKind::DockerArchive => "docker-archive",
            StoreKind::DockerV1Archive => "docker-v1",
            StoreKind::Dir => "dir",
            StoreKind::Containerd => "containerd",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
