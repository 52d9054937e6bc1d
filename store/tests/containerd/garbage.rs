//! What is not an image, though it lies beside them, and what is missing though no image needs it.

use std::collections::BTreeSet;
use std::fs;

use layerlift_archive::Digest;
use layerlift_store::{Error, ErrorKind, OpenOptions, Store, Subject, open};

use crate::contract::key;
use crate::fixture::{BLOBS, CONTAINERD, Copy, DISCARDED, DOCKER, OLD, listed, unpacked};

/// Everything that a namespace lists: images, indexes, artifacts and what cannot be read.
fn shown(store: &dyn Store) -> String {
    let listing = store.images().unwrap();
    // Not the descriptors of open files.
    let artifacts: Vec<_> =
        listing.artifacts.iter().map(|artifact| (artifact.digest, &artifact.names)).collect();
    format!("{:#?}", (listing.images, listing.indexes, listing.broken, artifacts, listing.lost))
}

/// Each image is what a name leads to, or a member of that. Blobs with leases, which nothing names, are not:
/// the index over which BuildKit built, its history, caches.
#[test]
fn blobs_that_nothing_names() {
    for fixture in [DOCKER, CONTAINERD, DISCARDED, OLD] {
        let copy = Copy::of(fixture);
        for (namespace, names) in listed(fixture) {
            let store = copy.namespace(&namespace);
            let mut named: BTreeSet<String> = BTreeSet::new();
            for digest in names.values() {
                named.insert(digest.trim_start_matches("sha256:").to_owned());
                for selected in store.resolve(digest).unwrap_or_default() {
                    if let Subject::Index(index) = &selected.subject {
                        named.extend(index.members.iter().map(|member| member.manifest.hex()));
                    }
                }
            }
            let listing = store.images().unwrap();
            let images = listing.images.iter().map(|image| image.key.id().to_owned());
            let broken = listing.broken.iter().map(|broken| broken.what.clone());
            for id in images.chain(broken) {
                assert!(named.contains(&id), "{fixture}, {namespace}: {id}");
            }
        }
    }
}

/// A namespace that only has blobs and leases has no images to open.
#[test]
fn namespaces_without_images() {
    let copy = Copy::of(DOCKER);
    let history = OpenOptions::default().with_partition("moby_history");
    let error = open(copy.root(), &history).err().unwrap();
    assert!(error.to_string().contains("moby_history"), "{error}");
}

/// Files that no record has, of sound manifests even, and downloads that never ended.
#[test]
fn files_without_records() {
    for (fixture, namespace, name) in
        [(DOCKER, "moby", "bench/many:1.0"), (CONTAINERD, "default", "docker.io/bench/many:1.0")]
    {
        let copy = Copy::of(fixture);
        let before = shown(&*copy.namespace(namespace));
        let image = key(&*copy.namespace(namespace), name);
        let mut manifest = fs::read(copy.blob(image.id())).unwrap();
        manifest.push(b'\n');
        fs::write(copy.blob(&Digest::of(&manifest).hex()), &manifest).unwrap();
        let ingest = copy.containerd().join(BLOBS).join("../../ingest").join(image.id());
        fs::create_dir_all(&ingest).unwrap();
        fs::write(ingest.join("data"), &manifest).unwrap();
        fs::write(ingest.join("ref"), format!("{namespace}/1/manifest-sha256:{}", image.id())).unwrap();
        let store = copy.namespace(namespace);
        assert_eq!(shown(&*store), before, "{fixture}");
        let found = store.resolve(&Digest::of(&manifest).to_string());
        assert_eq!(found.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

/// Snapshots that are missing are named, one by one, and what was never unpacked is not. The copies of the
/// stores come without snapshots.
#[test]
fn missing_snapshots() {
    for (fixture, namespace) in
        [(DOCKER, "moby"), (CONTAINERD, "default"), (CONTAINERD, "k8s.io"), (DISCARDED, "k8s.io")]
    {
        let layers = unpacked(fixture, namespace);
        let copy = Copy::of(fixture);
        let store = copy.namespace(namespace);
        let missing = store.missing().unwrap();
        let id = |error: &Error| match error {
            Error::Missing { of, what: "snapshot", id, .. } if of.ends_with(namespace) => id.clone(),
            error => panic!("{error}"),
        };
        let missing: BTreeSet<String> = missing.iter().map(id).collect();
        assert_eq!(missing.symmetric_difference(&layers).next(), None, "{fixture}");
        let snapshots = copy.containerd().join("io.containerd.snapshotter.v1.overlayfs/snapshots");
        for id in 1..200 {
            fs::create_dir_all(snapshots.join(id.to_string())).unwrap();
        }
        assert!(store.missing().unwrap().is_empty(), "{fixture}");
        let mut one_each = 0;
        for id in 1..200 {
            fs::remove_dir(snapshots.join(id.to_string())).unwrap();
            let now = store.missing().unwrap().len();
            assert!(now <= 1, "{fixture}: {id}");
            one_each += now;
            fs::create_dir(snapshots.join(id.to_string())).unwrap();
        }
        assert_eq!(one_each, layers.len(), "{fixture}");
    }
}
