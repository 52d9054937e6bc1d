//! `storage.conf`: where a store is, and which other directories belong to it.
//!
//! ```text
//! $CONTAINERS_STORAGE_CONF                       instead of all others
//! $XDG_CONFIG_HOME/containers/storage.conf       a user's, mostly ~/.config/containers/storage.conf
//! /etc/containers/storage.conf                   the system's; if it is not there,
//! /usr/share/containers/storage.conf             what the distribution ships
//!
//! [storage]
//! graphroot = "/var/lib/containers/storage"      the root
//! rootless_storage_path = "/srv/$USER/storage"   the root of an ordinary user
//! imagestore = "/srv/images"                     images and their layers apart from containers
//! [storage.options]
//! additionalimagestores = ["/usr/lib/containers/storage"]
//! ```
//!
//! The first of these files that exists counts; they are not merged (containers/storage, `types/options.go`).
//! They only say where to look, so one that cannot be read is ignored: the usual places remain.

use std::env;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fs::named;

/// Relative to the root of a system. The first one counts.
const SYSTEM: &[&str] = &["etc/containers/storage.conf", "usr/share/containers/storage.conf"];
/// Relative to a home.
const USER: &str = ".config/containers/storage.conf";
const SYSTEM_ROOT: &str = "var/lib/containers/storage";
const USER_ROOT: &str = ".local/share/containers/storage";
/// Settings are a few lines. A larger file is something else.
const LIMIT: u64 = 1 << 20;

#[derive(Debug, Default, Deserialize)]
struct StorageConf {
    #[serde(default)]
    storage: Storage,
}

#[derive(Debug, Default, Deserialize)]
struct Storage {
    graphroot: Option<String>,
    rootless_storage_path: Option<String>,
    imagestore: Option<String>,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    additionalimagestores: Vec<String>,
}

/// A settings file, and what its paths are relative to.
struct Settings<'a> {
    storage: Storage,
    /// The root of the system: `/`, or the mount point of a disk.
    system: &'a Path,
    home: Option<&'a Path>,
}

/// The roots that settings name: the system's, and those of the users with these homes.
pub(crate) fn roots(system: &Path, homes: &[PathBuf]) -> Vec<PathBuf> {
    let of_system = of_system(system);
    let mut roots: Vec<PathBuf> = of_system.iter().flat_map(Settings::roots).collect();
    for home in homes {
        match of_home(system, home) {
            Some(own) => roots.extend(own.roots()),
            None => {
                let rootless =
                    of_system.as_ref().and_then(|all| all.storage.rootless_storage_path.as_deref());
                roots.extend(
                    Settings { storage: Storage::default(), system, home: Some(home) }.path(rootless),
                );
            }
        }
    }
    roots
}

/// The roots that the calling user's settings name.
pub(crate) fn roots_of_caller() -> Vec<PathBuf> {
    of_caller(env::home_dir().as_deref()).iter().flat_map(Settings::roots).collect()
}

/// Existing directories that belong to the store at `root`: a separate image store, additional stores.
pub(super) fn beside(root: &Path) -> Vec<PathBuf> {
    let Ok(root) = root.canonicalize() else { return Vec::new() };
    let system = root.ancestors().find(|path| path.join("etc").is_dir()).unwrap_or(Path::new("/"));
    let caller = env::home_dir();
    let mut all = of_caller(caller.as_deref());
    all.extend(root.ancestors().filter_map(|home| of_home(system, home)));
    all.extend(of_system(system));
    let own = |settings: &&Settings<'_>| {
        let imagestore = settings.path(settings.storage.imagestore.as_deref());
        settings
            .roots()
            .into_iter()
            .chain(imagestore)
            .any(|path| path.canonicalize().is_ok_and(|path| path == root))
    };
    let Some(settings) = all.iter().find(own) else { return Vec::new() };
    let mut beside = settings.together();
    beside.retain(|path| *path != root && path.starts_with(settings.system) && path.is_dir());
    beside
}

/// The settings of the calling user.
fn of_caller(home: Option<&Path>) -> Vec<Settings<'_>> {
    let system = Path::new("/");
    let user = home.filter(|_| !rustix::process::geteuid().is_root());
    if let Some(file) = env::var_os("CONTAINERS_STORAGE_CONF") {
        return read(Path::new(&file), system, user).into_iter().collect();
    }
    let config = env::var_os("XDG_CONFIG_HOME").map(|dir| Path::new(&dir).join("containers/storage.conf"));
    let config = config.and_then(|file| read(&file, system, user));
    config.or_else(|| of_home(system, user?)).into_iter().collect()
}

fn of_system(system: &Path) -> Option<Settings<'_>> {
    SYSTEM
        .iter()
        .map(|file| system.join(file))
        .find(|file| file.exists())
        .and_then(|file| read(&file, system, None))
}

fn of_home<'a>(system: &'a Path, home: &'a Path) -> Option<Settings<'a>> {
    read(&home.join(USER), system, Some(home))
}

