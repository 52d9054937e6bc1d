//! Snapshots: what containerd has unpacked of a layer.
//!
//! ```text
//! meta.db      v1/<namespace>/snapshots/<snapshotter>/sha256:<chain id>/name   k8s.io/14/sha256:5fe1…
//! io.containerd.snapshotter.v1.<snapshotter>/
//!   metadata.db   v1/snapshots/<that name>/{id,kind,parent}                    14 (a varint), 3, a name
//!   snapshots/14/fs    overlayfs, fuse-overlayfs: what the layer adds, and marks for what it removes
//!   snapshots/14/      native: the whole tree, a copy
//! ```
//!
//! The number in a name is not the id. Snapshots are a namespace's own: the same layer in two namespaces is
//! unpacked twice. Only those of kind 3 (committed) are layers. (containerd 1.6, 1.7 and 2.1.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use layerlift_archive::Digest;

use super::metadata::{DATABASE, Metadata, text};
use super::numbers;
use crate::bolt::{Bucket, Database, Entry};
use crate::diff::{DiffLayer, Form, LayerDir, Watch};
use crate::layout::absent::Snapshots;
use crate::{ChainId, DiffId, Error, Root, RootFs};

/// The name of the snapshotter whose snapshots are whole trees.
const NATIVE: &str = "native";
/// Those whose snapshots are upper directories.
const OVERLAYS: [&str; 2] = ["overlayfs", "fuse-overlayfs"];
const COMMITTED: &[u8] = &[3];

/// The snapshots of a namespace.
pub(super) struct Unpacked {
    root: Root,
    metadata: Arc<Metadata>,
    namespace: String,
    /// By snapshotters. `None` for one that has none.
    databases: Mutex<BTreeMap<String, Option<Arc<Database>>>>,
    /// The blobs that other namespaces have labelled with diff ids; read when they are needed.
    labelled: OnceLock<BTreeMap<DiffId, Vec<Digest>>>,
}

/// Where a snapshot is.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    id: u64,
    /// The name of the snapshot below it.
    parent: Option<Vec<u8>>,
}

impl Unpacked {
    pub(super) fn new(root: Root, metadata: Arc<Metadata>, namespace: &str) -> Self {
        let (databases, labelled) = (Mutex::default(), OnceLock::new());
        Unpacked { root, metadata, namespace: namespace.to_owned(), databases, labelled }
    }

    /// The snapshotter's database; it is read once.
    fn database(&self, snapshotter: &str) -> Result<Option<Arc<Database>>, Error> {
        let mut known = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = known.get(snapshotter) {
            return Ok(database.clone());
        }
        let database = open(&self.root, snapshotter)?.map(Arc::new);
        known.insert(snapshotter.to_owned(), database.clone());
        Ok(database)
    }

    /// The snapshot of a layer that one snapshotter has, by its name.
    fn in_snapshotter(&self, snapshotter: &str, name: &[u8], of: &str) -> Result<DiffLayer, Error> {
        let missing = |what| Error::Missing {
            of: of.to_owned(),
            what,
            id: text(name),
            path: self.records(snapshotter),
        };
        let Some(database) = self.database(snapshotter)? else { return Err(missing("snapshot")) };
        let find = |name: &[u8]| find(&self.root, snapshotter, &database, name);
        let Some(record) = find(name)? else { return Err(missing("snapshot")) };
        let dir = |id: u64| {
            let overlay = OVERLAYS.contains(&snapshotter);
            let folder = format!("{}/snapshots/{id}{}", path(snapshotter), if overlay { "/fs" } else { "" });
            let missing = |path| {
                let (of, id) = (of.to_owned(), text(name));
                Error::Missing { of, what: "snapshot", id, path }
            };
            self.root.try_dir(&folder)?.ok_or_else(|| missing(self.root.join(&folder)))
        };
        let holds = match (snapshotter, &record.parent) {
            (NATIVE, None) => LayerDir::Full { parent: None },
            (NATIVE, Some(parent)) => {
                let parent = find(parent)?.ok_or_else(|| missing("the parent of snapshot"))?;
                LayerDir::Full { parent: Some(dir(parent.id)?) }
            }
            _ => LayerDir::Upper,
        };
        let layer = DiffLayer::new(dir(record.id)?, holds, 0);
        let (root, snapshotter, name) = (self.root.clone(), snapshotter.to_owned(), name.to_vec());
        // The record is removed before the files.
        let still = move || {
            let now = match open(&root, &snapshotter)? {
                Some(database) => self::find(&root, &snapshotter, &database, &name)?,
                None => None,
            };
            let same = now.as_ref() == Some(&record);
            if same { Ok(()) } else { Err(Error::Changed { path: root.join(path(&snapshotter)) }) }
        };
        Ok(layer.watched(Watch::new(still)))
    }
}

