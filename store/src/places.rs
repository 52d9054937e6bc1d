//! Where engines keep their stores, by default or by their settings. Nothing is opened: a place may hold
//! anything.
//!
//! ```text
//! /var/lib/docker                         Docker as root
//! /var/lib/containers/storage             Podman, Buildah, CRI-O, skopeo as root
//! /var/lib/containerd                     containerd, and Docker 29 on a fresh install
//! ~/.local/share/docker                   rootless Docker
//! ~/.local/share/containers/storage       rootless Podman
//! ```
//!
//! The table in [`crate::engines`] has them all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::containers::settings;
use crate::engines::{ENGINES, Engine, Settings};
use crate::fs::named;

/// Existing places of this machine: the system's, then those of the calling user.
pub(crate) fn usual() -> Vec<PathBuf> {
    let system_root = Path::new("/");
    let mut places = system(system_root);
    let home = std::env::home_dir();
    places.extend(users(system_root, home.as_slice()));
    places.extend(settings::roots_of_caller());
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| home.map(|home| home.join(".local/share")));
    places.extend(data.iter().flat_map(|data| user(data)));
    existing(places)
}

/// `dir` itself, and existing places below: those of a system whose root it is (a mounted disk, say), of all
/// homes on it, and of a home that it is itself. None is outside of `dir`, whatever links and settings there
/// say.
pub(crate) fn below(dir: &Path) -> Vec<PathBuf> {
    let mut places = vec![dir.to_owned()];
    if dir.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return places;
    }
    places.extend(system(dir));
    let mut homes = vec![dir.to_owned(), dir.join("root")];
    homes.extend(named::list(dir, "home"));
    places.extend(users(dir, &homes));
    places.extend(homes.iter().flat_map(|home| user(&home.join(".local/share"))));
    existing(places.iter().filter_map(|place| named::confined(dir, place)).collect())
}

/// Places of daemons, by their settings and by default.
fn system(root: &Path) -> Vec<PathBuf> {
    let of_engine = |engine: &'static Engine| {
        let configured = match engine.settings {
            Settings::Daemon(place) => place(root),
            Settings::None | Settings::Users(_) => None,
        };
        configured.into_iter().chain(engine.places.iter().map(|place| root.join(place)))
    };
    ENGINES.iter().flat_map(of_engine).collect()
}

/// Places that users' settings name.
fn users(root: &Path, homes: &[PathBuf]) -> Vec<PathBuf> {
    let of_engine = |settings: &Settings| match settings {
        Settings::Users(places) => places(root, homes),
        Settings::None | Settings::Daemon(_) => Vec::new(),
    };
    ENGINES.iter().flat_map(|engine| of_engine(&engine.settings)).collect()
}

fn user(data: &Path) -> Vec<PathBuf> {
    ENGINES.iter().flat_map(|engine| engine.user_places).map(|place| data.join(place)).collect()
}

/// Removes places that do not exist, and duplicates, which links can make. Places that cannot be looked at
/// stay, so that opening them says why.
pub(crate) fn existing(places: Vec<PathBuf>) -> Vec<PathBuf> {
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
}
