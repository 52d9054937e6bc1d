//! `layerdb/mounts/<container id>`: which layers a container has, also where one of the files is damaged.
//!
//! ```text
//! mount-id    4f1c9a2b…         the other two files follow from each other:
//! init-id     4f1c9a2b…-init    the name of the init layer is made so (moby, `layer/layer_store.go`)
//! parent      sha256:8ea6…      so do the layers below: overlay2 and aufs record them, too
//! ```
//!
//! If both ids are lost, the container's directory is one that nobody else has, with an init layer on the
//! right layers, made when the container was made. If several are, none is taken, and an error names them.
//! If two containers have both ids in common, nothing says whose layer it is, and neither gets it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::images::Images;
use super::layerdb::LayerDb;
use crate::driver::lower::{INIT, Lower};
use crate::driver::{self, Driver, Holds};
use crate::{ChainId, ContainerKey, Error, Notice, Root};

/// Bytes that an id may have, far more than any has.
const LIMIT: u64 = 1 << 12;
/// Digits that are enough to mean one layer.
const DIGITS: usize = 12;
/// Names at the top of a root file system that Docker makes in an init layer.
const OF_INIT: [&str; 5] = [".dockerenv", "dev", "etc", "proc", "sys"];

/// What a driver calls the layers of a container.
pub(super) struct Mounts<'a> {
    pub(super) driver: &'static Driver,
    root: &'a Root,
    container: String,
    /// The writable layer, and the one below. Safe as components of a path.
    pub(super) mount: String,
    pub(super) init: String,
    /// What is odd about the files.
    pub(super) notices: Vec<Notice>,
}

/// What the driver calls the layers below an init layer, the uppermost first, and what is odd about them.
type Below = (Vec<String>, Vec<Notice>);

/// Finds the layers of a container.
pub(super) fn find<'a>(images: &'a Images, key: &ContainerKey) -> Result<Mounts<'a>, Error> {
    images.keys.check_container(key)?;
    let driver = driver::find(key.partition())?;
    let Ok(root) = images.root(key.partition(), key.id()) else {
        let path = format!("image/{}/layerdb/mounts/{}/mount-id", driver.name, key.id());
        let why = "it says which directory is the container's".to_owned();
        return Err(Error::NotThere { path: images.data.join(path), why });
    };
    let data = &images.data;
    let mounts = |mount: String, init: String, notices| {
        Ok(Mounts { driver, root, container: key.id().to_owned(), mount, init, notices })
    };
    let file = |file: &str| root.join(path(key.id(), file));
    let mut cut = Vec::new();
    let mut known = |name: &'static str| -> Result<String, Error> {
        let id = id(root, key.id(), name)?;
        match whole(data, driver, &id)? {
            Some(whole) => {
                if whole != id {
                    cut.push(Notice::new(file(name), format!("it is cut: only {whole} begins with it")));
                }
                Ok(whole)
            }
            None => {
                let of = format!("container {}", key.id());
                Err(Error::Missing { of, what: "directory", path: data.join(driver.path(&id)), id })
            }
        }
    };
    let notice = |file_name: &str, why: &Error, id: &str| {
        vec![Notice::new(file(file_name), format!("{}; it follows that it is {id}", reason(why)))]
    };
    let (mount, init) = (known("mount-id"), known("init-id"));
    match (mount, init) {
        (Ok(mount), Ok(init)) if init.strip_suffix(INIT) == Some(&mount) => {
            let place = images.with_layers().find(|place| place.driver == key.partition());
            let owners = place.and_then(|place| place.owners().get(&mount));
            match owners.into_iter().flatten().find(|owner| *owner != key.id()) {
                Some(other) => {
                    let other = root.join(path(other, "mount-id"));
                    let why = format!(
                        "it is {mount}, and so is {}; nothing says which container's layer that is",
                        other.display()
                    );
                    Err(Error::malformed(file("mount-id"), why))
                }
                None => mounts(mount, init, cut),
            }
        }
        (Ok(mount), Ok(init)) => {
            let others = claimed(root, key.id())?;
            let by_init = init.strip_suffix(INIT).unwrap_or_default().to_owned();
            let right = [mount.clone(), by_init].into_iter().filter(|id| {
                let pair = [id.clone(), format!("{id}{INIT}")];
                pair.iter().all(|id| !others.contains(id) && driver.has(data, id).unwrap_or(false))
            });
            let right: Vec<String> = right.collect();
            let why = format!("it is {mount}, but init-id is {init}");
            match &*right {
                [only] => {
                    let what = format!("{why}; the container's layer is {only}, which is nobody else's");
                    let notices = vec![Notice::new(file("mount-id"), what)];
                    mounts(only.clone(), format!("{only}{INIT}"), notices)
                }
                _ => Err(Error::malformed(file("mount-id"), why)),
            }
        }
        (Ok(mount), Err(error)) => {
            let init = format!("{mount}{INIT}");
            // It may be that of another.
            if claimed(root, key.id())?.contains(&mount) {
                return Err(error);
            }
            let notices = notice("init-id", &error, &init);
            mounts(mount, init, notices)
        }
        (Err(error), Ok(init)) => {
            let mount = init.strip_suffix(INIT).unwrap_or_default().to_owned();
            let there = !mount.is_empty() && driver.has(data, &mount)?;
            if !there || claimed(root, key.id())?.contains(&mount) {
                return Err(error);
            }
            let notices = notice("mount-id", &error, &mount);
            mounts(mount, init, notices)
        }
        (Err(error), Err(_)) => {
            let found = unclaimed(images, driver, root, key.id())?;
            match &*found {
                [only] => {
                    let what = format!(
                        "{}; the container's layer is {only}, the only one that nobody else has and that is \
                         on its image",
                        reason(&error)
                    );
                    let notices = vec![Notice::new(file("mount-id"), what)];
                    mounts(only.clone(), format!("{only}{INIT}"), notices)
                }
                several => Err(lost(file("mount-id"), &error, several)),
            }
        }
    }
}

