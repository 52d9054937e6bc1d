//! Finds stores and opens them. What a path means is decided here, and nowhere else:
//!
//! ```text
//! a file        the archive that it is
//! a directory   the stores in it; if there are none,
//!               those in the usual places of a system or a home whose root it is; if there are none,
//!               an error that names the folders below that have one (dockerd's userns-remap, say)
//! ```

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::Hint;
use crate::engines::{ENGINES, engine};
use crate::fs::{Reach, named};
use crate::kind::{Detected, OpenOptions, StoreKind};
use crate::{Error, Root, Store, docker, layout, places};

/// How many levels deep [`search`] looks.
const SEARCHED: usize = 6;

/// Folders of a running system with virtual file systems.
const VIRTUAL: &[&str] = &["dev", "proc", "run", "sys"];

/// A directory that holds stores, or that could not be read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Place {
    /// Where.
    pub path: PathBuf,
    /// Its stores.
    pub found: Result<Vec<Detected>, Error>,
}

/// An open store and its root.
#[non_exhaustive]
pub struct Opened {
    /// Where.
    pub root: PathBuf,
    /// The store.
    pub store: Box<dyn Store>,
}

/// The stores at `path`. There can be several: a data root of Docker can hold a graph store and its
/// successor.
///
/// A file is an archive. A compressed one has to be decompressed.
pub fn detect(path: &Path) -> Result<Vec<Detected>, Error> {
    if is_file(path) {
        return Ok(layout::detect_file(path)?.into_iter().collect());
    }
    detect_in(path, &OpenOptions::default())
}

/// The stores in a directory.
fn detect_in(dir: &Path, options: &OpenOptions) -> Result<Vec<Detected>, Error> {
    let root = store_root(dir, options)?;
    ENGINES.iter().filter_map(|engine| (engine.detect)(&root).transpose()).collect()
}

/// The options for stores at a path that the caller names.
fn within(path: &Path, options: &OpenOptions) -> OpenOptions {
    OpenOptions { within: options.within.clone().or_else(|| Some(path.to_owned())), ..options.clone() }
}

/// The root of a store, with the links that the options allow.
fn store_root(path: &Path, options: &OpenOptions) -> Result<Root, Error> {
    let within = options.within.clone().unwrap_or_else(|| path.to_owned());
    Root::open_store(path, Reach { within, follow: options.follow.clone() })
}

/// Stores in the usual places of this machine: the system's, then those of the calling user, with `sudo` also
/// of the one who called it. Where a place has none, stores one level deeper: dockerd with userns-remap keeps
/// its data in `/var/lib/docker/UID.GID`.
pub fn usual() -> Vec<Place> {
    places::usual().into_iter().flat_map(look_into).collect()
}

/// Stores in `dir`, and in the usual places if `dir` is the root of a system (a mounted disk, say) or a home.
/// An archive has no such places.
pub fn below(dir: &Path) -> Vec<Place> {
    let look = |path: PathBuf| match path == dir {
        // What is one level below the named folder is for the user to name.
        true => look_at(path).into_iter().collect(),
        false => look_into(path),
    };
    places::below(dir).into_iter().flat_map(look).collect()
}

/// All stores in `dir` and below: those of [`below`], and those in any other folder, six levels deep. For
/// disks and backups with stores in unusual places. Follows no links, and does not look inside stores.
pub fn search(dir: &Path) -> Vec<Place> {
    let dir = &*named::meant(dir);
    let (mut found, mut folders) = (HashMap::new(), places::below(dir));
    named::visit(dir, SEARCHED, |folder| {
        if VIRTUAL.iter().any(|name| folder == dir.join(name)) {
            return false;
        }
        let stores = detect(folder).unwrap_or_default();
        if stores.is_empty() {
            return true;
        }
        folders.push(folder.to_owned());
        found.insert(folder.to_owned(), Place { path: folder.to_owned(), found: Ok(stores) });
        false
    });
    let look = |path: PathBuf| found.remove(&path).or_else(|| look_at(path));
    let mut places: Vec<Place> = places::existing(folders).into_iter().filter_map(look).collect();
    // Docker's images in containerd are found from its data root, too.
    let mut seen = HashSet::new();
    for found in places.iter_mut().flat_map(|place| &mut place.found) {
        found.retain(|store| seen.insert((store.kind, store.root.clone())));
    }
    places.retain(|place| !place.found.as_ref().is_ok_and(Vec::is_empty));
    places
}

