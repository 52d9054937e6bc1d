//! Where stores are found: in a root of containerd, in a data root of Docker beside a graph driver, below a
//! disk.

use std::fs;
use std::path::Path;

use layerlift_store::{Detected, Hint, OpenOptions, StoreKind, detect, discover, open, open_all};

use crate::fixture::{CONTAINERD, Copy, DATABASE, DOCKER, OF_DOCKER, OLD};

fn found(root: &Path) -> Vec<(StoreKind, Vec<String>)> {
    detect(root).unwrap().into_iter().map(|Detected { kind, partitions, .. }| (kind, partitions)).collect()
}

#[test]
fn in_its_own_root_and_in_dockers() {
    let docker = Copy::of(DOCKER);
    assert_eq!(found(docker.root()), [(StoreKind::Containerd, vec!["moby".to_owned()])]);
    assert_eq!(detect(docker.root()).unwrap()[0].root, docker.root().join(OF_DOCKER));
    let own = Copy::of(CONTAINERD);
    let names = ["default", "k8s.io", "partial"].map(str::to_owned).to_vec();
    assert_eq!(found(own.root()), [(StoreKind::Containerd, names)]);
}

/// A data root that was switched to the containerd store keeps what the graph driver had.
#[test]
fn beside_a_graph_driver() {
    let docker = Copy::of(DOCKER);
    fs::create_dir_all(docker.root().join("image/overlay2/imagedb/content/sha256")).unwrap();
    let kinds: Vec<StoreKind> = found(docker.root()).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [StoreKind::Docker, StoreKind::Containerd]);
    let all = open_all(docker.root(), &OpenOptions::default()).unwrap();
    assert_eq!(all.len(), 2);
    // Only one of them has images.
    assert_eq!(open(docker.root(), &OpenOptions::default()).unwrap().kind(), StoreKind::Containerd);
    let named = OpenOptions::default().with_partition("moby");
    assert_eq!(open(docker.root(), &named).unwrap().kind(), StoreKind::Containerd);
    let kind = OpenOptions::default().with_kind(StoreKind::Docker);
    assert_eq!(open(docker.root(), &kind).unwrap().kind(), StoreKind::Docker);
    // A search does not list what it also sees from the data root.
    let stores =
        |places: Vec<discover::Place>| places.into_iter().flat_map(|place| place.found.unwrap()).count();
    assert_eq!(stores(discover::search(docker.root())), 2);
}

#[test]
fn below_a_disk() {
    let disk = tempfile::tempdir().unwrap();
    let copy = Copy::of(CONTAINERD);
    for place in [
        "var/lib/containerd",
        "var/lib/docker/231072.231072/containerd/daemon",
        "var/lib/rancher/k3s/agent/containerd",
        "var/lib/rancher/rke2/agent/containerd",
        "var/snap/microk8s/common/var/lib/containerd",
        "home/ada/.local/share/containerd",
        "home/ada/.local/share/docker/containerd/daemon",
    ] {
        let database = disk.path().join(place).join(DATABASE);
        fs::create_dir_all(database.parent().unwrap()).unwrap();
        fs::copy(copy.root().join(DATABASE), database).unwrap();
        let places = discover::below(disk.path());
        let searched = discover::search(disk.path());
        for places in [places, searched] {
            let roots = places.iter().flat_map(|place| place.found.iter().flatten());
            let roots: Vec<String> = roots
                .map(|store| store.root.strip_prefix(disk.path()).unwrap().display().to_string())
                .collect();
            assert!(roots.iter().any(|root| root == place), "{place}: {roots:?}");
        }
    }
}

/// Schemas 1 and 2, of containerd 1.0 and 1.1, differ only in what is not read: they have no list of the
/// children of a snapshot, and downloads in another bucket. No store of them was at hand, so this is one of
/// containerd 1.6 with another version.
#[test]
fn older_schemas() {
    let copy = Copy::of(OLD);
    let database = copy.containerd().join(DATABASE);
    let shown = || {
        let listing = copy.namespace("default").images().unwrap();
        format!("{:?}", (listing.images, listing.indexes, listing.broken))
    };
    let (expected, sound) = (shown(), fs::read(&database).unwrap());
    for version in [1u8, 2] {
        let mut bytes = sound.clone();
        let places: Vec<usize> =
            (0..bytes.len() - 8).filter(|&at| bytes[at..].starts_with(b"version\x06")).collect();
        assert!(!places.is_empty());
        places.into_iter().for_each(|at| bytes[at + 7] = version << 1);
        fs::write(&database, bytes).unwrap();
        assert_eq!(shown(), expected, "{version}");
    }
}

/// Docker with the system's containerd has no image in its own data root.
#[test]
fn images_in_the_systems_containerd() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("docker");
    fs::create_dir_all(root.join("buildkit/containerd-overlayfs")).unwrap();
    fs::create_dir_all(root.with_file_name("containerd")).unwrap();
    let error = open(&root, &OpenOptions::default()).err().unwrap();
    assert!(error.to_string().contains("in the containerd that it is connected to"), "{error}");
    let hint = &error.hints()[0];
    assert!(matches!(hint, Hint::Other(text) if text.ends_with("/containerd")), "{hint:?}");
}