impl Snapshots for Unpacked {
    fn layer(&self, chain: ChainId, of: &str) -> Result<Option<DiffLayer>, Error> {
        let names = self.metadata.snapshots(&self.namespace, chain)?;
        let mut first = None;
        // An upper directory has every change; a comparison of two trees does not show all of them.
        let (last, first_ones): (Vec<_>, Vec<_>) = names
            .iter()
            .filter(|(snapshotter, _)| readable(snapshotter))
            .partition(|(snapshotter, _)| snapshotter == NATIVE);
        for (snapshotter, name) in first_ones.into_iter().chain(last) {
            match self.in_snapshotter(snapshotter, name, of) {
                Ok(layer) => return Ok(Some(layer)),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        match (first, names.first()) {
            (Some(error), _) => Err(error),
            (None, Some((snapshotter, _))) => {
                let what = format!("{of} is in a snapshot of {snapshotter}, a snapshotter that is not known");
                Err(Error::unsupported(what, "overlayfs, fuse-overlayfs and native are read"))
            }
            (None, None) => Ok(None),
        }
    }

    fn missing(&self) -> Result<Vec<Error>, Error> {
        let (unpacked, mut missing) = self.metadata.unpacked(&self.namespace);
        for ((snapshotter, chain), name) in unpacked {
            // Other snapshotters keep snapshots in other ways.
            if !readable(&snapshotter) {
                continue;
            }
            match self.absent(&snapshotter, name.as_deref()) {
                Ok(None) => {}
                Ok(Some(path)) => {
                    let (of, id) = (format!("namespace {}", self.namespace), chain.to_string());
                    missing.push(Error::Missing { of, what: "snapshot", id, path });
                }
                Err(error) => missing.push(error),
            }
        }
        Ok(missing)
    }

    fn labelled_elsewhere(&self, diff_id: DiffId) -> &[Digest] {
        let all = self.labelled.get_or_init(|| self.metadata.labelled_elsewhere(&self.namespace));
        all.get(&diff_id).map_or(&[], Vec::as_slice)
    }
}

impl Unpacked {
    /// What is missing of a snapshot: its folder, or the file that should have a record of it. `None` if it
    /// is where its records say.
    fn absent(&self, snapshotter: &str, name: Option<&[u8]>) -> Result<Option<PathBuf>, Error> {
        let Some(name) = name else { return Ok(Some(self.root.join(DATABASE))) };
        let record = match self.database(snapshotter)? {
            Some(database) => find(&self.root, snapshotter, &database, name)?,
            None => None,
        };
        let Some(record) = record else { return Ok(Some(self.records(snapshotter))) };
        let folder = format!("{}/snapshots/{}", path(snapshotter), record.id);
        Ok((!self.root.exists(&folder)?).then(|| self.root.join(folder)))
    }

    /// What should have the records of a snapshotter: its database, or its folder if that is missing.
    fn records(&self, snapshotter: &str) -> PathBuf {
        let folder = path(snapshotter);
        match self.root.exists(&folder) {
            Ok(true) => self.root.join(folder).join("metadata.db"),
            _ => self.root.join(folder),
        }
    }
}

impl fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacked").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

fn readable(snapshotter: &str) -> bool {
    snapshotter == NATIVE || OVERLAYS.contains(&snapshotter)
}

/// The folder of a snapshotter.
pub(super) fn path(snapshotter: &str) -> String {
    format!("io.containerd.snapshotter.v1.{snapshotter}")
}

fn open(root: &Root, snapshotter: &str) -> Result<Option<Database>, Error> {
    let file = format!("{}/metadata.db", path(snapshotter));
    if !root.exists(&file)? {
        return Ok(None);
    }
    Database::open(root, Path::new(&file)).map(Some)
}

/// What the database of a snapshotter records about a name.
fn find(root: &Root, snapshotter: &str, database: &Database, name: &[u8]) -> Result<Option<Record>, Error> {
    let snapshots: [&[u8]; 3] = [b"v1", b"snapshots", name];
    let Some(bucket) = database.root().path(&snapshots)? else { return Ok(None) };
    record(bucket)?.map(Some).ok_or_else(|| {
        let file = root.join(format!("{}/metadata.db", path(snapshotter)));
        Error::malformed(file, format!("snapshot {} is not a committed one with an id", text(name)))
    })
}

fn record(snapshot: Bucket<'_>) -> Result<Option<Record>, Error> {
    let committed = snapshot.get(b"kind")? == Some(COMMITTED);
    let id = snapshot.get(b"id")?.and_then(numbers::unsigned);
    let parent = snapshot.get(b"parent")?.filter(|parent| !parent.is_empty()).map(<[u8]>::to_vec);
    Ok(id.filter(|_| committed).map(|id| Record { id, parent }))
}

/// The directory of a snapshot, and the name of the one below.
struct Snapshot {
    dir: Root,
    parent: Option<Vec<u8>>,
}

/// Names of snapshots with their directories, each on the one that follows.
type Stack = Vec<(Vec<u8>, Root)>;

/// Layers by their chain ids, the base first.
type Layers = Vec<(ChainId, DiffLayer)>;

/// The snapshots of a snapshotter, by name.
struct Named<'a> {
    root: &'a Root,
    snapshotter: &'a str,
    database: Database,
}

impl<'a> Named<'a> {
    /// `None` if the snapshotter has no database.
    fn open(root: &'a Root, snapshotter: &'a str) -> Result<Option<Self>, Error> {
        if !readable(snapshotter) {
            let what = format!("it is in a snapshot of {snapshotter}, a snapshotter that is not known");
            return Err(Error::unsupported(what, "overlayfs, fuse-overlayfs and native are read"));
        }
        let database = open(root, snapshotter)?;
        Ok(database.map(|database| Named { root, snapshotter, database }))
    }

