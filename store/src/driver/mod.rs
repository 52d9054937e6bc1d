//! Where graph drivers keep the directory of a layer, below an engine's data root.
//!
//! ```text
//! overlay2/<id>/diff          what the layer adds; devices and overlayfs attributes delete (Docker 1.12)
//! fuse-overlayfs/<id>/diff    the same; deletions are files `.wh.NAME` (Docker 20.10)
//! aufs/diff/<id>              the same (until Docker 23)
//! btrfs/subvolumes/<id>       the whole root file system, as a subvolume
//! zfs/graph/<id>              the same, as a dataset; visible only while it is mounted
//! overlay/<id>/root           the same, hard-linked to the parent's (Docker 1.4 to 23)
//! vfs/dir/<id>                the same, as a copy
//! ```
//!
//! containers-storage has the same drivers, with one difference: its `overlay` is Docker's overlay2,
//! `overlay/<id>/diff`.
//!
//! `<id>` is the v1 image id in a graph store (Docker until 1.9), later the `cache-id` of `layerdb`, and in
//! containers-storage the id of the layer.

use std::path::PathBuf;

use crate::{Error, Root};

pub(crate) mod lower;
pub(crate) mod orphans;
pub(crate) mod overlay;

/// What the directory of a layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// What the layer adds, and marks for what it removes.
    Upper,
    /// A whole root file system.
    Full,
}

/// A driver whose layers are directories.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Driver {
    /// As in `image/<name>` and `repositories-<name>`.
    pub(crate) name: &'static str,
    /// What its directories hold.
    pub(crate) holds: Holds,
    before: &'static str,
    after: &'static str,
}

/// The most useful first. Where several drivers have the same image, this order decides.
const DRIVERS: &[Driver] = &[
    driver("overlay2", Holds::Upper, "overlay2/", "/diff"),
    driver("fuse-overlayfs", Holds::Upper, "fuse-overlayfs/", "/diff"),
    driver("btrfs", Holds::Full, "btrfs/subvolumes/", ""),
    driver("zfs", Holds::Full, "zfs/graph/", ""),
    driver("overlay", Holds::Full, "overlay/", "/root"),
    driver("aufs", Holds::Upper, "aufs/diff/", ""),
    driver("vfs", Holds::Full, "vfs/dir/", ""),
];

/// What containers-storage calls overlay.
const CONTAINERS_OVERLAY: &Driver = &driver("overlay", Holds::Upper, "overlay/", "/diff");

const fn driver(name: &'static str, holds: Holds, before: &'static str, after: &'static str) -> Driver {
    Driver { name, holds, before, after }
}

/// Where the drivers of Docker until 1.9 have an entry for each layer, named by its id. An image exists if
/// that entry does (`Exists` in `daemon/graphdriver/*`, 1.8.3). zfs asks its pool instead.
pub(crate) const INVENTORIES: &[(&str, &str)] = &[
    ("btrfs", "btrfs/subvolumes"),
    ("overlay", "overlay"),
    ("aufs", "aufs/layers"),
    ("devicemapper", "devicemapper/metadata"),
    ("vfs", "vfs/dir"),
];

/// The directory of a graph store's driver with an entry for each layer.
pub(crate) fn inventory(driver: &str) -> Option<&'static str> {
    INVENTORIES.iter().find(|(name, _)| *name == driver).map(|(_, dir)| *dir)
}

/// All drivers whose layers are directories.
pub(crate) fn all() -> impl Iterator<Item = &'static Driver> {
    DRIVERS.iter()
}

/// The rank of a driver; an unknown one comes last.
pub(crate) fn preference(name: &str) -> usize {
    DRIVERS.iter().position(|driver| driver.name == name).unwrap_or(DRIVERS.len())
}

/// The driver of this name. [`Error::Unsupported`] if its layers are not directories, or if it is unknown.
pub(crate) fn find(name: &str) -> Result<&'static Driver, Error> {
    DRIVERS.iter().find(|driver| driver.name == name).ok_or_else(|| unsupported(name))
}

/// The same for a driver of containers-storage.
pub(crate) fn find_containers(name: &str) -> Result<&'static Driver, Error> {
    if name == CONTAINERS_OVERLAY.name { Ok(CONTAINERS_OVERLAY) } else { find(name) }
}

impl Driver {
    /// The directory of the layer `id`, relative to the data root.
    pub(crate) fn path(&self, id: &str) -> PathBuf {
        format!("{}{id}{}", self.before, self.after).into()
    }