/// Opens the store that `path` means. If it means several, the options have to choose one.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Store>, Error> {
    if is_file(path) {
        return layout::open_file(path, options);
    }
    let path = &*named::meant(path);
    let options = &within(path, options);
    match &*find(path, options)?.stores {
        [only] => only.open(options),
        several => in_use(several, options).ok_or_else(|| several_stores(path, several)),
    }
}

/// Docker's own images or those that it keeps in containerd, if only one of these stores has any. A data
/// root that was switched keeps the old images.
fn in_use(stores: &[Detected], options: &OpenOptions) -> Option<Box<dyn Store>> {
    stores.iter().find(|store| store.kind == StoreKind::Containerd)?;
    let mut found = None;
    for detected in stores {
        let store = detected.open(options).ok()?;
        if store.images().ok()?.is_empty() {
            continue;
        }
        if found.replace(store).is_some() {
            return None;
        }
    }
    found
}

/// Opens all stores that `path` means. A store that cannot be opened does not hide the others.
pub fn open_all(path: &Path, options: &OpenOptions) -> Result<Vec<Result<Opened, Error>>, Error> {
    if is_file(path) {
        let store = layout::open_file(path, options)?;
        return Ok(vec![Ok(Opened { root: path.to_owned(), store })]);
    }
    let path = &*named::meant(path);
    let options = &within(path, options);
    Ok(find(path, options)?.open(options))
}

/// Opens all stores in the usual places of this machine.
pub fn open_usual(options: &OpenOptions) -> Vec<Result<Opened, Error>> {
    Found::of(usual(), options).open(options)
}

impl Detected {
    /// Opens the store. A kind in the options is ignored.
    pub fn open(&self, options: &OpenOptions) -> Result<Box<dyn Store>, Error> {
        let options = options.clone().with_kind(self.kind);
        if is_file(&self.root) {
            return layout::open_file(&self.root, &options);
        }
        (engine(self.kind).open)(store_root(&self.root, &options)?, &options)
    }
}

/// Stores that may be meant.
#[derive(Default)]
struct Found {
    stores: Vec<Detected>,
    /// Why other places could not be read.
    closed: Vec<Error>,
}

impl Found {
    /// The stores that the options allow: those of the kind, and of the partition if any store has it.
    fn of(places: Vec<Place>, options: &OpenOptions) -> Self {
        let mut found = Found::default();
        for place in places {
            match place.found {
                Ok(stores) => found.stores.extend(stores),
                Err(error) => found.closed.push(error),
            }
        }
        found.stores.retain(|store| options.kind.is_none_or(|kind| kind == store.kind));
        let wanted =
            |store: &Detected| options.partition.as_ref().is_some_and(|name| store.partitions.contains(name));
        if found.stores.iter().any(wanted) {
            found.stores.retain(wanted);
        }
        found
    }

    fn open(self, options: &OpenOptions) -> Vec<Result<Opened, Error>> {
        let open = |detected: Detected| {
            let store = detected.open(options)?;
            Ok(Opened { root: detected.root, store })
        };
        self.stores.into_iter().map(open).chain(self.closed.into_iter().map(Err)).collect()
    }
}

/// The stores that a directory means. At least one, or it is an error.
fn find(path: &Path, options: &OpenOptions) -> Result<Found, Error> {
    let here = Place { path: path.to_owned(), found: Ok(detect_in(path, options)?) };
    let here = Found::of(vec![here], options);
    if !here.stores.is_empty() {
        return Ok(here);
    }
    // A store of the requested kind can be hidden by one of another kind. If there is none, its engine knows
    // what is missing.
    let mut why = None;
    if let Some(kind) = options.kind {
        let asked = Detected { kind, root: path.to_owned(), partitions: Vec::new(), evidence: Vec::new() };
        match asked.open(options) {
            Ok(_) => return Ok(Found { stores: vec![asked], closed: Vec::new() }),
            Err(Error::NoStore { why: lacks, .. }) => why = lacks,
            Err(error) => return Err(error),
        }
    }
    let mut usual = Found::of(below(path), options);
    if !usual.stores.is_empty() {
        return Ok(usual);
    }
    if !usual.closed.is_empty() {
        return Err(usual.closed.remove(0));
    }
    let mut elsewhere: Vec<PathBuf> =
        Found::of(search(path), options).stores.into_iter().map(|store| store.root).collect();
    elsewhere.dedup();
    let hint = match elsewhere.is_empty() {
        true if docker::uses_containerd(path) => docker::in_containerd(path, &mut why),
        true => Hint::Other("name the data root of an engine, such as /var/lib/docker".into()),
        false => Hint::NameRoot(elsewhere),
    };
    Err(Error::NoStore { path: path.to_owned(), why, hint: Some(hint) })
}

