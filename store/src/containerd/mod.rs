//! containerd's own store, which Kubernetes, nerdctl and Docker 29 use.
//!
//! ```text
//! io.containerd.metadata.v1.bolt/meta.db                  names, and which blobs are whose
//! io.containerd.content.v1.content/blobs/sha256/<digest>  manifests, configs, layers as they were pulled
//! io.containerd.snapshotter.v1.<name>/                    unpacked layers, for blobs that are missing
//! ```
//!
//! Everything belongs to a namespace: `k8s.io` of the CRI, `default` of ctr and nerdctl, `moby` of Docker,
//! `moby-<uid>.<gid>` of Docker with userns-remap. Namespaces share the files of blobs, but a namespace has
//! a blob only if it has a record of it. dockerd with a containerd of its own keeps that store in
//! `containerd/daemon` below its data root, perhaps beside the images of a graph driver; since 20.10, a
//! store without images is there in any case. (containerd 1.6, 1.7 and 2.1; Docker 26 and 28.)
//!
//! The containers of Docker are beside its images only in part, see `moby`.
//!
//! Blobs lie as in an image layout, and are read by [`crate::layout`].

mod metadata;
mod moby;
mod numbers;
mod snapshots;
mod store;

use std::collections::HashSet;
use std::sync::Arc;

use crate::archive::Files;
use crate::docker;
use crate::kind::{Detected, OpenOptions, StoreKind};
use crate::layout::{LayoutStore, namespace};
use crate::{Error, ErrorKind, Root};

use metadata::{DATABASE, Metadata};
use moby::OF_DOCKER;
use snapshots::Unpacked;
use store::ContainerdStore;

const CONTENT: &str = "io.containerd.content.v1.content";

/// The store of a directory: in it, or where Docker has its own.
fn home(root: &Root) -> Result<Option<Root>, Error> {
    // Without its database, a store still has its blobs.
    let is_here = |root: &Root| Ok(root.exists(DATABASE)? || root.exists(CONTENT)?);
    if is_here(root)? {
        return Ok(Some(root.clone()));
    }
    match root.try_own_dir(OF_DOCKER) {
        Ok(Some(own)) if is_here(&own)? => Ok(Some(own)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks for this kind of store in a directory.
pub(crate) fn detect(root: &Root) -> Result<Option<Detected>, Error> {
    let Some(own) = home(root)? else { return Ok(None) };
    // `open` reports a database that cannot be read.
    let metadata = Metadata::open(&own);
    let (found, faults) = metadata.as_ref().map(|metadata| metadata.namespaces(&own)).unwrap_or_default();
    let unused = metadata.is_ok() && found.is_empty() && faults.is_empty();
    if unused && own.path() != root.path() && docker::detect(root)?.is_some() {
        return Ok(None);
    }
    let partitions = found.into_iter().map(|(name, _)| name).collect();
    let evidence = [DATABASE, CONTENT].map(str::to_owned).to_vec();
    Ok(Some(Detected { kind: StoreKind::Containerd, root: own.path().to_owned(), partitions, evidence }))
}

/// Opens the namespace that the options choose: by default the only one that has images, or all on request.
pub(crate) fn open(root: &Root, options: &OpenOptions) -> Result<ContainerdStore, Error> {
    let Some(root) = home(root)? else {
        return Err(Error::no_store(root.path(), format!("it has no {DATABASE}")));
    };
    let metadata = match Metadata::open(&root) {
        Err(error) if is_of_database(&error) => {
            let docker = moby::Docker::of(&root, None)?;
            let images = without_names(&root, vec![error], HashSet::new())?;
            return Ok(ContainerdStore::new(None, vec![images], docker));
        }
        metadata => Arc::new(metadata?),
    };
    let (found, mut faults) = metadata.namespaces(&root);
    let names = || found.iter().map(|(name, _)| name.clone());
    let chosen: Vec<String> = match (&options.partition, &*found) {
        (Some(wanted), _) => names().filter(|name| name == wanted).collect(),
        (None, [_, _, ..]) if !options.all_partitions => {
            return Err(Error::SeveralNamespaces { path: root.path().to_owned(), present: found });
        }
        (None, _) => names().collect(),
    };
    if let (Some(wanted), true) = (&options.partition, chosen.is_empty() && faults.is_empty()) {
        let (path, wanted) = (root.path().to_owned(), wanted.clone());
        return Err(Error::NoNamespace { path, wanted, present: names().collect() });
    }
    let mut namespaces = Vec::new();
    let docker = match &options.partition {
        Some(other) if !moby::is_of_docker(other) => None,
        _ => moby::Docker::of(&root, Some(Arc::clone(&metadata)))?,
    };
    // Whether an image may have lost its name.
    let mut nameless = false;
    for name in chosen {
        let (mut namespace, more) = metadata.namespace(&root, &name);
        faults.extend(more);
        nameless |= namespace.unreadable.iter().any(|record| is_of_database(&record.error));
        let unpacked = Unpacked::new(root.clone(), Arc::clone(&metadata), &name);
        namespace.stand_ins.set_snapshots(Box::new(unpacked));
        if options.find_blobs {
            namespace.stand_ins.set_search();
        }
        namespaces.push((name, namespace.open(files(&root)?)));
    }
    nameless |= !faults.is_empty();
    if nameless {
        let known = namespaces.iter().flat_map(|(_, store)| store.ids().cloned()).collect();
        namespaces.push(without_names(&root, faults.into_errors(), known)?);
    }
    Ok(ContainerdStore::new(Some(metadata), namespaces, docker))
}

/// Whether the database, and not what surrounds it, is to blame.
fn is_of_database(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Malformed | ErrorKind::Missing)
}

/// The images whose names are lost with the database or a part of it.
fn without_names(
    root: &Root,
    lost: Vec<Error>,
    known: HashSet<String>,
) -> Result<(String, LayoutStore), Error> {
    let what = "names of images; those that are complete are listed by id";
    let lost = lost.into_iter().map(|error| error.within(what)).collect();
    Ok((String::new(), namespace::without_names(files(root)?, lost, known)?))
}

/// The blobs. A store that never had any has no folder for them.
fn files(root: &Root) -> Result<Files, Error> {
    let content = root.try_own_dir(CONTENT)?;
    Ok(Files::in_dir(match content {
        Some(content) => content,
        None => root.clone(),
    }))
}