/// What is wrong with a file, without its path.
fn reason(error: &Error) -> String {
    match error {
        Error::Missing { what: "directory", id, .. } => format!("directory {id} is missing"),
        Error::Missing { .. } => "it is missing".to_owned(),
        Error::Malformed { why, .. } => why.clone(),
        other => other.to_string(),
    }
}

/// `mount-id` cannot be used, and several directories may be the container's, or none.
fn lost(path: PathBuf, error: &Error, may_be: &[String]) -> Error {
    let candidates = match may_be {
        [] => String::new(),
        ids => format!("; the container's directory may be {}", ids.join(" or ")),
    };
    match error {
        Error::Missing { what: "file", .. } | Error::NotThere { .. } => {
            let why = format!("it says which directory is the container's{candidates}");
            Error::NotThere { path, why }
        }
        error => Error::malformed(path, format!("{}{candidates}", reason(error))),
    }
}

/// The directories that other containers and layers have.
fn claimed(root: &Root, container: &str) -> Result<HashSet<String>, Error> {
    match root.exists("layerdb/sha256")? {
        true => LayerDb::open(root)?.cache_ids_without(Some(container)),
        false => Ok(HashSet::new()),
    }
}

/// Containers by the layers that both of their ids name, as far as that can be read.
pub(super) fn owners(root: &Root) -> HashMap<String, Vec<String>> {
    let mut owners: HashMap<String, Vec<String>> = HashMap::new();
    let containers = root.try_list("layerdb/mounts").unwrap_or_default();
    for container in containers.into_iter().filter_map(|name| name.into_string().ok()) {
        let id = |file| id(root, &container, file).ok();
        let Some(mount) = id("mount-id") else { continue };
        if id("init-id").is_some_and(|init| init.strip_suffix(INIT) == Some(&mount)) {
            owners.entry(mount).or_default().push(container);
        }
    }
    owners
}

/// The writable layers of containers, and the layers right below, as far as that can be read.
pub(super) fn parents(root: &Root) -> Vec<(String, ChainId)> {
    let containers = root.try_list("layerdb/mounts").unwrap_or_default();
    let containers = containers.into_iter().filter_map(|name| name.into_string().ok());
    let one =
        |container: String| Some((id(root, &container, "mount-id").ok()?, parent(root, &container).ok()??));
    containers.filter_map(one).collect()
}

/// Layers that may be that of a container: those that nobody else has, with an init layer that is on the
/// layers of the container's image.
fn unclaimed(images: &Images, driver: &Driver, root: &Root, container: &str) -> Result<Vec<String>, Error> {
    let others = claimed(root, container)?;
    let ids = driver.ids(&images.data)?;
    let pairs =
        ids.iter().filter_map(|id| id.strip_suffix(INIT).filter(|mount| ids.iter().any(|id| id == mount)));
    let free: Vec<&str> = pairs.filter(|id| !others.contains(*id)).collect();
    let parent = parent(root, container).ok().flatten();
    let top = parent.and_then(|chain| LayerDb::open(root).ok()?.cache_id(chain).ok());
    let (Some(top), Holds::Upper) = (top, driver.holds) else {
        return Ok(free.into_iter().map(str::to_owned).collect());
    };
    let lower = Lower::read(driver, &images.data)?;
    let on_image = |id: &&str| {
        let chain = lower.chain(&format!("{id}{INIT}")).ok();
        chain.is_none_or(|chain| chain.below.first() == Some(&Some(top.clone())))
    };
    Ok(free.into_iter().filter(on_image).map(str::to_owned).collect())
}

