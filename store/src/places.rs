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

/// Largest size of `/etc/passwd`.
const ACCOUNTS: u64 = 1 << 20;

/// Existing places of this machine: the system's, then those of the calling user, and with `sudo` those of
/// the user who called it.
pub(crate) fn usual() -> Vec<PathBuf> {
    let system_root = Path::new("/");
    let mut places = system(system_root);
    let home = std::env::home_dir();
    places.extend(users(system_root, home.as_slice()));
    places.extend(settings::roots_of_caller());
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| home.map(|home| home.join(".local/share")));
    places.extend(data.iter().flat_map(|data| user(data)));
    // With sudo, `$HOME` is mostly root's.
    if let Some(home) = home_of_sudo_user() {
        places.extend(users(system_root, std::slice::from_ref(&home)));
        places.extend(user(&home.join(".local/share")));
    }
    existing(places)
}

/// The home of the user who called `sudo`.
fn home_of_sudo_user() -> Option<PathBuf> {
    let name = std::env::var("SUDO_USER").ok().filter(|_| rustix::process::geteuid().is_root())?;
    let accounts = named::settings(Path::new("/"), Path::new("/etc/passwd"), ACCOUNTS)?;
    home_of(&name, &accounts)
}

/// The home of a user in `passwd(5)`: `ada:x:1000:1000:Ada Lovelace:/home/ada:/bin/sh`. A user of a directory
/// service is not there, and has a folder in `/home`.
fn home_of(name: &str, accounts: &str) -> Option<PathBuf> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name));
    let home = match line {
        Some(line) => PathBuf::from(line.split(':').nth(5)?),
        None if name.is_empty() || name.starts_with('.') || name.contains('/') => return None,
        None => Path::new("/home").join(name),
    };
    home.is_absolute().then_some(home)
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
    fn home_of_who_called_sudo() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/srv/ada:/bin/sh\nbad:x\nrel:x:1:1::x:\n";
        for (name, home) in [
            ("ada", Some("/srv/ada")),
            ("root", Some("/root")),
            ("grace", Some("/home/grace")),
            ("bad", None),
            ("rel", None),
            ("", None),
            ("..", None),
            ("a/b", None),
        ] {
            assert_eq!(home_of(name, accounts), home.map(PathBuf::from), "{name}");
        }
    }

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