    /// What the driver calls its layers, sorted.
    pub(crate) fn ids(&self, root: &Root) -> Result<Vec<String>, Error> {
        let names = root.try_list(self.before)?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).filter(|id| safe_id(id)).collect())
    }

    /// Whether the driver has anything of a layer. `id` is safe as a component of a path.
    pub(crate) fn has(&self, root: &Root, id: &str) -> Result<bool, Error> {
        root.exists(format!("{}{id}", self.before))
    }

    /// Opens the directory of the layer that the driver calls `id`. Messages call it `of`: "layer 3e…".
    pub(crate) fn open(&self, root: &Root, id: &str, of: &str) -> Result<Root, Error> {
        if !safe_id(id) {
            let why = format!("{id:?} cannot be the name of a directory of driver {}", self.name);
            return Err(Error::malformed(root.join(self.before), why));
        }
        let path = self.path(id);
        match root.dir(&path) {
            Err(error) if error.is_io_not_found() => {
                let path = root.join(path);
                Err(if self.name == "zfs" {
                    not_mounted(path, of)
                } else {
                    Error::Missing { of: of.to_owned(), what: "directory", id: id.to_owned(), path }
                })
            }
            Ok(dir) if self.name == "zfs" && never_mounted(root, &dir)? => {
                Err(not_mounted(root.join(path), of))
            }
            opened => opened,
        }
    }
}

/// Whether the directory is a mount point without its dataset, which would otherwise look like a layer
/// without files.
fn never_mounted(root: &Root, dir: &Root) -> Result<bool, Error> {
    Ok(dir.stat()?.st_dev == root.stat()?.st_dev && dir.list(".")?.is_empty())
}

/// Whether `id` is safe as a single component of a path. Ids are 64 hex digits; those of BuildKit (in Docker
/// since 18.09) are 25 letters and digits.
pub(crate) fn safe_id(id: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=255).contains(&id.len()) && id.bytes().all(harmless)
}

fn not_mounted(path: PathBuf, of: &str) -> Error {
    let path = path.display();
    Error::unsupported(
        format!("{of} is a dataset of zfs that is not mounted at {path}"),
        format!(
            "`zfs list -o name` has a dataset whose name ends in the last part of that path; \
             `mkdir {path}; mount -t zfs -o ro DATASET {path}` makes it readable"
        ),
    )
}

fn unsupported(name: &str) -> Error {
    let (what, hint) = match name {
        "devicemapper" => (
            "layers of driver devicemapper are volumes of a thin pool (devicemapper/devicemapper/data and \
             metadata, or a pool of LVM), not directories"
                .to_owned(),
            "start a Docker that still has this driver (up to 24) on the data root; use its `docker save`",
        ),
        "windowsfilter" | "lcow" => {
            (format!("layers of driver {name} are Windows disks"), "use `docker save` on the Windows host")
        }
        _ => (
            format!("driver {name} is unknown, and so is where it keeps layers"),
            "layerlift reads overlay2, fuse-overlayfs, btrfs, zfs, overlay, aufs and vfs",
        ),
    };
    Error::unsupported(what, hint)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const ID: &str = "3f1c0000000000000000000000000000000000000000000000000000000000aa";

    #[test]
    fn paths() {
        let paths = DRIVERS.iter().map(|driver| driver.path("ID").display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            paths,
            [
                "overlay2/ID/diff",
                "fuse-overlayfs/ID/diff",
                "btrfs/subvolumes/ID",
                "zfs/graph/ID",
                "overlay/ID/root",
                "aufs/diff/ID",
                "vfs/dir/ID"
            ]
        );
        assert!(preference("overlay2") < preference("vfs") && preference("vfs") < preference("devicemapper"));
    }

    #[test]
    fn ids() {
        for id in [ID, "ls7ae2kbzxsnyjqxgm7p1dv4a", "a-init"] {
            assert!(safe_id(id), "{id}");
        }
        for id in ["", ".", "..", "../x", "a/b", "a.b", "a\0", "ä", &"a".repeat(256)] {
            assert!(!safe_id(id), "{id}");
        }
    }

    #[test]
    fn what_cannot_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("vfs/dir/real")).unwrap();
        symlink("real", dir.path().join("vfs/dir").join(ID)).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let open = |name, id| find(name).and_then(|driver| driver.open(&root, id, "layer 1")).map(drop);
        assert!(open("vfs", "real").is_ok());
        fs::create_dir_all(dir.path().join("zfs/graph/place")).unwrap();
        assert!(matches!(open("zfs", "place"), Err(Error::Unsupported { .. })), "not mounted");
        assert!(matches!(open("vfs", ID), Err(Error::Malformed { .. })), "a link");
        assert!(matches!(open("vfs", "../dir/real"), Err(Error::Malformed { .. })));
        assert!(matches!(open("vfs", "none"), Err(Error::Missing { .. })));
        for name in ["zfs", "devicemapper", "lcow", "no such"] {
            assert!(matches!(open(name, ID), Err(Error::Unsupported { .. })), "{name}");
        }
    }
}
