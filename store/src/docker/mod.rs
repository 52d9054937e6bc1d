//! Docker's image store since 1.10 (February 2016), one for each graph driver that was ever in use.
//!
//! ```text
//! image/<driver>/
//!   repositories.json                    names, tags and digests of images
//!   imagedb/content/sha256/<image id>    configs
//!   imagedb/metadata/sha256/<image id>/  parent of a built image, time of its last tag
//!   layerdb/sha256/<chain id>/           diff, parent, cache-id, size, tar-split.json.gz
//!   layerdb/mounts/, layerdb/tmp/        layers of containers, see `working`; leftovers
//!   distribution/                        digests of layers in registries, see `distribution`
//! <driver>/…/<cache-id>/…                files of layers, see `driver`
//! containers/<id>/, volumes/<name>/       see `containers`, `volumes`
//! network/files/local-kv.db               see `networks`
//! ```
//!
//! Checked with Docker 20.10. Docker 29 with graph drivers still writes it. Manifests are not kept.

mod catalog;
pub(crate) mod containers;
mod distribution;
mod imagedb;
mod images;
mod layerdb;
mod listing;
mod lost;
mod mounts;
pub(crate) mod networks;
mod repositories;
mod settings;
mod store;
mod unclaimed;
mod unrecorded;
pub(crate) mod volumes;
pub(crate) mod working;

use std::borrow::Cow;
use std::path::Path;

use crate::kind::{Detected, OpenOptions, StoreKind};
use crate::{Error, Hint, Root};

pub(crate) use settings::data_root;
pub(crate) use store::DockerStore;

use images::{ImageRoot, Images, drivers};

/// Looks for this kind of store in a data root.
pub(crate) fn detect(root: &Root) -> Result<Option<Detected>, Error> {
    let mut drivers = drivers(root)?;
    let mut evidence: Vec<String> = drivers.iter().map(|driver| format!("image/{driver}/imagedb")).collect();
    if drivers.is_empty() {
        let found = lost::drivers(root)?.into_iter().map(|(name, _)| name.to_owned());
        drivers = found.collect();
        evidence.clone_from(&drivers);
    }
    if drivers.is_empty() {
        return Ok(None);
    }
    Ok(Some(Detected {
        kind: StoreKind::Docker,
        root: root.path().to_owned(),
        partitions: drivers,
        evidence,
    }))
}

/// Whether it is a data root of a Docker that keeps its images in a containerd, such as the system's:
/// BuildKit's state is here, but images are not. (Docker 28 with `--containerd`.)
pub(crate) fn uses_containerd(path: &Path) -> bool {
    let traces = ["buildkit/history_c8d.db", "buildkit/containerd-overlayfs", "rootfs/overlayfs"];
    let has = |root: Root| traces.iter().any(|trace| root.exists(trace).unwrap_or(false));
    Root::open(path).is_ok_and(has)
}

/// Why nothing is found in such a data root, and where its images usually are.
pub(crate) fn in_containerd(path: &Path, why: &mut Option<Cow<'static, str>>) -> Hint {
    *why = Some("Docker keeps its images in the containerd that it is connected to".into());
    let beside = path.parent().map(|parent| parent.join("containerd")).filter(|root| root.is_dir());
    let root = beside.unwrap_or_else(|| "/var/lib/containerd".into());
    Hint::Other(format!("name the root of that containerd: {}", root.display()).into())
}

/// Opens the store of a data root, with all drivers unless the options choose one.
pub(crate) fn open(root: Root, options: &OpenOptions) -> Result<DockerStore, Error> {
    let found = drivers(&root)?;
    let wanted = |driver: &&String| options.partition.as_ref().is_none_or(|only| only == *driver);
    let (mut images, mut layers, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    if found.is_empty() {
        let drivers = lost::drivers(&root)?;
        lost.extend((!drivers.is_empty()).then(|| lost::everything(&root, &drivers)));
    }
    for driver in found.iter().filter(wanted) {
        if !root.exists(format!("image/{driver}/imagedb"))? {
            lost.push(lost::configs(&root, driver)?);
            layers.push(ImageRoot::new(driver, root.own_dir(format!("image/{driver}"))?));
            continue;
        }
        images.push(ImageRoot::new(driver, root.own_dir(format!("image/{driver}"))?));
    }
    if images.is_empty() && lost.is_empty() {
        let path = root.path().to_owned();
        return Err(match &options.partition {
            Some(driver) if !found.is_empty() => {
                Error::NoPartition { path, wanted: driver.clone(), present: found }
            }
            _ => Error::no_store(path, "it has no directory image/<driver>/imagedb"),
        });
    }
    Ok(DockerStore::new(Images::new(root, images, layers, lost)))
}
