//! Where engines keep their stores unless they are told otherwise: candidates for [`crate::detect()`], nothing is opened.
//!
//! ```text
//! /var/lib/docker                         Docker as root
//! /var/lib/containers/storage             Podman, Buildah, CRI-O, skopeo as root
//! /var/lib/containerd                     containerd, and Docker 29 on a fresh install
//! ~/.local/share/docker                   rootless Docker
//! ~/.local/share/containers/storage       rootless Podman
//! /etc/docker/daemon.json                 "data-root" (before 17.05 "graph"): Docker elsewhere
//! storage.conf                            "graphroot" and others: Podman elsewhere
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::containers::settings;
use crate::fs::named;

/// Relative to the root of a system.
const SYSTEM: &[&str] = &[
    "var/lib/docker",
    "var/snap/docker/common/var-lib-docker",
    "var/lib/balena-engine",
    "var/lib/balena",
    "var/lib/containers/storage",
    "var/lib/containerd",
    "var/lib/rancher/k3s/agent/containerd",
];

/// Relative to the folder where a user's programs keep their data.
const USER: &[&str] = &["docker", "containers/storage", "containerd"];

/// How many folders deep [`search`] looks.
const SEARCHED: usize = 6;

/// Folders of a running system that are no files of a disk.
const VIRTUAL: &[&str] = &["dev", "proc", "run", "sys"];

/// A daemon's settings are a few lines; more than this is something else.
const SETTINGS_LIMIT: u64 = 1 << 20;

/// The usual places of this machine: the system's, then those of the calling user. Only what exists.
pub fn usual() -> Vec<PathBuf> {
    let system_root = Path::new("/");
    let mut places = system(system_root);
    let home = std::env::home_dir();
    places.extend(settings::roots(system_root, home.as_slice()));
    places.extend(settings::roots_of_caller());
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| home.map(|home| home.join(".local/share")));
    places.extend(data.iter().flat_map(|data| user(data)));
    existing(places)
}

/// What is below `dir`, wherever it is: [`below`], and each folder, to a depth of a few, that [`crate::detect()`] knows. For
/// disks and backups on which stores have other places. Links are not followed, and nothing within a store is looked at.
pub fn search(dir: &Path) -> Vec<PathBuf> {
    let mut places = below(dir);
    let is_store = |path: &Path| crate::detect(path).is_ok_and(|found| !found.is_empty());
    let mut found = Vec::new();
    named::visit(dir, SEARCHED, |folder| {
        if VIRTUAL.iter().any(|name| folder == dir.join(name)) {
            return false;
        }
        let store = is_store(folder);
        if store {
            found.push(folder.to_owned());
        }
        !store
    });
    places.extend(found);
    existing(places)
}

/// The same below `dir`, taken as the root of a system (a mounted disk, say), with the homes of all its users, and as a
/// home; and `dir` itself. Only what exists.
pub fn below(dir: &Path) -> Vec<PathBuf> {
    let mut places = vec![dir.to_owned()];
    places.extend(system(dir));
    let mut homes = vec![dir.to_owned(), dir.join("root")];
    homes.extend(named::list(dir, "home"));
    places.extend(settings::roots(dir, &homes));
    places.extend(homes.iter().flat_map(|home| user(&home.join(".local/share"))));
    existing(places)
}

fn system(root: &Path) -> Vec<PathBuf> {
    let configured = data_root(root, &root.join("etc/docker/daemon.json"));
    // On a mounted disk the configured path is meant below that disk's root.
    let configured = configured.map(|path| root.join(path.strip_prefix("/").unwrap_or(&path)));
    configured.into_iter().chain(SYSTEM.iter().map(|place| root.join(place))).collect()
}

fn user(data: &Path) -> Vec<PathBuf> {
    USER.iter().map(|place| data.join(place)).collect()
}

/// The data root that a daemon's settings name. Settings that cannot be read name none: the usual places remain.
fn data_root(system: &Path, settings: &Path) -> Option<PathBuf> {
    let text = named::settings(system, settings, SETTINGS_LIMIT)?;
    let settings: serde_json::Value = serde_json::from_str(&text).ok()?;
    let path = settings.get("data-root").or_else(|| settings.get("graph"))?.as_str()?;
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

/// What exists, each place once even where links lead to it by several names. What may not be looked at stays in: whoever
/// opens it says why not.
fn existing(places: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let is_new = |path: &PathBuf| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone()));
    let there = |path: &PathBuf| !matches!(path.try_exists(), Ok(false));
    places.into_iter().filter(there).filter(is_new).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn below_a_mounted_disk() {
        let disk = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = disk.path().join(path);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let docker = make("var/lib/docker");
        let elsewhere = make("srv/docker");
        let podman = make("home/ada/.local/share/containers/storage");
        make("etc/docker");
        fs::write(disk.path().join("etc/docker/daemon.json"), r#"{"data-root": "/srv/docker"}"#).unwrap();
        std::os::unix::fs::symlink(&docker, disk.path().join("var/lib/balena")).unwrap();
        assert_eq!(below(disk.path()), [disk.path().to_owned(), elsewhere, docker, podman]);
    }

    #[test]
    fn anywhere_on_a_disk() {
        let disk = tempfile::tempdir().unwrap();
        let make = |path: &str| fs::create_dir_all(disk.path().join(path)).unwrap();
        make("backup/2016/old/image/overlay2/imagedb");
        make("backup/2016/old/overlay2/x/diff/var/image/vfs/imagedb");
        make("proc/1/root/image/vfs/imagedb");
        std::os::unix::fs::symlink(disk.path().join("backup"), disk.path().join("again")).unwrap();
        assert_eq!(search(disk.path()), [disk.path().to_owned(), disk.path().join("backup/2016/old")]);
    }

    #[test]
    fn settings() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [
            (r#"{"data-root": "/srv/d", "graph": "/old"}"#, Some("/srv/d")),
            (r#"{"graph": "/old"}"#, Some("/old")),
            (r#"{"data-root": "relative"}"#, None),
            (r#"{"data-root": 5}"#, None),
            ("no json", None),
        ] {
            fs::write(file.path(), text).unwrap();
            assert_eq!(data_root(Path::new("/"), file.path()), expected.map(PathBuf::from), "{text}");
        }
        assert_eq!(data_root(Path::new("/"), Path::new("/nowhere/daemon.json")), None);
    }
}
