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

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use layerlift_archive::Digest;

use super::CONTENT;
use super::metadata::{DATABASE, Faults, Metadata, text};
use super::snapshots;
use crate::diff::{Form, written};
use crate::docker::containers;
use crate::docker::{networks, volumes, working};
use crate::{
    ChainId, Container, ContainerKey, ContainerListing, Containers, DiffLayer, Error, Image, Keyring, Layer,
    LayerDir, NetworkListing, Root, RootFs, VolumeListing,
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

    /// Whether an image may be there although nothing names it, because `meta.db` cannot be read as a whole.
    fn may_have(&self, image: &Digest) -> bool {
        let blob = format!("{CONTENT}/blobs/sha256/{}", image.hex());
        self.root.exists(blob).unwrap_or(false)
    }

    /// What the namespaces of Docker have, as far as it can be read.
    fn recorded(&self) -> (Recorded, Faults) {
        let (mut found, mut faults) = (Recorded::default(), Faults::default());
        let Some(metadata) = &self.metadata else { return (found, faults) };
        for name in metadata.all_namespaces(&mut faults).iter().filter(|name| is_of_docker(name)) {
            found.images.extend(metadata.targets(name, &mut faults));
            found.with_layer.extend(metadata.containers(name, &mut faults));
        }
        (found, faults)
    }
}

/// What `meta.db` says of containers.
#[derive(Default)]
struct Recorded {
    /// The targets of images' names.
    images: HashSet<Digest>,
    /// Ids of containers that have a snapshot.
    with_layer: HashSet<String>,
}

/// Whether a namespace is one of Docker's.
pub(super) fn is_of_docker(namespace: &str) -> bool {
    namespace.strip_prefix(NAMESPACE).is_some_and(|ids| ids.is_empty() || ids.starts_with('-'))
}

impl Containers for Docker {
    fn containers(&self) -> Result<ContainerListing, Error> {
        let mut listing = ContainerListing::default();
        let (Recorded { images, with_layer }, faults) = self.recorded();
        let is_whole = self.metadata.is_some() && faults.is_empty();
        let what = "which images and layers of containers are there";
        listing.lost.extend(faults.into_errors().into_iter().map(|error| error.within(what)));
        let ids = with_layer.iter().cloned().collect();
        for record in containers::read(&self.data, ids, |id| with_layer.contains(id))? {
            let mine = match record.damage.is_none() || record.is_of_containerd() {
                true => record.is_of_containerd(),
                false => !working::is_mounted(&self.data, &record.id)?,
            };
            if mine {
                let has = |image: &Digest| images.contains(image) || !is_whole && self.may_have(image);
                let present = record.image_digest().as_ref().is_some_and(has);
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

    fn unpacked_below(&self, container: &Container) -> Result<Vec<(ChainId, DiffLayer)>, Error> {
        // Without the record, nothing says which image it was, nor how it was run.
        if container.image_id.is_none() && !container.damage.is_empty() {
            return Ok(Vec::new());
        }
        self.snapshot(&container.key, snapshots::layers_below)
    }

    fn is_on(&self, container: &Container, image: &Image) -> Result<bool, Error> {
        let Ok(Some(below)) = self.snapshot(&container.key, |root, snapshotter, name| {
            snapshots::chain_below(root, snapshotter, name).map(Some)
        }) else {
            return Ok(true);
        };
        let mut top = None;
        for layer in &image.layers {
            let Some(diff_id) = layer.diff_id else { return Ok(true) };
            top = Some(ChainId::new(top, diff_id));
        }
        Ok(top == Some(below))
    }

    fn root_fs(&self, container: &Container) -> Result<Option<RootFs>, Error> {
        self.snapshot(&container.key, snapshots::root_fs).map(Some)
    }

    fn volumes(&self) -> Result<VolumeListing, Error> {
        volumes::read(&self.data)
    }

    fn networks(&self) -> Result<NetworkListing, Error> {
        networks::read(&self.data)
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
        let mut faults = Faults::default();
        let mut found = None;
        if let Some(metadata) = &self.metadata {
            let namespaces = metadata.all_namespaces(&mut faults);
            let mut of_docker = namespaces.iter().filter(|name| is_of_docker(name));
            found =
                of_docker.find_map(|name| faults.ok(metadata.snapshot(name, key.id().as_bytes())).flatten());
        }
        // The snapshotter has a record of its own.
        if found.is_none() {
            found = faults.ok(snapshots::of_container(&self.root, is_of_docker, key.id())).flatten();
        }
        let none = || missing(key.id().to_owned(), self.root.join(DATABASE));
        let unknown = || faults.into_errors().into_iter().next().unwrap_or_else(none);
        let (snapshotter, name) = found.ok_or_else(unknown)?;
        find(&self.root, &snapshotter, &name)?
            .ok_or_else(|| missing(text(&name), self.root.join(snapshots::path(&snapshotter))))
    }
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Docker").field("data", &self.data).finish_non_exhaustive()
    }
}