/// An id whose directory is there: the id itself, or if it was cut, the only one that begins with it.
fn whole(data: &Root, driver: &Driver, id: &str) -> Result<Option<String>, Error> {
    if driver.has(data, id)? {
        return Ok(Some(id.to_owned()));
    }
    if id.len() < DIGITS {
        return Ok(None);
    }
    let of_init = id.contains('-');
    let mut longer = driver.ids(data)?.into_iter();
    let is_meant = |found: &String| found.starts_with(id) && found.ends_with(INIT) == of_init;
    let found = longer.find(is_meant);
    Ok(found.filter(|_| !longer.any(|other| is_meant(&other))))
}

impl Mounts<'_> {
    /// What messages call the container.
    pub(super) fn of(&self) -> String {
        format!("container {}", self.container)
    }

    /// The path of one of the files.
    pub(super) fn file(&self, file: &str) -> PathBuf {
        self.root.join(path(&self.container, file))
    }

    /// The top layer of the image; `None` if the file does not exist.
    pub(super) fn parent(&self) -> Result<Option<ChainId>, Error> {
        parent(self.root, &self.container)
    }

    /// What to say if the file does not exist, although there are layers below.
    pub(super) fn no_parent(&self) -> Error {
        let why = "it says which layers are below the container's".to_owned();
        Error::NotThere { path: self.file("parent"), why }
    }

    /// The layers below the init layer, as the driver records them. `None` with a driver that does not.
    pub(super) fn below(&self, images: &Images) -> Result<Option<Below>, Error> {
        let data = &images.data;
        if self.driver.name == "aufs" {
            let Some(text) = data.try_read(format!("aufs/layers/{}", self.init), 1 << 16)? else {
                return Ok(None);
            };
            let text = String::from_utf8_lossy(&text).into_owned();
            let ids = text.lines().map(|id| id.trim().to_owned()).filter(|id| driver::safe_id(id));
            return Ok(Some((ids.collect(), Vec::new())));
        }
        if self.driver.holds == Holds::Full {
            return Ok(None);
        }
        let lower = Lower::read(self.driver, data)?;
        // A layer without a record of its own is below the init layer, too.
        let chain = match lower.chain(&self.mount) {
            Ok(mut chain) => {
                match chain.below.first() {
                    Some(Some(first)) if *first == self.init => _ = chain.below.remove(0),
                    _ => chain = lower.chain(&self.init)?,
                }
                chain
            }
            Err(_) => lower.chain(&self.init)?,
        };
        let ids: Option<Vec<String>> = chain.below.into_iter().collect();
        Ok(ids.map(|ids| (ids, chain.notices)))
    }

    /// Whether the image has no layers, which is rare. If nothing says so, it has some.
    pub(super) fn has_no_layers_below(&self, images: &Images) -> Result<bool, Error> {
        if self.driver.holds == Holds::Upper {
            return Ok(matches!(self.below(images), Ok(Some((ids, _))) if ids.is_empty()));
        }
        let init = self.driver.open(&images.data, &self.init, &self.of())?;
        Ok(init.list(".")?.iter().all(|name| OF_INIT.iter().any(|known| name == known)))
    }
}

fn path(container: &str, file: &str) -> String {
    format!("layerdb/mounts/{container}/{file}")
}

fn parent(root: &Root, container: &str) -> Result<Option<ChainId>, Error> {
    let file = path(container, "parent");
    let Some(bytes) = root.try_read(&file, LIMIT)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    let malformed = || Error::malformed(root.join(file), not(&text, "the id of a layer"));
    text.parse::<ChainId>().map(Some).map_err(|_| malformed())
}

/// What the driver calls a layer of a container. Safe as a component of a path.
fn id(root: &Root, container: &str, file: &'static str) -> Result<String, Error> {
    let path = path(container, file);
    let Some(bytes) = root.try_read(&path, LIMIT)? else {
        let (of, path) = (format!("container {container}"), root.join(path));
        return Err(Error::Missing { of, what: "file", id: file.to_owned(), path });
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match Some(text.trim()).filter(|id| driver::safe_id(id)) {
        Some(id) => Ok(id.to_owned()),
        None => Err(Error::malformed(root.join(path), not(&text, "the name of a layer's directory"))),
    }
}

/// Why a text is not what it should be.
fn not(text: &str, what: &str) -> String {
    match text.trim_matches('\0') {
        "" if text.is_empty() => "it is empty".to_owned(),
        "" => "it has only zero bytes".to_owned(),
        _ => format!("{text:?} is not {what}"),
    }
}