/// The error that lists the stores from which to choose.
fn several_stores(path: &Path, stores: &[Detected]) -> Error {
    let root = stores.first().map_or(path, |store| &store.root);
    let (path, candidates, choose) = if stores.iter().all(|store| store.root == root) {
        (root, stores.iter().map(|store| store.kind.to_string()).collect(), Hint::ChooseKind)
    } else {
        let mut roots: Vec<_> = stores.iter().map(|store| store.root.display().to_string()).collect();
        roots.dedup();
        (path, roots, Hint::ChooseRoot)
    };
    Error::SeveralStores { path: path.to_owned(), candidates, choose }
}

/// The stores at a usual place, or if it has none, those one level deeper.
fn look_into(path: PathBuf) -> Vec<Place> {
    if let Some(place) = look_at(path.clone()) {
        return vec![place];
    }
    let mut deeper = Vec::new();
    named::visit(&path, 1, |folder| {
        deeper.extend(look_at(folder.to_owned()).filter(|place| place.found.is_ok()));
        false
    });
    deeper
}

fn look_at(path: PathBuf) -> Option<Place> {
    let found = detect(&path);
    (!matches!(&found, Ok(stores) if stores.is_empty())).then_some(Place { path, found })
}

/// Whether it exists and is not a directory.
fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A disk with stores of Docker in these folders.
    fn disk(stores: &[&str]) -> tempfile::TempDir {
        let disk = tempfile::tempdir().unwrap();
        for store in stores {
            fs::create_dir_all(disk.path().join(store).join("image/overlay2/imagedb")).unwrap();
        }
        disk
    }

    fn roots(places: &[Place], disk: &Path) -> Vec<String> {
        let roots = places.iter().flat_map(|place| place.found.iter().flatten());
        let below = roots.map(|store| store.root.strip_prefix(disk).unwrap().display().to_string());
        below.collect()
    }

    /// A disk that is not trusted: links and settings there mean the disk.
    #[test]
    fn nothing_leads_off_a_disk() {
        let outside = disk(&["store"]);
        let store = outside.path().join("store");
        let far = format!("/{}{}", "../".repeat(40), store.strip_prefix("/").unwrap().display());
        for (place, target) in [
            ("var/lib/docker", store.clone()),
            ("var/lib/docker", PathBuf::from(&far[1..])),
            ("home/ada", outside.path().to_owned()),
            ("var/lib", outside.path().to_owned()),
        ] {
            fs::create_dir_all(outside.path().join(".local/share")).unwrap();
            let _ = symlink(&store, outside.path().join(".local/share/docker"));
            let _ = symlink(&store, outside.path().join("docker"));
            let disk = disk(&["elsewhere/real"]);
            fs::create_dir_all(disk.path().join(place).parent().unwrap()).unwrap();
            symlink(&target, disk.path().join(place)).unwrap();
            assert_eq!(roots(&below(disk.path()), disk.path()), [""; 0], "{place} -> {}", target.display());
            assert_eq!(roots(&search(disk.path()), disk.path()), ["elsewhere/real"], "{place}");
        }
        for data_root in [far.as_str(), store.to_str().unwrap(), "/link"] {
            let disk = disk(&[]);
            fs::create_dir_all(disk.path().join("etc/docker")).unwrap();
            symlink(&store, disk.path().join("link")).unwrap();
            let settings = format!(r#"{{"data-root":"{data_root}"}}"#);
            fs::write(disk.path().join("etc/docker/daemon.json"), settings).unwrap();
            assert_eq!(roots(&below(disk.path()), disk.path()), [""; 0], "{data_root}");
        }
    }

    /// An absolute link of a disk means the disk; userns-remap is found there as on this machine.
    #[test]
    fn links_and_remapped_roots_of_a_disk() {
        let disk = disk(&["data/docker", "var/lib/containerd/100000.100000"]);
        symlink("/data/docker", disk.path().join("var/lib/docker")).unwrap();
        assert_eq!(
            roots(&below(disk.path()), disk.path()),
            ["data/docker", "var/lib/containerd/100000.100000"]
        );
    }

    #[test]
    fn anywhere_on_a_disk() {
        let disk = disk(&[
            "backup/2016/old",
            "backup/2016/old/overlay2/x/diff/var",
            "proc/1/root",
            "a/b/c/d/e/f/deep",
            "var/lib/docker",
        ]);
        std::os::unix::fs::symlink(disk.path().join("backup"), disk.path().join("again")).unwrap();
        assert_eq!(roots(&search(disk.path()), disk.path()), ["var/lib/docker", "backup/2016/old"]);
        assert_eq!(roots(&below(disk.path()), disk.path()), ["var/lib/docker"]);
    }

    #[test]
    fn what_a_directory_means() {
        let options = OpenOptions::default();
        let opened = |disk: &Path| {
            let opened = open_all(disk, &options).map_err(|error| error.to_string())?;
            let line = |opened: Result<Opened, Error>| {
                let opened = opened.unwrap();
                opened.root.strip_prefix(disk).unwrap().display().to_string()
            };
            Ok::<Vec<String>, String>(opened.into_iter().map(line).collect())
        };
        for (stores, expected) in [
            (&["", "backup"][..], &[""][..]),
            (&["var/lib/docker"], &["var/lib/docker"]),
            (&["home/ada/.local/share/docker"], &["home/ada/.local/share/docker"]),
            (&[".local/share/docker"], &[".local/share/docker"]),
            (
                &["backup", "var/lib/docker", "root/.local/share/docker"],
                &["var/lib/docker", "root/.local/share/docker"],
            ),
        ] {
            let disk = disk(stores);
            assert_eq!(opened(disk.path()).unwrap(), expected, "{stores:?}");
            match (open(disk.path(), &options), expected) {
                (Ok(_), [_]) => {}
                (Err(Error::SeveralStores { candidates, choose: Hint::ChooseRoot, .. }), several) => {
                    assert_eq!(candidates.len(), several.len());
                }
                (other, _) => panic!("{stores:?}: {:?}", other.err()),
            }
        }
    }

    /// A store that is neither at the path nor in a usual place is not opened, but named.
    #[test]
    fn what_lies_elsewhere() {
        for stores in [&["165536.165536"][..], &["backup/2016/old"], &["backup", "restored/docker"], &[]] {
            let disk = disk(stores);
            let error = open(disk.path(), &OpenOptions::default()).err().unwrap();
            let Error::NoStore { hint: Some(hint), why: None, .. } = error else { panic!("{error}") };
            match hint {
                Hint::NameRoot(roots) => {
                    assert_eq!(roots, stores.iter().map(|store| disk.path().join(store)).collect::<Vec<_>>());
                }
                hint => assert!(stores.is_empty(), "{hint:?}"),
            }
        }
    }

    #[test]
    fn a_kind_that_was_asked_for() {
        let disk = disk(&["docker"]);
        let root = disk.path().join("docker");
        let asked = |kind| open_all(&root, &OpenOptions::default().with_kind(kind));
        assert_eq!(asked(StoreKind::Docker).unwrap().len(), 1);
        let why = asked(StoreKind::DockerGraph).err().unwrap().to_string();
        assert!(why.contains("the directory graph of Docker"), "{why}");
        let why = asked(StoreKind::Containerd).err().unwrap().to_string();
        assert!(why.contains("not a known image store: it has no"), "{why}");
        // A directory that is both an OCI layout and an unpacked docker-archive.
        for (file, text) in [
            ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
            ("index.json", r#"{"schemaVersion":2,"manifests":[]}"#),
            ("manifest.json", "[]"),
        ] {
            fs::write(disk.path().join(file), text).unwrap();
        }
        for kind in [StoreKind::OciLayout, StoreKind::DockerArchive] {
            let opened = open_all(disk.path(), &OpenOptions::default().with_kind(kind));
            let kinds: Vec<_> =
                opened.unwrap().into_iter().map(|opened| opened.unwrap().store.kind()).collect();
            assert_eq!(kinds, [kind]);
        }
    }

    #[test]
    fn two_kinds_in_one_root() {
        let disk = disk(&["var/lib/docker"]);
        let root = disk.path().join("var/lib/docker");
        fs::create_dir(root.join("graph")).unwrap();
        fs::write(root.join("repositories-vfs"), "{}").unwrap();
        let error = open(disk.path(), &OpenOptions::default()).err().unwrap();
        assert!(
            matches!(&error, Error::SeveralStores { path, choose: Hint::ChooseKind, .. } if *path == root),
            "{error}"
        );
        let vfs = OpenOptions::default().with_partition("vfs");
        assert_eq!(open(disk.path(), &vfs).unwrap().kind(), StoreKind::DockerGraph);
    }
}
