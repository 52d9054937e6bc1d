//! The containers of a Docker that keeps its images in containerd.
//!
//! ```text
//! <data root>/containers/<id>/         see `docker::containers`
//! meta.db      v1/moby/snapshots/<snapshotter>/<container id>/name   moby/48/<container id>
//! io.containerd.snapshotter.v1.<snapshotter>/
//!   metadata.db   v1/snapshots/<that name>/{id,kind,parent}          kind 2: it can be written to
//!   snapshots/<id>/fs                                                the writable layer
//! ```
//!
//! The snapshot below is `<container id>-init`: mount points and the files that Docker mounts over. The data
//! root is two folders above a containerd of Docker's own, else the neighbour that the usual places have
//! (`/var/lib/docker` beside `/var/lib/containerd`).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use layerlift_archive::Digest;

use super::metadata::{DATABASE, Metadata, text};
use super::snapshots;
use crate::diff::{Form, written};
use crate::docker::containers;
use crate::docker::{volumes, working};
use crate::{
    Container, ContainerKey, ContainerListing, Containers, DiffLayer, Error, Keyring, Layer, LayerDir, Root,
    RootFs, VolumeListing,
};

/// Where Docker has a containerd of its own, below its data root.
pub(super) const OF_DOCKER: &str = "containerd/daemon";
/// Docker's namespace; with userns-remap, the ids of its user follow.
const NAMESPACE: &str = "moby";

/// The containers of Docker beside its images.
pub(super) struct Docker {
    keys: Keyring,
    /// The root of the store.
    root: Root,
    /// Docker's data root.
    data: Root,
    /// `None` if it cannot be read.
    metadata: Option<Arc<Metadata>>,
}

impl Docker {
    /// Finds the data root of Docker. `None` without one that has containers.
    pub(super) fn of(root: &Root, metadata: Option<Arc<Metadata>>) -> Result<Option<Self>, Error> {
        let path = root.path();
        let data = match path.ends_with(OF_DOCKER) {
            true => path.ancestors().nth(2).map(ToOwned::to_owned),
            false => path.parent().map(|parent| parent.join("docker")),
        };
        let Some(data) = data.filter(|data| !data.as_os_str().is_empty()) else { return Ok(None) };
        let data = match Root::open(&data) {
            Ok(data) => data,
            // It is only a guess.
            Err(_) => return Ok(None),
        };
        let has_some = data.exists("containers")?;
        let root = root.clone();
        Ok(has_some.then(|| Docker { keys: Keyring::new(), root, data, metadata }))
    }

    /// Ids of containers that have a snapshot.
    fn with_layer(&self) -> Result<Vec<String>, Error> {
        let Some(metadata) = &self.metadata else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for name in metadata.all_namespaces()?.into_iter().filter(|name| is_of_docker(name)) {
            found.extend(metadata.containers(&name)?);
        }
        Ok(found)
    }

    /// What the namespaces of Docker have: the targets of their names.
    fn namespaces(&self) -> Result<HashMap<String, HashSet<Digest>>, Error> {
        let Some(metadata) = &self.metadata else { return Ok(HashMap::new()) };
        let mut found = HashMap::new();
        for name in metadata.all_namespaces()?.into_iter().filter(|name| is_of_docker(name)) {
            let targets = metadata.targets(&name)?;
            found.insert(name, targets);
        }
        Ok(found)
    }
}

/// Whether a namespace is one of Docker's.
pub(super) fn is_of_docker(namespace: &str) -> bool {
    namespace.strip_prefix(NAMESPACE).is_some_and(|ids| ids.is_empty() || ids.starts_with('-'))
}

impl Containers for Docker {
    fn containers(&self) -> Result<ContainerListing, Error> {
        let mut listing = ContainerListing::default();
        let namespaces = self.namespaces()?;
        let with_layer: HashSet<String> = match self.with_layer() {
            Ok(ids) => ids.into_iter().collect(),
            Err(error) => {
                listing.lost.push(error);
                HashSet::new()
            }
        };
        let ids = with_layer.iter().cloned().collect();
        for record in containers::read(&self.data, ids, |id| with_layer.contains(id))? {
            let mine = match record.damage.is_none() || record.is_of_containerd() {
                true => record.is_of_containerd(),
                false => !working::is_mounted(&self.data, &record.id)?,
            };
            if mine {
                let image = record.image_digest();
                let present =
                    image.is_some_and(|image| namespaces.values().any(|targets| targets.contains(&image)));
                let key = self.keys.container(NAMESPACE, &record.id);
                record.list(key, present, &mut listing);
            }
        }
        listing.sort();
        Ok(listing)
    }

    fn written(&self, key: &ContainerKey) -> Result<Option<u64>, Error> {
        let (dir, holds) = self.writable(key)?;
        written::of(&dir, &holds).map(Some)
    }

    fn layer(&self, container: &Container) -> Result<Option<DiffLayer>, Error> {
        let (dir, holds) = self.writable(&container.key)?;
        let layer = DiffLayer::new(dir, holds, container.last_known_secs());
        let root_fs = self.snapshot(&container.key, snapshots::root_fs);
        Ok(Some(layer.in_form(Form::Today).in_root_fs(root_fs)))
    }

    fn below(&self, container: &Container) -> Result<Vec<Layer>, Error> {
        if let (None, Some(damage)) = (&container.image_id, container.damage.first()) {
            return Err(damage.clone());
        }
        let (of, path) = (format!("container {}", container.key.id()), self.root.join(DATABASE));
        let id = container.image_id.clone().unwrap_or_default();
        Err(Error::Missing { of, what: "image", id, path })
    }

    fn root_fs(&self, container: &Container) -> Result<Option<RootFs>, Error> {
        self.snapshot(&container.key, snapshots::root_fs).map(Some)
    }

    fn volumes(&self) -> Result<VolumeListing, Error> {
        volumes::read(&self.data)
    }
}

impl Docker {
    /// The directory that a container writes to, and what it holds.
    fn writable(&self, key: &ContainerKey) -> Result<(Root, LayerDir), Error> {
        self.snapshot(key, snapshots::writable)
    }

    /// What a snapshotter has of a container.
    fn snapshot<T>(
        &self,
        key: &ContainerKey,
        find: impl Fn(&Root, &str, &[u8]) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        self.keys.check_container(key)?;
        let of = format!("container {}", key.id());
        let missing = |id, path| Error::Missing { of: of.clone(), what: "snapshot", id, path };
        let none = || missing(key.id().to_owned(), self.root.join(DATABASE));
        let metadata = self.metadata.as_ref().ok_or_else(none)?;
        let mut found = None;
        for namespace in metadata.all_namespaces()?.iter().filter(|name| is_of_docker(name)) {
            found = metadata.snapshot(namespace, key.id().as_bytes())?;
            if found.is_some() {
                break;
            }
        }
        let (snapshotter, name) = found.ok_or_else(none)?;
        find(&self.root, &snapshotter, &name)?
            .ok_or_else(|| missing(text(&name), self.root.join(snapshots::path(&snapshotter))))
    }
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Docker").field("data", &self.data).finish_non_exhaustive()
    }
}