fn read<'a>(file: &Path, system: &'a Path, home: Option<&'a Path>) -> Option<Settings<'a>> {
    let text = named::settings(system, file, LIMIT)?;
    let document: StorageConf = toml::from_str(&text).ok()?;
    Some(Settings { storage: document.storage, system, home })
}

impl Settings<'_> {
    /// Places of the store, by these settings or by default. A user's can be in one of two.
    fn roots(&self) -> Vec<PathBuf> {
        let named = self.storage.graphroot.as_deref();
        let rootless = self.home.and(self.storage.rootless_storage_path.as_deref());
        let default = match self.home {
            _ if named.or(rootless).is_some() => None,
            Some(home) => Some(home.join(USER_ROOT)),
            None => Some(self.system.join(SYSTEM_ROOT)),
        };
        [self.path(named), self.path(rootless), default].into_iter().flatten().collect()
    }

    /// The roots and the directories that belong to them, with links resolved.
    fn together(&self) -> Vec<PathBuf> {
        let additional = self.storage.options.additionalimagestores.iter();
        let others =
            self.storage.imagestore.iter().chain(additional).filter_map(|path| self.path(Some(path)));
        self.roots().into_iter().chain(others).map(|path| path.canonicalize().unwrap_or(path)).collect()
    }

    /// A path in the settings. On a mounted disk, it is relative to the disk's root.
    fn path(&self, text: Option<&str>) -> Option<PathBuf> {
        named::configured(self.system, Path::new(&self.expand(text?)?))
    }

    /// Replaces `$HOME`, `$USER` and `$UID`. `None` if there are other variables, which only the user's shell
    /// knows.
    fn expand(&self, text: &str) -> Option<String> {
        if !text.contains('$') {
            return Some(text.to_owned());
        }
        let home = self.home?;
        let within = Path::new("/").join(home.strip_prefix(self.system).ok()?);
        let uid = std::os::unix::fs::MetadataExt::uid(&home.metadata().ok()?);
        let mut text = text.to_owned();
        for (name, value) in
            [("HOME", within.to_str()?), ("USER", home.file_name()?.to_str()?), ("UID", &uid.to_string())]
        {
            text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
        }
        (!text.contains('$')).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn on_the_disk_of_another_host() {
        let disk = tempfile::tempdir().unwrap();
        let disk = disk.path().canonicalize().unwrap();
        for dir in ["srv/c", "srv/add", "srv/images", "home/ada/own", "home/bob", "data/bob", "outside"] {
            fs::create_dir_all(disk.join(dir)).unwrap();
        }
        std::os::unix::fs::symlink("/", disk.join("srv/link")).unwrap();
        write(
            &disk.join("etc/containers/storage.conf"),
            "[storage]\ngraphroot = \"/srv/c\"\nimagestore = \"/srv/images\"\n\
             rootless_storage_path = \"/data/$USER\"\ndriver = \"overlay\"\n[storage.options]\n\
             additionalimagestores = \
             [\"/srv/add\", \"/srv/none\", \"/srv/link\", \"/../outside\", \"relative\"]\n",
        );
        // The file of the distribution does not count then.
        write(&disk.join("usr/share/containers/storage.conf"), "[storage]\ngraphroot = \"/outside\"\n");
        write(
            &disk.join("home/ada/.config/containers/storage.conf"),
            "[storage]\ngraphroot = \"${HOME}/own\"\n",
        );

        let (ada, bob) = (disk.join("home/ada"), disk.join("home/bob"));
        assert_eq!(
            roots(&disk, &[ada.clone(), bob]),
            [disk.join("srv/c"), ada.join("own"), disk.join("data/bob")]
        );
        assert_eq!(beside(&disk.join("srv/c")), [disk.join("srv/images"), disk.join("srv/add")]);
        assert_eq!(beside(&disk.join("srv/images")), [disk.join("srv/c"), disk.join("srv/add")]);
        for alone in ["srv/add", "home/ada/own", "outside", "nowhere"] {
            assert!(beside(&disk.join(alone)).is_empty(), "{alone}");
        }
    }

    #[test]
    fn what_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("storage.conf");
        let root = |text: &str| {
            fs::write(&file, text).unwrap();
            read(&file, Path::new("/"), None).and_then(|settings| settings.roots().pop())
        };
        assert_eq!(root(""), Some("/var/lib/containers/storage".into()));
        assert_eq!(
            root("[storage]\ngraphroot = \"/x\"\n[storage.options.overlay]\nmountopt = \"nodev\"\n"),
            Some("/x".into())
        );
        for text in [
            "[storage",
            "[storage]\ngraphroot = 5",
            "[storage]\ngraphroot = \"$NOBODY/x\"",
            "storage = []",
            "\0",
        ] {
            assert_eq!(root(text), None, "{text}");
        }
        assert!(read(dir.path(), Path::new("/"), None).is_none(), "a directory");
    }
}
