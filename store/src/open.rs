//! Finding out what is at a path, and opening it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, Hint, Platform, Root, Store, containerd, containers, docker, graph, layout, places};

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
    /// Only images of this partition, a graph driver; by default all of a Docker store, and of a graph store the one in
    /// use.
    pub partition: Option<String>,
    /// Of images that are there for several platforms, the one for this: `os/arch` or `os/arch/variant`. By default that of
    /// this machine if it is offered, else the only one.
    pub platform: Option<Platform>,
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

/// What is at `path`: none, one or several stores (a Docker root can hold a graph store and its successor).
///
/// A file is an archive; one that is compressed is decompressed to see.
pub fn detect(path: &Path) -> Result<Vec<Detected>, Error> {
    if is_file(path) {
        return Ok(layout::detect_file(path)?.into_iter().collect());
    }
    let root = Root::open(path)?;
    let found = [
        graph::detect(&root)?,
        docker::detect(&root)?,
        containers::detect(&root)?,
        containerd::detect(&root)?,
        layout::detect(&root)?,
    ];
    Ok(found.into_iter().flatten().collect())
}

/// Opens the store at `path`. Where there are several, the options have to say which. Where there is none, but one in a
/// usual place below, as in a home or on the disk of another host, it is that.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Store>, Error> {
    if is_file(path) {
        return layout::open_file(path, options);
    }
    let none = match open_at(path, options) {
        Err(none @ Error::NoStore { .. }) => none,
        opened => return opened,
    };
    let mut below = places::below(path);
    below.retain(|place| {
        let found = if place == path { Vec::new() } else { detect(place).unwrap_or_default() };
        found.iter().any(|found| options.kind.is_none_or(|kind| kind == found.kind))
    });
    match below.as_slice() {
        [] => Err(none),
        [only] => open_at(only, options),
        several => Err(Error::SeveralStores {
            path: path.to_owned(),
            candidates: several.iter().map(|place| place.display().to_string()).collect(),
            choose: Hint::ChooseRoot,
        }),
    }
}

fn open_at(path: &Path, options: &OpenOptions) -> Result<Box<dyn Store>, Error> {
    let mut found = Vec::new();
    if options.kind.is_none() {
        found = detect(path)?;
        let wanted =
            |found: &Detected| options.partition.as_ref().is_some_and(|name| found.partitions.contains(name));
        if found.iter().any(wanted) {
            found.retain(wanted);
        }
    }
    let kind = match (options.kind, found.as_slice()) {
        (Some(kind), _) => kind,
        (None, [only]) => only.kind,
        (None, []) => return Err(no_store(path)),
        (None, several) => {
            let candidates = several.iter().map(|found| found.kind.to_string()).collect();
            let choose = Hint::ChooseKind;
            return Err(Error::SeveralStores { path: path.to_owned(), candidates, choose });
        }
    };
    let root = Root::open(path)?;
    Ok(match kind {
        StoreKind::DockerGraph => Box::new(graph::open(root, options)?),
        StoreKind::Docker => Box::new(docker::open(root, options)?),
        StoreKind::ContainersStorage => Box::new(containers::open(root, options)?),
        StoreKind::Containerd => return Err(containerd::unsupported(&root)),
        StoreKind::OciLayout | StoreKind::DockerArchive | StoreKind::DockerV1Archive => {
            return layout::open(root, options);
        }
    })
}

/// Whether it is there and no directory.
fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_dir())
}

fn no_store(path: &Path) -> Error {
    let hint = Hint::Other("name the data root of an engine, such as /var/lib/docker".into());
    Error::NoStore { path: path.to_owned(), why: None, hint: Some(hint) }
}

impl StoreKind {
    /// All kinds, for whoever lets a user choose.
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