    /// `None` if the snapshot is not there.
    fn find(&self, name: &[u8]) -> Result<Option<Snapshot>, Error> {
        let path: [&[u8]; 3] = [b"v1", b"snapshots", name];
        let Some(bucket) = self.database.root().path(&path)? else { return Ok(None) };
        let parent = bucket.get(b"parent")?.filter(|parent| !parent.is_empty()).map(<[u8]>::to_vec);
        let Some(id) = bucket.get(b"id")?.and_then(numbers::unsigned) else { return Ok(None) };
        let inner = if self.snapshotter == NATIVE { "" } else { "/fs" };
        let dir = self.root.try_dir(format!("{}/snapshots/{id}{inner}", self::path(self.snapshotter)))?;
        Ok(dir.map(|dir| Snapshot { dir, parent }))
    }

    /// A snapshot and all below it, by name. `None` if the first is not there.
    fn stack(&self, first: &[u8]) -> Result<Option<Stack>, Error> {
        let mut seen = BTreeSet::new();
        let mut stack = Vec::new();
        let mut next = Some(first.to_vec());
        while let Some(name) = next {
            let folder = path(self.snapshotter);
            if !seen.insert(name.clone()) {
                let file = self.root.join(format!("{folder}/metadata.db"));
                return Err(Error::malformed(file, "the parents of its snapshots form a circle"));
            }
            let Snapshot { dir, parent } = match self.find(&name)? {
                Some(found) => found,
                None if stack.is_empty() => return Ok(None),
                None => {
                    let (of, id) = (format!("snapshot {}", text(first)), text(&name));
                    return Err(Error::Missing { of, what: "snapshot", id, path: self.root.join(folder) });
                }
            };
            stack.push((name, dir));
            next = parent;
        }
        Ok(Some(stack))
    }
}

/// The snapshotter with a snapshot of a container, and the name of the snapshot, by the snapshotters' own
/// databases: `moby/48/<container id>`.
pub(super) fn of_container(
    root: &Root,
    is_namespace: impl Fn(&str) -> bool,
    id: &str,
) -> Result<Option<(String, Vec<u8>)>, Error> {
    for snapshotter in OVERLAYS.into_iter().chain([NATIVE]) {
        let Some(database) = open(root, snapshotter)? else { continue };
        let Some(snapshots) = database.root().path(&[b"v1", b"snapshots"])? else { continue };
        // What cannot be read has no name.
        for entry in snapshots.entries().flatten() {
            let (Entry::Bucket { key, .. } | Entry::Value { key, .. }) = entry;
            let name = text(key);
            let mut parts = name.split('/');
            let of_docker = parts.next().is_some_and(&is_namespace);
            if of_docker && parts.next().is_some() && parts.next() == Some(id) && parts.next().is_none() {
                return Ok(Some((snapshotter.to_owned(), key.to_vec())));
            }
        }
    }
    Ok(None)
}

/// The directory of a snapshot that can be written to, and what it holds. `None` if it is not there.
pub(super) fn writable(
    root: &Root,
    snapshotter: &str,
    name: &[u8],
) -> Result<Option<(Root, LayerDir)>, Error> {
    let Some(named) = Named::open(root, snapshotter)? else { return Ok(None) };
    match named.find(name)? {
        Some(Snapshot { dir, parent: Some(parent) }) if snapshotter == NATIVE => {
            Ok(named.find(&parent)?.map(|below| (dir, LayerDir::Full { parent: Some(below.dir) })))
        }
        found => Ok(found.map(|found| (found.dir, LayerDir::Upper))),
    }
}

/// The directories that make the root file system of a snapshot. `None` if it is not there.
pub(super) fn root_fs(root: &Root, snapshotter: &str, first: &[u8]) -> Result<Option<RootFs>, Error> {
    let Some(named) = Named::open(root, snapshotter)? else { return Ok(None) };
    if snapshotter == NATIVE {
        let found = named.find(first)?;
        return Ok(found.map(|found| RootFs::whole(found.dir, Form::Docker28)));
    }
    let Some(stack) = named.stack(first)? else { return Ok(None) };
    let stack = stack.into_iter().map(|(_, dir)| dir).collect();
    Ok(Some(RootFs::stacked(stack, snapshotter, Form::Docker28)))
}

/// The layers that a writable snapshot lies on, base first, with the chain ids that are their names. `None`
/// if it is not there.
pub(super) fn layers_below(root: &Root, snapshotter: &str, first: &[u8]) -> Result<Option<Layers>, Error> {
    let Some(named) = Named::open(root, snapshotter)? else { return Ok(None) };
    let Some(stack) = named.stack(first)? else { return Ok(None) };
    let mut layers = Vec::new();
    let mut parent = None;
    for (name, dir) in stack.into_iter().skip(1).rev() {
        let Some(chain) = chain(&name) else {
            // The one with what Docker adds is between the layers and the container.
            continue;
        };
        let holds = match snapshotter {
            NATIVE => LayerDir::Full { parent: parent.replace(dir.clone()) },
            _ => LayerDir::Upper,
        };
        layers.push((chain, DiffLayer::new(dir, holds, 0).in_form(Form::Today)));
    }
    Ok(Some(layers))
}

/// The layer that a snapshot is called by, if it is one of an image: `k8s.io/14/sha256:5fe1…`.
fn chain(name: &[u8]) -> Option<ChainId> {
    text(name).rsplit('/').next().and_then(|id| id.parse().ok())
}

/// The layers that a writable snapshot lies on, by which snapshots of layers are named. `None` if its parents
/// do not say it.
pub(super) fn chain_below(root: &Root, snapshotter: &str, first: &[u8]) -> Result<Option<ChainId>, Error> {
    let Some(named) = Named::open(root, snapshotter)? else { return Ok(None) };
    let mut name = first.to_vec();
    // The snapshot of a container, and the one with what Docker adds.
    for _ in 0..2 {
        let Some(Snapshot { parent: Some(parent), .. }) = named.find(&name)? else { return Ok(None) };
        if let Some(chain) = chain(&parent) {
            return Ok(Some(chain));
        }
        name = parent;
    }
    Ok(None)
}
